"""What a run is made of: defaults, presets, flags and the stored config.json.

Later ones override earlier ones. Everything a user can get wrong is refused
here, before anything is compiled, with a `UsageError` of one line.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

import rmc_nalu_sam
import tasks
from launch import curriculum as curriculum_lib
from launch import experiments, optimisers

CONFIG_FILE = "config.json"
EXIT_USAGE = 2  # Exit status after a `UsageError`.

# May differ when a run is continued: they do not change what is learnt, but for
# `steps` under a schedule that depends on it.
RUNTIME_FIELDS = ("steps", "max_minutes", "log_every", "eval_every",
                  "eval_episodes", "checkpoint_every", "data_dir")


class UsageError(ValueError):
  """A mistake of the user's, told in one line."""


def default_config() -> ml_collections.ConfigDict:
  """Every field of a run, with its type and default.

  `task_args` and `core_args` map the name of a task or core to its arguments,
  so that a preset can serve several of them.
  """
  return ml_collections.ConfigDict(dict(
      task="copy",
      task_args=ml_collections.ConfigDict(),
      core="sam",
      core_args=ml_collections.ConfigDict(),
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
      seed=0,
      reuse_memory=False,
      log_every=100,
      eval_every=1_000,
      eval_episodes=512,
      checkpoint_every=1_000,
      data_dir="",
  ))


def resolve(preset: str | None, overrides: Mapping[str, Any],
            task_args: Mapping[str, Any],
            core_args: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """The configuration of a new run.

  Args:
    preset: name of a file in `launch/experiments`, or None.
    overrides: fields of `default_config` set on the command line.
    task_args: the task's arguments set there.
    core_args: the core's arguments set there.

  Returns:
    A configuration whose `task_args` and `core_args` are those of its task and
    core alone.

  Raises:
    UsageError: a name or a value is not valid.
  """
  try:
    config = (experiments.load_preset(preset) if preset
              else default_config())
  except ValueError as error:
    raise UsageError(str(error)) from None
  config.update(overrides)
  for field, args, name in (("task_args", task_args, config.task),
                            ("core_args", core_args, config.core)):
    merged = dict(config[field].get(name, {})) | dict(args)
    config[field] = ml_collections.ConfigDict(merged)
  unused = [name for name in overrides if name.startswith("curriculum_")]
  if unused and config.curriculum == "none":
    raise UsageError(f"{unused[0]} is of a curriculum, and there is none; "
                     "did you mean --curriculum=exponential?")
  return config


def check(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Raises a UsageError if a run with `config` cannot be started."""
  for field in ("steps", "batch_size", "log_every", "eval_every",
                "eval_episodes", "checkpoint_every"):
    if config[field] < 1:
      raise UsageError(f"{field} must be at least 1, got {config[field]}")
  for field in ("learning_rate", "max_grad_norm"):
    if not config[field] > 0:
      raise UsageError(f"{field} must be above 0, got {config[field]}")
  if not config.max_minutes >= 0:
    raise UsageError(
        f"max_minutes must be 0 (no limit) or above, got {config.max_minutes}")
  if config.batch_size % num_devices:
    raise UsageError(
        f"batch_size={config.batch_size} does not divide over {num_devices} "
        f"devices; take a multiple of {num_devices}")
  try:
    optimisers.check(config.optimizer, config.lr_schedule)
    task = tasks.make_task(config.task, **config.task_args)
    if config.reuse_memory and (
        "gradient_steps" not in rmc_nalu_sam.core_arguments(config.core)):
      raise UsageError(f"reuse_memory: core {config.core!r} cannot forget what "
                       "its memory holds; sam and sdnc can")
    curriculum = curriculum_lib.make_curriculum(config)
    if curriculum:
      _check_curriculum(task, curriculum)
    rmc_nalu_sam.make_model(config.core, task.output_size, **config.core_args)
  except (TypeError, ValueError) as error:
    raise UsageError(str(error)) from None


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
  return config


def reconcile(stored: ml_collections.ConfigDict, preset: str | None,
              overrides: Mapping[str, Any], task_args: Mapping[str, Any],
              core_args: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """The configuration of a run that is continued.

  Args:
    stored: from `load`.
    preset: named on the command line, or None.
    overrides: fields set on the command line.
    task_args: the task's arguments set there.
    core_args: the core's arguments set there.

  Raises:
    UsageError: something that was set would change what is learnt.
  """
  asked_fields, by = dict(overrides), ""
  if preset:
    wanted = resolve(preset, overrides, task_args, core_args)
    task_args, core_args = wanted.task_args, wanted.core_args
    asked_fields |= {
        name: value for name, value in wanted.items()
        if name not in (*RUNTIME_FIELDS, "task_args", "core_args")}
    by = f"by --preset={preset} "
  for prefix, asked, has in (("", asked_fields, stored),
                             ("task.", task_args, stored.task_args),
                             ("core.", core_args, stored.core_args)):
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
