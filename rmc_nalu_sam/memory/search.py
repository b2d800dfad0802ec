"""Nearest rows by exact search: a linear scan, then top-k in two stages."""

import jax
import jax.numpy as jnp


def top_k_indices(scores: jax.Array, k: int, block_size: int = 64) -> jax.Array:
  """Indices of the k largest scores, as `jax.lax.top_k`, faster for large N.

  The k largest lie in the k blocks with the largest maxima, so `top_k` runs
  over N / block_size maxima and then over k * block_size candidates. The result
  is exactly that of one `jax.lax.top_k`, ties (lowest index first) included,
  since the chosen blocks are kept in the order of their position.

  Args:
    scores: `[..., N]`, without NaN; integers below 2^24 in size.
    k: how many, at most N.
    block_size: scores a block.

  Returns:
    `[..., k]` int32, by falling score.

  Raises:
    ValueError: k is not in [1, N].
  """
  num_scores = scores.shape[-1]
  if not 1 <= k <= num_scores:
    raise ValueError(f"need 1 <= k <= {num_scores} (the number of scores), "
                     f"got k={k}")
  if num_scores <= 2 * k * block_size:
    return _top_k(scores, k)
  blocks = _pad(scores, -num_scores % block_size)
  blocks = blocks.reshape(*scores.shape[:-1], -1, block_size)
  best_blocks = jnp.sort(_top_k(blocks.max(-1), k))
  candidates = jnp.take_along_axis(blocks, best_blocks[..., None], axis=-2)
  best = _top_k(candidates.reshape(*scores.shape[:-1], -1), k)
  block = jnp.take_along_axis(best_blocks, best // block_size, axis=-1)
  return block * block_size + best % block_size


def _top_k(scores, k):
  if jnp.issubdtype(scores.dtype, jnp.integer):
    # XLA has a fast top-k on the CPU for floating point alone.
    scores = scores.astype(jnp.float32)
  return jax.lax.top_k(scores, k)[1]


def _pad(scores, padding):
  if not padding:
    return scores
  lowest = (jnp.iinfo(scores.dtype).min
            if jnp.issubdtype(scores.dtype, jnp.integer) else -jnp.inf)
  return jnp.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(0, padding)],
                 constant_values=lowest)


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
  similarity = products * jax.lax.rsqrt(squared_norms + EPSILON)
  return top_k_indices(jnp.where(squared_norms > 0, similarity, -jnp.inf), k)


# Added to squared norms, so that a row of zeros has similarity 0 to anything
# and a finite gradient (the value of the DNC's public implementation).
EPSILON = 1e-6
