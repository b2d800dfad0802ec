"""A small convolutional network for images."""

import math

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.encoders.convolution import Convolution


class CNN(Checked, hk.Module):
  """Encodes square images of one channel by a small convolutional network.

  The layers are: convolution 5x5 to 20 channels, ReLU, maximum of 2x2;
  convolution 5x5 to 50 channels, ReLU, maximum of 2x2; 500 units, ReLU; a
  linear output. This is the network of PyTorch's MNIST example of 2018, to
  which the NALU paper (arXiv 1808.00508, section 4.2) refers.

  Inputs may hold further numbers after the pixels, such as a label. These pass
  by the network, and come after the image's vector.

  Example:
    >>> from rmc_nalu_sam.encoders import CNN
    >>> encode = hk.transform(lambda images: CNN(output_size=3)(images))
    >>> images = jnp.zeros([11, 2, 28 * 28])
    >>> params = jax.jit(encode.init)(jax.random.key(0), images)
    >>> jax.jit(encode.apply)(params, None, images).shape
    (11, 2, 3)
  """

  def __init__(self, output_size: int = 10, hidden_size: int = 500,
               output_layer: bool = True, mean: float = 0.1307,
               std: float = 0.3081, torch_init: bool = False,
               num_passed: int = 0, name: str | None = None):
    """Constructs a network.

    Args:
      output_size: size of an image's vector.
      hidden_size: units of the layer before the output.
      output_layer: whether there is a linear output layer. Without it,
        `output_size` has no effect, and an image's vector has `hidden_size`
        numbers; the read-out then takes the place of the last layer.
      mean: mean of a pixel, subtracted first; MNIST's by default.
      std: standard deviation of a pixel, by which it is divided; MNIST's by
        default.
      torch_init: whether weights and biases start as PyTorch's, uniform within
        fan_in^-1/2. The first outputs are then near 0, where the sign of a
        product of outputs is still open.
      num_passed: P, how many numbers after the pixels pass by the network.
      name: name of the module.

    Raises:
      ValueError: a size is below 1, `std` is not above 0, or `num_passed` is
        below 0.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size, hidden_size=hidden_size)
    if num_passed < 0:
      raise ValueError(f"num_passed must be at least 0, got {num_passed}")
    if not std > 0:
      raise ValueError(f"std must be above 0, got {std}")
    self._output_size = output_size
    self._hidden_size = hidden_size
    self._output_layer = output_layer
    self._mean = mean
    self._std = std
    self._torch_init = torch_init
    self._num_passed = num_passed

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Encodes images.

    Args:
      inputs: `[..., side * side + P]`, with a side of at least 16 pixels.

    Returns:
      `[..., output_size + P]`, or `[..., hidden_size + P]` without an output
      layer.

    Raises:
      ValueError: the images are not square, or too small.
    """
    side = self._side(inputs.shape[-1])
    init = _torch_init if self._torch_init else lambda fan_in: {}
    inputs = as_float(inputs)
    pixels, passed = inputs[..., :side * side], inputs[..., side * side:]
    hidden = (pixels.reshape(-1, side, side, 1) - self._mean) / self._std
    for channels in (20, 50):
      hidden = Convolution(channels, 5, **init(25 * hidden.shape[-1]))(hidden)
      hidden = max_pool(jax.nn.relu(hidden))
    hidden = hidden.reshape(
        *inputs.shape[:-1], math.prod(hidden.shape[1:]))
    hidden = jax.nn.relu(
        hk.Linear(self._hidden_size, **init(hidden.shape[-1]))(hidden))
    if self._output_layer:
      hidden = hk.Linear(self._output_size, **init(self._hidden_size))(hidden)
    if not self._num_passed:
      return hidden
    return jnp.concatenate([hidden, passed.astype(hidden.dtype)], -1)

  @hk.transparent
  def _side(self, input_size):
    """Returns the images' width and height in pixels."""
    num_pixels = max(input_size - self._num_passed, 0)
    side = math.isqrt(num_pixels)
    if side * side == num_pixels and side >= 16:
      return side
    raise ValueError("the encoder 'cnn' takes flattened square images of at "
                     f"least 16 x 16 pixels, got inputs of {input_size} "
                     f"numbers, num_passed={self._num_passed} of them after "
                     "the pixels")


def max_pool(images: jax.Array) -> jax.Array:
  """Returns maxima of 2x2 pixels, `[B, H, W, C]` to `[B, H // 2, W // 2, C]`.

  An odd last row or column is dropped. `hk.max_pool` gives the same, but its
  gradient (a scatter of windows) is many times slower on a CPU.
  """
  batch, height, width, channels = images.shape
  images = images[:, :height // 2 * 2, :width // 2 * 2]
  return jnp.max(images.reshape(batch, height // 2, 2, width // 2, 2, channels),
                 axis=(2, 4))


def _torch_init(fan_in):
  uniform = hk.initializers.RandomUniform(-fan_in ** -.5, fan_in ** -.5)
  return dict(w_init=uniform, b_init=uniform)
