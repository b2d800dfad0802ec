"""The arithmetic of the units as pure functions.

Logarithms, exponentials and products are computed in float32 at least, and
matrix products at the highest precision that there is: on an accelerator the
default one has an error of 1e-3, and a success is an error of 1e-5.

Letters: I inputs, O outputs.
"""

import jax
import jax.numpy as jnp
import numpy as np


def delicate(x: jax.Array) -> jax.Array:
  """In float32 at least."""
  return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def limit(dtype: jnp.dtype) -> float:
  """What products are cut at: 2e17 in float32.

  Large enough for arithmetic, and small enough that the gradient of a squared
  error is still a finite number; an infinite product behind a closed gate would
  be NaN.
  """
  return float(np.exp(.45 * np.log(jnp.finfo(dtype).max)))


def clip(x: jax.Array, low: float, high: float) -> jax.Array:
  """`x` inside of an interval that includes its ends.

  At the ends, where clipped weights come to lie, the gradient is 1: JAX's own
  are 1/2 and 0.
  """
  return jnp.where((x >= low) & (x <= high), x,
                   jax.lax.stop_gradient(jnp.clip(x, low, high)))


def add(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """Weighted sums.

  Args:
    inputs: `[..., I]`.
    weights: `[I, O]`.

  Returns:
    `[..., O]`, of the type of the inputs.
  """
  return jnp.matmul(inputs, weights.astype(inputs.dtype),
                    precision=jax.lax.Precision.HIGHEST)


def exponentiate(exponents: jax.Array) -> jax.Array:
  """`exp`, cut at `limit`; below it, nothing changes."""
  bound = float(np.log(limit(exponents.dtype)))
  return jnp.exp(jnp.minimum(exponents, bound))


def multiply_in_log_space(magnitudes: jax.Array,
                          weights: jax.Array) -> jax.Array:
  """Products of powers, `prod_i magnitudes_i ** weights_io`.

  Args:
    magnitudes: `[..., I]`, positive.
    weights: `[I, O]`, the exponents.

  Returns:
    `[..., O]`, in float32 at least.
  """
  logs = jnp.log(delicate(magnitudes))
  return exponentiate(add(logs, weights))


def multiply(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """Products of those inputs that have a weight of 1.

  `prod_i (weights_io inputs_i + 1 - weights_io)`: no logarithm, so the sign
  stays, and 0 is a number like any other.

  Args:
    inputs: `[..., I]`.
    weights: `[I, O]`, in [0, 1].

  Returns:
    `[..., O]`, in float32 at least.
  """
  inputs = delicate(inputs)
  weights = weights.astype(inputs.dtype)
  return product(inputs[..., None] * weights + 1 - weights)


def product(factors: jax.Array) -> jax.Array:
  """`[..., I, O]` to `[..., O]`, cut at `limit` everywhere.

  In pairs, without a division: gradients are right where factors are 0, and no
  intermediate result is infinite.
  """
  bound = limit(factors.dtype)
  factors = jnp.clip(factors, -bound, bound)
  while factors.shape[-2] > 1:
    half = factors.shape[-2] // 2
    pairs = factors[..., :half, :] * factors[..., half:2 * half, :]
    factors = jnp.concatenate(
        [jnp.clip(pairs, -bound, bound), factors[..., 2 * half:, :]], axis=-2)
  return factors[..., 0, :]


def squash(w_hat: jax.Array, m_hat: jax.Array) -> jax.Array:
  """Weights of a NAC, `tanh(w_hat) sigmoid(m_hat)`, in float32 at least."""
  return jnp.tanh(delicate(w_hat)) * jax.nn.sigmoid(delicate(m_hat))
