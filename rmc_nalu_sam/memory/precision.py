"""The type that delicate sums, norms and exponentials are computed in."""

import jax
import jax.numpy as jnp


def wide_dtype(x: jax.Array) -> jnp.dtype:
  """Float64 if that is what `x` is, else float32."""
  return jnp.dtype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)


def at_least_float32(x: jax.Array) -> jax.Array:
  """Casts what is smaller than float32 to it."""
  return x.astype(wide_dtype(x))
