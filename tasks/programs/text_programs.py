"""Random programs on whole numbers, as characters.

A program of nesting n applies n operations in turn. Each operation takes the
result of the preceding one (the first takes a literal) as its first operand, in
parentheses, and fresh literals as the others. All literals of a program have
the same number of digits. Only literals are compared, so values may be reduced
modulo a power of ten after every operation.

The grammar is that of the code released with "Relational recurrent neural
networks" (Santoro et al., 2018, arXiv 1806.01822), after "Learning to Execute"
(Zaremba and Sutskever, 2014, arXiv 1410.4615).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tasks.programs import digits

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
  """Holds what an operation uses beside its first operand.

  Attributes:
    literals: `[3, D]` digits, the template's B, C and D.
    is_greater: `[]` bool, whether the comparison is > rather than <.
    repeats: `[]` int32, the template's K.
  """

  literals: jax.Array
  is_greater: jax.Array
  repeats: jax.Array


def max_text(operations: tuple[str, ...], length: int, nesting: int) -> int:
  """Returns the number of characters of the longest program."""
  texts = ["".join(_TEMPLATES[name]) for name in operations]
  widest = max(sum(length if x in "BCD" else 1 for x in text)
               for text in texts)
  return length + nesting * widest + 2 * (nesting - 1)


def draw_literals(key: jax.Array, number: int, length: jax.Array,
                  size: int) -> jax.Array:
  """Draws uniform numbers with exactly `length` digits, `[number, size]`.

  Args:
    key: consumed.
    number: how many to draw.
    length: `[]` int32, at most `size`.
    size: D, digits of the result.
  """
  place = jnp.arange(size)
  # The first digit is not zero.
  drawn = jax.random.randint(
      key, (number, size), jnp.where(place == length - 1, 1, 0), 10)
  return jnp.where(place < length, drawn, 0)


def draw_program(key: jax.Array, operations: tuple[str, ...],
                 length: jax.Array, nesting: jax.Array, size: int,
                 max_nesting: int) -> tuple[jax.Array, jax.Array]:
  """Draws a program and computes its value.

  Args:
    key: consumed.
    operations: names in `_TEMPLATES` to draw from, each equally likely.
    length: `[]` int32, digits of a literal, less than `size`.
    nesting: `[]` int32, operations in the program, at most `max_nesting`.
    size: D, digits to calculate with.
    max_nesting: bound on `nesting`, which sets the shapes.

  Returns:
    The codes `[S]` of its characters, indices into `VOCABULARY`, with absent
    ones among them; and the digits `[D]` of its value modulo 10^D.
  """
  literal_key, rest_key = jax.random.split(key)
  literals = draw_literals(literal_key, 1 + 3 * max_nesting, length, size)
  # One draw for all three, since each is slow to compile.
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
    inner = i < nesting - 1  # Another operation encloses this one.
    text = jnp.concatenate([
        jnp.where(inner, _codes("("), digits.ABSENT), before, text, after,
        jnp.where(inner, _codes(")"), digits.ABSENT)])
  return text, value


def _apply(value: jax.Array, operands: Operands) -> dict[str, jax.Array]:
  """Returns each operation's result as column sums, not carried, `[D]`."""
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
  """Returns the codes before and after the first operand, `[ops, S]` each."""
  comparison = jnp.where(operands.is_greater, _codes(">"), _codes("<"))
  slots = {"?": comparison, "K": operands.repeats[None]}
  for name, literal in zip("BCD", operands.literals, strict=True):
    slots[name] = digits.text(literal, length)
  sides = []
  for side in range(2):
    texts = [[slots[x] if x in slots else _codes(x)
              for x in _TEMPLATES[name][side]] for name in operations]
    size = max(sum(map(jnp.size, pieces)) for pieces in texts)
    # At least size 1: JAX 0.11 crashes on size 0 over several devices.
    absent = jnp.full(max(size, 1), digits.ABSENT, jnp.int32)
    sides.append(jnp.stack([
        jnp.concatenate([*pieces, absent])[:len(absent)] for pieces in texts]))
  return sides


def _codes(text: str) -> jax.Array:
  return jnp.array([VOCABULARY.index(x) for x in text], jnp.int32)
