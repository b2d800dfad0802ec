"""Arithmetic programs as tokens: made at random, and evaluated.

A program is an expression without its outermost parentheses, and an end mark:
`(3 + 14) if 5 < 7 else 2 =`. A step shows one token: its kind, a place in
`TOKENS` (`NONE` after the end), and its value (0 if it is not a number).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

TOKENS = ("number", "(", ")", "+", "-", "if", "<", ">", "else", "=")
NONE = -1
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    # Each operation is as likely as another, and so is each form of it.
    "addition": ("+",),
    "full": ("+", "-", "if"),
}
GROWTH: Mapping[str, int] = {"addition": 4, "full": 8}  # Tokens an operation.

_KIND = {token: kind for kind, token in enumerate(TOKENS)}
_FORMS = ("( number + number )", "( number - number )",
          "( number if number < number else number )",
          "( number if number > number else number )")
_WIDTH = 9
_MAX_OPERANDS = 4


def _form_tables() -> tuple[np.ndarray, np.ndarray]:
  """Kinds `[4, 9]`, and which operand is there `[4, 9]`; -1 for none."""
  kinds = np.full((len(_FORMS), _WIDTH), NONE)
  operands = np.full((len(_FORMS), _WIDTH), -1)
  for row, form in enumerate(_FORMS):
    tokens = [_KIND[token] for token in form.split()]
    kinds[row, :len(tokens)] = tokens
    places = np.flatnonzero(kinds[row] == _KIND["number"])
    operands[row, places] = np.arange(len(places))
  return kinds, operands


_KINDS, _OPERANDS = _form_tables()


class Expression(NamedTuple):
  """An expression within its parentheses, in arrays with room for more.

  Attributes:
    kind: `[S]` int32.
    value: `[S]` float32.
    length: `[]` int32, tokens that count.
    answer: `[]` float32, what it is equal to.
  """

  kind: jax.Array
  value: jax.Array
  length: jax.Array
  answer: jax.Array


def num_steps(program: str, num_operations: int) -> int:
  """T, the longest program with so many operations, its end mark included."""
  # A number; and less two parentheses and more an end mark for all of it.
  return GROWTH[program] * num_operations


def make(key: jax.Array, program: str, max_operations: int,
         num_operations: jax.Array, low: int, high: int
         ) -> tuple[jax.Array, jax.Array, jax.Array]:
  """A random program.

  It starts from a number. Every operation takes what is there as one of its
  operands, any of them, and fresh numbers as the others.

  Args:
    key: consumed.
    program: a name in `OPERATIONS`.
    max_operations: what there is to be room for.
    num_operations: int32 scalar, in [1, max_operations].
    low: the least number.
    high: the greatest.

  Returns:
    Kinds `[T]`, values `[T]` and the answer `[]`, with T of `num_steps`.
  """
  size = num_steps(program, max_operations) + 1
  start_key, key = jax.random.split(key)
  number = jax.random.randint(start_key, (), low, high + 1).astype(jnp.float32)
  first = jnp.arange(size) == 0
  start = Expression(jnp.where(first, _KIND["number"], NONE),
                     jnp.where(first, number, 0), jnp.int32(1), number)

  def step(expression, step_and_key):
    step, key = step_and_key
    grown = _grow(key, expression, program, low, high)
    return jax.tree.map(lambda new, old: jnp.where(
        step < num_operations, new, old), grown, expression), None

  steps = jnp.arange(max_operations)
  expression, _ = jax.lax.scan(
      step, start, (steps, jax.random.split(key, max_operations)))
  # Without the first parenthesis, and with the end mark in place of the last.
  place = jnp.arange(size)[:-1]
  end = expression.length - 2
  kind = jnp.where(place < end, expression.kind[1:], NONE)
  kind = jnp.where(place == end, _KIND["="], kind)
  return kind, jnp.where(place < end, expression.value[1:], 0), (
      expression.answer)


def _grow(key: jax.Array, inner: Expression, program: str, low: int,
          high: int) -> Expression:
  """Makes an expression an operand of a random operation."""
  form_key, branch_key, operand_key, number_key = jax.random.split(key, 4)
  # The two forms of 'if' share the place of the third operation.
  form = jax.random.randint(form_key, (), 0, len(OPERATIONS[program]))
  form += (form == 2) & jax.random.bernoulli(branch_key)
  kinds, operands = jnp.asarray(_KINDS)[form], jnp.asarray(_OPERANDS)[form]
  chosen = jax.random.randint(operand_key, (), 0, operands.max() + 1)
  numbers = jax.random.randint(
      number_key, (_MAX_OPERANDS,), low, high + 1).astype(jnp.float32)
  # The inner tokens take the place of one.
  start = jnp.argmax(operands == chosen)
  place = jnp.arange(inner.kind.size)
  is_inner = (place >= start) & (place < start + inner.length)
  outer = jnp.where(place < start, place, place - inner.length + 1)
  outer = jnp.clip(outer, 0, _WIDTH - 1)
  length = inner.length + (kinds != NONE).sum() - 1
  source = jnp.clip(place - start, 0)
  kind = jnp.where(is_inner, inner.kind[source], kinds[outer])
  value = jnp.where(is_inner, inner.value[source], jnp.where(
      operands[outer] >= 0, numbers[operands[outer]], 0))
  a, b, c, d = numbers.at[chosen].set(inner.answer)
  answer = jnp.stack([a + b, a - b, jnp.where(b < c, a, d),
                      jnp.where(b > c, a, d)])[form]
  inside = place < length
  return Expression(jnp.where(inside, kind, NONE), jnp.where(inside, value, 0),
                    length, answer)


class _Frames(NamedTuple):
  """What is open, the innermost parentheses at `depth`.

  Attributes:
    numbers: `[D, 4]` float32, operands so far.
    filled: `[D]` int32, how many.
    operator: `[D]` int32, the kind of '+', '-', '<', '>', or `NONE`.
    depth: `[]` int32.
  """

  numbers: jax.Array
  filled: jax.Array
  operator: jax.Array
  depth: jax.Array


def evaluate(kind: jax.Array, value: jax.Array, max_depth: int) -> jax.Array:
  """Reads a program token by token, with a stack.

  Args:
    kind: `[T]` int32.
    value: `[T]` float32.
    max_depth: most parentheses that are open at a time, and one.

  Returns:
    `[T]` float32: the answer at the end mark; what precedes it means nothing.
  """

  def read(frames, token):
    kind, value = token
    opens, closes = kind == _KIND["("], kind == _KIND[")"]
    result = _result(frames, frames.depth)
    depth = frames.depth + opens - closes
    filled = frames.filled.at[depth].set(
        jnp.where(opens, 0, frames.filled[depth]))
    operator = frames.operator.at[depth].set(
        jnp.where(opens, NONE, frames.operator[depth]))
    is_operand = closes | (kind == _KIND["number"])
    place = (depth, filled[depth])
    operand = jnp.where(closes, result, value)
    numbers = frames.numbers.at[place].set(
        jnp.where(is_operand, operand, frames.numbers[place]))
    filled = filled.at[depth].add(is_operand.astype(jnp.int32))
    is_operator = jnp.isin(kind, jnp.array([_KIND[x] for x in "+-<>"]))
    operator = operator.at[depth].set(
        jnp.where(is_operator, kind, operator[depth]))
    frames = _Frames(numbers, filled, operator, depth)
    return frames, _result(frames, 0)

  start = _Frames(jnp.zeros((max_depth, _MAX_OPERANDS + 1)),
                  jnp.zeros(max_depth, jnp.int32),
                  jnp.full(max_depth, NONE), jnp.int32(0))
  return jax.lax.scan(read, start, (kind, value))[1]


def _result(frames: _Frames, depth) -> jax.Array:
  """What the parentheses at a depth are equal to, if they are complete."""
  a, b, c, d = frames.numbers[depth, :_MAX_OPERANDS]
  operator = frames.operator[depth]
  return jnp.select(
      [operator == _KIND[name] for name in "+-<>"],
      [a + b, a - b, jnp.where(b < c, a, d), jnp.where(b > c, a, d)])
