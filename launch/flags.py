"""Command-line flags for the fields of a run and the members' own arguments.

They are read off `default_config`, `CORES`, `TASKS`, `UNITS` and `ENCODERS`, so
that a new one has its flags at once: `--core.num_slots`, `--task.max_length`.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
from absl import flags

import rmc_nalu_sam
import tasks
from launch import config as config_lib
from launch import curriculum, experiments, keys, optimisers

FLAGS = flags.FLAGS

_HELP: Mapping[str, str] = {
    "task": f"What to learn: {', '.join(sorted(tasks.TASKS))}.",
    "core": f"What learns it: {', '.join(sorted(rmc_nalu_sam.CORES))}.",
    "unit": f"Its read-out, and what a core of units is made of: "
            f"{', '.join(sorted(rmc_nalu_sam.UNITS))}.",
    "encoder": f"What comes before the core: "
               f"{', '.join(sorted(rmc_nalu_sam.ENCODERS))}. Default: what "
               "suits the task.",
    "curriculum": f"How the level of the episodes grows, whatever levels "
                  f"--task.X sets: {', '.join(curriculum.CURRICULA)}.",
    "curriculum_start": "The highest level at first.",
    "curriculum_threshold": "The highest level is doubled when the mean loss "
                            "(nats a bit or a label) is below this.",
    "curriculum_patience": f"Updates that this mean is over, a multiple of "
                           f"{curriculum.STRETCH}.",
    "curriculum_max": "The highest level grows no further.",
    "steps": "Updates in the whole run.",
    "max_minutes": "The run ends after so many minutes, pauses not counted; "
                   "0: no limit.",
    "batch_size": "Episodes an update, over all devices.",
    "learning_rate": "The learning rate, or its first value.",
    "lr_schedule": f"Of the learning rate over all steps: "
                   f"{', '.join(sorted(optimisers.SCHEDULES))}.",
    "optimizer": f"One of {', '.join(sorted(optimisers.OPTIMIZERS))}.",
    "max_grad_norm": "Gradients with a larger global norm are scaled down; 0: "
                     "never.",
    "max_grad_value": "What is larger in a gradient is cut to this; 0: never.",
    "penalty_weight": "Of what the units ask of their weights, once it has "
                      "grown to it.",
    "penalty_start": "The update from which on this weight grows from 0.",
    "penalty_end": "The update from which on it grows no further.",
    "input_penalty_weight": "Of what the units ask of their inputs; 0 for off.",
    "seed": "Of the initial parameters, the training and the evaluation data.",
    "num_seeds": "Train with so many seeds, from --seed on, at once: each as "
                 "in a run of its own, and metrics are lists.",
    "rng": f"The generator of random numbers: "
           f"{', '.join(sorted(keys.GENERATORS))}.",
    "reuse_memory": "Start each update in the memory of the last one, "
                    "forgotten but not cleared, so that no update costs "
                    "anything that grows with the number of slots.",
    "log_every": "Updates a record of metrics; they run in one device call.",
    "eval_every": "Updates between evaluations.",
    "eval_episodes": "Episodes an evaluation.",
    "checkpoint_every": "Updates between checkpoints.",
    "data_dir": "Where the files of tasks with real data lie.",
}

ALIASES: Mapping[str, str] = {"operation": "task.operation"}

_DEFINE: Mapping[type, Callable[..., Any]] = {
    int: flags.DEFINE_integer, float: flags.DEFINE_float,
    str: flags.DEFINE_string, bool: flags.DEFINE_boolean}


def define_config_flags() -> None:
  """Defines a flag for each field of a run, and `--preset`."""
  for name, default in config_lib.default_config().items():
    if name in _HELP:
      _DEFINE[type(default)](name, default, _HELP[name])
  flags.DEFINE_string(
      "preset", None, "Start from a paper's experiment; other flags override "
      f"it. One of {', '.join(experiments.preset_names())}. Default: that of "
      f"the task's name, if there is one; {config_lib.NO_PRESET}: without.")


def define_member_flags(kinds: Iterable[str] = config_lib.KINDS) -> None:
  """Defines `--core.X`, `--task.X` and so on for all arguments of members."""
  for kind in kinds:
    arguments: dict[str, list[tuple[str, type, Any]]] = {}
    for member, name, kind_type, default in _arguments(kind):
      arguments.setdefault(name, []).append((member, kind_type, default))
    for name, owners in sorted(arguments.items()):
      text = "; ".join(f"{member}: default {default!r}"
                       for member, _, default in owners)
      _DEFINE[owners[0][1]](f"{kind}.{name}", None, f"Of {text}.")
  if "task" in kinds:
    for alias, name in ALIASES.items():
      flags.DEFINE_alias(alias, name)


def define_device_flags() -> None:
  """Defines `--cpu_devices`."""
  flags.DEFINE_integer(
      "cpu_devices", None, "Use this many devices on the CPU, each with its "
      "share of the batch: as many as cores is fastest. Default: 1, or as "
      "JAX is set up.", lower_bound=1)


def apply_device_flags() -> None:
  """Sets up devices; call before anything touches one."""
  if FLAGS.cpu_devices is not None:
    jax.config.update("jax_num_cpu_devices", FLAGS.cpu_devices)


def config_overrides() -> dict[str, Any]:
  """Fields of a run that were set on the command line."""
  return {name: FLAGS[name].value for name in _HELP if FLAGS[name].present}


def member_overrides(
    kinds: Iterable[str] = config_lib.KINDS) -> dict[str, dict[str, Any]]:
  """Kind -> arguments of its members that were set on the command line."""
  return {kind: {name.removeprefix(f"{kind}."): FLAGS[name].value
                 for name in FLAGS
                 if name.startswith(f"{kind}.") and FLAGS[name].present}
          for kind in kinds}


def _arguments(kind):
  """Member, argument, its type and default, of all that can be a flag."""
  if kind == "task":
    yield from _task_arguments()
    return
  members, arguments = config_lib.MEMBERS[kind]
  for member in sorted(members):
    for name, parameter in arguments(member).items():
      simple = _simple_type(parameter.annotation)
      if simple is not None:
        yield member, name, simple, parameter.default


def _task_arguments():
  for task in sorted(tasks.TASKS):
    hints = typing.get_type_hints(tasks.TASKS[task])
    for name, field in tasks.task_arguments(task).items():
      simple = _simple_type(hints[name])
      if simple is not None:
        assert field.default is not dataclasses.MISSING, name
        yield task, name, simple, field.default


def _simple_type(annotation: Any) -> type | None:
  """The type of a flag for an argument: `int` for `int` and `int | None`.

  Of `str | Index` it is `str`: an object is to be given in Python.
  """
  simple = [option for option in typing.get_args(annotation) or (annotation,)
            if option in _DEFINE]
  return simple[0] if len(simple) == 1 else None
