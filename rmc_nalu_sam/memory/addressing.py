"""Content addressing over the rows that a search found."""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.search import EPSILON


def cosine_similarity(queries: jax.Array, rows: jax.Array) -> jax.Array:
  """Cosine similarity; 0, with a finite gradient, at zero vectors.

  Computed in float32, or in what was given if that is more.

  Args:
    queries: `[..., W]`.
    rows: `[..., K, W]`.

  Returns:
    `[..., K]`, at least float32.
  """
  dtype = jnp.float64 if rows.dtype == jnp.float64 else jnp.float32
  queries, rows = queries.astype(dtype), rows.astype(dtype)
  products = jnp.einsum("...w,...kw->...k", queries, rows)
  query_norms = jnp.square(queries).sum(-1, keepdims=True) + EPSILON
  row_norms = jnp.square(rows).sum(-1) + EPSILON
  return products * jax.lax.rsqrt(query_norms * row_norms)


def content_weights(queries: jax.Array, rows: jax.Array,
                    strengths: jax.Array) -> jax.Array:
  """Softmax over the K rows of each query's similarity (equation 2).

  Args:
    queries: `[H, W]`.
    rows: `[H, K, W]`.
    strengths: `[H]`, at least 0: the sharpness.

  Returns:
    `[H, K]`, at least float32, each row summing to 1.
  """
  similarity = cosine_similarity(queries, rows)
  strengths = strengths.astype(similarity.dtype)
  return jax.nn.softmax(similarity * strengths[:, None])
