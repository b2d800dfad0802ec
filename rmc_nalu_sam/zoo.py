"""The cores by name, and any of them with a read-out as pure functions."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax

from rmc_nalu_sam.dam import DAM
from rmc_nalu_sam.dnc import DNC
from rmc_nalu_sam.ntm import NTM
from rmc_nalu_sam.rmc import RMC
from rmc_nalu_sam.sam import SAM
from rmc_nalu_sam.sdnc import SDNC

CORES: Mapping[str, Callable[..., hk.RNNCore]] = {
    "dam": DAM,
    "dnc": DNC,
    # Haiku's has no default size.
    "lstm": functools.partial(hk.LSTM, hidden_size=100),
    "ntm": NTM,
    "rmc": RMC,
    "sam": SAM,
    "sdnc": SDNC,
}


class Model(NamedTuple):
  """A core and its read-out.

  Attributes:
    init: `(key, inputs [T, B, F]) -> params`; only the shape of the inputs
      matters.
    unroll: `(params, inputs [T, B, F], state, return_all_states=False) ->
      (outputs [T, B, output_size], state)`; the last state, or all of them with
      a leading T axis.
    initial_state: `(params, batch_size) -> state`; no B axis if it is None.
    forget: `(params, state) -> state`: an initial state in the arrays of a used
      one, at no cost that grows with them; None if the core cannot (`SAM` can
      if it has `gradient_steps`).
  """

  init: Callable[..., hk.Params]
  unroll: Callable[..., tuple[jax.Array, Any]]
  initial_state: Callable[..., Any]
  forget: Callable[..., Any] | None = None


def core_arguments(core: str) -> Mapping[str, inspect.Parameter]:
  """The arguments that `make_model` takes for a core, with their defaults.

  Raises:
    ValueError: there is no such core.
  """
  if core not in CORES:
    raise ValueError(
        f"unknown core {core!r}; valid cores: {', '.join(sorted(CORES))}")
  parameters = inspect.signature(CORES[core]).parameters
  return {name: parameter for name, parameter in parameters.items()
          if name not in ("output_size", "name")}


def make_model(core: str, output_size: int, **core_kwargs: Any) -> Model:
  """A model from the name of a core.

  A core with an `output_size` of its own maps to it; any other is followed by a
  linear read-out.

  Args:
    core: a name in `CORES`.
    output_size: size of the output at each step.
    **core_kwargs: the core's own arguments.

  Returns:
    A `Model`.

  Raises:
    ValueError: there is no such core, or it has no such argument, or refuses
      its value.
  """
  valid = core_arguments(core)
  for name in core_kwargs:
    if name not in valid:
      raise ValueError(f"core {core!r} has no argument {name!r}; valid "
                       f"arguments: {', '.join(valid)}")
  for name, parameter in valid.items():
    if parameter.default is parameter.empty and name not in core_kwargs:
      raise ValueError(f"core {core!r} needs the argument {name!r}")
  core_class = CORES[core]
  has_output = "output_size" in inspect.signature(core_class).parameters

  def build() -> hk.RNNCore:
    if has_output:
      return core_class(output_size=output_size, **core_kwargs)
    return hk.DeepRNN([core_class(**core_kwargs), hk.Linear(output_size)])

  def model():
    net = build()

    def init(inputs):
      return net(inputs[0], net.initial_state(inputs.shape[1]))

    def unroll(inputs, state, return_all_states=False):
      return hk.dynamic_unroll(
          net, inputs, state, return_all_states=return_all_states)

    return init, (unroll, net.initial_state, getattr(net, "forget", None))

  init, (unroll, initial_state, forget) = hk.multi_transform(model)
  # The constructors check their arguments: let them do so now, not at init.
  hk.transform(lambda: build() and None).init(None)
  return Model(
      init=init,
      unroll=lambda params, *args, **kwargs: unroll(
          params, None, *args, **kwargs),
      initial_state=lambda params, batch_size: initial_state(
          params, None, batch_size),
      forget=None if core_kwargs.get("gradient_steps") is None else (
          lambda params, state: forget(params, None, state)))
