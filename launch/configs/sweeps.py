"""Sweeps: several values of a number, trained side by side in one program.

A sweep is seeds with other numbers. Its networks lie along the axis S of the
seeds: entry i has value i // num_seeds and seed i % num_seeds, so that every
value is trained with the same seeds. Several swept flags make a grid, in which
the last flag varies fastest.

A config's `sweep` holds (flag, values) pairs, and `()` without a sweep. In
config.json it is a mapping, which is left out if it is empty. The flag's own
field holds the first value.
"""

import itertools
from collections.abc import Mapping
from typing import Any, TypeAlias

import ml_collections
import numpy as np

Config: TypeAlias = ml_collections.ConfigDict
Point: TypeAlias = dict[str, float]  # Flag -> its value; {} without a sweep.

# What may vary: numbers of the update that change no shape.
FIELDS = ("max_grad_norm", "max_grad_value")
KINDS = ("optimizer", "schedule", "penalty", "agent")
SHAPES = ("agent.unroll_length", "agent.ready_levels")  # These may not.
VALID = ", ".join([*(f"--{kind}.X" for kind in KINDS),
                   *(f"--{name}" for name in FIELDS)])
HELP = "Several values, a,b,c, are trained side by side (a sweep)."


def can_vary(name: str) -> bool:
  """Returns whether the flag of a number may have several values."""
  kind, dot, _ = name.partition(".")
  return (kind in KINDS if dot else name in FIELDS) and name not in SHAPES


def split(overrides: Mapping[str, Any],
          member_args: Mapping[str, Mapping[str, Any]]
          ) -> tuple[dict[str, Any], dict[str, dict[str, Any]], Any]:
  """Takes the flags of several values out of a command line.

  Args:
    overrides: Fields set on the command line; several values are a tuple.
    member_args: Maps a kind to arguments set there; in the same way.

  Returns:
    Both, with the first value of each such flag; and the config's `sweep`.

  Raises:
    ValueError: A flag has the same value twice.
  """
  sweep = {}

  def first(name, value):
    if not can_vary(name) or not isinstance(value, tuple):
      return value
    _check_differ(name, value)
    sweep[name] = value
    return value[0]

  fields = {name: first(name, value) for name, value in overrides.items()}
  arguments = {kind: {name: first(f"{kind}.{name}", value)
                      for name, value in given.items()}
               for kind, given in member_args.items()}
  return fields, arguments, tuple(sweep.items())


def _check_differ(name, values):
  """Refuses values that are the same in float32."""
  if len({np.float32(value) for value in values}) < len(values):
    raise ValueError(f"{name}={shown(values)} has a value twice; leave one out")


def points(config: Config) -> list[Point]:
  """Returns the values of a sweep, one dict a point; `[{}]` without a sweep."""
  names = [name for name, _ in config.sweep]
  return [dict(zip(names, values, strict=True)) for values in
          itertools.product(*(values for _, values in config.sweep))]


def num_entries(config: Config) -> int:
  """Returns S, the number of networks: values times seeds."""
  return len(points(config)) * config.num_seeds


def config_of(config: Config, point: Point) -> Config:
  """Returns the config of the run with these values alone."""
  fields = config.to_dict() | {"sweep": ()}
  for name, value in point.items():
    kind, dot, argument = name.partition(".")
    if dot:
      fields[f"{kind}_args"] = fields[f"{kind}_args"] | {argument: value}
    else:
      fields[name] = value
  return Config(fields)


def of_kind(config: Config, kind: str) -> dict[str, tuple[float, ...]]:
  """Returns the swept arguments of a kind; '' stands for fields of the run."""
  parts = {name: name.rpartition(".") for name, _ in config.sweep}
  return {parts[name][2]: values for name, values in config.sweep
          if parts[name][0] == kind}


def label(point: Point) -> str:
  """Returns the values for people, such as 'optimizer.learning_rate=0.001'."""
  return ", ".join(f"{name}={value}" for name, value in point.items())


def shown(value: Any) -> Any:
  """Returns one value as it is, and several as on the command line."""
  return ",".join(map(str, value)) if isinstance(value, tuple) else value


def to_json(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields of a config as config.json has them."""
  found = dict(fields)
  sweep = found.pop("sweep")
  return found | {"sweep": dict(sweep)} if sweep else found


def from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
  """Undoes `to_json`.

  Raises:
    ValueError: `sweep` is not as `to_json` writes it.
  """
  sweep = stored.get("sweep", {})
  if not isinstance(sweep, dict) or not all(
      can_vary(name) and isinstance(values, list) and len(values) > 1
      for name, values in sweep.items()):
    raise ValueError("sweep must map flags to lists of values, and those that "
                     f"can vary are {VALID}; got {sweep!r}")
  return {**stored, "sweep": tuple(
      (name, tuple(values)) for name, values in sweep.items())}
