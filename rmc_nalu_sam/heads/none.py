"""The head of a core whose output is the answer."""

from typing import ClassVar

import jax


class NoHead:
  """Passes the core's output on as the answer.

  Example:
    >>> from rmc_nalu_sam.heads import NoHead
    >>> NoHead(3)(jnp.arange(3))
    Array([0, 1, 2], dtype=int32)
  """

  CORE_MAY_REPLACE: ClassVar[bool] = True

  def __init__(self, output_size: int):
    """Constructs a head.

    Args:
      output_size: the size that the core's output must have.
    """
    self._output_size = output_size

  def __call__(self, outputs: jax.Array) -> jax.Array:
    """Returns `outputs [..., output_size]`.

    Raises:
      ValueError: the outputs have another size.
    """
    if outputs.shape[-1] != self._output_size:
      raise ValueError(
          f"the head 'none' passes the core's outputs on, and their size is "
          f"{outputs.shape[-1]}, not output_size={self._output_size}; change "
          "the size of the core, or take the head 'unit'")
    return outputs
