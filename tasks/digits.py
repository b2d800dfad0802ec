"""Arithmetic on whole numbers given by their decimal digits.

A number is `[D]` int32, its D last decimal digits, the least significant first.
So all arithmetic is modulo 10^D and nothing overflows, however large the
numbers; and their text is at hand. "Codes" are the characters of a text: a
digit is its own code, and `ABSENT` stands where there is no character.
"""

import jax
import jax.numpy as jnp

ABSENT = -1


def carry(sums: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The digits of a number whose digits have been added up.

  Args:
    sums: `[D]` int32, of any size and sign, weighted 1, 10, 100, ...

  Returns:
    The digits `[D]` of the number modulo 10^D; and what is left over, `[]`, in
    units of 10^D: it is negative if and only if the number is.
  """
  digits, rest = [], jnp.int32(0)
  # As many operations as there are digits: a loop on the device costs more.
  for column in sums:
    total = column + rest
    digits.append(total % 10)
    rest = total // 10
  return jnp.stack(digits), rest


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
  """The columns of a long multiplication, added up but not carried, `[D]`."""
  place = jnp.arange(a.shape[0])
  offset = place[:, None] - place
  shifted = jnp.where(offset >= 0, a[jnp.maximum(offset, 0)], 0)
  return (shifted * b).sum(1)


def is_less(a: jax.Array, b: jax.Array) -> jax.Array:
  """Whether a < b, `[]` bool."""
  return carry(a - b)[1] < 0


def count(number: jax.Array) -> jax.Array:
  """How many digits a number has without leading zeros, `[]`; 0 has one."""
  place = jnp.arange(number.shape[0])
  return jnp.max(jnp.where(number > 0, place, 0)) + 1


def keep(number: jax.Array, how_many: jax.Array) -> jax.Array:
  """The number modulo 10^how_many."""
  return jnp.where(jnp.arange(number.shape[0]) < how_many, number, 0)


def text(number: jax.Array, how_many: jax.Array) -> jax.Array:
  """The last digits of a number as codes, with what is absent ahead of them."""
  shown = jnp.arange(number.shape[0]) < how_many
  return jnp.where(shown, number, ABSENT)[::-1]


def compact(codes: jax.Array, size: int) -> jax.Array:
  """The codes that are not absent in their order, then absent ones, `[size]`.

  Args:
    codes: `[S]` int32 of which at most `size` are not absent.
    size: of the result.
  """
  is_there = codes != ABSENT
  position = jnp.where(is_there, jnp.cumsum(is_there) - 1, size)
  empty = jnp.full(size, ABSENT, codes.dtype)
  return empty.at[position].set(codes, mode="drop")
