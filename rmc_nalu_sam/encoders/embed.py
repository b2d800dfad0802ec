"""Embeds one-hot tokens."""

import haiku as hk
import jax

from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive


class Embed(Checked, hk.Module):
  """Embeds one-hot tokens by a linear map without a bias.

  Example:
    >>> from rmc_nalu_sam.encoders import Embed
    >>> encode = hk.transform(lambda tokens: Embed(output_size=3)(tokens))
    >>> tokens = jax.nn.one_hot(jnp.zeros([11, 2], int), 7)
    >>> params = encode.init(jax.random.key(0), tokens)
    >>> encode.apply(params, None, tokens).shape
    (11, 2, 3)
  """

  def __init__(self, output_size: int = 64, name: str | None = None):
    """Constructs an embedding.

    Args:
      output_size: size of a token's vector.
      name: name of the module.

    Raises:
      ValueError: `output_size` is below 1.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    self._output_size = output_size

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Returns the vectors `[..., output_size]` of tokens `[..., F]`."""
    return hk.Linear(self._output_size, with_bias=False)(
        as_float(inputs))
