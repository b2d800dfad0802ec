"""Types and ranks of arrays, for code that leaves nothing to JAX's promotion.

So a user may set `jax_numpy_rank_promotion="raise"` and
`jax_numpy_dtype_promotion="strict"`.
"""

import jax
import jax.numpy as jnp


def align(x: jax.Array, like: jax.Array) -> jax.Array:
  """Adds axes of size 1 in front of `x`, until it has as many as `like`."""
  return jnp.expand_dims(x, tuple(range(like.ndim - x.ndim)))
