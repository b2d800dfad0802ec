"""Dense Access Memory.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: equations 1, 2, 5 and 6, and the first usage of section 3.2.

Letters: B batch, N slots, W word size, H heads.
"""

import functools
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import dense
from rmc_nalu_sam.memory.search import top_k_indices
from rmc_nalu_sam.sam import SAMInterface


class DAMAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    usage: `[N]`, discounted sum of the weights of a row's accesses.
    read_weights: `[H, N]`, by how much each row was last read.
    read_words: `[H, W]`, what was read.
    write_weights: `[H, N]`, by how much each row was last written to.
  """

  memory: jax.Array
  usage: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_weights: jax.Array


class DAMState(NamedTuple):
  """State of `DAM`. Every leaf has a leading B axis when there is a batch.

  Attributes:
    controller: state of the controller.
    access: the memory and its bookkeeping.
  """

  controller: hk.LSTMState
  access: DAMAccess


def initial_access(num_slots: int, word_size: int,
                   num_heads: int) -> DAMAccess:
  """An empty memory: all rows zero, never accessed."""
  return DAMAccess(
      memory=jnp.zeros([num_slots, word_size]),
      usage=jnp.zeros([num_slots]),
      read_weights=jnp.zeros([num_heads, num_slots]),
      read_words=jnp.zeros([num_heads, word_size]),
      write_weights=jnp.zeros([num_heads, num_slots]))


def access_step(interface: SAMInterface, prev: DAMAccess, *,
                discount: float) -> DAMAccess:
  """One step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    discount: lambda, of the usage, for each step.

  Returns:
    The access state after the step.
  """
  dtype = prev.memory.dtype
  num_heads, num_slots = prev.read_weights.shape
  # Write (equation 5): w^W = alpha (gamma w^R + (1 - gamma) I^U), A = w^W a^T.
  unused = top_k_indices(
      jax.lax.stop_gradient(prev.usage), num_heads, smallest=True)
  indicators = unused[:, None] == jnp.arange(num_slots, dtype=unused.dtype)
  alpha = interface.write_gates[:, None].astype(dtype)
  gamma = interface.interpolation_gates[:, None].astype(dtype)
  write_weights = alpha * (
      gamma * prev.read_weights + (1 - gamma) * indicators.astype(dtype))
  kept = jnp.where(indicators.any(0)[:, None], 0, prev.memory)
  memory = kept + jnp.einsum(
      "hn,hw->nw", write_weights, interface.additions.astype(dtype))

  # Read (equations 1 and 2) from the memory just written.
  read_weights = dense.content_weights(
      interface.queries, memory, interface.strengths).astype(dtype)
  read_words = jnp.einsum("hn,nw->hw", read_weights, memory)

  accessed = jax.lax.stop_gradient(write_weights + read_weights).sum(0)
  return DAMAccess(
      memory=memory, usage=discount * prev.usage + accessed,
      read_weights=read_weights, read_words=read_words,
      write_weights=write_weights)


def make_interface(hidden: jax.Array, num_heads: int, word_size: int,
                   biases: tuple[float, float, float]) -> SAMInterface:
  """What a linear layer makes of the controller's output, inside a module.

  Args:
    hidden: `[..., F]`.
    num_heads: H.
    word_size: W.
    biases: of key strengths, write gates and interpolation gates; fixed, beside
      the learned ones, as the forget bias of an LSTM.

  Returns:
    The interface, each leaf with the leading axes of `hidden`.
  """
  words = num_heads * word_size
  flat = hk.Linear(2 * words + 3 * num_heads, name="interface")(hidden)
  queries, additions, scalars = jnp.split(flat, [words, 2 * words], axis=-1)
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
      interpolation_gates=jax.nn.sigmoid(gamma))


class DAM(hk.RNNCore):
  r"""A recurrent network with a memory that it reads and writes everywhere.

  `SAM` without the sparsity: the dense model that it approximates. With
  :math:`w^R_{t-1}` the weights of the last read, over all rows, and
  :math:`I^U_t` the indicator of the least used row, a step

  .. math::

    w^W_t &= \alpha_t (\gamma_t w^R_{t-1} + (1 - \gamma_t) I^U_t) \\
    M_t &= (1 - I^U_t 1^T) \odot M_{t-1} + w^W_t a_t^T \\
    r_t &= w^R_t M_t \\
    U_t &= \lambda U_{t-1} + w^W_t + w^R_t

  first writes and then reads: :math:`w^R_t` is a softmax of the similarities of
  all rows of :math:`M_t` to the query, and the least used row that of smallest
  :math:`U_{t-1}`. The output is a linear function of the controller's output
  and the words read.

  It costs O(H N W) a step, and a gradient keeps the memory of every step,
  and some times as much without `recompute`. No gradient flows through usage
  and the choice of rows.

  See Rae et al. 2016 (https://arxiv.org/abs/1610.09027), section 3.

  Notes:
    Where the paper leaves something open, here

    - similarity, gates and their biases are those of `SAM`;
    - each head has its own least used row, the H of smallest usage summed over
      heads, and erases it, at every step and whatever its gates say; rows of
      the same usage are taken in the order of their index;
    - the memory starts at zero, and no row has ever been accessed. A row of
      zeros has similarity 0 to anything and takes its share of a read, where
      SAM's search finds it last: in a large memory that is nearly empty, most
      of a read is of empty rows;
    - the discount is 0.99.
  """

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
      name: str | None = None,
  ):
    """Constructs a DAM.

    Args:
      hidden_size: units of the LSTM controller.
      num_slots: N, rows of the memory.
      word_size: W, numbers in a row.
      num_heads: H, read-and-write heads.
      output_size: size of the output; `hidden_size` if None.
      recompute: whether the backward pass computes the insides of a step again,
        instead of keeping them: less memory over time.
      discount: lambda: how much of a row's usage is left a step later.
      write_bias: added to the write gates before the sigmoid.
      interpolation_bias: added to the interpolation gates, likewise.
      strength_bias: added to the key strengths before the softplus.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, `num_heads` exceeds `num_slots`, or
        `discount` is not in [0, 1].
    """
    super().__init__(name=name)
    sizes = dict(hidden_size=hidden_size, num_slots=num_slots,
                 word_size=word_size, num_heads=num_heads)
    for size_name, size in sizes.items():
      if size < 1:
        raise ValueError(f"{size_name} must be at least 1, got {size}")
    if num_heads > num_slots:
      raise ValueError(f"num_heads must be at most num_slots={num_slots}, "
                       f"got {num_heads}")
    if not 0 <= discount <= 1:
      raise ValueError(f"discount must be in [0, 1], got {discount}")
    self.hidden_size = hidden_size
    self.num_slots = num_slots
    self.word_size = word_size
    self.num_heads = num_heads
    self.output_size = hidden_size if output_size is None else output_size
    self._biases = (strength_bias, write_bias, interpolation_bias)
    # A scan needs no guard against common subexpressions.
    step = functools.partial(access_step, discount=discount)
    self._step = jax.checkpoint(step, prevent_cse=False) if recompute else step
    self._controller = hk.LSTM(hidden_size, name="controller")

  def __call__(self, inputs: jax.Array,
               prev_state: DAMState) -> tuple[jax.Array, DAMState]:
    """One step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before it.

    Returns:
      The output `[B, output_size]` and the next state.
    """
    if inputs.ndim not in (1, 2):
      raise ValueError(f"DAM takes inputs [B, F] or [F], got {inputs.shape}")
    seen = jnp.concatenate(
        [inputs, _merge_heads(prev_state.access.read_words)], axis=-1)
    hidden, controller = self._controller(seen, prev_state.controller)
    step = self._step if inputs.ndim == 1 else jax.vmap(self._step)
    interface = make_interface(
        hidden, self.num_heads, self.word_size, self._biases)
    access = step(interface, prev_state.access)
    features = jnp.concatenate(
        [hidden, _merge_heads(access.read_words)], axis=-1)
    output = hk.Linear(self.output_size, name="output")(features)
    return output, DAMState(controller, access)

  def initial_state(self, batch_size: int | None) -> DAMState:
    """An empty memory, nothing read; leading axis B unless it is None."""
    access = initial_access(self.num_slots, self.word_size, self.num_heads)
    if batch_size is not None:
      access = jax.tree.map(
          lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), access)
    return DAMState(self._controller.initial_state(batch_size), access)


def _merge_heads(words: jax.Array) -> jax.Array:
  return words.reshape(*words.shape[:-2], -1)
