"""The ConvLSTM: an LSTM whose state is a map, and whose layers convolve.

Letters: B batch, H height, W width, C channels, F inputs.
"""

import math

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import MAX_SIZE, check_natural, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.encoders.convolution import Convolution


class ConvLSTM(Core):
  r"""Computes the gates of an LSTM by convolutions of input and last output.

  .. math::

    [i, g, f, o] &= W * x_t + U * h_{t-1} + b \\
    c_t &= \sigma(f + 1) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
    h_t &= \sigma(o) \odot \tanh(c_t)

  where :math:`*` is a convolution.

  An input is a vector: maps of H x W places, place by place, and further
  numbers, which come as further maps, the same at all places. The output is the
  vector of :math:`h_t`. The encoder 'torso' with `output_size=0` makes such
  inputs.

  See "Convolutional LSTM Network" (Shi et al., 2015, arXiv 1506.04214). In
  "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822), the baseline in BoxWorld has 5 x 5 places, 64 channels and
  kernels of 2 x 2.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.ConvLSTM(hidden_channels=7, height=2, width=3)
    ...   return core(x, core.initial_state(len(x)))
    >>> network = hk.transform(network)
    >>> x = jnp.ones([11, 2 * 3 * 5 + 1])  # Maps with 5 channels, and a number.
    >>> params = jax.eval_shape(network.init, jax.random.key(0), x)
    >>> output, state = jax.eval_shape(network.apply, params, None, x)
    >>> output.shape, state.hidden.shape
    ((11, 42), (11, 2, 3, 7))

  Notes:
    The equations and parameters are those of `hk.Conv2DLSTM`. They leave out
    the cell's own weights in the gates (peepholes) of Shi et al. Convolutions
    are padded, so that all maps have H x W places.
  """

  def __init__(self, hidden_channels: int = 64, kernel_size: int = 2,
               height: int = 5, width: int = 5, channels: int = 0,
               name: str | None = None):
    """Constructs a core.

    Args:
      hidden_channels: C', maps of the state; the output has H W C' numbers.
      kernel_size: height and width of the kernels.
      height: H.
      width: W.
      channels: C, maps of the input; the numbers after them are the same at all
        places. 0 for as many maps as the input has whole ones.
      name: name of the module.

    Raises:
      ValueError: a size is too small, or the output is too large.
    """
    super().__init__(name=name)
    check_positive(hidden_channels=hidden_channels, kernel_size=kernel_size,
                   height=height, width=width)
    check_natural(channels=channels)
    if height * width * hidden_channels > MAX_SIZE:
      raise ValueError(
          f"height={height} times width={width} times "
          f"hidden_channels={hidden_channels} must be at most {MAX_SIZE}")
    self._shape = (height, width)
    self._hidden_channels = hidden_channels
    self._kernel_size = kernel_size
    self._channels = channels

  def __call__(self, inputs: jax.Array, prev_state: hk.LSTMState
               ) -> tuple[jax.Array, hk.LSTMState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: maps `[B, H, W, C']` of the step before.

    Returns:
      The output `[B, H W C']` and the next state.

    Raises:
      ValueError: the inputs have fewer numbers than the maps.
    """
    maps = self._as_maps(as_float(inputs, prev_state.hidden.dtype))
    gates = sum(
        _convolution(4 * self._hidden_channels, self._kernel_size, name, x)
        for name, x in (("input_to_hidden", maps),
                        ("hidden_to_hidden", prev_state.hidden)))
    i, g, f, o = jnp.split(gates, 4, axis=-1)
    cell = (jax.nn.sigmoid(f + 1) * prev_state.cell
            + jax.nn.sigmoid(i) * jnp.tanh(g))
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    output = hidden.reshape(*inputs.shape[:-1], math.prod(hidden.shape[-3:]))
    return output, hk.LSTMState(hidden, cell)

  def initial_state(self, batch_size: int | None) -> hk.LSTMState:
    """Returns zeros `[B, H, W, C']`; no B axis if it is None."""
    batch = () if batch_size is None else (batch_size,)
    zeros = jnp.zeros([*batch, *self._shape, self._hidden_channels])
    return hk.LSTMState(zeros, zeros)

  @hk.transparent
  def _as_maps(self, inputs):
    """Returns maps `[..., H, W, C + numbers]`."""
    places = self._shape[0] * self._shape[1]
    channels = self._channels or inputs.shape[-1] // places
    if inputs.shape[-1] < channels * places:
      raise ValueError(
          f"the core 'conv_lstm' takes inputs of {channels} maps of "
          f"{self._shape[0]} x {self._shape[1]}, {channels * places} numbers or"
          f" more, got {inputs.shape[-1]}; see height, width and channels")
    batch = inputs.shape[:-1]
    maps = inputs[..., :channels * places].reshape(
        *batch, *self._shape, channels)
    numbers = inputs[..., None, None, channels * places:]
    return jnp.concatenate([maps, jnp.broadcast_to(
        numbers, (*batch, *self._shape, numbers.shape[-1]))], -1)


def _convolution(channels, kernel_size, name, maps):
  """Returns the padded convolution of maps `[..., H, W, C]`, in a module."""
  layer = Convolution(channels, kernel_size, padding="same", name=name)
  return layer(maps) if maps.ndim == 4 else layer(maps[None])[0]
