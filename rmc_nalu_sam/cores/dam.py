"""Dense Access Memory.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 1, 2, 5 and 6, and the first usage of section 3.2.

Letters: B batch, N slots, W word size, H heads.
"""

import functools
from typing import Any

import haiku as hk
import jax

from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.cores.controllers import Controller
from rmc_nalu_sam.cores.memory_core import MemoryCore
from rmc_nalu_sam.memory.access.dam_access import access_step, initial_access
from rmc_nalu_sam.memory.access.sam_interface import (
  interface_size,
  make_interface,
)


class DAM(MemoryCore):
  r"""Reads and writes all of a memory at every step: Dense Access Memory.

  This is `SAM` without the sparsity: the dense model that SAM approximates.
  With :math:`w^R_{t-1}` the weights of the last read, over all slots, and
  :math:`I^U_t` the indicator of the least used slot, a step

  .. math::

    w^W_t &= \alpha_t (\gamma_t w^R_{t-1} + (1 - \gamma_t) I^U_t) \\
    M_t &= (1 - I^U_t 1^T) \odot M_{t-1} + w^W_t a_t^T \\
    w^R_t &= \mathrm{softmax}(\beta_t \cos(q_t, M_t)) \\
    r_t &= w^R_t M_t \\
    U_t &= \lambda U_{t-1} + w^W_t + w^R_t

  first writes and then reads, all words of :math:`M_t` by their similarity to
  the query :math:`q_t`, with the key strength :math:`\beta_t`. The least used
  slot is that of smallest :math:`U_{t-1}`. The output is a linear function of
  the controller's output and the words read.

  A step costs O(H N W). A backward pass keeps the memory of every step, and
  several times as much without `recompute`. No gradient flows through usage and
  the choice of slots.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), section 3.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.DAM(hidden_size=7, num_slots=5, num_heads=2)
    ...   return core(x, core.initial_state(len(x)))
    >>> network, x = hk.transform(network), jnp.ones([3, 4])
    >>> params = jax.jit(network.init)(jax.random.key(0), x)
    >>> output, state = jax.jit(network.apply)(params, None, x)
    >>> state.access.memory.shape, state.access.read_weights.shape
    ((3, 5, 32), (3, 2, 5))
    >>> bool((state.access.read_weights > 0).all())  # Every slot is read.
    True

  Notes:
    Where the paper leaves something open, here

    - similarity, gates and their biases are those of `SAM`;
    - each head has its own least used slot, among the H of smallest usage
      summed over heads, and erases it at every step, whatever its gates are.
      Slots of the same usage are taken in the order of their rows;
    - the memory starts at zero, with no slot ever accessed. A word of zeros has
      similarity 0 to every query and takes its share of a read, where SAM's
      search finds it last. In a large memory that is nearly empty, most of a
      read is of empty slots;
    - the discount is 0.99.
  """

  NOT_LEARNT = ("recompute",)

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 128,
      word_size: int = 32,
      num_heads: int = 4,
      output_size: int | None = None,
      recompute: bool = True,
      discount: float = 0.99,
      write_bias: float = 1.0,
      interpolation_bias: float = -2.0,
      strength_bias: float = 3.0,
      controller: Controller = "lstm",
      name: str | None = None,
      **of_memory_core: Any,
  ):
    """Constructs a core.

    Args:
      hidden_size: units of the controller.
      num_slots: N, slots of the memory.
      word_size: W, numbers per word.
      num_heads: H, read-and-write heads.
      output_size: size of the output; `hidden_size` if None.
      recompute: whether the backward pass recomputes the inside of a step
        instead of keeping it, which takes less memory over time.
      discount: lambda, the fraction of a slot's usage that is left one step
        later.
      write_bias: added to the write gates before the sigmoid.
      interpolation_bias: added to the interpolation gates before the sigmoid.
      strength_bias: added to the key strengths before the softplus.
      controller: 'lstm' or 'feedforward'. Also takes
        "package.module:attribute" or a constructor, with `hidden_size` as an
        argument, or a core that is made already and ignores `hidden_size`.
      name: name of the module.
      **of_memory_core: further arguments of `MemoryCore`.

    Raises:
      ValueError: a size is not positive, `num_heads` exceeds `num_slots`, or
        `discount` is not in [0, 1].
    """
    super().__init__(
        hidden_size, output_size, controller, name=name, **of_memory_core)
    check_positive(num_slots=num_slots, word_size=word_size)
    check_count(num_heads=num_heads)
    if num_heads > num_slots:
      raise ValueError(f"num_heads must be at most num_slots={num_slots}, "
                       f"got {num_heads}")
    if not 0 <= discount <= 1:
      raise ValueError(f"discount must be in [0, 1], got {discount}")
    self._interface = hk.Linear(
        interface_size(num_heads, word_size), name="interface")
    # As the forget bias of an LSTM: fixed, beside the learned bias.
    self._make_interface = functools.partial(
        make_interface, num_heads=num_heads, word_size=word_size,
        biases=(strength_bias, write_bias, interpolation_bias))
    step = functools.partial(access_step, discount=discount)
    # A scan needs no guard against common subexpressions.
    self._step = jax.checkpoint(step, prevent_cse=False) if recompute else step
    self._initial_access = functools.partial(
        initial_access, num_slots, word_size, num_heads)
