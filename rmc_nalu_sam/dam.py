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

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import dense
from rmc_nalu_sam.memory.sam_access import SAMInterface
from rmc_nalu_sam.memory.search import top_k_indices
from rmc_nalu_sam.memory_core import MemoryCore
from rmc_nalu_sam.sam import make_interface


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


class DAM(MemoryCore):
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
    check_positive(hidden_size=hidden_size, num_slots=num_slots,
                   word_size=word_size, num_heads=num_heads)
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

  def _initial_access(self):
    return initial_access(self.num_slots, self.word_size, self.num_heads)

  @hk.transparent
  def _tell(self, hidden):
    return make_interface(self._interface, hidden, self.num_heads,
                          self.word_size, self._biases)
