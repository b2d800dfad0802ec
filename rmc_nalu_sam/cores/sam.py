"""Sparse Access Memory, and the Sparse Differentiable Neural Computer.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 4 to 6 and supplements A and D.

Letters: B batch, N slots, W word size, H heads, K words a head reads.
"""

import functools
from collections.abc import Mapping
from typing import Any

import haiku as hk
import jax

from rmc_nalu_sam.checks import check_positive, check_rate
from rmc_nalu_sam.cores.controllers import Controller
from rmc_nalu_sam.cores.memory_core import MemoryCore, MemoryState
from rmc_nalu_sam.memory.access import sam_access
from rmc_nalu_sam.memory.access.sam_access import SAMAccess
from rmc_nalu_sam.memory.access.sam_interface import (
  interface_size,
  make_interface,
)
from rmc_nalu_sam.memory.index.indices import make_index
from rmc_nalu_sam.memory.index.search import Index
from rmc_nalu_sam.memory.store import KEPT


class SAM(MemoryCore):
  r"""Reads and writes a large memory sparsely: Sparse Access Memory.

  A controller takes the input and the words last read, and sends each head a
  query to read by and a word to write. With :math:`\tilde w^R_{t-1}` the sparse
  weights of the last read and :math:`I^U_t` the indicator of the least recently
  accessed (LRA) slot, a step

  .. math::

    w^W_t &= \alpha_t (\gamma_t \tilde w^R_{t-1} + (1 - \gamma_t) I^U_t) \\
    M_t &= (1 - I^U_t 1^T) \odot M_{t-1} + w^W_t a_t^T \\
    \tilde w^R_t(s_k) &= \mathrm{softmax}_k(\beta_t \cos(q_t, M_t(s_k))) \\
    r_t &= \sum_k \tilde w^R_t(s_k) M_t(s_k)

  first writes and then reads: :math:`s_1 \ldots s_K` are the rows of the words
  in :math:`M_t` most similar to the query :math:`q_t`, and :math:`\beta_t` the
  key strength. The output is a linear function of the controller's output and
  the words read.

  Forward and backward passes touch O(H K) slots per step in place, so the
  memory that a training step needs does not grow with T * N. Only exact search
  reads all words; with `index="lsh"` a step costs the same for any N. No
  gradient flows through the choice of slots.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), equations 4 to 6.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.SAM(hidden_size=7, num_slots=99, num_heads=2)
    ...   return hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))
    >>> network, x = hk.transform(network), jnp.ones([5, 3, 4])
    >>> params = jax.jit(network.init)(jax.random.key(0), x)
    >>> outputs, state = jax.jit(network.apply)(params, None, x)
    >>> words = state.access.memory
    >>> (words != 0).any(-1).sum(-1).tolist()  # Words written, of 99.
    [12, 12, 12]

  Notes:
    Where the paper leaves something open, here

    - similarity is the cosine, sharpened by a learned key strength
      `1 + softplus(. + strength_bias)` for each head (the paper has none);
    - the K weights kept are normalised over the K words;
    - the gates are sigmoids, one pair for each head,
      :math:`\alpha = \sigma(. + b_\alpha)` and
      :math:`\gamma = \sigma(. + b_\gamma)`. The biases make a new network write
      to fresh slots and read sharply;
    - each head has its own LRA slot, among the H oldest ones, and erases it at
      every step, whatever its gates are, as in the paper. A word that is not
      accessed again is gone after N / H steps, so N should exceed H times the
      length of an episode;
    - the memory starts at zero, with no slot ever accessed; the search finds
      words of zeros last.

    The paper's usage is, for one head,
    :math:`U_T(i) = T - \max \{t : w^W_t(i) + w^R_t(i) > \delta\}`. Here

    - the weights of all heads are added up first: a slot is accessed if
      :math:`\sum_h (w^{W,h}_t(i) + w^{R,h}_t(i)) > \delta`;
    - the accesses of a step count once the step is over. Slots of the same age
      are taken in the order of their rows;
    - the oldest slot is taken, the one of largest :math:`U`. Equation 6 prints
      the smallest, but the text means the oldest;
    - a head whose LRA slot gets a weight of :math:`\delta` or less takes the
      same slot at the next step. In the ring of supplement A.3, a slot that is
      taken goes to the end whatever its weight is.

    Derivatives: reverse mode can be repeated, as for a gradient penalty or
    MAML, under `jax.jit`, `jax.vmap` and `jax.checkpoint`. With
    `gradient_steps`, a second derivative adds no cost that grows with N.
    Without, it costs O(N W) per step, and keeps T arrays of the memory's size.
    Forward mode (`jax.jvp`, `jax.jacfwd`, `jax.linearize`, `jax.hessian`)
    raises a TypeError, as JAX takes a function with a custom derivative for
    reverse mode in that mode only. In its place, use reverse mode twice:
    `jax.grad` of `jnp.vdot(gradient, v)` for a Hessian times v, and
    `jax.jacrev(jax.grad(f))` for a Hessian.
  """

  CAN_FORGET = True
  MEASURES_RECALL = True
  HAS_INDEX = True
  NOT_LEARNT = ("recompute", "measure_recall")
  _HAS_LINKS = False

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 128,
      word_size: int = 32,
      num_heads: int = 4,
      top_k: int = 4,
      output_size: int | None = None,
      index: str | Index = "exact",
      index_args: Mapping[str, Any] | None = None,
      gradient_steps: int | None = None,
      recompute: bool = True,
      measure_recall: bool = False,
      delta: float = 0.005,
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
      top_k: K, words that each head reads.
      output_size: size of the output; `hidden_size` if None.
      index: finds the words most similar to a query. 'exact' compares the query
        with all words, 'lsh' with some that hash alike, 'approx' is a faster
        linear scan on a TPU. Also takes "package.module:attribute", or an index
        object.
      index_args: the arguments of the index, if `index` is a name.
      gradient_steps: number of steps that a word keeps its gradient after it
        was last written; with the length of a sequence, nothing is lost. A
        backward pass then costs nothing that grows with N, no gradient reaches
        an initial memory, and a used state can `forget`. None keeps
        gradients for any number of steps, but then each backward pass, and each
        new state, clears an array of the memory's size.
      recompute: whether the backward pass recomputes the inside of the
        controller instead of keeping it, which halves the memory over time.
      measure_recall: whether the state counts how many of the words that exact
        search finds are found; needs an exact search at every step.
      delta: accesses of this weight or less do not count as usage.
      write_bias: added to the write gates before the sigmoid.
      interpolation_bias: added to the interpolation gates before the sigmoid.
      strength_bias: added to the key strengths before the softplus.
      controller: 'lstm' or 'feedforward'. Also takes
        "package.module:attribute" or a constructor, with `hidden_size` as an
        argument, or a core that is made already and ignores `hidden_size`.
      name: name of the module.
      **of_memory_core: further arguments of `MemoryCore`.

    Raises:
      ValueError: a size is not positive, `top_k` or `num_heads` exceeds
        `num_slots`, `delta` is not in [0, 1), there is no such index, or it
        refuses its arguments.
    """
    super().__init__(
        hidden_size, output_size, controller, name=name, **of_memory_core)
    check_positive(
        num_slots=num_slots, word_size=word_size, num_heads=num_heads,
        top_k=top_k, gradient_steps=1 if gradient_steps is None else
        gradient_steps)
    for size_name, size in (("top_k", top_k), ("num_heads", num_heads)):
      if size > num_slots:
        raise ValueError(f"{size_name} must be at most num_slots={num_slots}, "
                         f"got {size}")
    check_rate(delta=delta)
    self.gradient_steps = gradient_steps
    self.measure_recall = measure_recall
    self._recompute = recompute
    self._index = make_index(
        index, num_slots, word_size, index_args, measure_recall)
    self._interface = hk.Linear(
        interface_size(num_heads, word_size, self._HAS_LINKS), name="interface")
    # As the forget bias of an LSTM: fixed, beside the learned bias.
    self._make_interface = functools.partial(
        make_interface, num_heads=num_heads, word_size=word_size,
        biases=(strength_bias, write_bias, interpolation_bias),
        has_links=self._HAS_LINKS)
    self._step = functools.partial(
        sam_access.access_step, delta=delta, index=self._index)
    self._initial_access = functools.partial(
        sam_access.initial_access, num_slots, word_size, num_heads, top_k,
        self._index, gradient_steps)

  def __call__(self, inputs: jax.Array,
               prev_state: MemoryState[SAMAccess]
               ) -> tuple[jax.Array, MemoryState[SAMAccess]]:
    """Runs one step; see `MemoryCore`."""
    step = super().__call__
    if self._recompute:
      # What was read from the memory is kept. Else the memory would be.
      step = hk.remat(
          step, prevent_cse=False,
          policy=jax.checkpoint_policies.save_only_these_names(KEPT))
    return step(inputs, prev_state)

  def forget(self, state: MemoryState[SAMAccess]) -> MemoryState[SAMAccess]:
    """Returns an initial state in the arrays of a used one, at O(1) in N.

    The order in which slots are taken stays that of the used state. Outputs are
    those after `initial_state` for T steps if N >= H T and K <= H. After more
    steps, slots are taken again, in another order. With a larger K, the first
    reads include empty slots, and other ones. With an approximate index, old
    entries of its tables may also change which words are found.

    Writes are numbered in 32 bits, and `forget` does not restart the count.
    Before `steps_left(state)` reaches 0, after
    `2^31 / (num_heads (top_k + 1))` steps in all, replace the state by a new
    `initial_state` once.

    Args:
      state: of a SAM with `gradient_steps`, of any value, and any batch size.
        Do not use it afterwards, or all of it is copied.

    Raises:
      ValueError: this SAM, or that of the state, has no `gradient_steps`.
    """
    if self.gradient_steps is None:
      raise ValueError(f"forget needs a {type(self).__name__} with "
                       "gradient_steps, got None; make a new initial_state "
                       "instead")
    batch_size = (None if state.access.memory.ndim == 2
                  else state.access.memory.shape[0])
    return MemoryState(
        self._controller.initial_state(batch_size),
        sam_access.forget(state.access, self._index, self.gradient_steps))

  def steps_left(self, state: MemoryState[SAMAccess]) -> int:
    """Returns the number of steps until a new `initial_state` is needed.

    Args:
      state: of a SAM with `gradient_steps`, of any batch shape; not traced.

    Raises:
      ValueError: the SAM of the state has no `gradient_steps`.
    """
    return sam_access.steps_left(state.access)

  def searches_exactly(self) -> bool:
    """Returns whether the index finds the same words as exact search."""
    return self._index.is_exact

  def recall(self, state: MemoryState[SAMAccess]) -> jax.Array:
    """Returns the counts of recall since the start.

    Args:
      state: of this SAM, of any batch shape `[...]`.

    Returns:
      `[..., 2]` int32: how many of the words that exact search finds were
      found, and how many exact search finds.

    Raises:
      ValueError: this SAM does not measure its recall.
    """
    if not self.measure_recall:
      raise ValueError(f"recall needs a {type(self).__name__} with "
                       "measure_recall=True, got False")
    return state.access.index.counts


class SDNC(SAM):
  r"""Also reads along temporal links: a SAM with sparse links.

  Writes, and reads by content, are those of `SAM`. The links are those of the
  DNC, kept sparse: for each slot, the :math:`K_L` slots written before it, and
  after it, with the largest weights. A head reads

  .. math::

    w^R_t = \pi_1 b_t + \pi_2 c_t + \pi_3 f_t,

  with :math:`c_t` the sparse content weights, :math:`b_t` and :math:`f_t` the
  weights of its last read moved back and on along the links, and :math:`\pi` a
  softmax of values from the controller. There is no allocation and there are no
  free gates: slots are taken by their last access, as in SAM.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), supplement D,
  `rmc_nalu_sam.memory.sparse_links` for the equations of the links, and `SAM`
  for the rest.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     rmc_nalu_sam.SDNC, 3, num_slots=11, num_heads=2, num_links=5)
    >>> x = jnp.ones([4, 1, 6])
    >>> params = jax.eval_shape(model.init, jax.random.key(0), x)
    >>> result = jax.eval_shape(
    ...     model.unroll, params, None, x, model.initial_state({}, 1))
    >>> result.state.access.links.before.rows.shape  # [B, H, N, K_L]
    (1, 2, 11, 5)

  Notes:
    The paper keeps the K_L largest entries of each row of
    :math:`N_t \approx L_t` and :math:`P_t \approx L_t^T`, and reads
    :math:`f_t = N_t w^R_{t-1}` and :math:`b_t = P_t w^R_{t-1}` (equations 21
    and 22). Here :math:`f_t = P_t^T w^R_{t-1}` and
    :math:`b_t = N_t^T w^R_{t-1}`, so that only the rows of the slots last read
    are needed. Without truncation both are equal. With it, a head follows the
    K_L strongest links from a slot; in the paper, those among the K_L strongest
    of the slot they lead to.

    In equation 20, every entry :math:`P_{t-1}(i, j)` decays when slot j is
    written. Here it does so only if :math:`N_{t-1}(j, i)`, the same link from
    the other end, has been kept as well.

    Where the paper leaves something open, here

    - each head has its own links, for its own writes, and follows these only;
    - the K largest of each of :math:`b_t`, :math:`c_t` and :math:`f_t` are
      read, and the K largest of their sum go on into the next write and the
      usage;
    - no gradient flows through the links; it does through the read weights that
      are moved along them;
    - entries of the same weight are kept in the order in which they were found.

    Derivatives are those of `SAM`: reverse mode only, and any number of times.
    A second derivative holds the links constant, as the first one does.
  """

  _HAS_LINKS = True

  def __init__(self, *, num_links: int = 8, **sam_arguments: Any):
    """Constructs a core.

    Args:
      num_links: K_L, links kept per slot, in each direction.
      **sam_arguments: the arguments of `SAM`.

    Raises:
      ValueError: `num_links` is not positive, or as `SAM`.
    """
    super().__init__(**sam_arguments)
    check_positive(num_links=num_links)
    self._initial_access = functools.partial(
        self._initial_access, num_links=num_links)
