"""Neural Turing Machine.

"Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401:
equations 2 to 9.

Letters: B batch, N slots, W word size, H heads.
"""

import itertools
import math

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory.ntm_access import (
    Addressing,
    NTMInterface,
    access_step,
    initial_access,
)
from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory_core import MemoryCore


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

  @hk.transparent
  def _tell(self, hidden: jax.Array) -> NTMInterface:
    moves = [self.word_size, 1, 1, self.num_shifts, 1]
    sizes = [*moves, self.word_size, self.word_size, *moves]  # Of one head.
    ends = list(itertools.accumulate(sizes))
    flat = self._interface(self.num_heads * ends[-1])(hidden)
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
