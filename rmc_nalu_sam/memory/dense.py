"""Content addressing over all rows of a memory."""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory.search import EPSILON


def content_weights(queries: jax.Array, memory: jax.Array,
                    strengths: jax.Array) -> jax.Array:
  """Softmax over the N rows of each query's cosine similarity.

  "Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401,
  equations 5 and 6. Rows of zeros have similarity 0 to anything.

  Args:
    queries: `[H, W]`.
    memory: `[N, W]`.
    strengths: `[H]`, at least 0: the sharpness.

  Returns:
    `[H, N]`, at least float32, each row summing to 1.
  """
  memory = at_least_float32(memory)
  queries, strengths = (x.astype(memory.dtype) for x in (queries, strengths))
  # x * x and not jnp.square(x), whose derivative would keep 2 x of each step.
  row_norms = (memory * memory).sum(-1) + EPSILON
  query_norms = (queries * queries).sum(-1) + EPSILON
  # Scale the few queries rather than the many products.
  queries = queries * (strengths * jax.lax.rsqrt(query_norms))[:, None]
  products = jnp.einsum("hw,nw->hn", queries, memory)
  # Head by head: the derivative of a broadcast is a sum over heads, at which
  # XLA is slow on the CPU.
  inverse_norms = jax.lax.rsqrt(row_norms)
  similarity = jnp.stack([product * inverse_norms for product in products])
  return jax.nn.softmax(similarity)
