"""Parameters of linear layers, for cores that compute with them themselves."""

from typing import Any

import haiku as hk
import jax.numpy as jnp

from rmc_nalu_sam.relational.layers import Affine


class AffineParameters(hk.Module):
  """Returns the parameters of an `hk.Linear`."""

  def __init__(self, output_size: int, name: str, input_size: int = 0):
    """Constructs the module.

    Args:
      output_size: O.
      name: name of the module.
      input_size: F; if 0, it is given with each call.
    """
    super().__init__(name=name)
    self._output_size, self._input_size = output_size, input_size

  def __call__(self, dtype: Any, input_size: int = 0) -> Affine:
    """Returns weights `[F, O]` and biases `[O]`."""
    size = input_size or self._input_size
    return Affine(
        hk.get_parameter("w", [size, self._output_size], dtype,
                         init=hk.initializers.TruncatedNormal(size**-.5)),
        hk.get_parameter("b", [self._output_size], dtype, init=jnp.zeros))
