"""One step of DAM's memory: equations 1, 2 and 5, and the discounted usage.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027, section 3.

Letters: N slots, W word size, H heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.memory.access.sam_interface import SAMInterface
from rmc_nalu_sam.memory.content import content_weights
from rmc_nalu_sam.memory.index.search import top_k_indices


class DAMAccess(NamedTuple):
  """The memory of one batch element, and its last reads and writes.

  Attributes:
    memory: `[N, W]`, the words.
    usage: `[N]`, the discounted sum of the weights of a slot's accesses.
    read_weights: `[H, N]`, the weights of the last read of each slot.
    read_words: `[H, W]`, the weighted sums of the words read.
    write_weights: `[H, N]`, the weights of the last write to each slot.

  Example:
    >>> model = rmc_nalu_sam.make_model("dam", 3, num_slots=5, num_heads=2)
    >>> access = model.initial_state({}, None).access
    >>> access.usage.tolist(), access.write_weights.shape
    ([0.0, 0.0, 0.0, 0.0, 0.0], (2, 5))
  """

  memory: jax.Array
  usage: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_weights: jax.Array


def initial_access(num_slots: int, word_size: int,
                   num_heads: int) -> DAMAccess:
  """Returns an empty memory: all words zero, no slot ever accessed."""
  return DAMAccess(
      memory=jnp.zeros([num_slots, word_size], narrow.memory_dtype()),
      usage=jnp.zeros([num_slots]),
      read_weights=jnp.zeros([num_heads, num_slots]),
      read_words=jnp.zeros([num_heads, word_size]),
      write_weights=jnp.zeros([num_heads, num_slots]))


def access_step(interface: SAMInterface, prev: DAMAccess, *,
                discount: float) -> DAMAccess:
  """Runs one step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    discount: lambda, the factor of the usage in each step.

  Returns:
    The access state after the step.
  """
  memory, write_weights = _write(interface, prev)
  # Read (equations 1 and 2) from the memory just written.
  read_weights = content_weights(
      interface.queries, memory, interface.strengths).astype(
          prev.read_weights.dtype)
  read_words = narrow.einsum_in(
      memory.dtype, "hn,nw->hw", read_weights, memory)
  accessed = jax.lax.stop_gradient(write_weights + read_weights).sum(0)
  return DAMAccess(
      memory=memory, usage=discount * prev.usage + accessed,
      read_weights=read_weights, read_words=read_words,
      write_weights=write_weights)


def _write(interface: SAMInterface,
           prev: DAMAccess) -> tuple[jax.Array, jax.Array]:
  """Computes equation 5: w^W = alpha (gamma w^R + (1 - gamma) I^U).

  What is written is A = w^W a^T.
  """
  memory, dtype = prev.memory, prev.write_weights.dtype
  num_heads, num_slots = prev.read_weights.shape
  unused = top_k_indices(
      jax.lax.stop_gradient(prev.usage), num_heads, smallest=True)
  indicators = unused[:, None] == jnp.arange(
      num_slots, dtype=unused.dtype)[None]
  alpha = interface.write_gates[:, None].astype(dtype)
  gamma = interface.interpolation_gates[:, None].astype(dtype)
  weights = alpha * (
      gamma * prev.read_weights + (1 - gamma) * indicators.astype(dtype))
  kept = jnp.where(indicators.any(0)[:, None], 0, memory)
  added = narrow.einsum_in(memory.dtype, "hn,hw->nw", weights,
                           interface.additions.astype(dtype))
  return kept + added.astype(memory.dtype), weights
