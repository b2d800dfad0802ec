"""Nearest rows by exact search: a linear scan, then top-k in two stages."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

# Whether rows were written; all of them if it is None.
IsWritten = Callable[[jax.Array | slice], jax.Array] | None


class Index(Protocol):
  """Finds rows of a memory; without gradient, on one memory, no batch."""

  def initial_state(self) -> Any:
    """What the index knows of a memory of zeros: a tree of arrays."""

  def update(self, state: Any, indices: jax.Array, rows: jax.Array,
             fresh: jax.Array) -> Any:
    """Takes notice of rows that were written.

    Args:
      state: of the index.
      indices: `[J]` int32; may repeat.
      rows: `[J, W]`, as they are now.
      fresh: `[H]` int32, those of the rows that were erased first.

    Returns:
      The new state.
    """

  def find(self, state: Any, memory: jax.Array, is_written: IsWritten,
           queries: jax.Array, k: int, recent: jax.Array) -> jax.Array:
    """The k rows most similar to each query.

    Args:
      state: of the index.
      memory: `[N, W]`.
      is_written: says of rows whether they are not empty.
      queries: `[H, W]`.
      k: how many, at most N.
      recent: `[J]` int32, rows just written; may repeat.

    Returns:
      `[H, k]` int32, all different for one query.
    """


def top_k_indices(scores: jax.Array, k: int, block_size: int = 64,
                  smallest: bool = False) -> jax.Array:
  """Indices of the k largest scores, as `jax.lax.top_k`, faster for large N.

  The k largest lie in the k blocks with the largest maxima, so `top_k` runs
  over N / block_size maxima and then over k * block_size candidates. The result
  is exactly that of one `jax.lax.top_k`, ties (lowest index first) included,
  since the chosen blocks are kept in the order of their position.

  Args:
    scores: `[..., N]`, without NaN; integers below 2^24 in size.
    k: how many, at most N.
    block_size: scores a block.
    smallest: whether to find the k smallest instead.

  Returns:
    `[..., k]` int32, by falling score (rising, if the smallest).

  Raises:
    ValueError: k is not in [1, N].
  """
  num_scores = scores.shape[-1]
  if not 1 <= k <= num_scores:
    raise ValueError(f"need 1 <= k <= {num_scores} (the number of scores), "
                     f"got k={k}")
  if num_scores <= 2 * k * block_size:
    return _top_k(scores, k, smallest)
  last = _last(scores.dtype, smallest)
  best_blocks = jnp.sort(
      _top_k(_block_best(scores, block_size, smallest), k, smallest))
  candidates = best_blocks[..., None] * block_size + jnp.arange(
      block_size, dtype=best_blocks.dtype)
  candidates = candidates.reshape(*scores.shape[:-1], -1)
  # From the scores and not from blocks of them, which XLA would write out.
  found = jnp.take_along_axis(
      scores, jnp.minimum(candidates, num_scores - 1), axis=-1)
  found = jnp.where(candidates < num_scores, found, last)
  return jnp.take_along_axis(candidates, _top_k(found, k, smallest), axis=-1)


def _block_best(scores, block_size, smallest):
  """The maximum, or minimum, of each block; the last one may be short."""
  best = jnp.min if smallest else jnp.max
  if scores.shape[-1] % block_size == 0:
    return best(scores.reshape(*scores.shape[:-1], -1, block_size), axis=-1)
  window = (1,) * (scores.ndim - 1) + (block_size,)
  padding = [(0, 0)] * (scores.ndim - 1) + [(0, -scores.shape[-1] % block_size)]
  # XLA would write out a padded copy.
  return jax.lax.reduce_window(
      scores, _last(scores.dtype, smallest),
      jax.lax.min if smallest else jax.lax.max, window, window, padding)


def _last(dtype, smallest):
  """A score that comes after all others."""
  if jnp.issubdtype(dtype, jnp.integer):
    limits = jnp.iinfo(dtype)
    return np.array(limits.max if smallest else limits.min, dtype)
  return np.array(np.inf if smallest else -np.inf, dtype)


def _top_k(scores, k, smallest):
  if jnp.issubdtype(scores.dtype, jnp.integer):
    # XLA has a fast top-k on the CPU for floating point alone.
    scores = scores.astype(jnp.float32)
  return jax.lax.top_k(-scores if smallest else scores, k)[1]


@dataclasses.dataclass(frozen=True)
class ExactIndex:
  """The k rows of largest cosine similarity to each query, O(N W).

  Rows of zeros come last. With their similarity of 0 they would come before
  every row of negative similarity, and a head whose query happens to start out
  that way would read nothing but empty rows, and never learn otherwise.

  Its state are the squared norms of the rows, `[N]`.

  Attributes:
    num_slots: N.
    approximate: whether to search with `jax.lax.approx_max_k`: faster on a TPU
      (with a recall of 0.95), exact and slower elsewhere.
  """

  num_slots: int
  approximate: bool = False

  def initial_state(self) -> jax.Array:
    """Of a memory of zeros."""
    return jnp.zeros([self.num_slots])

  def update(self, state: jax.Array, indices: jax.Array, rows: jax.Array,
             fresh: jax.Array) -> jax.Array:
    """Takes notice of rows that were written; see `Index`."""
    del fresh
    squared_norms = jnp.square(rows.astype(jnp.float32)).sum(-1)
    return state.at[indices].set(squared_norms.astype(state.dtype))

  def find(self, state: jax.Array, memory: jax.Array, is_written: IsWritten,
           queries: jax.Array, k: int, recent: jax.Array) -> jax.Array:
    """Rows for each query; see `Index`."""
    del recent
    # The query's norm would not change the order.
    products = jnp.einsum("hw,nw->hn", queries, memory,
                          preferred_element_type=jnp.float32)
    squared_norms = state.astype(jnp.float32)
    similarity = products * jax.lax.rsqrt(squared_norms + EPSILON)
    written = squared_norms > 0
    if is_written is not None:
      written &= is_written(slice(None))
    scores = jnp.where(written, similarity, -jnp.inf)
    if self.approximate:
      return jax.lax.approx_max_k(scores, k)[1]
    return top_k_indices(scores, k)


def compare_with_exact(found: jax.Array, memory: jax.Array,
                       is_written: IsWritten, queries: jax.Array) -> jax.Array:
  """How many of the rows that exact search finds were found; empty ones aside.

  Args:
    found: `[H, K]` int32, rows, all different for one query.
    memory: `[N, W]`.
    is_written: see `Index.find`.
    queries: `[H, W]`.

  Returns:
    `[2]` int32: how many were found, and how many there were.
  """
  exact = ExactIndex(memory.shape[0])
  squared_norms = jnp.square(memory.astype(jnp.float32)).sum(-1)
  wanted = exact.find(squared_norms, memory, is_written, queries,
                      found.shape[1], found)
  exists = squared_norms[wanted] > 0
  if is_written is not None:
    exists &= is_written(wanted)
  hit = (wanted[:, :, None] == found[:, None, :]).any(-1)
  return jnp.stack([(hit & exists).sum(), exists.sum()]).astype(jnp.int32)


# Added to squared norms, so that a row of zeros has similarity 0 to anything
# and a finite gradient (the value of the DNC's public implementation).
EPSILON = 1e-6
