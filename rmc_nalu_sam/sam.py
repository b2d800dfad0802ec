"""Sparse Access Memory.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 4 to 6 and supplement A.

Letters: B batch, N slots, W word size, H heads, K rows a head reads.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import addressing, rows, search, usage

# (memory [N, W], squared_norms [N], queries [H, W], k) -> indices [H, k]
Search = Callable[[jax.Array, jax.Array, jax.Array, int], jax.Array]


class SAMAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    squared_norms: `[N]`, of the rows; kept for the search.
    usage: when each row was last accessed.
    read_indices: `[H, K]` int32, the rows last read.
    read_weights: `[H, K]`, by how much.
    read_words: `[H, W]`, what was read.
    write_indices: `[H, K + 1]` int32, the rows last written to; the last column
      holds the least recently accessed rows, which were erased first.
    write_weights: `[H, K + 1]`, by how much.
  """

  memory: jax.Array
  squared_norms: jax.Array
  usage: usage.Usage
  read_indices: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_indices: jax.Array
  write_weights: jax.Array


class SAMState(NamedTuple):
  """State of `SAM`. Every leaf has a leading B axis when there is a batch.

  Attributes:
    controller: state of the controller.
    access: the memory and its bookkeeping.
  """

  controller: Any
  access: SAMAccess


class SAMInterface(NamedTuple):
  """What the controller says to the memory in one step.

  Attributes:
    queries: `[H, W]`, to read by.
    strengths: `[H]`, sharpness of the read, at least 1.
    additions: `[H, W]`, the words to write.
    write_gates: `[H]` alpha, in (0, 1): how much to write.
    interpolation_gates: `[H]` gamma, in (0, 1): to the rows last read (1) or to
      the least recently accessed one (0).
  """

  queries: jax.Array
  strengths: jax.Array
  additions: jax.Array
  write_gates: jax.Array
  interpolation_gates: jax.Array


def initial_access(num_slots: int, word_size: int, num_heads: int,
                   top_k: int) -> SAMAccess:
  """An empty memory: all rows zero, never accessed."""
  return SAMAccess(
      memory=jnp.zeros([num_slots, word_size]),
      squared_norms=jnp.zeros([num_slots]),
      usage=usage.initial_usage(num_slots),
      read_indices=jnp.zeros([num_heads, top_k], jnp.int32),
      read_weights=jnp.zeros([num_heads, top_k]),
      read_words=jnp.zeros([num_heads, word_size]),
      write_indices=jnp.zeros([num_heads, top_k + 1], jnp.int32),
      write_weights=jnp.zeros([num_heads, top_k + 1]),
  )


def access_step(interface: SAMInterface, prev: SAMAccess, *, delta: float,
                find: Search) -> SAMAccess:
  """One step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    delta: accesses of this weight or less do not count as usage.
    find: the search for the rows to read.

  Returns:
    The access state after the step.
  """
  num_heads, top_k = prev.read_indices.shape
  # Write (equation 5): w^W = alpha (gamma w^R + (1 - gamma) I^U), A = w^W a^T.
  unused = usage.least_recently_accessed(prev.usage, num_heads)
  gamma = interface.interpolation_gates[:, None]
  write_weights = interface.write_gates[:, None] * jnp.concatenate(
      [gamma * prev.read_weights, 1 - gamma], axis=1)
  write_indices = jnp.concatenate([prev.read_indices, unused[:, None]], axis=1)
  flat_indices = write_indices.reshape(-1)
  additions = write_weights[:, :, None] * interface.additions[:, None, :]
  memory = rows.erase_and_add_rows(
      prev.memory, unused, flat_indices,
      additions.reshape(flat_indices.shape[0], -1).astype(prev.memory.dtype))
  written = jax.lax.stop_gradient(memory)[flat_indices].astype(jnp.float32)
  squared_norms = prev.squared_norms.at[flat_indices].set(
      jnp.square(written).sum(-1).astype(prev.squared_norms.dtype))

  # Read (equation 4) from the memory just written.
  read_indices = find(
      jax.lax.stop_gradient(memory), squared_norms,
      jax.lax.stop_gradient(interface.queries), top_k)
  read_rows, memory = rows.gather_rows(memory, read_indices)
  read_weights = addressing.content_weights(
      interface.queries, read_rows, interface.strengths)
  read_weights = read_weights.astype(prev.read_weights.dtype)
  read_words = jnp.einsum("hk,hkw->hw", read_weights, read_rows)

  new_usage = usage.touch(
      prev.usage,
      jnp.concatenate([read_indices.reshape(-1), flat_indices]),
      jnp.concatenate([read_weights.reshape(-1), write_weights.reshape(-1)]),
      delta)
  return SAMAccess(
      memory=memory, squared_norms=squared_norms, usage=new_usage,
      read_indices=read_indices, read_weights=read_weights,
      read_words=read_words, write_indices=write_indices,
      write_weights=write_weights)


class SAM(hk.RNNCore):
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
  step's memory does not grow with T * N; only the exact search reads all rows.
  No gradient flows through the choice of rows.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), equations 4 to 6.

  Notes:
    Where the paper leaves something open, here

    - similarity is the cosine, sharpened by a learned key strength
      `1 + softplus(. + strength_bias)` for each head (the paper has none);
    - the K weights kept are normalised over the K rows;
    - the gates are sigmoids, one pair for each head,
      :math:`\alpha = \sigma(. + b_\alpha)` and
      :math:`\gamma = \sigma(. + b_\gamma)`. The biases make a new network write
      to fresh rows and read sharply: without them, some seeds never learn to
      copy;
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
      delta: float = 0.005,
      write_bias: float = 1.0,
      interpolation_bias: float = -2.0,
      strength_bias: float = 3.0,
      controller: hk.RNNCore | None = None,
      find: Search = search.exact_search,
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
      delta: accesses of this weight or less do not count as usage.
      write_bias: added to the write gates before the sigmoid.
      interpolation_bias: added to the interpolation gates, likewise.
      strength_bias: added to the key strengths before the softplus.
      controller: a core to use in place of the LSTM; its output is `[B, F]`.
      find: the search; see `rmc_nalu_sam.memory.search.exact_search`.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, or `top_k` or `num_heads` exceeds
        `num_slots`.
    """
    super().__init__(name=name)
    sizes = dict(hidden_size=hidden_size, num_slots=num_slots,
                 word_size=word_size, num_heads=num_heads, top_k=top_k)
    for size_name, size in sizes.items():
      if size < 1:
        raise ValueError(f"{size_name} must be at least 1, got {size}")
    for size_name in ("top_k", "num_heads"):
      if sizes[size_name] > num_slots:
        raise ValueError(f"{size_name} must be at most num_slots={num_slots}, "
                         f"got {sizes[size_name]}")
    self.hidden_size = hidden_size
    self.num_slots = num_slots
    self.word_size = word_size
    self.num_heads = num_heads
    self.top_k = top_k
    self.output_size = hidden_size if output_size is None else output_size
    # As the forget bias of an LSTM: fixed, beside the learned bias.
    self._biases = (strength_bias, write_bias, interpolation_bias)
    self._step = functools.partial(access_step, delta=delta, find=find)
    self._controller = controller or hk.LSTM(hidden_size, name="controller")

  def __call__(self, inputs: jax.Array,
               prev_state: SAMState) -> tuple[jax.Array, SAMState]:
    """One step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before it.

    Returns:
      The output `[B, output_size]` and the next state.
    """
    if inputs.ndim not in (1, 2):
      raise ValueError(f"SAM takes inputs [B, F] or [F], got {inputs.shape}")
    seen = jnp.concatenate(
        [inputs, _merge_heads(prev_state.access.read_words)], axis=-1)
    hidden, controller = self._controller(seen, prev_state.controller)
    step = self._step if inputs.ndim == 1 else jax.vmap(self._step)
    access = step(self._interface(hidden), prev_state.access)
    features = jnp.concatenate(
        [hidden, _merge_heads(access.read_words)], axis=-1)
    output = hk.Linear(self.output_size, name="output")(features)
    return output, SAMState(controller, access)

  def initial_state(self, batch_size: int | None) -> SAMState:
    """An empty memory, nothing read; leading axis B unless it is None."""
    access = initial_access(
        self.num_slots, self.word_size, self.num_heads, self.top_k)
    if batch_size is not None:
      access = jax.tree.map(
          lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), access)
    return SAMState(self._controller.initial_state(batch_size), access)

  def _interface(self, hidden: jax.Array) -> SAMInterface:
    words = self.num_heads * self.word_size
    flat = hk.Linear(2 * words + 3 * self.num_heads, name="interface")(hidden)
    queries, additions, scalars = jnp.split(flat, [words, 2 * words], axis=-1)
    split = functools.partial(
        jnp.reshape, shape=(*hidden.shape[:-1], self.num_heads, -1))
    strengths, alpha, gamma = (
        scalar + bias for scalar, bias in
        zip(jnp.split(scalars, 3, axis=-1), self._biases, strict=True))
    return SAMInterface(
        queries=split(queries),
        strengths=1 + jax.nn.softplus(strengths),
        additions=split(additions),
        write_gates=jax.nn.sigmoid(alpha),
        interpolation_gates=jax.nn.sigmoid(gamma))


def _merge_heads(words: jax.Array) -> jax.Array:
  return words.reshape(*words.shape[:-2], -1)
