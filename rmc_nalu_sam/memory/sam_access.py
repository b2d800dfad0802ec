"""What SAM does with its memory: equations 4 and 5, and usage.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027.

Letters: N slots, W word size, H heads, K rows a head reads.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from rmc_nalu_sam.memory import (
    addressing,
    history,
    rows,
    search,
    sparse_links,
)
from rmc_nalu_sam.memory import usage as usage_lib

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


def steps_left(access: SAMAccess) -> int:
  """How many steps may follow before the memory has to be made anew.

  To forget does not start the count again: that would clear all rows.

  Args:
    access: of a memory with a history, of any batch shape; not traced.
  """
  assert access.history is not None
  num_heads, writes = access.write_indices.shape[-2:]
  # On the host: an operation on an array of several devices communicates.
  numbered = int(np.max(np.asarray(access.history.num_versions)))
  return (history.MAX_VERSIONS - numbered) // (num_heads * writes)


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
