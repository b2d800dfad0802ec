"""Content-based addressing: cosine similarities and their softmax.

All functions take `(queries, words, strengths)` in this order, add `EPSILON` to
squared norms, and compute in at least float32.

There are three formulas for the weights, because the results of the cores must
not change in the last bit:

- `sparse_content_weights` (SAM, SDNC): each head has K words of its own.
- `content_weights` (DAM, NTM): all heads share N words. It scales the few
  queries instead of the many products, which is faster.
- `masked_content_weights` (DNC): adds `EPSILON` to the product of the norms,
  too, as DNC's public implementation does, and accepts masks.

Letters: N slots, W word size, H heads, K words per head.
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.memory.precision import at_least_float32

# Added to squared norms. A word of zeros then has similarity 0 to everything,
# and a finite gradient (the value of DNC's public implementation).
EPSILON = 1e-6


def cosine_similarity(queries: jax.Array, words: jax.Array) -> jax.Array:
  """Returns cosine similarities; 0, with a finite gradient, at zero vectors.

  Computes in float32, or in float64 if the words are float64.

  Args:
    queries: `[..., W]`.
    words: `[..., K, W]`.

  Returns:
    `[..., K]`, at least float32.
  """
  words = at_least_float32(words)
  queries = queries.astype(words.dtype)
  products = jnp.einsum("...w,...kw->...k", queries, words)
  query_norms = jnp.square(queries).sum(-1, keepdims=True) + EPSILON
  word_norms = jnp.square(words).sum(-1) + EPSILON
  return products * jax.lax.rsqrt(query_norms * word_norms)


def sparse_content_weights(queries: jax.Array, words: jax.Array,
                           strengths: jax.Array) -> jax.Array:
  """Returns a softmax over the K words of each query.

  "Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae
  et al., 2016, arXiv 1610.09027, equation 2, over K words instead of N.

  Args:
    queries: `[H, W]`.
    words: `[H, K, W]`.
    strengths: `[H]`, at least 0; sharpness of the softmax.

  Returns:
    `[H, K]`, at least float32; each row sums to 1.
  """
  similarity = cosine_similarity(queries, words)
  strengths = strengths.astype(similarity.dtype)
  return jax.nn.softmax(similarity * strengths[:, None])


def content_weights(queries: jax.Array, words: jax.Array,
                    strengths: jax.Array) -> jax.Array:
  """Returns a softmax over the N words of a memory, for each query.

  "Neural Turing Machines", Graves, Wayne, Danihelka, 2014, arXiv 1410.5401,
  equations 5 and 6. A word of zeros has similarity 0 to every query.

  Args:
    queries: `[H, W]`.
    words: `[N, W]`.
    strengths: `[H]`, at least 0; sharpness of the softmax.

  Returns:
    `[H, N]`, at least float32; each row sums to 1.
  """
  words = at_least_float32(words)
  queries, strengths = (x.astype(words.dtype) for x in (queries, strengths))
  # x * x instead of jnp.square(x): the derivative of the latter would keep 2 x
  # of each step.
  word_norms = (words * words).sum(-1) + EPSILON
  query_norms = (queries * queries).sum(-1) + EPSILON
  # Scale the few queries instead of the many products.
  queries = queries * (strengths * jax.lax.rsqrt(query_norms))[:, None]
  products = jnp.einsum("hw,nw->hn", queries, words)
  # Head by head: the derivative of a broadcast is a sum over heads, which XLA
  # computes slowly on the CPU.
  inverse_norms = jax.lax.rsqrt(word_norms)
  similarity = jnp.stack([product * inverse_norms for product in products])
  return jax.nn.softmax(similarity)


def masked_content_weights(queries: jax.Array, words: jax.Array,
                           strengths: jax.Array,
                           masks: jax.Array | None = None) -> jax.Array:
  """Returns a softmax over the N words of a memory, through optional masks.

  "Hybrid computing using a neural network with dynamic external memory", Graves
  et al., 2016, Nature 538. The masks: "Improving Differentiable Neural
  Computers Through Memory Masking, De-allocation, and Link Distribution
  Sharpness Control", Csordas, Schmidhuber, 2019, arXiv 1904.10278. Similarity
  is 0, with a finite gradient, at zero vectors.

  Args:
    queries: `[H, W]`.
    words: `[N, W]`.
    strengths: `[H]`, at least 0; sharpness of the softmax.
    masks: `[H, W]` in [0, 1]. Each head multiplies its query and all words by
      its mask before it compares them. None compares them whole.

  Returns:
    `[H, N]`, at least float32; each row sums to 1.
  """
  queries, words, strengths = map(
      at_least_float32, (queries, words, strengths))
  # x * x instead of jnp.square(x): the derivative of the latter would keep 2 x
  # of each step.
  squares = words * words
  if masks is None:
    word_norms = squares.sum(-1)
    query_norms = (queries * queries).sum(-1)
  else:
    # Without a masked copy of the memory for each head.
    squared_masks = jnp.square(at_least_float32(masks))
    word_norms = jnp.einsum("hw,nw->hn", squared_masks, squares)
    query_norms = (squared_masks * queries * queries).sum(-1)
    queries = squared_masks * queries
  products = jnp.einsum("hw,nw->hn", queries, words)
  norms = (jnp.sqrt(query_norms + EPSILON)[:, None]
           * align(jnp.sqrt(word_norms + EPSILON), products))
  return jax.nn.softmax(strengths[:, None] * products / (norms + EPSILON))
