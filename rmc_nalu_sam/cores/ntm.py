"""Neural Turing Machine.

"Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401:
equations 2 to 9.

Letters: B batch, N slots, W word size, H heads.
"""

import functools
import itertools
import math
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.checks import check_count, check_natural, check_positive
from rmc_nalu_sam.cores.controllers import Controller
from rmc_nalu_sam.cores.memory_core import MemoryCore
from rmc_nalu_sam.memory.access.ntm_access import (
    Addressing,
    NTMInterface,
    access_step,
    initial_access,
)
from rmc_nalu_sam.memory.precision import at_least_float32


class NTM(MemoryCore):
  r"""Moves heads by content and by location: the Neural Turing Machine.

  A controller takes the input and the words last read, and moves each head: to
  the slots whose words are similar to a key, or to where the head was, and from
  there a slot up or down. Every head has weights over all slots,

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

  A step costs O(H N W). A backward pass keeps the memory of every step, and
  several times as much without `recompute`.

  See Graves et al. 2014 (https://arxiv.org/abs/1410.5401), equations 2 to 9.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     rmc_nalu_sam.NTM, 3, hidden_size=7, num_slots=11, num_heads=2)
    >>> x = jnp.ones([5, 1, 4])
    >>> params = jax.jit(model.init)(jax.random.key(0), x)
    >>> result = jax.jit(model.unroll)(
    ...     params, None, x, model.initial_state(params, 1))
    >>> weights = result.state.access.read_weights  # [B, H, N]
    >>> weights.shape, bool(jnp.allclose(weights.sum(-1), 1))
    ((1, 2, 11), True)

  Notes:
    Where the paper leaves something open, here

    - a head is a read head and a write head, as the "access heads" of Rae et
      al. 2016 (https://arxiv.org/abs/1610.09027);
    - the write heads compare their keys with the memory before the write, the
      read heads with the memory after it;
    - key strengths are `softplus(.)`, gates and erase vectors sigmoids, shifts
      a softmax, and sharpness is `1 + softplus(.)`; keys and additions are
      linear;
    - the output depends on the words just read, as in Rae et al. 2016. The
      paper's controller computes the output; that it does so after the read is
      not said;
    - the memory starts at a small constant, with all heads on row 0 and nothing
      read; the paper resets them to bias values.
  """

  NOT_LEARNT = ("recompute",)

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
      controller: Controller = "lstm",
      name: str | None = None,
      **of_memory_core: Any,
  ):
    """Constructs a core.

    Args:
      hidden_size: units of the controller.
      num_slots: N, slots of the memory.
      word_size: W, numbers per word.
      num_heads: H, read heads, and as many write heads.
      shift_range: slots that a head can move per step, up or down.
      memory_init: initial value of all numbers of the memory.
      output_size: size of the output; `hidden_size` if None.
      recompute: whether the backward pass recomputes the inside of a step
        instead of keeping it, which takes less memory over time.
      controller: 'lstm' or 'feedforward'. Also takes
        "package.module:attribute" or a constructor, with `hidden_size` as an
        argument, or a core that is made already and ignores `hidden_size`.
      name: name of the module.
      **of_memory_core: further arguments of `MemoryCore`.

    Raises:
      ValueError: a size is not positive, `shift_range` is negative or too
        large, or `memory_init` is not finite.
    """
    super().__init__(
        hidden_size, output_size, controller, name=name, **of_memory_core)
    check_positive(num_slots=num_slots, word_size=word_size)
    check_count(num_heads=num_heads)
    check_natural(shift_range=shift_range)
    check_count(shift_range=shift_range or 1)
    if not math.isfinite(memory_init):
      raise ValueError(f"memory_init must be finite, got {memory_init}")
    num_shifts = 2 * shift_range + 1
    self._interface = hk.Linear(
        num_heads * sum(_sizes(word_size, num_shifts)), name="interface")
    self._make_interface = functools.partial(
        _make_interface, num_heads=num_heads,
        sizes=_sizes(word_size, num_shifts))
    # A scan needs no guard against common subexpressions.
    self._step = jax.checkpoint(
        access_step, prevent_cse=False) if recompute else access_step
    self._initial_access = functools.partial(
        initial_access, num_slots, word_size, num_heads, memory_init)


def _sizes(word_size: int, num_shifts: int) -> list[int]:
  """Returns the sizes of the parts of one head's interface."""
  moves = [word_size, 1, 1, num_shifts, 1]
  return [*moves, word_size, word_size, *moves]


def _make_interface(flat: jax.Array, num_heads: int,
                    sizes: list[int]) -> NTMInterface:
  """Splits `[..., H * sum(sizes)]` into an interface, and bounds its parts."""
  ends = list(itertools.accumulate(sizes))
  heads = flat.reshape(*flat.shape[:-1], num_heads, ends[-1])
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
