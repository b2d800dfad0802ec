"""Command lines and models for test_fuzz.py, drawn from the registries.

A new task, core or preset is drawn without a change here: names come from the
registries, arguments and their types from the constructors, and the words that
an argument takes from its docstring.
"""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from launch.configs import config as config_lib
from launch.configs import help as help_lib
from launch.configs import members, sweeps
from rmc_nalu_sam.registry import Argument, attribute

# Fields of a run that make it small. Others may be drawn over them.
TINY: Mapping[str, Any] = dict(
    steps=2, log_every=1, eval_every=100, checkpoint_every=100,
    eval_episodes=2, batch_size=2)
# Fields that only repeat what a run does: a huge value never ends.
REPEATED = ("steps", "eval_episodes", "max_minutes")
# As above, for members. An argument that counts the steps of an episode is not
# a size: it asks for time, and not for memory.
REPEATED_ARGS = ("max_steps", "max_test_length", "num_layers", "num_rounds")
# Sizes above this are drawn again, to be small.
LARGE = {kind: 1_000 if kind == "curriculum" else 16 for kind in members.KINDS}
SMALL_SIZES = st.sampled_from((5, 6, 7, 8, 10, 12, 16))

# Paths in which the registries have no names.
PATHS = {"path": tuple(f"test_adapters:{name}" for name in (
    "OldEnv", "NewEnv", "Picture", "Number", "Timeless", "Continuous",
    "make_old"))}

# Names of fields and arguments; a message must have one, or a value.
FLAG_NAMES = frozenset(config_lib.default_config()) | {
    name for registry in members.REGISTRIES.values() for member in registry
    for name in registry.arguments(member)}

_FEW = st.sampled_from((0, 0, 0, 0, 1, 2))  # Senseless values of a line.
_BAD_INTS = (0, -1, -3, 2**31 - 1, 2**31, -2**31 - 1, 10**20, "1.5", "x", "")
_BAD_SIZES = (0, -1, 1, 2, "x")
_BAD_FLOATS = (0., -1., -1e-3, 1., 2., 1e6, 1e30, -1e30, 1e-30, 1e39, 1e-40,
               "nan", "inf", "-inf", "x", "", "1e-3,nan", "1,1")
_BAD_WORDS = ("", "nonsense", "-1", "0", ",", "1,2,3", "3,1", "nan,1",
              "-1e30,1e30", "1e39,1e40", "1,2;3", "os:path", "no:where",
              "x.y:z", ":", "none")
_BAD_BOOLS = ("maybe", "2")


def sometimes(draw: Any, one_in: int) -> bool:
  """Draws True once in so many times."""
  return draw(st.integers(1, one_in)) == one_in


def words(kind: str, argument: Argument) -> list[str]:
  """Returns the words that an argument takes, as its docstring names them."""
  names = help_lib._NAMES_OF.get((kind, argument.name))
  if names:
    return list(members.REGISTRIES[names])
  if argument.name in PATHS:
    return list(PATHS[argument.name])
  return re.findall(r"""['"]([\w,;.-]+)['"]""", argument.help)


def good(kind: str, argument: Argument, value: Any) -> st.SearchStrategy[Any]:
  """Draws a value that may make sense; `value` is the one it has."""
  of_type = members.flag_type(argument)
  if of_type is bool:
    return st.booleans()
  if of_type is int:
    near = () if value in (None, argument.default, True) else (value,)
    return st.sampled_from((1, 2, 3, 5, 10, *near))
  if of_type is float:
    return st.sampled_from((0., 0.1, 0.5, 0.9, 1., *(
        () if value is None else (value / 2,))))
  found = words(kind, argument)
  if re.fullmatch(r"[\d,]+", str(value)):
    found += ["3", "2,5"]
  return st.sampled_from(found or [value or ""])


def bad(of_type: type, is_repeated: bool) -> st.SearchStrategy[Any]:
  """Draws a value at or beyond a boundary, or one of another type."""
  if of_type is int:
    return st.sampled_from(_BAD_SIZES if is_repeated else _BAD_INTS)
  return st.sampled_from(
      {float: _BAD_FLOATS, bool: _BAD_BOOLS}.get(of_type, _BAD_WORDS))


@st.composite
def command_lines(draw: Any) -> dict[str, Any]:
  """Draws a command line of `launch.train`: name of a flag -> its value.

  A preset or a task with random members; sizes made small; a few arguments
  changed; and in a third of the lines one or two senseless values.
  """
  preset = draw(st.sampled_from((None, *members.PRESETS))) if draw(
      st.booleans()) else None
  fields = _names(draw, preset)
  flags = ({} if preset is None else {"preset": preset}) | TINY | fields
  flags |= _run_fields(draw)
  try:
    config = config_lib.resolve(preset, fields, {})
  except config_lib.UsageError:
    return flags
  arguments = {
      f"{kind}.{name}": (kind, argument, value)
      for kind in members.KINDS
      for name, argument, value in _of_member(config, kind)}
  flags |= _shrunk(draw, arguments)
  flags |= {name: draw(good(kind, argument, value))
            for name, (kind, argument, value) in arguments.items()
            if argument.name in PATHS or (
                kind == "penalty" and argument.name.endswith("weight"))}
  num_changed = draw(st.sampled_from((0, 0, 1, 2))) if arguments else 0
  for _ in range(num_changed):
    name = draw(st.sampled_from(sorted(arguments)))
    kind, argument, value = arguments[name]
    flags[name] = draw(good(kind, argument, value))
  if sometimes(draw, 10):
    flags |= _sweep(draw, arguments)
  for _ in range(draw(_FEW)):
    flags |= _senseless(draw, arguments)
  return flags


def _names(draw, preset):
  """Draws members. What a task chooses by itself is seldom changed."""
  fields = {}
  if preset is None or sometimes(draw, 12):
    fields["task"] = draw(_member("task"))
  for kind, one_in in (("core", 2), ("unit", 10), ("optimizer", 3),
                       ("schedule", 3), ("encoder", 30), ("head", 30),
                       ("curriculum", 20), ("penalty", 30), ("agent", 60)):
    if sometimes(draw, one_in):
      fields[kind] = draw(_member(kind))
  return fields


def _member(kind):
  return st.sampled_from(list(members.REGISTRIES[kind]))


def _run_fields(draw):
  found = {"seed": draw(st.integers(0, 2**32 - 3))}
  for name, values in dict(
      batch_size=(1, 3, 4), precision=("bfloat16",), log_every=(2, 100),
      eval_every=(1, 2), checkpoint_every=(1, 2), num_seeds=(2, 3),
      rng=("rbg",), reuse_memory=(True,), max_grad_norm=(0., .1),
      max_grad_value=(.1,), cpu_devices=(1, 2)).items():
    if sometimes(draw, 40 if name == "reuse_memory" else 12):
      found[name] = draw(st.sampled_from(values))
  return found


def _of_member(config, kind):
  """Yields name, argument and value of a run's member that flags can set."""
  name = members.name_of(config, kind)
  if name is None:
    return
  has = members.arguments_of(config, kind)
  for argument in members.REGISTRIES[kind].arguments(name).values():
    if members.flag_type(argument) is not None:
      yield argument.name, argument, has.get(argument.name)


def _shrunk(draw, arguments):
  """Draws small numbers in place of large ones."""
  return {name: draw(SMALL_SIZES) for name, (kind, argument, value)
          in arguments.items() if members.flag_type(argument) is int
          and (value or 0) > LARGE[kind]}


def _sweep(draw, arguments):
  """Draws several values of a number."""
  names = [name for name in arguments if sweeps.can_vary(name)]
  name = draw(st.sampled_from([*names, *sweeps.FIELDS]))
  values = draw(st.lists(st.sampled_from((0, 1e-3, .01, .5, 1)), min_size=2,
                         max_size=3, unique=True))
  return {name: ",".join(map(str, values))}


def _senseless(draw, arguments):
  """Draws a flag and a value for it that is at or beyond a boundary."""
  if sometimes(draw, 4):
    defaults = {name: type(value)
                for name, value in config_lib.default_config().items()
                if type(value) in members.FLAG_TYPES and name != "preset"}
    name = draw(st.sampled_from(sorted(defaults)))
    return {name: draw(bad(defaults[name], name in REPEATED))}
  if not arguments or sometimes(draw, 8):
    kind = draw(st.sampled_from(members.KINDS))
    member = draw(_member(kind))
    of_other = [argument for argument in members.REGISTRIES[kind].arguments(
        member).values() if members.flag_type(argument) is not None]
    if of_other:
      argument = draw(st.sampled_from(of_other))
      return {f"{kind}.{argument.name}": draw(good(
          kind, argument, argument.default))}
    return {}
  name = draw(st.sampled_from(sorted(arguments)))
  argument = arguments[name][1]
  return {name: draw(bad(members.flag_type(argument),
                         argument.name in REPEATED_ARGS))}


@st.composite
def models(draw: Any) -> tuple[dict[str, Any], tuple[int, int, int]]:
  """Draws arguments of `make_model`, and sizes T, B and F of its inputs.

  F is None for a model of tokens.
  """
  core, unit, encoder, head = (draw(_member(kind)) if of is None or
                               sometimes(draw, 4) else of for kind, of in (
      ("core", None), ("unit", None), ("encoder", "none"), ("head", "unit")))
  of_tokens, of_images = (
      attribute(members.REGISTRIES["encoder"].get(encoder), name, False)
      for name in ("OF_TOKENS", "OF_IMAGES"))
  image = tuple(draw(st.lists(st.sampled_from((1, 3, 8)), min_size=3,
                              max_size=3)))
  size = None if of_tokens else draw(st.sampled_from((1, 2, 5, 64, 400)))
  arguments = dict(core=core, unit=unit, encoder=encoder, head=head,
                   output_size=draw(st.sampled_from((1, 2, 3, 7))),
                   input_size=size)
  if of_images:
    arguments |= dict(image_shape=image, num_features=draw(st.integers(0, 2)))
    arguments["input_size"] = size = (
        image[0] * image[1] * image[2] + arguments["num_features"]
        + draw(st.integers(0, 1)))
  arguments |= _arguments_of(draw, "core", core)
  for kind, member in (("unit", unit), ("encoder", encoder), ("head", head)):
    arguments[f"{kind}_args"] = _arguments_of(draw, kind, member)
  return arguments, (draw(st.integers(1, 4)), draw(st.integers(1, 3)), size)


def _arguments_of(draw, kind, member):
  """Draws a few arguments of a member, and small sizes for the others."""
  found = {}
  for name, argument in members.REGISTRIES[kind].arguments(member).items():
    of_type = members.flag_type(argument)
    if of_type is None:
      continue
    if sometimes(draw, 12):
      value = draw(bad(of_type, name in REPEATED_ARGS))
      if type(value) is of_type:
        found[name] = value
    elif sometimes(draw, 4):
      found[name] = draw(good(kind, argument, argument.default))
    elif of_type is int and (argument.default or 0) > LARGE[kind]:
      found[name] = draw(SMALL_SIZES)
  return found
