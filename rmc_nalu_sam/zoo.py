"""The cores by name, and any of them with a read-out as pure functions."""

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.cores import (
    DAM,
    DNC,
    NTM,
    RMC,
    RNN,
    SAM,
    SDNC,
    UGRNN,
    ControlledNALU,
    Stack,
    UnitRNN,
    lstm,
)
from rmc_nalu_sam.encoders import ENCODERS
from rmc_nalu_sam.registry import Registry
from rmc_nalu_sam.units import UNITS, Unit, find_units

CORES = Registry("core", {
    "controlled_nalu": ControlledNALU,
    "dam": DAM,
    "dnc": DNC,
    # Haiku's has no default size.
    "gru": functools.partial(hk.GRU, hidden_size=100),
    "lstm": lstm,
    "ntm": NTM,
    "rnn": RNN,
    "rmc": RMC,
    "sam": SAM,
    "sdnc": SDNC,
    "stack": Stack,
    "ugrnn": UGRNN,
    "unit_rnn": UnitRNN,
})

# What the model gives its members, and its user does not.
_GIVEN = ("name", "output_size", "unit", "unit_args")


class Model(NamedTuple):
  """An encoder, a core and its read-out.

  Attributes:
    init: `(key, inputs [T, B, F]) -> params`; only the shape of the inputs
      matters.
    unroll: `(params, inputs [T, B, F], state, return_all_states=False,
      steps=None, return_unit_inputs=False) -> (outputs [T, B, output_size],
      state)`; the last state, or all of them with a leading T axis. With
      `steps [A, B]`, integers below T, the outputs `[A, B, output_size]` at
      these steps alone: no read-out is computed at others. With
      `return_unit_inputs` there is a third result: name in `units` -> the mean
      of what the unit was given, `[I]`, over batch and steps (in its last
      call, if there are several in a step).
    initial_state: `(params, batch_size) -> state`, that of the core; no B axis
      if it is None.
    forget: `(params, state) -> state`: an initial state in the arrays of a used
      one, at no cost that grows with them; None if the core cannot (`SAM` can
      if it has `gradient_steps`).
    units: name in `params` -> the arithmetic unit that has these parameters,
      wherever it is in the network.
  """

  init: Callable[..., hk.Params]
  unroll: Callable[..., tuple[jax.Array, Any]]
  initial_state: Callable[..., Any]
  forget: Callable[..., Any] | None = None
  units: Mapping[str, Unit] = types.MappingProxyType({})

  def penalty(self, params: hk.Params) -> jax.Array:
    """The sum of what the units ask of their weights, un-weighted, `[]`."""
    penalties = [unit.penalty(params[name])
                 for name, unit in self.units.items()]
    return sum(penalties, start=jnp.zeros(()))

  def input_penalty(self, params: hk.Params,
                    unit_inputs: Mapping[str, jax.Array]) -> jax.Array:
    """The sum of what the units ask of their inputs, un-weighted, `[]`.

    Args:
      params: of the network.
      unit_inputs: from `unroll`.
    """
    penalties = [self.units[name].input_penalty(params[name], inputs)
                 for name, inputs in unit_inputs.items()]
    return sum(penalties, start=jnp.zeros(()))

  def constrain(self, params: hk.Params) -> hk.Params:
    """The parameters with those of the units in the range that is theirs."""
    return {name: (self.units[name].constrain(values) if name in self.units
                   else values) for name, values in params.items()}

  def sparsity_error(self, params: hk.Params) -> jax.Array:
    """How far a weight of a unit is at most from a discrete value, `[]`."""
    errors = [unit.sparsity_error(params[name])
              for name, unit in self.units.items()]
    return functools.reduce(jnp.maximum, errors, jnp.zeros(()))


def core_arguments(core: str) -> Mapping[str, inspect.Parameter]:
  """The arguments that `make_model` takes for a core, with their defaults.

  Raises:
    ValueError: there is no such core.
  """
  return _arguments("core", CORES, core, _GIVEN)


def unit_arguments(unit: str) -> Mapping[str, inspect.Parameter]:
  """The arguments that `make_model` takes as `unit_args`, with their defaults.

  Raises:
    ValueError: there is no such unit.
  """
  return _arguments("unit", UNITS, unit, _GIVEN)


def encoder_arguments(encoder: str) -> Mapping[str, inspect.Parameter]:
  """The arguments that `make_model` takes as `encoder_args`.

  Raises:
    ValueError: there is no such encoder.
  """
  return _arguments("encoder", ENCODERS, encoder, ("name",))


def _arguments(kind, members, name, given):
  if name not in members:
    raise ValueError(
        f"unknown {kind} {name!r}; valid {kind}s: {', '.join(sorted(members))}")
  parameters = inspect.signature(
      members.get(name) if isinstance(members, Registry) else members[name]
      ).parameters
  return {argument: parameter for argument, parameter in parameters.items()
          if argument not in given}


def _check_arguments(kind, name, valid, arguments):
  for argument in arguments:
    if argument not in valid:
      raise ValueError(
          f"{kind} {name!r} has no argument {argument!r}; valid arguments: "
          f"{', '.join(valid) or 'none'}")
  for argument, parameter in valid.items():
    if parameter.default is parameter.empty and argument not in arguments:
      raise ValueError(f"{kind} {name!r} needs the argument {argument!r}")


def make_model(core: str, output_size: int, unit: str = "linear",
               unit_args: Mapping[str, Any] | None = None,
               encoder: str = "none",
               encoder_args: Mapping[str, Any] | None = None,
               input_size: int = 16 * 16, **core_kwargs: Any) -> Model:
  """A model from the names of its parts.

  The unit is what a core of units ('stack', 'unit_rnn') is made of, and the
  read-out that follows the core. A core that maps to the output itself has no
  other read-out: 'stack'; 'unit_rnn' if its `hidden_size` is that of the
  output; others with an `output_size`, such as 'sam', if the unit is 'linear'
  (and if not, they map to `hidden_size` numbers).

  Args:
    core: a name in `CORES`.
    output_size: size of the output at each step.
    unit: a name in `UNITS`.
    unit_args: the unit's own arguments.
    encoder: a name in `ENCODERS`, for what comes before the core.
    encoder_args: the encoder's own arguments.
    input_size: F, for errors at once, and not only at `init`; the default suits
      every encoder.
    **core_kwargs: the core's own arguments.

  Returns:
    A `Model`.

  Raises:
    ValueError: there is no such core, unit or encoder, or it has no such
      argument, or refuses its value; or the encoder cannot take `input_size`.
  """
  unit_args, encoder_args = dict(unit_args or {}), dict(encoder_args or {})
  for kind, name, valid, arguments in (
      ("core", core, core_arguments(core), core_kwargs),
      ("unit", unit, unit_arguments(unit), unit_args),
      ("encoder", encoder, encoder_arguments(encoder), encoder_args)):
    _check_arguments(kind, name, valid, arguments)
  make_encoder = functools.partial(ENCODERS[encoder], **encoder_args)
  make_core = functools.partial(
      _core_and_read_out, core, output_size, unit, unit_args, core_kwargs)

  def model():
    encode = make_encoder()
    core, read_out = make_core()

    def init(inputs):
      output, state = core(
          encode(inputs[0]), core.initial_state(inputs.shape[1]))
      return read_out(output), state

    def unroll(inputs, state, return_all_states=False, steps=None,
               return_unit_inputs=False):
      recording = _unit_inputs if return_unit_inputs else _nothing
      in_steps: dict[str, jax.Array] = {}

      def step(inputs, state):
        with recording() as unit_inputs:
          outputs, state = core(encode(inputs), state)
        return (outputs, unit_inputs), state

      if hasattr(core, "unroll") and not return_all_states:
        outputs, state = core.unroll(encode(inputs), state)
      else:
        (outputs, in_steps), state = hk.dynamic_unroll(
            step, inputs, state, return_all_states=return_all_states)
      if steps is not None:
        outputs = jnp.take_along_axis(outputs, steps[..., None], 0)
      with recording() as unit_inputs:
        outputs = read_out(outputs)
      if not return_unit_inputs:
        return outputs, state
      return outputs, state, unit_inputs | {
          name: means.mean(0) for name, means in in_steps.items()}

    return init, (unroll, core.initial_state, getattr(core, "forget", None))

  init, (unroll, initial_state, forget) = hk.multi_transform(model)
  # Constructors and shapes are checked now, not at init.
  units = find_units(lambda inputs: model()[0](inputs),
                     jnp.zeros([1, 1, input_size]))
  return Model(
      init=init,
      unroll=lambda params, *args, **kwargs: unroll(
          params, None, *args, **kwargs),
      initial_state=lambda params, batch_size: initial_state(
          params, None, batch_size),
      forget=None if core_kwargs.get("gradient_steps") is None else (
          lambda params, state: forget(params, None, state)),
      units=units)


@contextlib.contextmanager
def _nothing() -> Iterator[dict[str, jax.Array]]:
  """An empty dictionary that stays so."""
  yield {}


@contextlib.contextmanager
def _unit_inputs() -> Iterator[dict[str, jax.Array]]:
  """A dictionary that fills with the mean inputs `[I]` of units called here."""
  means: dict[str, jax.Array] = {}

  def record(call, args, kwargs, context):
    if isinstance(context.module, Unit) and context.method_name == "__call__":
      inputs = args[0]
      means[context.module.module_name] = inputs.reshape(
          -1, inputs.shape[-1]).mean(0)
    return call(*args, **kwargs)

  with hk.intercept_methods(record):
    yield means


def _core_and_read_out(core, output_size, unit, unit_args, core_kwargs):
  """The core, and what follows it."""
  parameters = inspect.signature(CORES.get(core)).parameters
  is_of_units = "unit" in parameters
  if is_of_units:
    core_kwargs = core_kwargs | {"unit": unit, "unit_args": unit_args}
  maps_to_output = is_of_units or unit == "linear"
  if "output_size" in parameters:
    hidden_size = core_kwargs.get("hidden_size",
                                  parameters["hidden_size"].default)
    core_kwargs = core_kwargs | {
        "output_size": output_size if maps_to_output else hidden_size}
  else:
    maps_to_output &= (is_of_units
                       and core_kwargs.get("hidden_size") == output_size)
  read_out = (lambda outputs: outputs) if maps_to_output else (
      UNITS.get(unit)(output_size, **unit_args))
  return CORES.get(core)(**core_kwargs), read_out
