"""Arithmetic on whole numbers given by their decimal digits.

A number is `[D]` int32, its last D decimal digits, the least significant first.
All arithmetic is modulo 10^D, so nothing overflows, and the text of a number is
at hand. Codes are the characters of a text: the code of a digit is the digit,
and `ABSENT` marks a place without a character.
"""

import jax
import jax.numpy as jnp

ABSENT = -1


def carry(sums: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Carries between the columns of a sum.

  Args:
    sums: `[D]` int32 of any size and sign, weighted 1, 10, 100, ...

  Returns:
    The digits `[D]` of the number modulo 10^D; and the rest `[]`, in units of
    10^D, which is negative if and only if the number is.
  """
  digits, rest = [], jnp.int32(0)
  # Unrolled, since a loop on the device costs more.
  for column in sums:
    total = column + rest
    digits.append(total % 10)
    rest = total // 10
  return jnp.stack(digits), rest


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns the column sums of a long multiplication, not carried, `[D]`.

  Args:
    a: `[D]` digits.
    b: `[D]` digits.
  """
  place = jnp.arange(a.shape[0])
  offset = place[:, None] - place[None]
  shifted = jnp.where(offset >= 0, a[jnp.maximum(offset, 0)], 0)
  return (shifted * b[None]).sum(1)


def is_less(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns whether a < b, `[]` bool, for digits `[D]` each."""
  return carry(a - b)[1] < 0


def count(number: jax.Array) -> jax.Array:
  """Counts the digits of `number [D]` without leading zeros, `[]`; 0 has 1."""
  place = jnp.arange(number.shape[0])
  return jnp.max(jnp.where(number > 0, place, 0)) + 1


def keep(number: jax.Array, how_many: jax.Array) -> jax.Array:
  """Returns `number [D]` modulo 10^how_many, `[D]`."""
  return jnp.where(jnp.arange(number.shape[0]) < how_many, number, 0)


def text(number: jax.Array, how_many: jax.Array) -> jax.Array:
  """Returns the codes of the last digits of `number [D]`, `[D]`.

  Absent codes come first.
  """
  shown = jnp.arange(number.shape[0]) < how_many
  return jnp.where(shown, number, ABSENT)[::-1]


def compact(codes: jax.Array, size: int) -> jax.Array:
  """Moves the codes that are not absent to the front, in order, `[size]`.

  Args:
    codes: `[S]` int32, of which at most `size` are not absent.
    size: length of the result.
  """
  is_there = codes != ABSENT
  position = jnp.where(is_there, jnp.cumsum(is_there) - 1, size)
  empty = jnp.full(size, ABSENT, codes.dtype)
  return empty.at[position].set(codes, mode="drop")
