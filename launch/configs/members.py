"""All kinds of members of a run, by name: built-in ones and a user's own.

`REGISTRIES` is the one list of kinds. A run's config has a field for each kind
(`core`) and a field for the arguments of its member (`core_args`). The kind
'index' has only `index_args`: its member is the argument `index` of the core.
"""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections

import tasks
from launch import experiments
from launch.learning import curriculum, optimizers, penalties
from launch.learning.agents import actor_critic
from rmc_nalu_sam import (
    CORES,
    ENCODERS,
    HEADS,
    INDICES,
    UNITS,
    Registry,
    uses_unit,
)
from rmc_nalu_sam.registry import Argument, attribute

REGISTRIES: Mapping[str, Registry] = {
    "task": Registry("task", tasks.TASKS, given=()),
    "core": CORES,
    "index": INDICES,
    "unit": UNITS,
    "encoder": ENCODERS,
    "head": HEADS,
    "optimizer": Registry("optimizer", optimizers.OPTIMIZERS, given=()),
    "schedule": Registry("schedule", optimizers.SCHEDULES,
                         given=("learning_rate", "steps")),
    "curriculum": Registry("curriculum", curriculum.CURRICULA, given=()),
    "penalty": Registry("penalty", penalties.PENALTIES, given=()),
    "agent": Registry("agent", actor_critic.AGENTS, given=()),
}
KINDS = tuple(REGISTRIES)
PRESETS = Registry("preset", experiments.PRESETS, given=())

NONE = "none"
FLAG_TYPES = (int, float, str, bool)
OPTIONAL = ("curriculum", "penalty", "agent")  # A run may have none of these.


def name_of(config: Mapping[str, Any] | ml_collections.ConfigDict,
            kind: str) -> str | None:
  """Returns the name of a run's member of a kind; None without one.

  Args:
    config: Fields of a run; `core_args` are those of its core alone.
    kind: A kind in `REGISTRIES`.

  Raises:
    ValueError: There is no such core.
  """
  if kind == "index":
    return _index_name(config)
  name = config[kind]
  return None if kind in OPTIONAL and name == NONE else name


def has_index(core: str) -> bool:
  """Returns whether a core searches its memory by a member of 'index'."""
  return attribute(REGISTRIES["core"].get(core), "HAS_INDEX", False)


def _index_name(config):
  if not has_index(config["core"]):
    return None
  argument = REGISTRIES["core"].arguments(config["core"])["index"]
  value = config["core_args"].get("index", argument.default)
  return value if isinstance(value, str) else None


def arguments_of(config: ml_collections.ConfigDict,
                 kind: str) -> dict[str, Any]:
  """Returns the arguments of a run's member, those with a default included.

  Args:
    config: From `config.resolve` or `config.load`.
    kind: A kind in `REGISTRIES`.

  Raises:
    ValueError: There is no such member.
  """
  name = name_of(config, kind)
  if name is None:
    return {}
  defaults = {argument.name: argument.default
              for argument in REGISTRIES[kind].arguments(name).values()
              if not argument.is_required}
  return defaults | config[f"{kind}_args"].to_dict()


def check_given(config: Mapping[str, Any] | ml_collections.ConfigDict,
                kind: str, arguments: Mapping[str, Any]) -> None:
  """Refuses arguments that the run's member of a kind does not have.

  Args:
    config: Fields of the run.
    kind: A kind in `REGISTRIES`.
    arguments: Arguments that the user gave for the member.

  Raises:
    ValueError: One line that names the flag, the valid ones and what to do.
  """
  name, registry = name_of(config, kind), REGISTRIES[kind]
  for argument in arguments:
    owners = [member for member in registry
              if argument in registry.arguments(member)]
    if name is None:
      raise ValueError(f"--{kind}.{argument}: "
                       f"{_absent(config, kind, owners)}")
    if argument not in registry.arguments(name):
      try:
        registry.check(name, [argument])
      except ValueError as error:
        raise ValueError(f"--{kind}.{argument}: {error}"
                         f"{_other_owners(kind, owners)}") from None
    if kind == "unit":
      check_unit_is_used(config, f"unit.{argument}")


def check_unit_is_used(
    config: Mapping[str, Any] | ml_collections.ConfigDict, flag: str) -> None:
  """Refuses a flag of the unit if the run's network has none.

  Args:
    config: Fields of the run.
    flag: Name of the flag that the user gave.

  Raises:
    ValueError: The flag would have no effect; or there is no such member.
  """
  if not uses_unit(config["core"], config["unit"], config["head"]):
    raise ValueError(
        f"--{flag}: a network of core={config['core']}, unit={config['unit']} "
        f"and head={config['head']} has no unit; leave it out, or choose "
        "another of the three")


def _absent(config, kind, owners):
  if kind == "index":
    cores = [core for core in REGISTRIES["core"] if has_index(core)]
    return (f"core {config['core']!r} has no index; valid: {', '.join(cores)}; "
            f"add --core={cores[0]}")
  best = (owners or list(REGISTRIES[kind]))[0]
  return (f"{kind} is {NONE!r}; valid: {', '.join(REGISTRIES[kind])}; "
          f"add --{kind}={best}")


def _other_owners(kind, owners):
  """Returns which flag to set for members that have the argument."""
  if not owners:
    return ""
  if kind == "index":
    return f"; it is an argument of --core.index={'|'.join(owners)}"
  return f"; it is an argument of --{kind}={'|'.join(owners)}"


def is_own(name: object) -> bool:
  """Returns whether a name is a path into a user's own module."""
  return isinstance(name, str) and ":" in name


def short_name(name: str) -> str:
  """Returns a member's name for labels and folders, without its module."""
  return name.rpartition(":")[2]


def is_simple(value: Any) -> bool:
  """Returns whether a default is a plain value, not an object or missing."""
  return value is not inspect.Parameter.empty and (
      value is None or isinstance(value, (bool, int, float, str)))


def flag_type(argument: Argument) -> type | None:
  """Returns the type of an argument's flag: `int` for `int` and `int | None`.

  An argument that takes a string or an object has a flag for the string. An
  argument without a type has the type of its default.

  Args:
    argument: Argument of a member.

  Returns:
    int, float, str or bool; None if no flag can give the argument's value.
  """
  annotation = argument.annotation
  if typing.get_origin(annotation) is typing.Literal:
    options = [type(value) for value in typing.get_args(annotation)]
  else:
    options = list(typing.get_args(annotation)) or [annotation]
  if annotation is inspect.Parameter.empty or isinstance(annotation, str):
    options = [type(argument.default)]
  simple = list(dict.fromkeys(
      option for option in options if option in FLAG_TYPES))
  return simple[0] if len(simple) == 1 else None
