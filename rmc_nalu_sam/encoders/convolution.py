"""A convolution that trains fast on a CPU as well.

Letters: B batch, H height, W width, C channels, K height and width of a kernel.
"""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.checks import check_choice, check_count, check_positive

PADDINGS = ("valid", "same")


class Convolution(Checked, hk.Module):
  """Computes `hk.Conv2D`, with the same parameters.

  On a CPU it multiplies unfolded patches by the weights. XLA's own gradients of
  a convolution take many times as long inside a loop, and training is a loop of
  updates.
  """

  def __init__(self, output_channels: int, kernel_size: int,
               w_init: hk.initializers.Initializer | None = None,
               b_init: hk.initializers.Initializer | None = None,
               stride: int = 1, padding: str = "valid", name: str = "conv2_d"):
    """Constructs a layer.

    Args:
      output_channels: C'.
      kernel_size: K, height and width of the kernel.
      w_init: initialiser of the weights; `hk.Conv2D`'s if None.
      b_init: initialiser of the biases; zeros if None.
      stride: S, by how many pixels the kernel moves on.
      padding: 'valid' for none, 'same' for zeros around the image, so that the
        output has ceil(H / S) rows.
      name: name of the module.

    Raises:
      ValueError: a size is below 1, the kernel is too large, or there is no
        such padding.
    """
    super().__init__(name=name)
    check_positive(output_channels=output_channels, stride=stride)
    check_count(kernel_size=kernel_size)
    check_choice(PADDINGS, padding=padding)
    self._output_channels = output_channels
    self._kernel_size = kernel_size
    self._w_init = w_init
    self._b_init = b_init or jnp.zeros
    self._stride = stride
    self._padding = padding.upper()

  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps `[B, H, W, C]` to `[B, H', W', C']`.

    Without padding, H' is (H - K) // S + 1.
    """
    size, channels = self._kernel_size, images.shape[-1]
    w = hk.get_parameter(
        "w", [size, size, channels, self._output_channels], images.dtype,
        self._w_init or hk.initializers.TruncatedNormal(
            (size * size * channels) ** -.5))
    b = hk.get_parameter(
        "b", [self._output_channels], images.dtype, self._b_init)
    convolve = _multiply if jax.default_backend() == "cpu" else _convolve
    outputs = convolve(images, w, self._stride, self._padding)
    return align(b, outputs) + outputs


def _convolve(images, w, stride, padding):
  dtype = narrow.current() or images.dtype
  return jax.lax.conv_general_dilated(
      images.astype(dtype), w.astype(dtype), (stride, stride), padding,
      dimension_numbers=("NHWC", "HWIO", "NHWC")).astype(images.dtype)


def _multiply(images, w, stride, padding):
  size = len(w)
  if padding == "SAME":
    around = jax.lax.padtype_to_pads(
        images.shape[1:3], (size, size), (stride, stride), padding)
    images = jnp.pad(images, ((0, 0), *around, (0, 0)))
  rows, columns = (
      np.arange(0, side - size + 1, stride)[:, None] + np.arange(size)
      for side in images.shape[1:3])
  patches = images[:, rows[:, None, :, None], columns[:, None, :]]
  patches = patches.reshape(*patches.shape[:3], w[..., 0].size)
  return narrow.matmul(patches, w.reshape(-1, w.shape[-1]))
