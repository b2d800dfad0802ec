"""The floating-point type for sums, norms and exponentials."""

import jax
import jax.numpy as jnp


def wide_dtype(x: jax.Array) -> jnp.dtype:
  """Returns float64 if `x` is float64, else float32."""
  return jnp.dtype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)


def at_least_float32(x: jax.Array) -> jax.Array:
  """Casts `x` to float32, unless it is float64."""
  return x.astype(wide_dtype(x))
