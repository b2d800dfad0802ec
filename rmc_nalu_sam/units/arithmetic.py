"""The arithmetic of the units as pure functions.

Logarithms, exponentials and products are computed in float32 or more. Matrix
products use the highest precision: the default precision of an accelerator has
an error of 1e-3, and an experiment counts as solved below an error of 1e-5.

Letters: I inputs, O outputs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align


def delicate(x: jax.Array) -> jax.Array:
  """Casts to float32, unless the dtype is as precise already."""
  return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def limit(dtype: jnp.dtype) -> float:
  """Returns the largest magnitude of a product: 2e17 in float32.

  It is large enough for arithmetic, and small enough for a finite gradient of
  the squared error. An infinite product behind a closed gate would give NaN.
  """
  return float(np.exp(.45 * np.log(jnp.finfo(dtype).max)))


def cut_gradients(tree: Any) -> Any:
  """Returns arrays as they are, and cuts their gradients to finite numbers.

  A recurrence multiplies gradients at every step, and after many steps they
  overflow. They are cut at the square root of the largest number, 2e19 in
  float32: an optimiser cannot use a gradient whose square is infinite. (In
  float16 they are cut at the largest number.) A difference of two infinite
  numbers becomes 0.

  The forward pass does nothing, and forward differentiation is exact.
  """
  def cut(_, gradient):
    largest = float(jnp.finfo(gradient.dtype).max)
    bound = min(largest, max(largest ** .5, 2. ** 63))
    return jnp.where(jnp.isnan(gradient), 0, jnp.clip(gradient, -bound, bound))

  # The solution of a linear equation has a transpose of our own, as a custom
  # VJP has, but can also be differentiated forwards.
  return jax.tree.map(
      lambda x: jax.lax.custom_linear_solve(
          lambda y: y, x, lambda _, y: y, cut), tree)


def clip(x: jax.Array, low: float, high: float) -> jax.Array:
  """Clips `x` to the closed interval from `low` to `high`.

  The gradient at the ends, where clipped weights lie, is 1. JAX's own clipping
  functions have 1/2 or 0 there.
  """
  return jnp.where((x >= low) & (x <= high), x,
                   jax.lax.stop_gradient(jnp.clip(x, low, high)))


def add(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """Computes weighted sums.

  Args:
    inputs: `[..., I]`.
    weights: `[I, O]`.

  Returns:
    `[..., O]`, of the dtype of the inputs.
  """
  return jnp.matmul(inputs, weights.astype(inputs.dtype),
                    precision=jax.lax.Precision.HIGHEST)


def exponentiate(exponents: jax.Array) -> jax.Array:
  """Computes `exp`, cut at `limit`."""
  bound = float(np.log(limit(exponents.dtype)))
  return jnp.exp(jnp.minimum(exponents, bound))


def multiply_in_log_space(magnitudes: jax.Array,
                          weights: jax.Array) -> jax.Array:
  """Computes products of powers, `prod_i magnitudes_i ** weights_io`.

  Args:
    magnitudes: `[..., I]`, positive.
    weights: `[I, O]`, the exponents.

  Returns:
    `[..., O]`, in float32 or more.
  """
  logs = jnp.log(delicate(magnitudes))
  return exponentiate(add(logs, weights))


def multiply(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """Computes the products of the inputs that have a weight of 1.

  The formula `prod_i (weights_io inputs_i + 1 - weights_io)` has no logarithm,
  so it keeps the signs and allows inputs of 0.

  Args:
    inputs: `[..., I]`.
    weights: `[I, O]`, in [0, 1].

  Returns:
    `[..., O]`, in float32 or more.
  """
  inputs = delicate(inputs)
  weights = weights.astype(inputs.dtype)
  inputs = inputs[..., None]
  weights = align(weights, inputs)
  return product(inputs * weights + 1 - weights)


def product(factors: jax.Array) -> jax.Array:
  """Multiplies `[..., I, O]` over I to `[..., O]`.

  Factors are multiplied in pairs, without a division, so the gradients are
  right where factors are 0. Factors and all intermediate results are cut at
  `limit`, so none is infinite.
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
  """Returns `tanh(w_hat) sigmoid(m_hat)`, a NAC's weights, in float32."""
  return jnp.tanh(delicate(w_hat)) * jax.nn.sigmoid(delicate(m_hat))
