"""Builds the objects of a run from its config. Names turn into objects here.

All functions raise a ValueError of one line if a name or a value is not valid.
"""

from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import optax

import rmc_nalu_sam
import tasks
from launch.configs import devices as devices_lib
from launch.configs import members
from launch.learning import (
    curriculum,
    layout,
    learner,
    optimizers,
    penalties,
    sources,
    trainer,
)


def make_task(config: ml_collections.ConfigDict) -> tasks.Task:
  """Returns the task of a run."""
  return _make(config, "task")


def make_model(config: ml_collections.ConfigDict, task: tasks.Task,
               **core_args: Any) -> rmc_nalu_sam.Model:
  """Returns the network of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task, or another with inputs and outputs of the same sizes.
    **core_args: Arguments of the core in place of those in `config`.
  """
  of_core = config.core_args.to_dict() | core_args
  if config.index_args:
    of_core["index_args"] = config.index_args.to_dict()
  return rmc_nalu_sam.make_model(
      config.core, task.output_size, unit=config.unit,
      unit_args=config.unit_args.to_dict(), encoder=config.encoder,
      encoder_args=config.encoder_args.to_dict(), head=config.head,
      head_args=config.head_args.to_dict(), input_size=task.input_size,
      **of_core)


def make_optimizer(config: ml_collections.ConfigDict
                   ) -> optax.GradientTransformation:
  """Returns the run's optimiser under its schedule, behind its clipping."""
  arguments = members.arguments_of(config, "optimizer")
  given = config.optimizer_args.to_dict()
  if "learning_rate" in arguments:
    given["learning_rate"] = members.REGISTRIES["schedule"].make(
        config.schedule, learning_rate=arguments["learning_rate"],
        steps=config.steps, **config.schedule_args.to_dict())
  optimizer = members.REGISTRIES["optimizer"].make(config.optimizer, **given)
  return optimizers.clipped(
      optimizer, config.max_grad_norm, config.max_grad_value)


def make_curriculum(config: ml_collections.ConfigDict
                    ) -> curriculum.Exponential | None:
  """Returns the run's curriculum; None without one."""
  return _make(config, "curriculum")


def make_penalty(config: ml_collections.ConfigDict
                 ) -> penalties.Discrete | None:
  """Returns the regulariser that is added to the run's loss; None without."""
  return _make(config, "penalty")


def make_learner(config: ml_collections.ConfigDict, task: tasks.Episodes
                 ) -> learner.Learner:
  """Returns the learner of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task.
  """
  model = make_model(config, task)
  source = sources.ReusedMemory(model) if config.reuse_memory else None
  return learner.Learner(
      model, task, make_optimizer(config), batch_size=config.batch_size,
      source=source, penalty=make_penalty(config),
      curriculum=make_curriculum(config))


def make_layout(config: ml_collections.ConfigDict,
                devices: Sequence[jax.Device] | None = None) -> layout.Layout:
  """Returns how a run is split over devices.

  Args:
    config: From `config.resolve` or `config.load`.
    devices: The devices; those of `devices.for_training` if None.
  """
  if devices is None:
    devices = devices_lib.for_training(config)
  if config.num_seeds > 1:
    return layout.SplitSeeds(devices, num_seeds=config.num_seeds)
  return layout.SplitBatch(devices)


def make_trainer(config: ml_collections.ConfigDict, task: tasks.Episodes,
                 devices: Sequence[jax.Device] | None = None
                 ) -> trainer.Trainer:
  """Returns what trains and evaluates the seed, or the seeds, of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task.
    devices: The devices; those of `devices.for_training` if None.
  """
  return trainer.Trainer(
      make_learner(config, task), make_layout(config, devices),
      seed=config.seed, generator=config.rng)


def _make(config, kind):
  """Returns the run's member of a kind; None without one."""
  name = members.name_of(config, kind)
  if name is None:
    return None
  return members.REGISTRIES[kind].make(name, **config[f"{kind}_args"])
