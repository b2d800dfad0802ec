"""Nearest rows by exact search: a linear scan, then top-k in two stages."""

import jax
import jax.numpy as jnp
import numpy as np


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


def exact_search(memory: jax.Array, squared_norms: jax.Array,
                 queries: jax.Array, k: int) -> jax.Array:
  """The k rows of largest cosine similarity to each query, O(N W).

  Rows of zeros come last. With their similarity of 0 they would come before
  every row of negative similarity, and a head whose query happens to start out
  that way would read nothing but empty rows, and never learn otherwise.

  Not differentiable: pass arrays through `jax.lax.stop_gradient` first.

  Args:
    memory: `[N, W]`.
    squared_norms: `[N]` float32, of its rows.
    queries: `[H, W]`.
    k: how many.

  Returns:
    `[H, k]` int32.
  """
  # The query's norm would not change the order.
  products = jnp.einsum("hw,nw->hn", queries, memory,
                        preferred_element_type=jnp.float32)
  squared_norms = squared_norms.astype(jnp.float32)
  similarity = products * jax.lax.rsqrt(squared_norms + EPSILON)
  return top_k_indices(jnp.where(squared_norms > 0, similarity, -jnp.inf), k)


# Added to squared norms, so that a row of zeros has similarity 0 to anything
# and a finite gradient (the value of the DNC's public implementation).
EPSILON = 1e-6
