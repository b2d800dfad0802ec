"""The configuration of a run: defaults, preset, flags, stored config.json.

Later ones override earlier ones. A user's mistakes raise a `UsageError` of one
line before anything is compiled.
"""

import functools
import itertools
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import ml_collections
from absl import logging

from launch.configs import environment, members, sweeps, trust
from launch.experiments.merging import merge
from rmc_nalu_sam.registry import attribute
from tasks.data import replacing

CONFIG_FILE = "config.json"
# Raised when older versions would misread `config.json`, which has it as
# 'format'. Files of before have no such field, and are of format 0.
FORMAT = 1
EXIT_USAGE = 2  # Exit status after a `UsageError`.
KINDS = members.KINDS
NO_PRESET = members.NONE

# Fields that may change when a run is resumed. They do not affect learning,
# except `steps`, which sets the length of the learning-rate schedule.
RUNTIME_FIELDS = ("steps", "max_minutes", "log_every", "eval_every",
                  "eval_episodes", "checkpoint_every", "data_dir",
                  "cache_dir", "data_timeout", "parallel", "accumulate")
# Kind -> its default, for a task without an attribute of that name.
_OF_TASK = {"encoder": members.NONE, "head": "unit", "agent": members.NONE}
_LINEAR = "linear"  # The unit of a usual read-out.
# Keys of a preset for fields that hold with one core or one unit only.
_SETTINGS = {"core": "core_settings", "unit": "unit_settings"}


class UsageError(ValueError):
  """Represents a mistake of the user's, described in one line."""


def default_config() -> ml_collections.ConfigDict:
  """Returns every field of a run, with its type and default.

  `X_args` holds the arguments that are set for the run's member of kind X; the
  others have the defaults of the member. An empty `encoder`, `head` or `agent`
  stands for the task's. `preset` is the name of the preset that the run started
  from. `sweep` holds the flags with several values, see `sweeps`.
  """
  return ml_collections.ConfigDict(dict(
      preset=NO_PRESET,
      task="copy",
      core="sam",
      unit=_LINEAR,
      encoder="",
      head="",
      optimizer="adam",
      schedule="constant",
      curriculum=members.NONE,
      penalty=members.NONE,
      agent="",
      **{f"{kind}_args": ml_collections.ConfigDict() for kind in KINDS},
      max_grad_norm=1.0,
      max_grad_value=0.,
      skip_nonfinite=0,
      steps=10_000,
      max_minutes=0.,
      batch_size=16,
      accumulate=1,
      seed=0,
      num_seeds=1,
      rng="threefry",
      precision="float32",
      parallel="pmap",
      reuse_memory=False,
      init_from="",
      log_every=100,
      eval_every=1_000,
      eval_episodes=512,
      checkpoint_every=1_000,
      data_dir="",
      cache_dir="",
      data_timeout=600.,
      sweep=(),
  ))


def resolve(preset: str | None, overrides: Mapping[str, Any],
            member_args: Mapping[str, Mapping[str, Any]],
            ) -> ml_collections.ConfigDict:
  """Returns the configuration of a new run.

  Args:
    preset: Name of a preset, or 'package.module:function'; None or 'none' for
      the defaults.
    overrides: Fields of `default_config` set on the command line; a tuple of
      several values makes a sweep.
    member_args: Maps a kind in `KINDS` to the arguments that were set there for
      the run's member; in the same way.

  Returns:
    A configuration whose `X_args` are those of its members alone.

  Raises:
    UsageError: A name, a value or an argument is not valid.
  """
  preset = preset or NO_PRESET
  fields = default_config().to_dict()
  del fields["sweep"]  # A preset has one value of each number.
  try:
    overrides, member_args, sweep = sweeps.split(overrides, member_args)
    fields = merge(fields, _preset_fields(preset, overrides, fields))
    fields = merge(fields, overrides) | {"preset": preset, "sweep": sweep}
    fields |= _defaults_of_task(fields)
    for kind in KINDS:  # 'core' comes before 'index', which its arguments name.
      name, given = members.name_of(fields, kind), member_args.get(kind, {})
      members.check_given(fields, kind, given)
      of_preset = fields[f"{kind}_args"].get(name, {})
      fields[f"{kind}_args"] = dict(of_preset) | dict(given)
    if overrides.get("unit", _LINEAR) != _LINEAR:
      members.check_unit_is_used(fields, "unit")
    config = default_config()
    config.update(fields)
  except (AttributeError, TypeError, ValueError) as error:
    raise UsageError(str(error)) from None
  return config


def _preset_fields(preset, overrides, defaults):
  """Returns a preset's fields, with those of the run's core and unit."""
  if preset == NO_PRESET:
    return {}
  fields = dict(members.PRESETS.get(preset)())
  settings = {kind: fields.pop(key, {}) for kind, key in _SETTINGS.items()}
  for kind, of_members in settings.items():
    name = overrides.get(kind, fields.get(kind, defaults[kind]))
    fields = merge(fields, of_members.get(name, {}))
  for name in fields:
    if name not in defaults:
      raise ValueError(f"preset {preset!r} has the field {name!r}, which does "
                       f"not exist; valid fields: {', '.join(defaults)}, "
                       f"{', '.join(_SETTINGS.values())}")
  return fields


def _defaults_of_task(fields):
  """Returns encoder, head and agent that suit a task, where none is given."""
  task = members.REGISTRIES["task"].get(fields["task"])
  return {kind: attribute(task, kind, default)
          for kind, default in _OF_TASK.items() if not fields[kind]}


def default_workdir(config: ml_collections.ConfigDict) -> pathlib.Path:
  """Returns the folder of a run without --workdir, such as runs/copy-sam-0."""
  parts = [members.short_name(config.task), *label(config).split("/"),
           config.task_args.get("operation", ""), str(config.seed)]
  return pathlib.Path("runs", "-".join(filter(None, parts)))


def new_workdir(config: ml_collections.ConfigDict) -> pathlib.Path:
  """Returns `default_workdir`, or one that holds no run: runs/copy-sam-0-2."""
  first = default_workdir(config)
  others = (first.with_name(f"{first.name}-{number}")
            for number in itertools.count(2))
  return next(path for path in itertools.chain([first], others)
              if not (path / CONFIG_FILE).exists())


def is_of_units(config: ml_collections.ConfigDict) -> bool:
  """Returns whether the run's core is made of units."""
  return attribute(members.REGISTRIES["core"].get(config.core), "OF_UNITS",
                   False)


def label(config: ml_collections.ConfigDict) -> str:
  """Returns the network's name for people: core, or core/unit.

  The unit is named unless it is the usual linear read-out.

  Raises:
    UsageError: There is no such core (any more).
  """
  core = members.short_name(config.core)
  try:
    is_usual = config.unit == _LINEAR and not is_of_units(config)
  except ValueError as error:
    raise UsageError(str(error)) from None
  return core if is_usual else f"{core}/{members.short_name(config.unit)}"


def settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Returns what determines the result of a run, except its seeds.

  Args:
    config: From `resolve` or `load`.

  Returns:
    Maps the name of a flag to its value; arguments that were not set have their
    defaults. A swept flag has a list of values.

  Raises:
    UsageError: A task, core and so on no longer exists.
  """
  left_out = {*RUNTIME_FIELDS, "preset", "seed", "num_seeds", "sweep",
              *(f"{kind}_args" for kind in KINDS)}
  if config.schedule != "constant":
    left_out.remove("steps")
  found = {name: value for name, value in config.items()
           if name not in left_out}
  for kind in KINDS:
    not_learnt = _not_learnt(config, kind)
    found |= {f"{kind}.{name}": value
              for name, value in _arguments(config, kind).items()
              if name not in not_learnt}
  found |= dict(config.sweep)
  # As stored: a tuple and a list are the same.
  return json.loads(json.dumps(found, default=str))


def _not_learnt(config, kind):
  name = members.name_of(config, kind)
  return () if name is None else attribute(
      members.REGISTRIES[kind].get(name), "NOT_LEARNT", ())


def _arguments(config, kind):
  try:
    return members.arguments_of(config, kind)
  except ValueError as error:
    raise UsageError(str(error)) from None


def save(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes `config.json` atomically."""
  replacing.replace_text(workdir / CONFIG_FILE, json.dumps(
      {"format": FORMAT, "written_by": environment.versions() | {
          "commit": environment.commit(), "machine": environment.machine()},
       **sweeps.to_json(config.to_dict())}, indent=2,
      allow_nan=False) + "\n")


def load(workdir: pathlib.Path, given: Collection[str] = ()
         ) -> ml_collections.ConfigDict:
  """Reads `config.json`.

  Args:
    workdir: Folder of the run.
    given: Paths of members on the command line; the config may name them.

  Raises:
    UsageError: The file does not exist, is not the config of a run, or names
      code that is not trusted; see `trust`.
  """
  path = workdir / CONFIG_FILE
  try:
    stored = json.loads(path.read_text())
  except FileNotFoundError:
    raise UsageError(
        f"{path} does not exist: no run was started in this workdir") from None
  except (OSError, RecursionError, ValueError) as error:
    raise UsageError(f"cannot read {path}: {error}") from None
  config = default_config()
  config.agent = members.NONE  # Older runs do not name it.
  if not isinstance(stored, dict):
    raise UsageError(f"{path} is not of a run: expected an object, got "
                     f"{type(stored).__name__}")
  check_format(path, stored.pop("format", 0), FORMAT)
  stored.pop("written_by", None)  # For people.
  if refused := trust.refusal(stored, workdir, given):
    raise UsageError(f"{path}: {refused}")
  for name in stored:
    if name not in config:
      raise UsageError(f"{path} is not of a run of this version: it has the "
                       f"field {name!r}; valid fields: {', '.join(config)}")
  try:
    config.update(sweeps.from_json(stored))
  except (AttributeError, TypeError, ValueError) as error:
    raise UsageError(f"{path} is not of a run: {error}") from None
  return config


def check_format(path: pathlib.Path, found: Any, known: int) -> None:
  """Refuses a file that a newer version has written.

  Args:
    path: Of the file.
    found: The format that it names.
    known: The newest format that this version reads.

  Raises:
    UsageError: The format is newer, or no number.
  """
  if not isinstance(found, int) or found > known:
    raise UsageError(
        f"{path} has format {found!r}, and this version reads formats 0 to "
        f"{known}: a newer version has written it; use that one")


def reconcile(stored: ml_collections.ConfigDict, preset: str | None,
              overrides: Mapping[str, Any],
              member_args: Mapping[str, Mapping[str, Any]],
              workdir: pathlib.Path | None = None) -> ml_collections.ConfigDict:
  """Returns the configuration of a run that is resumed.

  Logs a line if a field in `RUNTIME_FIELDS` changes, and one if a preset has
  another value for such a field than the run keeps.

  Args:
    stored: From `load`.
    preset: The preset of the command line, or None.
    overrides: Fields set on the command line.
    member_args: Maps a kind in `KINDS` to arguments set there.
    workdir: Folder of the run, for messages.

  Raises:
    UsageError: Something that was set would change what the run learns, or
      there is no such member or preset.
  """
  fields, run = dict(overrides), f"the run in {workdir or 'this workdir'}"
  _check_names(overrides)
  of_task = _defaults_of_task(dict.fromkeys(_OF_TASK, "")
                              | dict(task=stored.task))
  fields |= {kind: name for kind, name in of_task.items()
             if fields.get(kind) == ""}
  if preset:
    wanted = resolve(preset, overrides, member_args)
    fields |= {name: value for name, value in wanted.items()
               if name not in ("preset", "sweep", *RUNTIME_FIELDS)
               and not name.endswith("_args")}
    fields |= sweeps.of_kind(wanted, "")
    _log_changes(f"--preset={preset} does not change {run}, which keeps",
                 {name: stored[name] for name in RUNTIME_FIELDS
                  if name not in overrides}, wanted)
  refuse = functools.partial(_refuse_changes, run, preset)
  refuse("", fields, dict(stored) | sweeps.of_kind(stored, ""), overrides)
  for kind in KINDS:
    given = member_args.get(kind, {})
    try:
      members.check_given(stored, kind, given)
    except ValueError as error:
      raise UsageError(f"{error} (in {run})") from None
    by_flag = given
    if preset:  # What it leaves out has the defaults of the member.
      given = _arguments(wanted, kind) | sweeps.of_kind(wanted, kind)
    refuse(f"{kind}.", given, _arguments(stored, kind)
           | sweeps.of_kind(stored, kind), by_flag)
  config = ml_collections.ConfigDict(stored)
  config.update({name: fields[name] for name in RUNTIME_FIELDS
                 if name in fields})
  _log_changes("resuming with", {name: config[name] for name in RUNTIME_FIELDS},
               stored)
  return config


def _log_changes(what, values, others):
  """Logs each value that differs from the other one of its name."""
  changes = [f"{name}={value!r} (not {others[name]!r})"
             for name, value in values.items() if value != others[name]]
  if changes:
    logging.info("%s %s", what, ", ".join(changes))


def _check_names(overrides):
  """Raises a UsageError for the name of a member that does not exist."""
  for kind in KINDS:
    name = overrides.get(kind, "")
    if name not in ("", members.NONE):
      try:
        members.REGISTRIES[kind].get(name)
      except ValueError as error:
        raise UsageError(str(error)) from None


def _refuse_changes(run, preset, prefix, given, has, by_flag):
  """Raises a UsageError for the first value that differs from the run's.

  Args:
    run: The run, for the message.
    preset: The preset of the command line, or None.
    prefix: Of flags.
    given: Name -> value that the command line leads to.
    has: Name -> value of the run.
    by_flag: Names that have a flag of their own on the command line.
  """
  for name, value in given.items():
    changes = name not in has or has[name] != value
    if changes and not (prefix == "" and name in RUNTIME_FIELDS):
      was = has.get(name, "not set")
      by = (f"--{prefix}{name}={sweeps.shown(value)}"
            if name in by_flag or not preset else
            f"--preset={preset} with {prefix}{name}={sweeps.shown(value)}")
      raise UsageError(
          f"{run} was started with {prefix}{name}={sweeps.shown(was)}, now "
          f"{by}: resume it without that flag, or choose another --workdir")
