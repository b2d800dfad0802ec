"""One step of DNC's memory.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538, Methods.

Letters: N slots, W word size, R read heads, H write heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import allocation, content, linkage
from rmc_nalu_sam.memory.precision import at_least_float32


class DNCAccess(NamedTuple):
  """The memory of one batch element, and its last reads and writes.

  Attributes:
    memory: `[N, W]`, the words.
    usage: `[N]`, in [0, 1].
    read_weights: `[R, N]`, the weights of the last read of each slot.
    write_weights: `[H, N]`, the weights of the last write to each slot.
    read_words: `[R, W]`, the weighted sums of the words read.
    link: `[H, N, N]`; `link[h, i, j]` is the degree to which head h wrote slot
      i after slot j.
    precedence: `[H, N]`, the degree to which each slot was written last.

  Example:
    >>> model = rmc_nalu_sam.make_model("dnc", 3, num_slots=5)
    >>> access = model.initial_state({}, None).access
    >>> access.usage.tolist(), access.link.shape
    ([0.0, 0.0, 0.0, 0.0, 0.0], (1, 5, 5))
  """

  memory: jax.Array
  usage: jax.Array
  read_weights: jax.Array
  write_weights: jax.Array
  read_words: jax.Array
  link: jax.Array
  precedence: jax.Array


class DNCInterface(NamedTuple):
  """What the controller sends to the memory in one step.

  Attributes:
    read_keys: `[R, W]`, compared with the words to read.
    read_strengths: `[R]`, at least 0; sharpness of the lookup.
    write_keys: `[H, W]`, compared with the words to write to.
    write_strengths: `[H]`, at least 0; sharpness of the lookup.
    erase_vectors: `[H, W]`, in (0, 1).
    write_vectors: `[H, W]`, the words to write.
    free_gates: `[R]`, in (0, 1); how much to free the slots last read.
    allocation_gates: `[H]`, in (0, 1); writes to free slots (1) or by content
      (0).
    write_gates: `[H]`, in (0, 1); how much to write.
    read_modes: `[R, 2 H + 1]`, sums to 1; weights of reading backward along the
      links of each write head, forward along them, and by content.
    read_masks: `[R, W]`, in [0, 1], or None; the part of a word to compare.
    write_masks: `[H, W]`, in [0, 1], or None; the part of a word to compare.
    link_strengths: `[R, 2 H]`, at least 1, or None; sharpness of the backward
      and the forward weights.
  """

  read_keys: jax.Array
  read_strengths: jax.Array
  write_keys: jax.Array
  write_strengths: jax.Array
  erase_vectors: jax.Array
  write_vectors: jax.Array
  free_gates: jax.Array
  allocation_gates: jax.Array
  write_gates: jax.Array
  read_modes: jax.Array
  read_masks: jax.Array | None = None
  write_masks: jax.Array | None = None
  link_strengths: jax.Array | None = None


def initial_access(num_slots: int, word_size: int, num_read_heads: int,
                   num_write_heads: int) -> DNCAccess:
  """Returns an empty memory: nothing written, nothing read."""
  return DNCAccess(
      memory=jnp.zeros([num_slots, word_size]),
      usage=jnp.zeros([num_slots]),
      read_weights=jnp.zeros([num_read_heads, num_slots]),
      write_weights=jnp.zeros([num_write_heads, num_slots]),
      read_words=jnp.zeros([num_read_heads, word_size]),
      link=jnp.zeros([num_write_heads, num_slots, num_slots]),
      precedence=jnp.zeros([num_write_heads, num_slots]),
  )


def erase_and_write(memory: jax.Array, weights: jax.Array,
                    erase_vectors: jax.Array,
                    write_vectors: jax.Array) -> jax.Array:
  """Erases with all heads, then adds with all heads.

  Args:
    memory: `[N, W]`.
    weights: `[H, N]`, the weights of the write to each slot.
    erase_vectors: `[H, W]`, in [0, 1].
    write_vectors: `[H, W]`.

  Returns:
    `[N, W]`.
  """
  erased = weights[:, :, None] * erase_vectors[:, None, :]
  added = jnp.einsum("hn,hw->nw", weights, write_vectors)
  return memory * jnp.prod(1 - erased, axis=0) + added


def access_step(interface: DNCInterface, prev: DNCAccess, *,
                deallocate: bool = False) -> DNCAccess:
  """Runs one step of one memory: free, write, link, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    deallocate: whether to empty the slots that are freed.

  Returns:
    The access state after the step, of the same types.
  """
  retained = allocation.retention(interface.free_gates, prev.read_weights)
  usage = allocation.update_usage(prev.usage, prev.write_weights, retained)
  write_weights = _write_weights(interface, prev.memory, usage)
  memory = at_least_float32(prev.memory)
  if deallocate:
    memory *= retained[:, None]
  memory = erase_and_write(memory, write_weights, interface.erase_vectors,
                           interface.write_vectors)

  # The links already lead to the slots just written.
  link, backward, forward = linkage.link_and_follow(
      prev.link, prev.precedence, write_weights, prev.read_weights)
  precedence = linkage.update_precedence(prev.precedence, write_weights)
  read_weights = _read_weights(interface, memory, backward, forward)
  access = DNCAccess(
      memory=memory, usage=usage, read_weights=read_weights,
      write_weights=write_weights, read_words=read_weights @ memory, link=link,
      precedence=precedence)
  return jax.tree.map(lambda new, old: new.astype(old.dtype), access, prev)


def _write_weights(interface: DNCInterface, memory: jax.Array,
                   usage: jax.Array) -> jax.Array:
  """Returns the mix of free slots and similar words, `[H, N]`."""
  gates = interface.allocation_gates[:, None]
  free = allocation.allocation_weights(
      usage, interface.allocation_gates * interface.write_gates)
  similar = content.masked_content_weights(
      interface.write_keys, memory, interface.write_strengths,
      interface.write_masks)
  return interface.write_gates[:, None] * (
      gates * free + (1 - gates) * similar)


def _read_weights(interface: DNCInterface, memory: jax.Array,
                  backward: jax.Array, forward: jax.Array) -> jax.Array:
  """Returns the mix of linked slots and similar words, `[R, N]`."""
  directions = jnp.concatenate([backward, forward], axis=1)
  if interface.link_strengths is not None:
    directions = linkage.sharpen(directions, interface.link_strengths)
  similar = content.masked_content_weights(
      interface.read_keys, memory, interface.read_strengths,
      interface.read_masks)
  return interface.read_modes[:, -1:] * similar + jnp.einsum(
      "rd,rdn->rn", interface.read_modes[:, :-1], directions)
