"""Content lookup of the DNC: over a whole memory, and through a mask.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538. The mask: "Improving Differentiable Neural Computers
Through Memory Masking, De-allocation, and Link Distribution Sharpness Control",
Csordas, Schmidhuber, 2019, arXiv 1904.10278.
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory.search import EPSILON


def content_weights(memory: jax.Array, keys: jax.Array, strengths: jax.Array,
                    masks: jax.Array | None = None) -> jax.Array:
  """Softmax over all rows of their cosine similarity to each key.

  Similarity is 0, with a finite gradient, at zero vectors.

  Args:
    memory: `[N, W]`.
    keys: `[H, W]`.
    strengths: `[H]`, at least 0: the sharpness.
    masks: `[H, W]` in [0, 1], multiplied onto the key and onto every row before
      they are compared; None compares all of both.

  Returns:
    `[H, N]`, at least float32, each row summing to 1.
  """
  memory, keys, strengths = map(at_least_float32, (memory, keys, strengths))
  # x * x, since the derivative of square(x) would keep 2 x of each step.
  squares = memory * memory
  if masks is None:
    row_norms = squares.sum(-1)
    key_norms = (keys * keys).sum(-1)
  else:
    # No masked copy of the memory for each head.
    squared_masks = jnp.square(at_least_float32(masks))
    row_norms = jnp.einsum("hw,nw->hn", squared_masks, squares)
    key_norms = (squared_masks * keys * keys).sum(-1)
    keys = squared_masks * keys
  products = jnp.einsum("hw,nw->hn", keys, memory)
  norms = jnp.sqrt(key_norms + EPSILON)[:, None] * jnp.sqrt(row_norms + EPSILON)
  return jax.nn.softmax(strengths[:, None] * products / (norms + EPSILON))
