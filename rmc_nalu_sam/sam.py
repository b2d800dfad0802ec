"""Sparse Access Memory.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 4 to 6 and supplement A.

Letters: B batch, N slots, W word size, H heads, K rows a head reads.
"""

import functools
from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import indices, sam_access, search
from rmc_nalu_sam.memory.sam_access import (
    KEPT,
    SAMInterface,
    access_step,
    forget,
    initial_access,
)
from rmc_nalu_sam.memory_core import MemoryCore, MemoryState


def make_interface(make_layer: Callable[[int], hk.Linear], hidden: jax.Array,
                   num_heads: int, word_size: int,
                   biases: tuple[float, float, float],
                   has_links: bool = False) -> SAMInterface:
  """What a linear layer makes of the controller's output, inside a module.

  Args:
    make_layer: makes it, of this many outputs.
    hidden: `[..., F]`.
    num_heads: H.
    word_size: W.
    biases: of key strengths, write gates and interpolation gates; fixed, beside
      the learned ones, as the forget bias of an LSTM.
    has_links: whether there are read modes.

  Returns:
    The interface, each leaf with the leading axes of `hidden`.
  """
  words = num_heads * word_size
  flat = make_layer(2 * words + (3 + 3 * has_links) * num_heads)(hidden)
  queries, additions, scalars, modes = jnp.split(
      flat, [words, 2 * words, 2 * words + 3 * num_heads], axis=-1)
  split = functools.partial(
      jnp.reshape, shape=(*hidden.shape[:-1], num_heads, -1))
  strengths, alpha, gamma = (
      scalar + bias for scalar, bias in
      zip(jnp.split(scalars, 3, axis=-1), biases, strict=True))
  return SAMInterface(
      queries=split(queries),
      strengths=1 + jax.nn.softplus(strengths),
      additions=split(additions),
      write_gates=jax.nn.sigmoid(alpha),
      interpolation_gates=jax.nn.sigmoid(gamma),
      read_modes=jax.nn.softmax(split(modes)) if has_links else None)


class SAM(MemoryCore):
  r"""A recurrent network with a large memory that it reads and writes sparsely.

  A controller sees the input and the words last read, and tells each head
  what to look for and what to write. With :math:`\tilde w^R_{t-1}` the sparse
  weights of the last read and :math:`I^U_t` the indicator of the least recently
  accessed (LRA) row, a step

  .. math::

    w^W_t &= \alpha_t (\gamma_t \tilde w^R_{t-1} + (1 - \gamma_t) I^U_t) \\
    M_t &= (1 - I^U_t 1^T) \odot M_{t-1} + w^W_t a_t^T \\
    r_t &= \sum_k \tilde w^R_t(s_k) M_t(s_k)

  first writes and then reads: :math:`s_1 \ldots s_K` are the rows of
  :math:`M_t` most similar to the query, and :math:`\tilde w^R_t` a softmax of
  their similarities. The output is a linear function of the controller's output
  and the words read.

  Forward and backward touch O(H K) rows a step in place, so that a training
  step's memory does not grow with T * N; only the exact search reads all rows,
  and with `index="lsh"` a step costs the same for any N. No gradient flows
  through the choice of rows.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), equations 4 to 6.

  Notes:
    Where the paper leaves something open, here

    - similarity is the cosine, sharpened by a learned key strength
      `1 + softplus(. + strength_bias)` for each head (the paper has none);
    - the K weights kept are normalised over the K rows;
    - the gates are sigmoids, one pair for each head,
      :math:`\alpha = \sigma(. + b_\alpha)` and
      :math:`\gamma = \sigma(. + b_\gamma)`. The biases make a new network write
      to fresh rows and read sharply;
    - each head has its own LRA row, the H oldest ones, and erases it, at every
      step and whatever its gates say, as the paper has it: what is not accessed
      again is gone after N / H steps, so N should exceed H times the length of
      an episode;
    - the memory starts at zero, and no row has ever been accessed; the search
      finds rows of zeros last.

    One more deviation: usage counts the accesses of a step, write and read
    together, once the step is over; rows of the same age are taken in the order
    of their index.
  """

  CAN_FORGET = True
  MEASURES_RECALL = True

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 128,
      word_size: int = 32,
      num_heads: int = 4,
      top_k: int = 4,
      output_size: int | None = None,
      index: str | search.Index = "exact",
      gradient_steps: int | None = None,
      recompute: bool = True,
      measure_recall: bool = False,
      delta: float = 0.005,
      write_bias: float = 1.0,
      interpolation_bias: float = -2.0,
      strength_bias: float = 3.0,
      controller: hk.RNNCore | None = None,
      name: str | None = None,
  ):
    """Constructs a SAM.

    Args:
      hidden_size: units of the LSTM controller.
      num_slots: N, rows of the memory.
      word_size: W, numbers in a row.
      num_heads: H, read-and-write heads.
      top_k: K, rows that each head reads.
      output_size: size of the output; `hidden_size` if None.
      index: how to find the rows most similar to a query: 'exact' compares it
        with all rows, 'lsh' with some that hash alike, 'approx' is a faster
        linear scan on a TPU; or an index of your own.
      gradient_steps: how many steps a row keeps its gradient after it was last
        written; with the length of a sequence, nothing is lost. A backward pass
        then costs nothing that grows with N, no gradient reaches an initial
        memory, and `forget` makes a used state new. If None, any number of
        steps; but a backward pass clears an array of the memory's size once,
        and so does each new state.
      recompute: whether the backward pass computes the controller's insides
        again, instead of keeping them: half the memory over time.
      measure_recall: whether the state counts how many of the rows that exact
        search would find are found; needs an exact search at every step.
      delta: accesses of this weight or less do not count as usage.
      write_bias: added to the write gates before the sigmoid.
      interpolation_bias: added to the interpolation gates, likewise.
      strength_bias: added to the key strengths before the softplus.
      controller: a core to use in place of the LSTM; its output is `[B, F]`.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, `top_k` or `num_heads` exceeds
        `num_slots`, or there is no such index.
    """
    super().__init__(name=name)
    self._num_links: int | None = None  # But for the SDNC.
    check_positive(hidden_size=hidden_size, num_slots=num_slots,
                   word_size=word_size, num_heads=num_heads, top_k=top_k,
                   gradient_steps=1 if gradient_steps is None else
                   gradient_steps)
    for size_name, size in (("top_k", top_k), ("num_heads", num_heads)):
      if size > num_slots:
        raise ValueError(f"{size_name} must be at most num_slots={num_slots}, "
                         f"got {size}")
    self.hidden_size = hidden_size
    self.num_slots = num_slots
    self.word_size = word_size
    self.num_heads = num_heads
    self.top_k = top_k
    self.output_size = hidden_size if output_size is None else output_size
    # As the forget bias of an LSTM: fixed, beside the learned bias.
    self._biases = (strength_bias, write_bias, interpolation_bias)
    self.gradient_steps = gradient_steps
    self.measure_recall = measure_recall
    self._index = (indices.make_index(index, num_slots, word_size)
                   if isinstance(index, str) else index)
    self._recompute = recompute
    self._step = functools.partial(access_step, delta=delta, index=self._index)
    self._controller = controller or hk.LSTM(hidden_size, name="controller")

  def __call__(self, inputs: jax.Array,
               prev_state: MemoryState) -> tuple[jax.Array, MemoryState]:
    """One step; see `MemoryCore`."""
    step = super().__call__
    if self._recompute:
      # What depends on the memory is kept, so that it need not be.
      step = hk.remat(
          step, prevent_cse=False,
          policy=jax.checkpoint_policies.save_only_these_names(KEPT))
    return step(inputs, prev_state)

  def _initial_access(self):
    return initial_access(
        self.num_slots, self.word_size, self.num_heads, self.top_k,
        self._index, self.gradient_steps, self.measure_recall,
        self._num_links)

  def forget(self, state: MemoryState) -> MemoryState:
    """As `initial_state`, in the arrays of a used state, at no cost in N.

    Writes are numbered in 32 bits: before the memory has made
    `2^31 / (num_heads (top_k + 1))` steps in all, which `sam_access.steps_left`
    tells, it has to be a new `initial_state` once.

    Args:
      state: of a SAM with `gradient_steps`, which may be others, of any batch
        size; do not use it afterwards, or all of it is copied.

    Raises:
      ValueError: the SAM has no `gradient_steps`.
    """
    if self.gradient_steps is None:
      raise ValueError("forget needs a SAM with gradient_steps")
    batch_size = (None if state.access.memory.ndim == 2
                  else state.access.memory.shape[0])
    return MemoryState(self._controller.initial_state(batch_size),
                       forget(state.access, self.gradient_steps))

  def steps_left(self, state: MemoryState) -> int:
    """Returns how many steps a state may be used for."""
    return sam_access.steps_left(state.access)

  def recall(self, state: MemoryState) -> jax.Array:
    """Returns found and existing rows `[..., 2]`."""
    return state.access.recall

  @hk.transparent
  def _tell(self, hidden: jax.Array) -> SAMInterface:
    return make_interface(
        self._interface, hidden, self.num_heads, self.word_size, self._biases,
        has_links=self._num_links is not None)
