"""What a run is made of: defaults, presets, flags and the stored config.json.

Later ones override earlier ones. Everything a user can get wrong is refused
here, before anything is compiled, with a `UsageError` of one line.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any

import ml_collections

import rmc_nalu_sam
import tasks
from launch import curriculum as curriculum_lib
from launch import experiments, keys, optimisers

CONFIG_FILE = "config.json"
EXIT_USAGE = 2  # Exit status after a `UsageError`.
# What has arguments of its own, in the field KIND_args.
KINDS = ("task", "core", "unit", "encoder")
# Kind -> its members, and what tells the arguments of one.
MEMBERS: Mapping[str, tuple[
    Mapping[str, Any], Callable[[str], Mapping[str, Any]]]] = {
        "task": (tasks.TASKS, tasks.task_arguments),
        "core": (rmc_nalu_sam.CORES, rmc_nalu_sam.core_arguments),
        "unit": (rmc_nalu_sam.UNITS, rmc_nalu_sam.unit_arguments),
        "encoder": (rmc_nalu_sam.ENCODERS, rmc_nalu_sam.encoder_arguments)}
NO_PRESET = "none"
OF_UNITS = ("stack", "unit_rnn")  # Cores made of units.

# May differ when a run is continued: they do not change what is learnt, but for
# `steps` under a schedule that depends on it.
RUNTIME_FIELDS = ("steps", "max_minutes", "log_every", "eval_every",
                  "eval_episodes", "checkpoint_every", "data_dir")
# Arguments of cores that do not, either: how the same is computed or measured.
NOT_LEARNT = ("recompute", "measure_recall")


class UsageError(ValueError):
  """A mistake of the user's, told in one line."""


def default_config() -> ml_collections.ConfigDict:
  """Every field of a run, with its type and default.

  `task_args`, `core_args` and so on map the name of a task or core to its
  arguments, so that a preset can serve several of them. `unit_settings` maps
  the name of a unit to the fields that a preset has for it alone. An empty
  `encoder` stands for the task's.
  """
  return ml_collections.ConfigDict(dict(
      task="copy",
      task_args=ml_collections.ConfigDict(),
      core="sam",
      core_args=ml_collections.ConfigDict(),
      unit="linear",
      unit_args=ml_collections.ConfigDict(),
      unit_settings=ml_collections.ConfigDict(),
      encoder="",
      encoder_args=ml_collections.ConfigDict(),
      curriculum="none",
      curriculum_start=1,
      curriculum_threshold=0.05,
      curriculum_patience=100,
      curriculum_max=4096,
      steps=10_000,
      max_minutes=0.,
      batch_size=16,
      learning_rate=1e-3,
      lr_schedule="constant",
      optimizer="adam",
      max_grad_norm=1.0,
      max_grad_value=0.,
      penalty_weight=0.,
      penalty_start=0,
      penalty_end=0,
      input_penalty_weight=0.,
      seed=0,
      num_seeds=1,
      rng="threefry",
      reuse_memory=False,
      log_every=100,
      eval_every=1_000,
      eval_episodes=512,
      checkpoint_every=1_000,
      data_dir="",
  ))


def resolve(preset: str | None, overrides: Mapping[str, Any],
            member_args: Mapping[str, Mapping[str, Any]],
            ) -> ml_collections.ConfigDict:
  """The configuration of a new run.

  Args:
    preset: name of a file in `launch/experiments`; that of the task's name, if
      there is one, if None; 'none' for the defaults.
    overrides: fields of `default_config` set on the command line.
    member_args: kind in `KINDS` -> arguments of the task, the core and so on
      that were set there.

  Returns:
    A configuration whose `task_args`, `core_args` and so on are those of its
    task and core alone, without `unit_settings`.

  Raises:
    UsageError: a name or a value is not valid.
  """
  config = _load_preset(preset, overrides.get("task", default_config().task))
  settings = config.unit_settings.get(overrides.get("unit", config.unit), {})
  config.update(settings)
  config.update(overrides)
  config.unit_settings = ml_collections.ConfigDict()
  _fill_encoder(config)
  for kind in KINDS:
    field = f"{kind}_args"
    merged = (dict(config[field].get(config[kind], {}))
              | dict(member_args.get(kind, {})))
    config[field] = ml_collections.ConfigDict(merged)
  if not config.penalty_weight:
    for name in ("penalty_start", "penalty_end"):
      if overrides.get(name, 0) > 0:
        raise UsageError(f"{name} is of a penalty, and there is none; "
                         "did you mean --penalty_weight=0.01 or the like?")
  unused = [name for name in overrides if name.startswith("curriculum_")]
  if unused and config.curriculum == "none":
    raise UsageError(f"{unused[0]} is of a curriculum, and there is none; "
                     "did you mean --curriculum=exponential?")
  return config


def _load_preset(preset, task):
  if preset is None:
    preset = task if task in experiments.preset_names() else NO_PRESET
  if preset == NO_PRESET:
    return default_config()
  try:
    return experiments.load_preset(preset)
  except ValueError as error:
    raise UsageError(str(error)) from None


def _fill_encoder(config):
  if not config.encoder and config.task in tasks.TASKS:
    config.encoder = tasks.TASKS[config.task].encoder


def default_workdir(config: ml_collections.ConfigDict) -> pathlib.Path:
  """Where a run goes that was given no place: 'runs/copy-sam-0'."""
  parts = [config.task, *label(config).split("/"),
           config.task_args.get("operation", ""), str(config.seed)]
  return pathlib.Path("runs", "-".join(filter(None, parts)))


def label(config: ml_collections.ConfigDict) -> str:
  """What learns, for people: the core, and its unit if that is not usual."""
  is_usual = config.unit == "linear" and config.core not in OF_UNITS
  return config.core if is_usual else f"{config.core}/{config.unit}"


def settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What decides what a run learns, but for its seeds.

  Args:
    config: from `resolve` or `load`.

  Returns:
    Name of the flag -> value; arguments that were not set have their defaults.

  Raises:
    UsageError: there is no longer such a task, core and so on.
  """
  left_out = {*RUNTIME_FIELDS, "seed", "num_seeds", "unit_settings",
              *(f"{kind}_args" for kind in KINDS)}
  if config.lr_schedule != "constant":
    left_out.remove("steps")
  found = {name: value for name, value in config.items()
           if name not in left_out}
  for kind in KINDS:
    found |= {f"{kind}.{name}": value
              for name, value in _arguments(config, kind).items()
              if name not in NOT_LEARNT}
  # As stored: a tuple and a list are the same.
  return json.loads(json.dumps(found, default=str))


def _arguments(config, kind):
  """All arguments of the run's member of a kind, those not set as well."""
  try:
    arguments = MEMBERS[kind][1](config[kind])
  except ValueError as error:
    raise UsageError(str(error)) from None
  defaults = {name: argument.default for name, argument in arguments.items()}
  return defaults | config[f"{kind}_args"].to_dict()


def make_model(config: ml_collections.ConfigDict, task: tasks.Task,
               **core_args: Any) -> rmc_nalu_sam.Model:
  """The network of a run on a task.

  Args:
    config: from `resolve` or `load`.
    task: made from it, or another with inputs and outputs of the same sizes.
    **core_args: in place of some in `config`.

  Raises:
    ValueError: it cannot be had.
  """
  return rmc_nalu_sam.make_model(
      config.core, task.output_size, unit=config.unit,
      unit_args=config.unit_args.to_dict(), encoder=config.encoder,
      encoder_args=config.encoder_args.to_dict(), input_size=task.input_size,
      **(config.core_args.to_dict() | core_args))


def check(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Raises a UsageError if a run with `config` cannot be started."""
  for field in ("steps", "batch_size", "log_every", "eval_every",
                "eval_episodes", "checkpoint_every", "num_seeds"):
    if config[field] < 1:
      raise UsageError(f"{field} must be at least 1, got {config[field]}")
  if not config.learning_rate > 0:
    raise UsageError(
        f"learning_rate must be above 0, got {config.learning_rate}")
  for field, zero in (("max_minutes", "no limit"), ("max_grad_norm", "off"),
                      ("max_grad_value", "off"), ("penalty_weight", "off"),
                      ("input_penalty_weight", "off")):
    if not config[field] >= 0:
      raise UsageError(
          f"{field} must be 0 ({zero}) or above, got {config[field]}")
  if not 0 <= config.penalty_start <= config.penalty_end:
    raise UsageError(
        "need 0 <= penalty_start <= penalty_end, got penalty_start="
        f"{config.penalty_start} and penalty_end={config.penalty_end}")
  # One seed's batch is split over devices; of several, each has its own.
  divided = "num_seeds" if config.num_seeds > 1 else "batch_size"
  if config[divided] % num_devices:
    raise UsageError(
        f"{divided}={config[divided]} does not divide over {num_devices} "
        f"devices; take a multiple of {num_devices}")
  try:
    optimisers.check(config.optimizer, config.lr_schedule)
    keys.check(config.rng, config.num_seeds > 1 or num_devices > 1)
    task = tasks.make_task(config.task, **config.task_args)
    if config.reuse_memory and (
        "gradient_steps" not in rmc_nalu_sam.core_arguments(config.core)):
      raise UsageError(f"reuse_memory: core {config.core!r} cannot forget what "
                       "its memory holds; sam and sdnc can")
    curriculum = curriculum_lib.make_curriculum(config)
    if curriculum:
      _check_curriculum(task, curriculum)
    _check_penalties(config, make_model(config, task).units)
  except (TypeError, ValueError) as error:
    raise UsageError(str(error)) from None
  if config.num_seeds > 1:
    _check_seeds(config)


def _check_penalties(config, units):
  """A penalty that no unit has would be 0 all the way."""
  for field, method in (("penalty_weight", "penalty"),
                        ("input_penalty_weight", "input_penalty")):
    none = getattr_static(rmc_nalu_sam.Unit, method)
    if config[field] and all(getattr_static(unit, method) is none
                             for unit in units.values()):
      raise ValueError(f"{field}={config[field]:g}: there is no unit in the "
                       f"network that has such a penalty; --unit=nmu has one")


def _check_seeds(config):
  for field, off in (("curriculum", "none"), ("reuse_memory", False)):
    if config[field] != off:
      raise UsageError(
          f"{field}={config[field]} is for one seed at a time, and "
          f"num_seeds={config.num_seeds}: start a run for each seed")


def _check_curriculum(task, curriculum):
  """A level that cannot be had must not be found after hours of training."""
  try:
    task.at_level(curriculum.max_level)
  except ValueError as error:
    raise ValueError(
        f"curriculum_max={curriculum.max_level} is too high: {error}") from None


def save(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes `config.json`, whole or not at all."""
  temporary = workdir / (CONFIG_FILE + ".tmp")
  temporary.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
  temporary.replace(workdir / CONFIG_FILE)


def load(workdir: pathlib.Path) -> ml_collections.ConfigDict:
  """Reads `config.json`.

  Raises:
    UsageError: there is none, or it cannot be read.
  """
  path = workdir / CONFIG_FILE
  try:
    stored = json.loads(path.read_text())
  except FileNotFoundError:
    raise UsageError(
        f"{path} does not exist: no run was started in this workdir") from None
  except (OSError, ValueError) as error:
    raise UsageError(f"cannot read {path}: {error}") from None
  config = default_config()
  try:
    with config.unlocked():
      config.update(stored)
  except (AttributeError, TypeError, ValueError) as error:
    raise UsageError(f"{path} is not of a run: {error}") from None
  _fill_encoder(config)  # The run may be older than encoders.
  return config


def reconcile(stored: ml_collections.ConfigDict, preset: str | None,
              overrides: Mapping[str, Any],
              member_args: Mapping[str, Mapping[str, Any]],
              ) -> ml_collections.ConfigDict:
  """The configuration of a run that is continued.

  Args:
    stored: from `load`.
    preset: named on the command line, or None.
    overrides: fields set on the command line.
    member_args: kind in `KINDS` -> arguments set there.

  Raises:
    UsageError: something that was set would change what is learnt.
  """
  asked_fields, by = dict(overrides), ""
  if preset:
    wanted = resolve(preset, overrides, member_args)
    member_args = {kind: wanted[f"{kind}_args"] for kind in KINDS}
    asked_fields |= {
        name: value for name, value in wanted.items()
        if name not in RUNTIME_FIELDS and not name.endswith("_args")}
    by = f"by --preset={preset} "
  for prefix, asked, has in (
      ("", asked_fields, stored),
      *((f"{kind}.", member_args.get(kind, {}), _arguments(stored, kind))
        for kind in KINDS)):
    for name, value in asked.items():
      changes = name not in has or has[name] != value
      if changes and not (prefix == "" and name in RUNTIME_FIELDS):
        was = has.get(name, "not set")
        raise UsageError(
            f"the run in this workdir was started with {prefix}{name}={was}, "
            f"now {by}{prefix}{name}={value}: continue it without that flag, "
            "or choose another --workdir")
  config = ml_collections.ConfigDict(stored)
  config.update(overrides)
  return config
