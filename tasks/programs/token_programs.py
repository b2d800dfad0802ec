"""Random arithmetic programs on whole numbers, as tokens.

A program is an expression without its outermost parentheses, and an end mark:
`(3 + 14) if 5 < 7 else 2 =`. One step is one token. It has a kind, an index
into `TOKENS` (`NONE` after the end), and a value (0 unless it is a number).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

TOKENS = ("number", "(", ")", "+", "-", "if", "<", ">", "else", "=")
NONE = -1
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    # All operations are equally likely, and all forms of an operation.
    "addition": ("+",),
    "full": ("+", "-", "if"),
}
GROWTH: Mapping[str, int] = {"addition": 4, "full": 8}  # Tokens per operation.

_KIND = {token: kind for kind, token in enumerate(TOKENS)}
_FORMS = ("( number + number )", "( number - number )",
          "( number if number < number else number )",
          "( number if number > number else number )")
_WIDTH = 9
_MAX_OPERANDS = 4


def _form_tables() -> tuple[np.ndarray, np.ndarray]:
  """Returns kinds and indices of operands, `[4, 9]` each; -1 for none."""
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
  """Holds an expression in parentheses, in arrays with room for more tokens.

  Attributes:
    kind: `[S]` int32.
    value: `[S]` float32.
    length: `[]` int32, the number of tokens in use.
    answer: `[]` float32, the value of the expression.
  """

  kind: jax.Array
  value: jax.Array
  length: jax.Array
  answer: jax.Array


def num_steps(program: str, num_operations: int) -> int:
  """Returns T, the length of the longest program, its end mark included."""
  # The first number, minus two parentheses, plus an end mark: 0 in total.
  return GROWTH[program] * num_operations


def make(key: jax.Array, program: str, max_operations: int,
         num_operations: jax.Array, low: int, high: int
         ) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draws a random program.

  A program grows from a number. Every operation takes the expression so far as
  one of its operands, at a random place, and fresh numbers as the others.

  Args:
    key: consumed.
    program: a name in `OPERATIONS`.
    max_operations: bound on `num_operations`, which sets the shapes.
    num_operations: int32 scalar, in [1, max_operations].
    low: the smallest number.
    high: the largest number.

  Returns:
    Kinds `[T]`, values `[T]` and the answer `[]`; for T, see `num_steps`.
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
  # Drop the first parenthesis, and replace the last by the end mark.
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
  # The two forms of 'if' share the probability of the third operation.
  form = jax.random.randint(form_key, (), 0, len(OPERATIONS[program]))
  is_other = (form == 2) & jax.random.bernoulli(branch_key)
  form += is_other.astype(form.dtype)
  kinds, operands = jnp.asarray(_KINDS)[form], jnp.asarray(_OPERANDS)[form]
  chosen = jax.random.randint(operand_key, (), 0, operands.max() + 1)
  numbers = jax.random.randint(
      number_key, (_MAX_OPERANDS,), low, high + 1).astype(jnp.float32)
  # The inner tokens replace the token of the chosen operand.
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
