"""A cheap generator of uniform numbers, the bottleneck of arithmetic tasks.

JAX's own generator uses one Threefry block for each number, in a loop that XLA
does not fuse on the CPU. Here one block makes four numbers of 16 bits, in one
fused expression. This is about four times faster for 100 numbers a key.
"""

import jax
import jax.numpy as jnp

_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_NUMBERS = 4  # Per block.
_LEVELS = 1 << 16


def uniform(key: jax.Array, size: int) -> jax.Array:
  """Draws numbers uniform in (0, 1), `[size]` float32.

  The possible values are the 2^16 midpoints (i + 1/2) / 2^16, so 0 and 1 never
  occur.

  Args:
    key: consumed. Any implementation; its first 64 bits are used. Mapped over
      keys, each key draws its own numbers (unlike with JAX's 'rbg').
    size: how many numbers to draw.
  """
  words = jax.random.key_data(key)
  blocks = -(-size // _NUMBERS)
  counts = jnp.arange(blocks, dtype=jnp.uint32)
  first, second = threefry(words[0], words[1], jnp.zeros_like(counts), counts)
  halves = [half for word in (first, second)
            for half in (word & 0xFFFF, word >> 16)]
  bits = jnp.concatenate(halves)[:size]
  return (bits.astype(jnp.float32) + 0.5) * (1 / _LEVELS)


def threefry(key0: jax.Array, key1: jax.Array, count0: jax.Array,
             count1: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Computes Threefry-2x32 with 20 rounds, elementwise on uint32.

  All rounds are unrolled, so that XLA can fuse them. See "Parallel Random
  Numbers: As Easy as 1, 2, 3" (Salmon, Moraes, Dror, Shaw, 2011).

  Args:
    key0: first half of the key.
    key1: second half.
    count0: first half of the counter.
    count1: second half.

  Returns:
    Two words of random bits.
  """
  keys = (key0, key1, key0 ^ key1 ^ jnp.uint32(_PARITY))
  x, y = count0 + keys[0], count1 + keys[1]
  for group in range(5):
    for rotation in _ROTATIONS[group % 2]:
      x = x + y
      y = ((y << rotation) | (y >> (32 - rotation))) ^ x
    x = x + keys[(group + 1) % 3]
    y = y + keys[(group + 2) % 3] + jnp.uint32(group + 1)
  return x, y
