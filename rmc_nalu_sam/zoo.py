"""The cores by name, and models from the names of their parts."""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jmp

from rmc_nalu_sam import model as model_lib
from rmc_nalu_sam import narrow
from rmc_nalu_sam.arguments import check_types
from rmc_nalu_sam.checks import check_numbers, check_positive
from rmc_nalu_sam.cores import (
    AWDLSTM,
    DAM,
    DNC,
    NACLSTM,
    NTM,
    RMC,
    RNN,
    SAM,
    SDNC,
    UGRNN,
    ControlledNALU,
    ConvLSTM,
    Stack,
    UnitRNN,
    UnitSum,
    gru,
    lstm,
    mogrifier,
)
from rmc_nalu_sam.encoders import ENCODERS
from rmc_nalu_sam.heads import HEADS
from rmc_nalu_sam.memory.index.indices import INDICES
from rmc_nalu_sam.model import Model
from rmc_nalu_sam.network import Parts, Unrolled
from rmc_nalu_sam.registry import Registry, all_arguments, attribute
from rmc_nalu_sam.units import UNITS, Linear, Unit

__all__ = ("CORES", "ENCODERS", "HEADS", "INDICES", "UNITS", "Model",
           "Unrolled", "make_model", "uses_unit")

CORES = Registry("core", {
    "awd_lstm": AWDLSTM,
    "conv_lstm": ConvLSTM,
    "controlled_nalu": ControlledNALU,
    "dam": DAM,
    "dnc": DNC,
    "gru": gru,
    "lstm": lstm,
    "mogrifier": mogrifier,
    "nac_lstm": NACLSTM,
    "ntm": NTM,
    "rnn": RNN,
    "rmc": RMC,
    "sam": SAM,
    "sdnc": SDNC,
    "stack": Stack,
    "ugrnn": UGRNN,
    "unit_rnn": UnitRNN,
    "unit_sum": UnitSum,
}, given=("name", "output_size", "unit", "unit_args"))


def make_model(core: str | Callable[..., hk.RNNCore], output_size: int, *,
               unit: str | Callable[..., Unit] = "linear",
               unit_args: Mapping[str, Any] | None = None,
               encoder: str | Callable[..., Any] = "none",
               encoder_args: Mapping[str, Any] | None = None,
               head: str | Callable[..., Any] = "unit",
               head_args: Mapping[str, Any] | None = None,
               input_size: int | None = 16 * 16,
               image_shape: tuple[int, int, int] | None = None,
               num_features: int = 0,
               precision: str = "float32", policy: jmp.Policy | None = None,
               **core_args: Any) -> Model:
  """Constructs a model from its parts.

  Each part is a name in its registry, "package.module:attribute" for code of
  your own, or a class or function that constructs it. A model of tokens has
  integers `[T, B]` as inputs; see the example of `AWDLSTM`.

  Class attributes of a core describe it; each is False by default:

  - `MAPS_TO_OUTPUT`: it takes `output_size` and maps to it by itself. It has a
    size of its own without that argument;
  - `OF_UNITS`: it is made of units, and takes `unit` and `unit_args`;
  - `CAN_FORGET`: it takes `gradient_steps`; if that is not None, it has the
    methods `forget(state)` and `steps_left(state)`;
  - `MEASURES_RECALL`: it takes `measure_recall`; if that is True, it has the
    method `recall(state)`. It always has the method `searches_exactly()`;
  - `HAS_INDEX`: its argument `index` is a name in `INDICES`, and it takes
    `index_args`. The programs have flags `--index.NAME` for these;
  - `UNROLLS_ROWS`: its method `unroll` also takes `rmc_nalu_sam.arrays.Rows`
    for inputs;
  - `DROPS_OUT`: names of arguments, rates of dropout. It draws numbers if one
    is not 0. Encoders and heads may have this attribute too;
  - `NOT_LEARNT`: names of arguments that say how results are computed or
    measured, and change no result. The programs take runs that differ in these
    alone as equal.

  A core may also have a method `unroll(inputs [T, B, F], state) -> (outputs,
  state)`, which is faster than its steps one by one. If it has no argument
  `resets` as well, an unroll with resets computes the steps one by one. See
  `rmc_nalu_sam.encoders` and `rmc_nalu_sam.heads` for the attributes of these.

  A core that maps to the output itself needs no head: a core of units, or any
  with the unit 'linear'. See `rmc_nalu_sam.network.Parts` for the full rule.

  Args:
    core: the recurrent core.
    output_size: size of the answer at each step.
    unit: the layer that the head is made of, and a core of units.
    unit_args: arguments of the unit.
    encoder: what maps the inputs of a step before the core.
    encoder_args: arguments of the encoder.
    head: what maps the outputs of the core to answers.
    head_args: arguments of the head.
    input_size: F, with which all shapes are checked at once rather than in
      `init`. The default suits every encoder of numbers; `init` may use another
      size. None for a model of integer tokens.
    image_shape: (H, W, C) of the image that inputs begin with, for an encoder
      of images, such as 'torso'; None without one.
    num_features: K, how many numbers after the image are features, for an
      encoder of images.
    precision: of the matrix products. With 'bfloat16', layers, attention, and
      reads of a memory multiply in bfloat16, and so do their gradients; DAM and
      NTM also hold the words of their memory in it. Parameters, other states,
      outputs and what is delicate stay float32, and so does a DNC's memory: see
      `rmc_nalu_sam.narrow`. Arithmetic units, and networks of
      them, multiply in float32 in any case.
    policy: a Haiku policy in its place, for the whole model: types of the
      parameters, of the computation, and of outputs and states; None for that
      of the inputs.
    **core_args: arguments of the core.

  Returns:
    The model.

  Raises:
    ValueError: there is no such part, or it has no such argument, or refuses
      its value; or `output_size` is below 1, the parts do not fit together, or
      both `precision` and `policy` are set.

  Example:
    >>> model = rmc_nalu_sam.make_model("rnn", 3, hidden_size=7)
    >>> inputs = jnp.zeros([11, 2, 5])  # 11 steps, 2 sequences, 5 numbers.
    >>> params = model.init(jax.random.key(0), inputs)
    >>> start = model.initial_state(params, 2)
    >>> model.unroll(params, None, inputs, start).outputs.shape
    (11, 2, 3)
  """
  narrow.check_precision(precision)
  check_types("make_model", dict(output_size=output_size),
              all_arguments(make_model))
  check_positive(output_size=output_size)
  if policy is not None and precision != "float32":
    raise ValueError(f"precision={precision!r} and a policy cannot both be set;"
                     " leave out one of them")
  unit_args, encoder_args, head_args = (
      dict(args or {}) for args in (unit_args, encoder_args, head_args))
  CORES.check(core, core_args, all_arguments(make_model))
  UNITS.check(unit, unit_args)
  ENCODERS.check(encoder, encoder_args)
  HEADS.check(head, head_args)
  for arguments in (dict(output_size=output_size), core_args, unit_args,
                    encoder_args, head_args):
    check_numbers(arguments)
  of_task: dict[str, Any] = {}
  if attribute(ENCODERS.get(encoder), "OF_TOKENS", False):
    of_task |= dict(vocabulary_size=output_size)
  if attribute(ENCODERS.get(encoder), "OF_IMAGES", False):
    of_task |= dict(image_shape=image_shape, num_features=num_features)
  parts = _fit(
      CORES.get(core), functools.partial(
          ENCODERS.get(encoder), **encoder_args, **of_task),
      functools.partial(HEADS.get(head), output_size, **head_args),
      output_size, core_args, unit, unit_args)
  functions = model_lib.make_functions(
      parts, policy, precision, input_size)
  has = functools.partial(_has, core, core_args)
  functions["draws"] = any(itertools.starmap(_draws, (
      (ENCODERS, encoder, encoder_args), (CORES, core, core_args),
      (HEADS, head, head_args))))
  functions["can_forget"] = has("CAN_FORGET", "gradient_steps")
  functions["measures_recall"] = has("MEASURES_RECALL", "measure_recall")
  searches_exactly = functions.pop("searches_exactly")
  functions["searches_approximately"] = attribute(
      CORES.get(core), "MEASURES_RECALL", False) and not searches_exactly()

  def with_core_args(**changed: Any) -> Model:
    """Returns the model with other arguments of the core; see `Model`."""
    return make_model(
        core, output_size, unit=unit, unit_args=unit_args, encoder=encoder,
        encoder_args=encoder_args, head=head, head_args=head_args,
        input_size=input_size, image_shape=image_shape,
        num_features=num_features, precision=precision, policy=policy,
        **core_args | changed)

  return Model(with_core_args=with_core_args, **functions)


def uses_unit(core: str | Callable[..., hk.RNNCore],
              unit: str | Callable[..., Unit],
              head: str | Callable[..., Any]) -> bool:
  """Returns whether a model of these parts has a unit.

  It has none if its core maps to the output itself, such as 'sam' with the unit
  'linear', or if neither the core nor the head is made of units. The arguments
  of the unit then have no effect. A unit that a core has in any case does not
  count, such as the NAC of 'nac_lstm'.

  Args:
    core: of `make_model`.
    unit: of `make_model`.
    head: of `make_model`.

  Raises:
    ValueError: there is no such part.

  Example:
    >>> rmc_nalu_sam.uses_unit("lstm", unit="nalu", head="unit")
    True
    >>> rmc_nalu_sam.uses_unit("sam", unit="linear", head="unit")
    False
    >>> rmc_nalu_sam.uses_unit("sam", unit="nalu", head="unit")
    True
  """
  core, head = CORES.get(core), HEADS.get(head)
  return attribute(core, "OF_UNITS", False) or (
      attribute(head, "OF_UNITS", False)
      and not _maps_to_output(core, head, unit))


def _maps_to_output(core, head, unit):
  """Returns whether the core is told the output size; see `network.Parts`."""
  is_same = (attribute(core, "OF_UNITS", False)
             or not attribute(head, "OF_UNITS", False)
             or UNITS.get(unit) is Linear)
  return (is_same and attribute(head, "CORE_MAY_REPLACE", False)
          and attribute(core, "MAPS_TO_OUTPUT", False))


def _fit(core, encoder, head, output_size, core_args, unit, unit_args):
  """Decides whether the core or the head answers; see `network.Parts`."""
  of_units = attribute(core, "OF_UNITS", False)
  may_replace = attribute(head, "CORE_MAY_REPLACE", False)
  head_of_units = attribute(head, "OF_UNITS", False)
  maps = _maps_to_output(core, head, unit)
  of_unit = dict(unit=unit, unit_args=unit_args)
  given = of_unit if of_units else {}
  if maps:
    given = given | dict(output_size=output_size)
  _check_given(core, given, core_args)
  ties_head = attribute(head, "CAN_BE_TIED", False) and bool(
      all_arguments(head)["tied"].default)
  core = functools.partial(core, **core_args, **given)
  if head_of_units:
    head = functools.partial(head, **of_unit)
  return Parts(
      encoder, core, head, output_size=output_size, maps_to_output=maps,
      may_map_to_output=may_replace and of_units, ties_head=ties_head)


def _check_given(core, given, core_args):
  """Checks that the core's class attributes suit its required arguments."""
  for argument in all_arguments(core).values():
    if argument.is_required and argument.name not in given | core_args:
      raise ValueError(
          f"core {core!r} needs the argument {argument.name!r}, which "
          "make_model passes only to cores with the class attribute "
          "MAPS_TO_OUTPUT or OF_UNITS set to True; set it, or give the "
          "argument a default")


def _has(core, core_args, capability, argument):
  """Returns whether a core has a capability, and it is switched on."""
  return (attribute(CORES.get(core), capability, False)
          and _is_on(CORES, core, core_args, argument))


def _draws(registry, name, args):
  """Returns whether a part has a rate of dropout that is not 0."""
  return any(_is_on(registry, name, args, argument)
             for argument in attribute(registry.get(name), "DROPS_OUT", ()))


def _is_on(registry, name, args, argument):
  value = args.get(argument, registry.arguments(name)[argument].default)
  return value not in (None, False)  # 0 is False.
