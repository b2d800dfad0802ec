"""The encoder of inputs that are vectors already."""

import jax


class Identity:
  """Passes the inputs on as they are.

  Example:
    >>> from rmc_nalu_sam.encoders import Identity
    >>> Identity()(jnp.arange(3))
    Array([0, 1, 2], dtype=int32)
  """

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Returns `inputs`."""
    return inputs
