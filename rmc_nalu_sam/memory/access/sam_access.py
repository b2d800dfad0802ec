"""One step of SAM's and SDNC's memory: equations 4 and 5, and usage.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027.

Letters: N slots, W word size, H heads, K words a head reads.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.memory import content, sparse_links
from rmc_nalu_sam.memory import usage as usage_lib
from rmc_nalu_sam.memory.access.sam_interface import SAMInterface
from rmc_nalu_sam.memory.cotangent_store import CotangentStore
from rmc_nalu_sam.memory.index import search
from rmc_nalu_sam.memory.store import Store, kept
from rmc_nalu_sam.memory.tape_store import TapeStore


class SAMAccess(NamedTuple):
  """The memory of one batch element, and its last reads and writes.

  Attributes:
    store: holds the words.
    index: state of the index.
    usage: the order in which slots were last accessed.
    read_rows: `[H, K]` int32, the slots last read.
    read_weights: `[H, K]`, the weights of these reads.
    read_words: `[H, W]`, the weighted sums of the words read.
    write_rows: `[H, K + 1]` int32, the slots last written to. The last column
      holds the least recently accessed slots, which were erased first.
    write_weights: `[H, K + 1]`, the weights of these writes.
    links: the order in which each head wrote the slots, with a leading H axis;
      None without links (SAM).

  Example:
    >>> model = rmc_nalu_sam.make_model("sam", 3, num_slots=5, top_k=2)
    >>> access = model.initial_state({}, None).access
    >>> access.memory.shape, access.read_rows.shape  # 4 heads read 2 slots.
    ((5, 32), (4, 2))
  """

  store: Store
  index: Any
  usage: usage_lib.Usage
  read_rows: jax.Array
  read_weights: jax.Array
  read_words: jax.Array
  write_rows: jax.Array
  write_weights: jax.Array
  links: sparse_links.SparseLinks | None = None

  @property
  def memory(self) -> jax.Array:
    """The words, `[N, W]`."""
    return self.store.memory


def initial_access(num_slots: int, word_size: int, num_heads: int, top_k: int,
                   index: search.Index, gradient_steps: int | None = None,
                   num_links: int | None = None) -> SAMAccess:
  """Returns an empty memory: all words zero, no slot ever accessed.

  Args:
    num_slots: N.
    word_size: W.
    num_heads: H.
    top_k: K.
    index: finds the words to read.
    gradient_steps: length of the tape of a `TapeStore`, in steps; None for a
      `CotangentStore`.
    num_links: links per slot and direction; None for no links.
  """
  store: Store = (
      CotangentStore.empty(num_slots, word_size) if gradient_steps is None else
      TapeStore.empty(
          num_slots, word_size, num_heads * (top_k + 1), gradient_steps))
  links = None if num_links is None else jax.tree.map(
      lambda x: jnp.broadcast_to(x, (num_heads, *x.shape)),
      sparse_links.initial_links(num_slots, num_links))
  return SAMAccess(
      store=store,
      index=index.initial_state(),
      usage=usage_lib.initial_usage(num_slots),
      read_rows=jnp.zeros([num_heads, top_k], jnp.int32),
      read_weights=jnp.zeros([num_heads, top_k]),
      read_words=jnp.zeros([num_heads, word_size]),
      write_rows=jnp.zeros([num_heads, top_k + 1], jnp.int32),
      write_weights=jnp.zeros([num_heads, top_k + 1]),
      links=links)


def forget(access: SAMAccess, index: search.Index,
           gradient_steps: int) -> SAMAccess:
  """Returns an empty memory in the arrays of a used one, at O(1) in N.

  Slots that were never accessed since are taken in another order than those of
  a new memory. `cores.sam.SAM.forget` says where the results are the same.

  Args:
    access: of a memory with a `TapeStore`, of any batch shape.
    index: of the memory.
    gradient_steps: how many steps back gradients reach from now on.

  Raises:
    ValueError: the memory has no `TapeStore`.
  """
  reads = jax.tree.map(jnp.zeros_like, dict(
      read_rows=access.read_rows, read_weights=access.read_weights,
      read_words=access.read_words, write_rows=access.write_rows,
      write_weights=access.write_weights))
  links = access.links
  if links is not None:
    links = links._replace(
        precedence=jax.tree.map(jnp.zeros_like, links.precedence))
  return access._replace(
      store=access.store.forget(gradient_steps, _num_writes(access)),
      index=index.forget(access.index), links=links, **reads)


def steps_left(access: SAMAccess) -> int:
  """Returns the number of steps until the memory must be made anew.

  `forget` does not restart the count, since that would clear all slots.

  Args:
    access: of a memory with a `TapeStore`, of any batch shape; not traced.

  Raises:
    ValueError: the memory has no `TapeStore`.
  """
  return access.store.steps_left(_num_writes(access))


def _num_writes(access: SAMAccess) -> int:
  num_heads, writes = access.write_rows.shape[-2:]
  return num_heads * writes


def access_step(interface: SAMInterface, prev: SAMAccess, *, delta: float,
                index: search.Index) -> SAMAccess:
  """Runs one step of one memory: write, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    delta: accesses of this weight or less do not count as usage.
    index: finds the words to read.

  Returns:
    The access state after the step.
  """
  access = _write(interface, prev, index)
  access, found = _find(interface, access, index)
  read = _read_content if access.links is None else _read_content_and_links
  access = read(interface, access, found)
  return access._replace(usage=usage_lib.touch(
      access.usage,
      jnp.concatenate([access.read_rows, access.write_rows],
                      axis=1).reshape(-1),
      jnp.concatenate([access.read_weights, access.write_weights],
                      axis=1).reshape(-1),
      delta))


def _write(interface: SAMInterface, prev: SAMAccess,
           index: search.Index) -> SAMAccess:
  """Computes equation 5: w^W = alpha (gamma w^R + (1 - gamma) I^U).

  What is written is A = w^W a^T.
  """
  unused = kept(usage_lib.least_recently_accessed(
      prev.usage, prev.read_rows.shape[0]))
  gamma = interface.interpolation_gates[:, None]
  weights = interface.write_gates[:, None] * jnp.concatenate(
      [gamma * prev.read_weights, 1 - gamma], axis=1)
  weights = weights.astype(prev.write_weights.dtype)
  rows = jnp.concatenate([prev.read_rows, unused[:, None]], axis=1)
  written = rows.reshape(-1)
  words = weights[:, :, None] * interface.additions[:, None, :]
  words = words.reshape(written.shape[0], -1).astype(prev.memory.dtype)
  store, emptied = prev.store.write(unused, written, words)
  links = prev.links
  if links is not None:
    # These slots were empty before this write, so any links they still have are
    # left over from before `forget`. Drop them for all heads.
    links = jax.vmap(sparse_links.cut, (0, None))(links, emptied)
    links = jax.vmap(sparse_links.update)(links, rows, weights)
  values = jax.lax.stop_gradient(store.memory)[written]
  return prev._replace(
      store=store, links=links,
      index=index.update(prev.index, written, values),
      write_rows=rows, write_weights=weights)


def _find(interface: SAMInterface, access: SAMAccess,
          index: search.Index) -> tuple[SAMAccess, jax.Array]:
  """Returns the rows of the words most similar to each query, `[H, K]`."""
  rows, state = index.find(
      access.index, jax.lax.stop_gradient(access.memory),
      access.store.is_written, jax.lax.stop_gradient(interface.queries),
      access.read_rows.shape[1], access.write_rows.reshape(-1))
  return access._replace(index=state), kept(rows)


def _read_content(interface: SAMInterface, access: SAMAccess,
                  rows: jax.Array) -> SAMAccess:
  """Computes equation 4 from the memory just written."""
  words, store = access.store.read(rows)
  weights = _content_weights(interface, access, words)
  return access._replace(
      store=store, read_rows=rows, read_weights=weights,
      read_words=narrow.einsum("hk,hkw->hw", weights, words))


def _read_content_and_links(interface: SAMInterface, access: SAMAccess,
                            found: jax.Array) -> SAMAccess:
  """Computes equation 4, mixed with reads along the links (supplement D)."""
  assert access.links is not None and interface.read_modes is not None
  top_k = found.shape[1]
  last = sparse_links.SparseWeights(access.read_rows, access.read_weights)
  follow = jax.vmap(sparse_links.follow)
  back = follow(access.links.before, last)
  on = follow(access.links.after, last)
  rows = jnp.maximum(jnp.concatenate([back.rows, found, on.rows], axis=1), 0)
  words, store = access.store.read(rows)
  weights = _content_weights(interface, access, words[:, top_k:2 * top_k])
  modes = jnp.repeat(interface.read_modes, top_k, axis=1)
  weights = (modes * jnp.concatenate(
      [back.weights, weights, on.weights], axis=1)).astype(weights.dtype)
  # Only the K largest go on into the next write, and into the usage.
  kept = jax.vmap(sparse_links.merge, (0, None))(
      sparse_links.SparseWeights(rows, weights), top_k)
  return access._replace(
      store=store, read_rows=jnp.maximum(kept.rows, 0),
      read_weights=kept.weights,
      read_words=narrow.einsum("hk,hkw->hw", weights, words))


def _content_weights(interface: SAMInterface, access: SAMAccess,
                     words: jax.Array) -> jax.Array:
  """Returns weights `[H, K]` of the words `[H, K, W]`, of the state's type."""
  weights = content.sparse_content_weights(
      interface.queries, words, interface.strengths)
  return weights.astype(access.read_weights.dtype)
