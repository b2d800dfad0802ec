"""Encoders: what makes vectors of the inputs of one step, before the core."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_positive


class Embed(hk.Module):
  """An embedding of one-hot tokens: a linear map without a bias."""

  def __init__(self, output_size: int = 64, name: str | None = None):
    """Checks the size.

    Args:
      output_size: of a token's vector.
      name: of the module.

    Raises:
      ValueError: it is below 1.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    self._output_size = output_size

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """The vectors `[..., output_size]` of tokens `[..., F]`."""
    return hk.Linear(self._output_size, with_bias=False)(inputs)


class CNN(hk.Module):
  """A small convolutional network for square images of one channel.

  Convolution 5x5 to 20 channels, ReLU, maximum of 2x2; convolution 5x5 to 50
  channels, ReLU, maximum of 2x2; 500 units, ReLU; a linear output. It is the
  network of PyTorch's MNIST example of 2018, to which the NALU paper (arXiv
  1808.00508, section 4.2) refers.
  """

  def __init__(self, output_size: int = 10, hidden_size: int = 500,
               output_layer: bool = True, mean: float = 0.1307,
               std: float = 0.3081, torch_init: bool = False,
               name: str | None = None):
    """Checks the sizes.

    Args:
      output_size: of the vector that stands for an image.
      hidden_size: of the layer before it.
      output_layer: False to leave out the linear layer, whatever
        `output_size`: the vector is that of the `hidden_size` units before it,
        for a unit that takes the place of a network's last layer.
      mean: of a pixel; by default that of MNIST, as in the example.
      std: the standard deviation of a pixel.
      torch_init: True for weights and biases that start as PyTorch's, uniform
        within fan_in^-1/2: the first outputs are near 0, where a product of
        outputs has not yet chosen a sign.
      name: of the module.

    Raises:
      ValueError: a size is below 1, or `std` not above 0.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size, hidden_size=hidden_size)
    if not std > 0:
      raise ValueError(f"std must be above 0, got {std}")
    self._output_size = output_size
    self._hidden_size = hidden_size
    self._output_layer = output_layer
    self._mean = mean
    self._std = std
    self._torch_init = torch_init

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """The vectors of images.

    Args:
      inputs: `[..., side * side]`, at least 16 * 16 of them.

    Returns:
      `[..., output_size]`, or `[..., hidden_size]` without an output layer.

    Raises:
      ValueError: the images are not square, or too small.
    """
    side = math.isqrt(inputs.shape[-1])
    if side * side != inputs.shape[-1] or side < 16:
      raise ValueError("need flattened square images of 16 x 16 pixels or "
                       f"more, got {inputs.shape[-1]} numbers")
    init = _torch_init if self._torch_init else lambda fan_in: {}
    hidden = (inputs.reshape(-1, side, side, 1) - self._mean) / self._std
    for channels in (20, 50):
      hidden = Convolution(channels, 5, **init(25 * hidden.shape[-1]))(hidden)
      hidden = max_pool(jax.nn.relu(hidden))
    hidden = hidden.reshape(*inputs.shape[:-1], -1)
    hidden = jax.nn.relu(
        hk.Linear(self._hidden_size, **init(hidden.shape[-1]))(hidden))
    if not self._output_layer:
      return hidden
    return hk.Linear(self._output_size, **init(self._hidden_size))(hidden)


class Convolution(hk.Module):
  """`hk.Conv2D` without padding, its parameters and all.

  On a CPU it is a product of unfolded patches and weights: in a loop, and all
  training is a loop of updates, XLA's gradients of a convolution take many
  times as long.
  """

  def __init__(self, output_channels: int, kernel_size: int,
               w_init: hk.initializers.Initializer | None = None,
               b_init: hk.initializers.Initializer | None = None):
    """Constructs a layer.

    Args:
      output_channels: C'.
      kernel_size: K, of both sides.
      w_init: initialiser of the weights; that of `hk.Conv2D` if None.
      b_init: initialiser of the biases; zeros if None.
    """
    super().__init__(name="conv2_d")
    self._output_channels = output_channels
    self._kernel_size = kernel_size
    self._w_init = w_init
    self._b_init = b_init or jnp.zeros

  def __call__(self, images: jax.Array) -> jax.Array:
    """`[B, H, W, C]` to `[B, H - K + 1, W - K + 1, C']`."""
    size, channels = self._kernel_size, images.shape[-1]
    w = hk.get_parameter(
        "w", [size, size, channels, self._output_channels], images.dtype,
        self._w_init or hk.initializers.TruncatedNormal(
            (size * size * channels) ** -.5))
    b = hk.get_parameter(
        "b", [self._output_channels], images.dtype, self._b_init)
    if jax.default_backend() != "cpu":
      return b + jax.lax.conv_general_dilated(
          images, w, (1, 1), "VALID",
          dimension_numbers=("NHWC", "HWIO", "NHWC"))
    rows, columns = (
        np.arange(side - size + 1)[:, None] + np.arange(size)
        for side in images.shape[1:3])
    patches = images[:, rows[:, None, :, None], columns[:, None, :]]
    patches = patches.reshape(*patches.shape[:3], -1)
    return b + patches @ w.reshape(-1, self._output_channels)


def max_pool(images: jax.Array) -> jax.Array:
  """Maxima of 2x2 pixels, `[B, H, W, C]` to `[B, H // 2, W // 2, C]`.

  A last odd row or column is left out. `hk.max_pool` gives the same, but its
  gradient (a scatter of windows) is many times slower on a CPU.
  """
  batch, height, width, channels = images.shape
  images = images[:, :height // 2 * 2, :width // 2 * 2]
  return jnp.max(images.reshape(batch, height // 2, 2, width // 2, 2, channels),
                 axis=(2, 4))


def _torch_init(fan_in):
  uniform = hk.initializers.RandomUniform(-fan_in ** -.5, fan_in ** -.5)
  return dict(w_init=uniform, b_init=uniform)


def _none() -> Callable[[jax.Array], jax.Array]:
  """The inputs as they are."""
  return lambda inputs: inputs


ENCODERS: Mapping[str, Callable[..., Callable[[jax.Array], Any]]] = {
    "cnn": CNN,
    "embed": Embed,
    "none": _none,
}
