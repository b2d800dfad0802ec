"""Short programs of arithmetic on whole numbers: drawn, and evaluated.

A program of nesting n applies n operations in turn. Each takes the result of
the one before (the first takes a literal) as its first operand, in parentheses,
and fresh literals as the others. All literals of a program have the same number
of digits. Nothing but literals is ever compared, so that values may be reduced
modulo a power of ten at every operation.

The grammar is that of the code that was released with "Relational recurrent
neural networks" (Santoro et al., 2018, arXiv 1806.01822), after "Learning to
Execute" (Zaremba and Sutskever, 2014, arXiv 1410.4615).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tasks import digits

VOCABULARY = "0123456789+-*<>=()[]xifelsor"

# The text before and after the first operand. B, C, D are literals, K is a
# digit from 1 to 9 and ? is > or <.
_TEMPLATES: Mapping[str, tuple[str, str]] = {
    "add": ("", "+B"),
    "subtract": ("", "-B"),
    "multiply": ("", "*B"),
    "if": ("", "ifB?CelseD"),
    "for": ("x=", "for[K]x+=B"),
}


class Operands(NamedTuple):
  """What an operation has beside its first operand.

  Attributes:
    literals: `[3, D]` digits, the template's B, C and D.
    is_greater: `[]` bool, whether its comparison is > and not <.
    repeats: `[]` int32, its K.
  """

  literals: jax.Array
  is_greater: jax.Array
  repeats: jax.Array


def max_text(operations: tuple[str, ...], length: int, nesting: int) -> int:
  """The most characters that a program can have."""
  texts = ["".join(_TEMPLATES[name]) for name in operations]
  widest = max(sum(length if x in "BCD" else 1 for x in text)
               for text in texts)
  return length + nesting * widest + 2 * (nesting - 1)


def draw_literals(key: jax.Array, number: int, length: jax.Array,
                  size: int) -> jax.Array:
  """Numbers with exactly `length` digits, all as likely, `[number, size]`."""
  place = jnp.arange(size)
  # Its first digit is no zero.
  drawn = jax.random.randint(
      key, (number, size), jnp.where(place == length - 1, 1, 0), 10)
  return jnp.where(place < length, drawn, 0)


def draw_program(key: jax.Array, operations: tuple[str, ...],
                 length: jax.Array, nesting: jax.Array, size: int,
                 max_nesting: int) -> tuple[jax.Array, jax.Array]:
  """A program and its value.

  Args:
    key: consumed.
    operations: names in `_TEMPLATES` to draw from, all as likely.
    length: `[]` int32, digits of a literal, less than `size`.
    nesting: `[]` int32, operations in the program, at most `max_nesting`.
    size: D, digits to calculate with.
    max_nesting: what the shapes are for.

  Returns:
    Codes `[S]` of its characters, indices into `VOCABULARY`, with absent ones
    among them; and its value modulo 10^D, the digits `[D]`.
  """
  literal_key, rest_key = jax.random.split(key)
  literals = draw_literals(literal_key, 1 + 3 * max_nesting, length, size)
  # One draw for all three, as each is slow to compile.
  which, is_greater, repeats = jax.random.randint(
      rest_key, (3, max_nesting), jnp.array([[0], [0], [1]]),
      jnp.array([[len(operations)], [2], [10]]))
  operands = Operands(literals[1:].reshape(max_nesting, 3, size),
                      is_greater == 1, repeats)

  value, text = literals[0], digits.text(literals[0], length)
  for i in range(max_nesting):
    mine = jax.tree.map(lambda leaf, i=i: leaf[i], operands)
    results = _apply(value, mine)
    value = jnp.where(i < nesting, digits.carry(jnp.stack(
        [results[name] for name in operations])[which[i]])[0], value)
    before, after = (
        jnp.where(i < nesting, part[which[i]], digits.ABSENT)
        for part in _texts(operations, mine, length))
    inner = i < nesting - 1  # There is an operation around this one.
    text = jnp.concatenate([
        jnp.where(inner, _codes("("), digits.ABSENT), before, text, after,
        jnp.where(inner, _codes(")"), digits.ABSENT)])
  return text, value


def _apply(value: jax.Array, operands: Operands) -> dict[str, jax.Array]:
  """Each operation's result, its digits added up but not carried, `[D]`."""
  b, c, d = operands.literals
  holds = digits.is_less(jnp.where(operands.is_greater, c, b),
                         jnp.where(operands.is_greater, b, c))
  return {
      "add": value + b,
      "subtract": value - b,
      "multiply": digits.multiply(value, b),
      "if": jnp.where(holds, value, d),
      "for": value + operands.repeats * b,
  }


def _texts(operations: tuple[str, ...], operands: Operands,
           length: jax.Array) -> list[jax.Array]:
  """What stands before and after the first operand, `[operations, S]` each."""
  comparison = jnp.where(operands.is_greater, _codes(">"), _codes("<"))
  slots = {"?": comparison, "K": operands.repeats[None]}
  for name, literal in zip("BCD", operands.literals, strict=True):
    slots[name] = digits.text(literal, length)
  sides = []
  for side in range(2):
    texts = [[slots[x] if x in slots else _codes(x)
              for x in _TEMPLATES[name][side]] for name in operations]
    size = max(sum(map(jnp.size, pieces)) for pieces in texts)
    # Nothing of size 0: over several devices, JAX 0.11 crashes on it.
    absent = jnp.full(max(size, 1), digits.ABSENT, jnp.int32)
    sides.append(jnp.stack([
        jnp.concatenate([*pieces, absent])[:len(absent)] for pieces in texts]))
  return sides


def _codes(text: str) -> jax.Array:
  return jnp.array([VOCABULARY.index(x) for x in text], jnp.int32)


class _Reading(NamedTuple):
  """What `evaluate` has understood so far."""

  value: jax.Array  # [D]
  literal: jax.Array  # [D], the last one, perhaps not to its end.
  before: jax.Array  # The code ahead of that literal.
  last: jax.Array  # The last code.
  is_first: jax.Array  # Whether that literal is the program's first.
  compared: jax.Array  # [D], what stands left of the comparison.
  holds: jax.Array  # Whether the comparison holds.
  repeats: jax.Array


def evaluate(codes: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
  """The value of a program from its text.

  The first operand of each operation is what stands to its left, so that a
  program is understood in reading: the character ahead of a literal tells what
  it is for, and brackets tell nothing new.

  Args:
    codes: `[T]`, indices into `VOCABULARY`, or other numbers behind the end, of
      which there must be one.
    size: D, digits to calculate with; one more than those of a literal.

  Returns:
    The value modulo 10^D and the last literal, `[D]` each.
  """
  zero = jnp.zeros(size, jnp.int32)
  nothing = jnp.int32(digits.ABSENT)
  start = _Reading(zero, zero, nothing, nothing, jnp.bool(True), zero,
                   jnp.bool(False), jnp.int32(0))
  end = jax.lax.scan(lambda state, code: (_read(state, code), None), start,
                     codes)[0]
  return end.value, end.literal


def _read(state: _Reading, code: jax.Array) -> _Reading:
  """Goes on by one character."""
  is_digit = (code >= 0) & (code < 10)
  was_digit = (state.last >= 0) & (state.last < 10)
  longer = jnp.roll(state.literal, 1).at[0].set(code)
  new = jnp.zeros_like(longer).at[0].set(code)
  read = jnp.where(was_digit, longer, new)
  state = jax.tree.map(
      lambda used, same: jnp.where(was_digit & ~is_digit, used, same),
      _use_literal(state), state)
  return state._replace(
      literal=jnp.where(is_digit, read, state.literal),
      before=jnp.where(is_digit & ~was_digit, state.last, state.before),
      last=code)


def _use_literal(state: _Reading) -> _Reading:
  """Does with the last literal what it is for."""
  literal = state.literal
  is_after = {character: state.before == VOCABULARY.index(character)
              for character in "+-*=e[f<>"}
  value = jnp.select(
      [state.is_first, is_after["+"], is_after["-"], is_after["*"],
       is_after["="], is_after["e"] & ~state.holds],
      [literal, state.value + literal, state.value - literal,
       digits.multiply(state.value, literal),
       state.value + state.repeats * literal, literal], state.value)
  is_greater = is_after[">"]
  holds = digits.is_less(jnp.where(is_greater, literal, state.compared),
                         jnp.where(is_greater, state.compared, literal))
  return state._replace(
      value=digits.carry(value)[0],
      is_first=jnp.bool(False),
      compared=jnp.where(is_after["f"], literal, state.compared),
      holds=jnp.where(is_greater | is_after["<"], holds, state.holds),
      repeats=jnp.where(is_after["["], literal[0], state.repeats))
