"""One step of NTM's memory: equations 2 to 9.

"Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401.

Letters: N slots, W word size, H heads, S shifts.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.memory.content import content_weights


class NTMAccess(NamedTuple):
  """The memory of one batch element, and its last reads and writes.

  Attributes:
    memory: `[N, W]`, the words.
    read_weights: `[H, N]`, the weights of the last read of each slot.
    read_words: `[H, W]`, the weighted sums of the words read.
    write_weights: `[H, N]`, the weights of the last write to each slot.

  Example:
    >>> model = rmc_nalu_sam.make_model("ntm", 3, num_slots=5, num_heads=1)
    >>> model.initial_state({}, None).access.read_weights.tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0]]
  """

  memory: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_weights: jax.Array


class Addressing(NamedTuple):
  """Describes how H heads move in one step.

  Attributes:
    keys: `[H, W]`, compared with the words.
    strengths: `[H]` beta, at least 0; sharpness of the content addressing.
    gates: `[H]` g, in (0, 1); starts from the similar words (1) or from where
      the head was (0).
    shifts: `[H, S]`, sums to 1; weights of the shifts from -(S // 2) to S // 2.
    sharpness: `[H]` gamma, at least 1.
  """

  keys: jax.Array
  strengths: jax.Array
  gates: jax.Array
  shifts: jax.Array
  sharpness: jax.Array


class NTMInterface(NamedTuple):
  """What the controller sends to the memory in one step.

  Attributes:
    write: moves the write heads.
    erases: `[H, W]`, in (0, 1).
    additions: `[H, W]`, the words to write.
    read: moves the read heads.
  """

  write: Addressing
  erases: jax.Array
  additions: jax.Array
  read: Addressing


def initial_access(num_slots: int, word_size: int, num_heads: int,
                   memory_init: float) -> NTMAccess:
  """Returns a constant memory, with nothing read and all heads on row 0."""
  weights = jnp.zeros([num_heads, num_slots]).at[:, 0].set(1)
  return NTMAccess(
      memory=jnp.full(
          [num_slots, word_size], memory_init, narrow.memory_dtype()),
      read_weights=weights,
      read_words=jnp.zeros([num_heads, word_size]),
      write_weights=weights)


def circular_shift(weights: jax.Array, shifts: jax.Array) -> jax.Array:
  """Rotates weights around the memory (equation 8).

  Args:
    weights: `[H, N]`.
    shifts: `[H, S]`, S odd, of the shifts from -(S // 2) to S // 2. A shift of
      1 moves the weight of row i to row i + 1, and of the last row to the
      first.

  Returns:
    `[H, N]`.
  """
  num_shifts = shifts.shape[1]
  shifted = jnp.zeros_like(weights)
  for i in range(num_shifts):
    moved = jnp.roll(weights, i - num_shifts // 2, axis=1)
    shifted += shifts[:, i, None] * moved
  return shifted


def sharpen(weights: jax.Array, sharpness: jax.Array) -> jax.Array:
  """Raises weights to the power of gamma, and normalises (equation 9).

  Args:
    weights: `[H, N]`, at least 0.
    sharpness: `[H]` gamma, at least 1.

  Returns:
    `[H, N]`; each row sums to 1.
  """
  # By logarithms: powers of many small weights would all be 0.
  logs = jnp.log(jnp.maximum(weights, jnp.finfo(weights.dtype).tiny))
  return jax.nn.softmax(sharpness[:, None] * logs)


def address(move: Addressing, memory: jax.Array,
            prev_weights: jax.Array) -> jax.Array:
  """Moves heads by content and by location (equations 5 to 9).

  Args:
    move: from the controller.
    memory: `[N, W]`.
    prev_weights: `[H, N]`, the weights of the heads before.

  Returns:
    `[H, N]`, the weights of the heads after.
  """
  content = content_weights(move.keys, memory, move.strengths)
  gates, shifts, sharpness, prev = (
      x.astype(content.dtype)
      for x in (move.gates[:, None], move.shifts, move.sharpness, prev_weights))
  gated = gates * content + (1 - gates) * prev
  weights = sharpen(circular_shift(gated, shifts), sharpness)
  return weights.astype(prev_weights.dtype)


def erase_and_add(memory: jax.Array, weights: jax.Array, erases: jax.Array,
                  additions: jax.Array) -> jax.Array:
  """Erases with all heads, then adds with all heads (equations 3 and 4).

  Args:
    memory: `[N, W]`.
    weights: `[H, N]`.
    erases: `[H, W]`.
    additions: `[H, W]`.

  Returns:
    The new memory `[N, W]`.
  """
  # By matrix products instead of loops over heads. Their derivatives are matrix
  # products, too; XLA is slow on the CPU at other sums over the slots.
  kept = math.prod(
      1 - jnp.einsum("kn,kw->nw", _subset_products(weights[h:h + 4], -1),
                     _subset_products(erases[h:h + 4], 1))
      for h in range(0, len(weights), 4))
  return memory * kept + jnp.einsum("hn,hw->nw", weights, additions)


def _subset_products(factors: jax.Array, sign: int) -> jax.Array:
  """Returns the product of each non-empty subset of the heads' factors.

  Multiplied out, `1 - (1 - w1 e1) (1 - w2 e2)` is
  `w1 e1 + w2 e2 - w1 w2 e1 e2`, and so on: one term per subset of the heads.

  Args:
    factors: `[H, X]`; H is small.
    sign: 1, or -1 to include the signs of the terms.

  Returns:
    `[2^H - 1, X]`.
  """
  products: list[jax.Array] = []
  for factor in factors:
    products += [factor, *(sign * factor * product for product in products)]
  return jnp.stack(products)


def access_step(interface: NTMInterface, prev: NTMAccess) -> NTMAccess:
  """Runs one step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.

  Returns:
    The access state after the step.
  """
  dtype = prev.memory.dtype
  write_weights = address(interface.write, prev.memory, prev.write_weights)
  memory = erase_and_add(
      prev.memory, write_weights.astype(dtype), interface.erases.astype(dtype),
      interface.additions.astype(dtype))
  read_weights = address(interface.read, memory, prev.read_weights)
  read_words = narrow.einsum_in(
      dtype, "hn,nw->hw", read_weights, memory)
  return NTMAccess(memory, read_weights, read_words, write_weights)
