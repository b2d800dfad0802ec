"""Neural Turing Machine.

"Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401:
equations 2 to 9.

Letters: B batch, N slots, W word size, H heads, S shifts.
"""

import itertools
import math
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import dense
from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory_core import MemoryCore, check_positive


class NTMAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    read_weights: `[H, N]`, by how much each row was last read.
    read_words: `[H, W]`, what was read.
    write_weights: `[H, N]`, by how much each row was last written to.
  """

  memory: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_weights: jax.Array


class Addressing(NamedTuple):
  """How the controller moves H heads in one step.

  Attributes:
    keys: `[H, W]`, what to look for.
    strengths: `[H]` beta, at least 0: sharpness of the content addressing.
    gates: `[H]` g, in (0, 1): to where the content is (1) or from where the
      head was (0).
    shifts: `[H, S]`, of sum 1: weights of the shifts from -(S // 2) to S // 2.
    sharpness: `[H]` gamma, at least 1.
  """

  keys: jax.Array
  strengths: jax.Array
  gates: jax.Array
  shifts: jax.Array
  sharpness: jax.Array


class NTMInterface(NamedTuple):
  """What the controller says to the memory in one step.

  Attributes:
    write: where the write heads go.
    erases: `[H, W]`, in (0, 1).
    additions: `[H, W]`, the words to write.
    read: where the read heads go.
  """

  write: Addressing
  erases: jax.Array
  additions: jax.Array
  read: Addressing


def initial_access(num_slots: int, word_size: int, num_heads: int,
                   memory_init: float) -> NTMAccess:
  """A constant memory, nothing read, all heads on row 0."""
  weights = jnp.zeros([num_heads, num_slots]).at[:, 0].set(1)
  return NTMAccess(
      memory=jnp.full([num_slots, word_size], memory_init, weights.dtype),
      read_weights=weights,
      read_words=jnp.zeros([num_heads, word_size]),
      write_weights=weights)


def circular_shift(weights: jax.Array, shifts: jax.Array) -> jax.Array:
  """Moves weights around the memory (equation 8).

  Args:
    weights: `[H, N]`.
    shifts: `[H, S]`, S odd, of the shifts from -(S // 2) to S // 2; a shift of
      1 moves what is on row i to row i + 1, and of the last row to the first.

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
  """Weights to the power of gamma, normalised (equation 9).

  Args:
    weights: `[H, N]`, at least 0.
    sharpness: `[H]` gamma, at least 1.

  Returns:
    `[H, N]`, each row summing to 1.
  """
  # By logarithms: many small weights to a power would all be 0.
  logs = jnp.log(jnp.maximum(weights, jnp.finfo(weights.dtype).tiny))
  return jax.nn.softmax(sharpness[:, None] * logs)


def address(said: Addressing, memory: jax.Array,
            prev_weights: jax.Array) -> jax.Array:
  """Moves heads by content and by location (equations 5 to 9).

  Args:
    said: from the controller.
    memory: `[N, W]`.
    prev_weights: `[H, N]`, where the heads were.

  Returns:
    `[H, N]`, where they are.
  """
  content = dense.content_weights(said.keys, memory, said.strengths)
  gates, shifts, sharpness, prev = (
      x.astype(content.dtype)
      for x in (said.gates[:, None], said.shifts, said.sharpness, prev_weights))
  gated = gates * content + (1 - gates) * prev
  weights = sharpen(circular_shift(gated, shifts), sharpness)
  return weights.astype(prev_weights.dtype)


def write_rows(memory: jax.Array, weights: jax.Array, erases: jax.Array,
               additions: jax.Array) -> jax.Array:
  """Erases, then adds, with all heads at once (equations 3 and 4).

  Args:
    memory: `[N, W]`.
    weights: `[H, N]`.
    erases: `[H, W]`.
    additions: `[H, W]`.

  Returns:
    The new memory `[N, W]`.
  """
  # Not by loops over heads but by matrix products, whose derivatives are matrix
  # products too: XLA is slow on the CPU at other sums over the rows.
  kept = math.prod(
      1 - jnp.einsum("kn,kw->nw", _subset_products(weights[h:h + 4], -1),
                     _subset_products(erases[h:h + 4], 1))
      for h in range(0, len(weights), 4))
  return memory * kept + jnp.einsum("hn,hw->nw", weights, additions)


def _subset_products(rows: jax.Array, sign: int) -> jax.Array:
  """The product of every subset of the rows but the empty one.

  Multiplied out, `1 - (1 - w1 e1) (1 - w2 e2)` is
  `w1 e1 + w2 e2 - w1 w2 e1 e2`, and so on: a term for each subset of the heads.

  Args:
    rows: `[H, X]`; H is small.
    sign: 1, or -1 for the signs of the terms.

  Returns:
    `[2^H - 1, X]`.
  """
  products: list[jax.Array] = []
  for row in rows:
    products += [row, *(sign * row * product for product in products)]
  return jnp.stack(products)


def access_step(interface: NTMInterface, prev: NTMAccess) -> NTMAccess:
  """One step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.

  Returns:
    The access state after the step.
  """
  dtype = prev.memory.dtype
  write_weights = address(interface.write, prev.memory, prev.write_weights)
  memory = write_rows(
      prev.memory, write_weights.astype(dtype), interface.erases.astype(dtype),
      interface.additions.astype(dtype))
  read_weights = address(interface.read, memory, prev.read_weights)
  read_words = jnp.einsum("hn,nw->hw", read_weights, memory)
  return NTMAccess(memory, read_weights, read_words, write_weights)


class NTM(MemoryCore):
  r"""A recurrent network with a memory that it reads and writes everywhere.

  A controller sees the input and the words last read, and tells each head where
  to go: to the rows whose content is similar to a key, or to where it was, and
  from there a row up or down. Every head has weights over all rows,

  .. math::

    w^c &= \mathrm{softmax}(\beta \cos(k, M)) \\
    w^g &= g w^c + (1 - g) w_{t-1} \\
    \tilde w(i) &= \sum_j w^g(i - j) s(j) \\
    w_t &\propto \tilde w^\gamma

  with which a step first writes and then reads:

  .. math::

    M_t &= \prod_h (1 - w^W_h e_h^T) \odot M_{t-1} + \sum_h w^W_h a_h^T \\
    r_h &= w^R_h M_t

  The output is a linear function of the controller's output and the words read.

  It costs O(H N W) a step, and a gradient keeps the memory of every step,
  and some times as much without `recompute`.

  See Graves et al. 2014 (https://arxiv.org/abs/1410.5401), equations 2 to 9.

  Notes:
    Where the paper leaves something open, here

    - a head is a read head and a write head, as the "access heads" of Rae et
      al. 2016 (https://arxiv.org/abs/1610.09027);
    - the write heads look for their keys in the memory before the write, the
      read heads in the one after it;
    - key strengths are `softplus(.)`, gates and erase vectors sigmoids, shifts
      a softmax, and sharpness is `1 + softplus(.)`; keys and additions are
      linear;
    - the memory starts at a small constant, and all heads on row 0, having read
      nothing; the paper resets them to bias values.
  """

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 128,
      word_size: int = 32,
      num_heads: int = 4,
      shift_range: int = 1,
      memory_init: float = 1e-6,
      output_size: int | None = None,
      recompute: bool = True,
      name: str | None = None,
  ):
    """Constructs an NTM.

    Args:
      hidden_size: units of the LSTM controller.
      num_slots: N, rows of the memory.
      word_size: W, numbers in a row.
      num_heads: H, read heads, and as many write heads.
      shift_range: how many rows a head can move in a step, up or down.
      memory_init: all numbers of the memory at first.
      output_size: size of the output; `hidden_size` if None.
      recompute: whether the backward pass computes the insides of a step again,
        instead of keeping them: less memory over time.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, `shift_range` is negative, or
        `memory_init` is not finite.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size, num_slots=num_slots,
                   word_size=word_size, num_heads=num_heads)
    if shift_range < 0:
      raise ValueError(f"shift_range must be at least 0, got {shift_range}")
    if not math.isfinite(memory_init):
      raise ValueError(f"memory_init must be finite, got {memory_init}")
    self.hidden_size = hidden_size
    self.num_heads = num_heads
    self.word_size = word_size
    self.num_shifts = 2 * shift_range + 1
    self.output_size = hidden_size if output_size is None else output_size
    self.num_slots = num_slots
    self._memory_init = memory_init
    # A scan needs no guard against common subexpressions.
    self._step = jax.checkpoint(
        access_step, prevent_cse=False) if recompute else access_step
    self._controller = hk.LSTM(hidden_size, name="controller")

  def _initial_access(self):
    return initial_access(self.num_slots, self.word_size, self.num_heads,
                          self._memory_init)

  def _interface(self, hidden: jax.Array) -> NTMInterface:
    moves = [self.word_size, 1, 1, self.num_shifts, 1]
    sizes = [*moves, self.word_size, self.word_size, *moves]  # Of one head.
    ends = list(itertools.accumulate(sizes))
    flat = hk.Linear(self.num_heads * ends[-1], name="interface")(hidden)
    heads = flat.reshape(*hidden.shape[:-1], self.num_heads, ends[-1])
    parts = jnp.split(heads, ends[:-1], axis=-1)
    return NTMInterface(
        write=_addressing(*parts[:5]), erases=jax.nn.sigmoid(parts[5]),
        additions=parts[6], read=_addressing(*parts[7:]))


def _addressing(keys, strengths, gates, shifts, sharpness) -> Addressing:
  return Addressing(
      keys=keys,
      strengths=jax.nn.softplus(strengths[..., 0]),
      gates=jax.nn.sigmoid(gates[..., 0]),
      shifts=jax.nn.softmax(at_least_float32(shifts)),
      sharpness=1 + jax.nn.softplus(sharpness[..., 0]))
