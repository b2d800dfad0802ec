"""What an agent sees, as one vector.

Letters: H height, W width, C channels, K features.
"""

import functools
import math
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_choice, check_natural, check_positive
from rmc_nalu_sam.encoders.convolution import PADDINGS, Convolution


class Torso(Checked, hk.Module):
  """Encodes an image and further numbers: a small network of convolutions.

  An input holds an image, row by row, K features, and what else there is, such
  as the last action and reward. The layers are convolutions with ReLU, and a
  linear layer with ReLU of all maps and of all numbers after the image. At the
  end come the K features once more, as they are, so that a core can compute
  with them. Without an image, only the linear layer is left.

  The agent of "Relational recurrent neural networks" (Santoro et al., 2018,
  arXiv 1806.01822) in BoxWorld has convolutions of 12 and 24 kernels of 2 x 2,
  and two coordinate maps.

  Notes:
    The paper does not tell the size of the linear layer, nor where action and
    reward enter. Here the coordinates are appended to the image, not to the
    maps after the convolutions.

  Example:
    >>> from rmc_nalu_sam.encoders import Torso
    >>> encode = hk.transform(
    ...     lambda seen: Torso((5, 5, 3), num_features=1, output_size=4)(seen))
    >>> seen = jnp.zeros([11, 2, 5 * 5 * 3 + 1])
    >>> params = jax.jit(encode.init)(jax.random.key(0), seen)
    >>> jax.jit(encode.apply)(params, None, seen).shape
    (11, 2, 5)
  """

  ENCODES_ALL_STEPS: ClassVar[bool] = True
  OF_IMAGES: ClassVar[bool] = True

  def __init__(self, image_shape: tuple[int, int, int] | None = None,
               num_features: int = 0, channels: str = "12,24", kernel: int = 2,
               stride: int = 1, padding: str = "valid",
               coordinates: bool = False, output_size: int = 256,
               name: str | None = None):
    """Constructs a network.

    Args:
      image_shape: (H, W, C); None or zeros without an image.
      num_features: K.
      channels: numbers of kernels of the convolutions, separated by commas.
      kernel: height and width of the kernels.
      stride: by how many pixels the kernels move on.
      padding: 'valid' for none, 'same' for zeros around the image.
      coordinates: whether the image gets two more channels: row and column of
        each pixel, from -1 to 1.
      output_size: size of the linear layer. With 0 there is none: the maps come
        as they are, place by place, and then all numbers after the image, as
        the core 'conv_lstm' takes them.
      name: name of the module.

    Raises:
      ValueError: a size is too small, `channels` are no numbers, there is no
        such padding, or the image is too small for the convolutions.
    """
    super().__init__(name=name)
    check_positive(kernel=kernel, stride=stride)
    check_natural(output_size=output_size, num_features=num_features)
    check_choice(PADDINGS, padding=padding)
    self._shape = tuple(image_shape or (0, 0, 0))
    self._num_features = num_features
    self._channels = _parse(channels)
    self._make_layer = functools.partial(
        Convolution, kernel_size=kernel, stride=stride, padding=padding)
    self._coordinates = coordinates
    self._output_size = output_size
    _check_image(self._shape, len(self._channels), kernel, stride, padding)

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Encodes inputs.

    Args:
      inputs: `[..., H W C + K + ...]`.

    Returns:
      `[..., output_size + K]`; see `output_size` for that of 0.

    Raises:
      ValueError: the inputs have fewer numbers than image and features.
    """
    size = math.prod(self._shape)
    if inputs.shape[-1] < size + self._num_features:
      raise ValueError(
          f"the encoder 'torso' takes an image of {list(self._shape)} and "
          f"{self._num_features} features, {size + self._num_features} numbers "
          f"or more, got inputs of {inputs.shape[-1]}")
    inputs = as_float(inputs)
    rest = inputs[..., size:]
    parts = [self._maps(inputs[..., :size]), rest] if size else [rest]
    joined = jnp.concatenate(parts, -1)
    if not self._output_size:
      return joined
    hidden = jax.nn.relu(hk.Linear(self._output_size)(joined))
    return jnp.concatenate([hidden, rest[..., :self._num_features]], -1)

  @hk.transparent
  def _maps(self, pixels: jax.Array) -> jax.Array:
    """Returns the maps after the convolutions as vectors."""
    maps = pixels.reshape(-1, *self._shape)
    if self._coordinates:
      grid = jnp.asarray(_coordinates(*self._shape[:2]), maps.dtype)
      maps = jnp.concatenate([maps, jnp.broadcast_to(
          align(grid, maps), (*maps.shape[:3], 2))], -1)
    for channels in self._channels:
      maps = jax.nn.relu(self._make_layer(channels)(maps))
    return maps.reshape(*pixels.shape[:-1], math.prod(maps.shape[1:]))


def _coordinates(height: int, width: int) -> np.ndarray:
  """Returns row and column of each pixel in [-1, 1], `[H, W, 2]`."""
  return np.stack(np.meshgrid(*(
      np.linspace(-1, 1, side) if side > 1 else np.zeros(1)
      for side in (height, width)), indexing="ij"), -1)


def _parse(channels: str) -> list[int]:
  numbers = [part.strip() for part in str(channels).split(",")]
  if not all(part.isdecimal() and int(part) for part in numbers):
    raise ValueError("channels must be numbers above 0, separated by commas, "
                     f"such as '12,24', got {channels!r}")
  return [int(part) for part in numbers]


def _check_image(shape, num_layers, kernel, stride, padding):
  """Checks that the convolutions leave something of the image."""
  if len(shape) != 3 or any(shape) != all(shape):
    raise ValueError("image_shape must be (height, width, channels), all of "
                     f"them 0 without an image, got {shape}")
  sides = list(shape[:2])
  for number in range(num_layers):
    if padding == "valid" and 0 < min(sides) < kernel:
      raise ValueError(
          f"an image of {shape[0]} x {shape[1]} pixels is too small for "
          f"{num_layers} convolutions with kernel={kernel} and stride={stride}:"
          f" {sides[0]} x {sides[1]} are left after {number}; use fewer "
          "channels, a smaller kernel or stride, or padding=same")
    taken = kernel if padding == "valid" else 1
    sides = [(side - taken) // stride + 1 for side in sides]
