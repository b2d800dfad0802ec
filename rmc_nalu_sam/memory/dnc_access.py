"""What DNC does with its memory in one step.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538, Methods.

Letters: N slots, W word size, R read heads, H write heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import allocation, linkage, lookup
from rmc_nalu_sam.memory.precision import at_least_float32


class DNCAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    usage: `[N]`, in [0, 1].
    read_weights: `[R, N]`, the rows last read.
    write_weights: `[H, N]`, the rows last written to.
    read_words: `[R, W]`, what was read.
    link: `[H, N, N]`; `link[h, i, j]` says that head h wrote i after j.
    precedence: `[H, N]`, the rows that were written last.
  """

  memory: jax.Array
  usage: jax.Array
  read_weights: jax.Array
  write_weights: jax.Array
  read_words: jax.Array
  link: jax.Array
  precedence: jax.Array


class DNCInterface(NamedTuple):
  """What the controller says to the memory in one step.

  Attributes:
    read_keys: `[R, W]`.
    read_strengths: `[R]`, at least 0: sharpness of the lookup.
    write_keys: `[H, W]`.
    write_strengths: `[H]`, likewise.
    erase_vectors: `[H, W]`, in (0, 1).
    write_vectors: `[H, W]`.
    free_gates: `[R]`, in (0, 1): whether the rows last read are free now.
    allocation_gates: `[H]`, in (0, 1): to free rows (1) or by content (0).
    write_gates: `[H]`, in (0, 1): how much to write.
    read_modes: `[R, 2 H + 1]`, summing to 1: backward along the links of each
      write head, forward along them, by content.
    read_masks: `[R, W]`, in [0, 1], or None: what of a word to compare.
    write_masks: `[H, W]`, likewise.
    link_strengths: `[R, 2 H]`, at least 1, or None: sharpness of the backward
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
  """An empty memory: nothing written, nothing read."""
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
  """Erases, by all heads, and then adds.

  Args:
    memory: `[N, W]`.
    weights: `[H, N]`, the rows to write to.
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
  """One step of one memory: free, write, link, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    deallocate: whether rows that are freed are also emptied.

  Returns:
    The access state after the step, of the same types.
  """
  retained = allocation.retention(interface.free_gates, prev.read_weights)
  usage = allocation.update_usage(prev.usage, prev.write_weights, retained)

  gates = interface.allocation_gates[:, None]
  free = allocation.allocation_weights(
      usage, interface.allocation_gates * interface.write_gates)
  similar = lookup.content_weights(
      prev.memory, interface.write_keys, interface.write_strengths,
      interface.write_masks)
  write_weights = interface.write_gates[:, None] * (
      gates * free + (1 - gates) * similar)
  memory = at_least_float32(prev.memory)
  if deallocate:
    memory *= retained[:, None]
  memory = erase_and_write(memory, write_weights, interface.erase_vectors,
                           interface.write_vectors)

  # The links already lead to the rows just written.
  link, backward, forward = linkage.link_and_follow(
      prev.link, prev.precedence, write_weights, prev.read_weights)
  precedence = linkage.update_precedence(prev.precedence, write_weights)

  directions = jnp.concatenate([backward, forward], axis=1)
  if interface.link_strengths is not None:
    directions = linkage.sharpen(directions, interface.link_strengths)
  similar = lookup.content_weights(
      memory, interface.read_keys, interface.read_strengths,
      interface.read_masks)
  read_weights = interface.read_modes[:, -1:] * similar + jnp.einsum(
      "rd,rdn->rn", interface.read_modes[:, :-1], directions)
  access = DNCAccess(
      memory=memory, usage=usage, read_weights=read_weights,
      write_weights=write_weights, read_words=read_weights @ memory, link=link,
      precedence=precedence)
  return jax.tree.map(lambda new, old: new.astype(old.dtype), access, prev)
