"""Sparse Access Memory.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 4 to 6 and supplement A.

Letters: B batch, N slots, W word size, H heads, K rows a head reads.
"""

import functools
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from rmc_nalu_sam.memory import (
  addressing,
  history,
  indices,
  rows,
  search,
  sparse_links,
)
from rmc_nalu_sam.memory import usage as usage_lib
from rmc_nalu_sam.memory_core import MemoryCore, MemoryState, check_positive

# Of `jax.ad_checkpoint.checkpoint_name`: what is not computed again.
KEPT = history.KEPT


class SAMAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    history: where the gradients of its rows go; None if the memory itself takes
      them.
    index: what the index knows of the rows.
    usage: the order in which rows were last accessed.
    read_indices: `[H, K]` int32, the rows last read.
    read_weights: `[H, K]`, by how much.
    read_words: `[H, W]`, what was read.
    write_indices: `[H, K + 1]` int32, the rows last written to; the last column
      holds the least recently accessed rows, which were erased first.
    write_weights: `[H, K + 1]`, by how much.
    recall: `[2]` int32, how many of the rows that exact search would have found
      were found since the start, and how many there were; None if not asked
      for.
    links: in which order each head wrote the rows, with a leading H axis; None
      but for the SDNC.
  """

  memory: jax.Array
  history: history.History | None
  index: Any
  usage: usage_lib.Usage
  read_indices: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_indices: jax.Array
  write_weights: jax.Array
  recall: jax.Array | None
  links: sparse_links.SparseLinks | None = None


class SAMInterface(NamedTuple):
  """What the controller says to the memory in one step.

  Attributes:
    queries: `[H, W]`, to read by.
    strengths: `[H]`, sharpness of the read, at least 1.
    additions: `[H, W]`, the words to write.
    write_gates: `[H]` alpha, in (0, 1): how much to write.
    interpolation_gates: `[H]` gamma, in (0, 1): to the rows last read (1) or to
      the least recently accessed one (0).
    read_modes: `[H, 3]`, of sum 1: how much to read back along the links, by
      content, and on along the links; None but for the SDNC.
  """

  queries: jax.Array
  strengths: jax.Array
  additions: jax.Array
  write_gates: jax.Array
  interpolation_gates: jax.Array
  read_modes: jax.Array | None = None


def make_interface(hidden: jax.Array, num_heads: int, word_size: int,
                   biases: tuple[float, float, float],
                   has_links: bool = False) -> SAMInterface:
  """What a linear layer makes of the controller's output, inside a module.

  Args:
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
  flat = hk.Linear(2 * words + (3 + 3 * has_links) * num_heads,
                   name="interface")(hidden)
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


def initial_access(num_slots: int, word_size: int, num_heads: int, top_k: int,
                   index: search.Index, gradient_steps: int | None = None,
                   measure_recall: bool = False,
                   num_links: int | None = None) -> SAMAccess:
  """An empty memory: all rows zero, never accessed."""
  return SAMAccess(
      memory=jnp.zeros([num_slots, word_size]),
      history=None if gradient_steps is None else history.initial_history(
          num_slots, word_size, num_heads * (top_k + 1), gradient_steps),
      index=index.initial_state(),
      usage=usage_lib.initial_usage(num_slots),
      read_indices=jnp.zeros([num_heads, top_k], jnp.int32),
      read_weights=jnp.zeros([num_heads, top_k]),
      read_words=jnp.zeros([num_heads, word_size]),
      write_indices=jnp.zeros([num_heads, top_k + 1], jnp.int32),
      write_weights=jnp.zeros([num_heads, top_k + 1]),
      recall=jnp.zeros([2], jnp.int32) if measure_recall else None,
      links=None if num_links is None else jax.tree.map(
          lambda x: jnp.broadcast_to(x, (num_heads, *x.shape)),
          sparse_links.initial_links(num_slots, num_links)),
  )


def forget(access: SAMAccess, gradient_steps: int) -> SAMAccess:
  """An empty memory in the arrays of a used one, which needs a history.

  Gradients reach `gradient_steps` from now on, however far they did before.

  Costs the same for any N. As good as a new one, but that rows which were never
  accessed are taken in another order.
  """
  assert access.history is not None
  reads = jax.tree.map(jnp.zeros_like, dict(
      read_indices=access.read_indices, read_weights=access.read_weights,
      read_words=access.read_words, write_indices=access.write_indices,
      write_weights=access.write_weights, recall=access.recall))
  links = access.links
  if links is not None:
    links = links._replace(
        precedence=jax.tree.map(jnp.zeros_like, links.precedence))
  num_heads, writes = access.write_indices.shape[-2:]
  log = history.forget(access.history, gradient_steps, num_heads * writes)
  return access._replace(history=log, links=links, **reads)


def access_step(interface: SAMInterface, prev: SAMAccess, *, delta: float,
                index: search.Index) -> SAMAccess:
  """One step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    delta: accesses of this weight or less do not count as usage.
    index: finds the rows to read.

  Returns:
    The access state after the step.
  """
  access = _read(interface, _write(interface, prev, index), index)
  return access._replace(usage=usage_lib.touch(
      access.usage,
      jnp.concatenate([access.read_indices, access.write_indices],
                      axis=1).reshape(-1),
      jnp.concatenate([access.read_weights, access.write_weights],
                      axis=1).reshape(-1),
      delta))


def _write(interface: SAMInterface, prev: SAMAccess,
           index: search.Index) -> SAMAccess:
  """Equation 5: w^W = alpha (gamma w^R + (1 - gamma) I^U), A = w^W a^T."""
  unused = checkpoint_name(usage_lib.least_recently_accessed(
      prev.usage, prev.read_indices.shape[0]), KEPT)
  gamma = interface.interpolation_gates[:, None]
  weights = interface.write_gates[:, None] * jnp.concatenate(
      [gamma * prev.read_weights, 1 - gamma], axis=1)
  weights = weights.astype(prev.write_weights.dtype)
  where = jnp.concatenate([prev.read_indices, unused[:, None]], axis=1)
  written = where.reshape(-1)
  additions = weights[:, :, None] * interface.additions[:, None, :]
  additions = additions.reshape(written.shape[0], -1).astype(prev.memory.dtype)
  log, links = prev.history, prev.links
  if log is None:
    memory = rows.erase_and_add_rows(prev.memory, unused, written, additions)
  else:
    memory, log, was_written = history.write(
        prev.memory, log, unused, written, additions)
    if links is not None:
      # What links a row has when it is first written are of another life, for
      # every head, whichever writes it.
      new = jnp.where(was_written, prev.memory.shape[0], written)
      links = jax.vmap(sparse_links.cut, (0, None))(links, new)
  if links is not None:
    links = jax.vmap(sparse_links.update)(links, where, weights)
  values = jax.lax.stop_gradient(memory)[written]
  return prev._replace(
      memory=memory, history=log, links=links,
      index=index.update(prev.index, written, values, unused),
      write_indices=where, write_weights=weights)


def _read(interface: SAMInterface, access: SAMAccess,
          index: search.Index) -> SAMAccess:
  """Equation 4, from the memory just written."""
  log = access.history
  is_written = None if log is None else functools.partial(
      history.is_written, log)
  queries = jax.lax.stop_gradient(interface.queries)
  constant = jax.lax.stop_gradient(access.memory)
  top_k = access.read_indices.shape[1]
  found = checkpoint_name(
      index.find(access.index, constant, is_written, queries, top_k,
                 access.write_indices.reshape(-1)), KEPT)
  recall = access.recall
  if recall is not None:
    recall += search.compare_with_exact(found, constant, is_written, queries)

  linked = None
  if access.links is not None:
    last = sparse_links.SparseWeights(access.read_indices, access.read_weights)
    follow = jax.vmap(sparse_links.follow)
    linked = (follow(access.links.before, last),
              follow(access.links.after, last))
  where = found if linked is None else jnp.maximum(
      jnp.concatenate([linked[0].rows, found, linked[1].rows], axis=1), 0)
  if log is None:
    words, memory = rows.gather_rows(access.memory, where)
    words = checkpoint_name(words, KEPT)
  else:
    words, log = history.read(access.memory, log, where)
    memory = access.memory
  content = words if linked is None else words[:, top_k:2 * top_k]
  weights = addressing.content_weights(
      interface.queries, content, interface.strengths)
  weights = weights.astype(access.read_weights.dtype)
  if linked is not None:
    assert interface.read_modes is not None
    modes = jnp.repeat(interface.read_modes, top_k, axis=1)
    weights = (modes * jnp.concatenate(
        [linked[0].weights, weights, linked[1].weights], axis=1)
               ).astype(weights.dtype)
  read_words = jnp.einsum("hk,hkw->hw", weights, words)
  if linked is not None:
    # Only the K largest go on into the next write, and into the usage.
    where, weights = jax.vmap(sparse_links.merge, (0, None))(
        sparse_links.SparseWeights(where, weights), top_k)
    where = jnp.maximum(where, 0)
  return access._replace(
      memory=memory, history=log, read_indices=where, read_weights=weights,
      read_words=read_words, recall=recall)


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

  def _interface(self, hidden: jax.Array) -> SAMInterface:
    return make_interface(hidden, self.num_heads, self.word_size, self._biases,
                          has_links=self._num_links is not None)
