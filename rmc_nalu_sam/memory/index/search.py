"""The protocol of an index, and exact search.

An index finds the words of a memory that are most similar to a query. Exact
search is a linear scan, followed by a top-k in two stages.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.memory.content import EPSILON

# Maps rows, or a slice of all rows, to whether their slots were written: bool,
# broadcastable to the rows. See `Store.is_written`.
IsWritten = Callable[[jax.Array | slice], jax.Array]


class Index(Protocol):
  """Finds words in a memory; without gradient, on one memory, no batch.

  Attributes:
    is_exact: whether the index always finds the k most similar words.
  """

  is_exact: ClassVar[bool]

  def initial_state(self) -> Any:
    """Returns the state for a memory of zeros: a tree of arrays."""

  def update(self, state: Any, rows: jax.Array,
             words: jax.Array) -> Any:
    """Records words that were written.

    Args:
      state: of the index.
      rows: `[J]` int32; may repeat.
      words: `[J, W]`, the words of these slots after the write.

    Returns:
      The new state.
    """

  def find(self, state: Any, memory: jax.Array, is_written: IsWritten,
           queries: jax.Array, k: int,
           recent: jax.Array) -> tuple[jax.Array, Any]:
    """Finds the k words most similar to each query.

    Args:
      state: of the index.
      memory: `[N, W]`.
      is_written: whether slots were written; others count as empty.
      queries: `[H, W]`.
      k: how many, at most N.
      recent: `[J]` int32, rows just written; may repeat.

    Returns:
      The rows, `[H, k]` int32, all different for one query, and the new state.
    """

  def forget(self, state: Any) -> Any:
    """Returns the state after all slots became empty, of any batch shape.

    The state may keep old entries, as `find` gets `is_written`.
    """


def top_k_indices(scores: jax.Array, k: int, block_size: int = 64,
                  smallest: bool = False) -> jax.Array:
  """Returns the indices of the k largest scores; for large N, faster than XLA.

  The k largest lie in the k blocks with the largest maxima, so `top_k` runs
  over N / block_size maxima and then over k * block_size candidates. The result
  equals that of one `jax.lax.top_k`, ties (lowest index first) included,
  because the chosen blocks keep their order.

  Args:
    scores: `[..., N]`, without NaN; integers below 2^24 in size.
    k: how many, at most N.
    block_size: scores per block.
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
  starts = best_blocks[..., None] * block_size
  candidates = starts + align(
      jnp.arange(block_size, dtype=starts.dtype), starts)
  candidates = candidates.reshape(*scores.shape[:-1], -1)
  # From the scores and not from blocks of them, which XLA would write out.
  found = jnp.take_along_axis(
      scores, jnp.minimum(candidates, num_scores - 1), axis=-1)
  found = jnp.where(candidates < num_scores, found, last)
  return jnp.take_along_axis(candidates, _top_k(found, k, smallest), axis=-1)


def _block_best(scores, block_size, smallest):
  """Returns the maximum, or minimum, of each block; the last may be short."""
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
  """Returns a score that comes after all others."""
  if jnp.issubdtype(dtype, jnp.integer):
    limits = jnp.iinfo(dtype)
    return np.array(limits.max if smallest else limits.min, dtype)
  return np.array(np.inf if smallest else -np.inf, dtype)


def _top_k(scores, k, smallest):
  if jnp.issubdtype(scores.dtype, jnp.integer):
    # XLA's fast top-k on the CPU takes floating point only.
    scores = scores.astype(jnp.float32)
  return jax.lax.top_k(-scores if smallest else scores, k)[1]


@dataclasses.dataclass(frozen=True)
class ExactIndex:
  """Finds the words of largest cosine similarity by a linear scan, O(N W).

  Empty slots come last. With their similarity of 0, they would come before
  every word of negative similarity. A head whose query starts out that way
  would then read nothing but empty slots, and never learn otherwise.

  The state holds the squared norms of the words, `[N]`. See `Index` for the
  methods.

  Attributes:
    num_slots: N.
    word_size: W.

  Example:
    >>> words = jnp.array([[1., 0.], [0., 1.], [1., 1.]])
    >>> index = rmc_nalu_sam.INDICES.get("exact")(3, 2)
    >>> state = index.update(index.initial_state(), jnp.arange(3), words)
    >>> rows, state = index.find(
    ...     state, words, lambda rows: jnp.ones(3, bool)[rows],
    ...     jnp.array([[3., 1.]]), k=2, recent=jnp.zeros(0, jnp.int32))
    >>> rows.tolist()  # Of the words most similar to [3, 1].
    [[0, 2]]
  """

  num_slots: int
  word_size: int

  is_exact: ClassVar[bool] = True

  def initial_state(self) -> jax.Array:
    return jnp.zeros([self.num_slots])

  def update(self, state: jax.Array, rows: jax.Array,
             words: jax.Array) -> jax.Array:
    squared_norms = jnp.square(words.astype(jnp.float32)).sum(-1)
    return state.at[rows].set(squared_norms.astype(state.dtype))

  def find(self, state: jax.Array, memory: jax.Array, is_written: IsWritten,
           queries: jax.Array, k: int,
           recent: jax.Array) -> tuple[jax.Array, jax.Array]:
    del recent
    # The query's norm would not change the order.
    products = jnp.einsum("hw,nw->hn", queries, memory,
                          preferred_element_type=jnp.float32)
    squared_norms = state.astype(jnp.float32)
    similarity = products * jax.lax.rsqrt(squared_norms + EPSILON)[None]
    written = (squared_norms > 0) & is_written(slice(None))
    scores = jnp.where(written[None], similarity, -jnp.inf)
    return self.best(scores, k), state

  def best(self, scores: jax.Array, k: int) -> jax.Array:
    """Returns the rows of the k largest scores: `[H, N]` to `[H, k]`."""
    return top_k_indices(scores, k)

  def forget(self, state: jax.Array) -> jax.Array:
    return state


@dataclasses.dataclass(frozen=True)
class ApproximateIndex(ExactIndex):
  """Finds similar words by a linear scan that is faster on a TPU.

  Uses `jax.lax.approx_max_k`. On other devices it is exact, and slower than
  `ExactIndex`.

  Attributes:
    num_slots: N.
    word_size: W.
    recall_target: expected fraction of the k best words found on a TPU.

  Example:
    >>> index = rmc_nalu_sam.INDICES.get("approx")(4096, 32, recall_target=.9)
    >>> index.is_exact, index.initial_state().shape
    (False, (4096,))
  """

  recall_target: float = 0.95

  is_exact: ClassVar[bool] = False

  def __post_init__(self):
    if not 0 < self.recall_target <= 1:
      raise ValueError("recall_target must be above 0 and at most 1, got "
                       f"{self.recall_target}")

  def best(self, scores: jax.Array, k: int) -> jax.Array:
    return jax.lax.approx_max_k(
        scores, k, recall_target=self.recall_target)[1]
