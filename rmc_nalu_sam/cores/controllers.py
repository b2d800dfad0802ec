"""Controllers of the memory cores: an LSTM, or a network without a state.

Letters: B batch, L layers.
"""

import functools
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.cores.recurrent import (
  join_layers,
  lstm,
  normalised_linear,
)
from rmc_nalu_sam.registry import Registry

# A name in `CONTROLLERS`, "package.module:attribute", a constructor, or a core.
Controller = str | Callable[..., hk.RNNCore]


class FeedForward(Core):
  r"""Computes a layer without a state.

  .. math::

    h_t = \tanh(W x_t + b)

  See "Neural Turing Machines" (Graves, Wayne, Danihelka, 2014, arXiv
  1410.5401), section 3.3, for this kind of controller.

  Notes:
    The paper does not give the layer. The tanh bounds the output, as an LSTM
    does. A layer norm comes before the tanh, as in the LSTM of `lstm`.
  """

  def __init__(self, hidden_size: int = 100, layer_norm: bool = False,
               name: str | None = None):
    """Constructs a core.

    Args:
      hidden_size: size of the output.
      layer_norm: whether to normalise the layer before the tanh.
      name: name of the module.

    Raises:
      ValueError: the size is below 1.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    self._hidden_size = hidden_size
    self._layer_norm = layer_norm

  def __call__(self, inputs: jax.Array,
               prev_state: tuple[()]) -> tuple[jax.Array, tuple[()]]:
    """Runs one step; the output is `[B, hidden_size]`, the state is empty."""
    if self._layer_norm:
      layer = normalised_linear(self._hidden_size, inputs)
    else:
      layer = hk.Linear(self._hidden_size)(inputs)
    return jax.nn.tanh(layer), prev_state

  def initial_state(self, batch_size: int | None) -> tuple[()]:
    """Returns the empty state, `()`."""
    del batch_size
    return ()


def feed_forward(hidden_size: int = 100, num_layers: int = 1,
                 layer_norm: bool = False,
                 name: str = "feed_forward") -> hk.RNNCore:
  """Returns a `FeedForward` layer, or a stack of several.

  Args:
    hidden_size: size of each layer's output.
    num_layers: L, number of layers, joined as those of `lstm`.
    layer_norm: whether to normalise each layer before its tanh.
    name: name of the layers.

  Returns:
    A core whose output is `[B, L * hidden_size]`, and whose state has no array.

  Raises:
    ValueError: a size is below 1.
  """
  return join_layers(functools.partial(FeedForward, layer_norm=layer_norm),
                     hidden_size, num_layers, name)


CONTROLLERS = Registry("controller", {
    "feedforward": feed_forward,
    "lstm": lstm,
}, given=("name",))


def make_controller(controller: Controller, hidden_size: int,
                    num_layers: int = 1,
                    layer_norm: bool = False) -> hk.RNNCore:
  """Returns the controller of a memory core.

  Args:
    controller: a name in `CONTROLLERS`, "package.module:attribute" or a
      constructor, which is called with `hidden_size`, `name` and, unless they
      are 1 and False, `num_layers` and `layer_norm`; or a core that is made
      already.
    hidden_size: units per layer.
    num_layers: number of layers.
    layer_norm: whether the layers are normalised.

  Raises:
    ValueError: there is no such controller, or it does not take these
      arguments or refuses their values; or there are several layers, or a layer
      norm, with a core that is made already.
  """
  if isinstance(controller, hk.RNNCore):
    if num_layers != 1:
      raise ValueError(
          f"num_layers={num_layers} needs the name of a controller, got the "
          f"core {controller!r}; stack its layers with hk.DeepRNN")
    if layer_norm:
      raise ValueError(
          "layer_norm=True needs the name of a controller, got the core "
          f"{controller!r}; normalise inside that core")
    return controller
  layers: dict[str, Any] = {} if num_layers == 1 else dict(
      num_layers=num_layers)
  if layer_norm:
    layers["layer_norm"] = True
  return CONTROLLERS.make(
      controller, hidden_size=hidden_size, name="controller", **layers)
