"""Builds the objects of a run from its config. Names turn into objects here.

All functions raise a ValueError of one line if a name or a value is not valid.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import optax

import rmc_nalu_sam
import tasks
from launch.configs import devices as devices_lib
from launch.configs import members, sweeps, waiting
from launch.learning import (
    curriculum,
    layout,
    learner,
    optimizers,
    penalties,
    sources,
    trainer,
)
from launch.learning.agents import actor, actor_critic
from launch.learning.text import streams
from launch.learning.varied import Number
from tasks.data import cache

# Kinds of what a model is made of.
_OF_MODELS = ("core", "encoder", "head", "index", "unit")


def make_task(config: ml_collections.ConfigDict,
              is_prepared: bool = True) -> tasks.Task:
  """Returns the task of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    is_prepared: Whether to read what the task must know of its files, such as
      a vocabulary.

  Raises:
    OSError: A file cannot be read.
  """
  task = _make(config, "task")
  if not is_prepared:
    return task
  with cache.placed_in(config.cache_dir or None):
    return waiting.within_timeout(
        config, "files", lambda: task.prepared(config.data_dir or None))


def make_model(config: ml_collections.ConfigDict, task: tasks.Task,
               **core_args: Any) -> rmc_nalu_sam.Model:
  """Returns the network of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task, or another with inputs and outputs of the same sizes.
    **core_args: Arguments of the core in place of those in `config`.
  """
  arguments = model_arguments(config, task) | core_args
  return _model(_Call(arguments, tuple(
      members.REGISTRIES[kind].get(name)
      for kind in _OF_MODELS if (name := members.name_of(config, kind)))))


class _Call(NamedTuple):
  """Holds the arguments of a model, equal if they are written the same."""

  arguments: dict[str, Any]
  members: tuple[Any, ...]  # Own code may be another under the same name.

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Call) and self.members == other.members and (
        repr(self.arguments) == repr(other.arguments))

  def __hash__(self) -> int:
    return hash(repr(self.arguments))


@functools.lru_cache(maxsize=8)
def _model(call):
  """Makes a model once: a trace takes long, and the checks need one too."""
  return rmc_nalu_sam.make_model(**call.arguments)


def model_arguments(config: ml_collections.ConfigDict, task: tasks.Task
                    ) -> dict[str, Any]:
  """Returns the arguments with which `rmc_nalu_sam.make_model` is called.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task.
  """
  of_core = config.core_args.to_dict()
  if config.index_args:
    of_core["index_args"] = config.index_args.to_dict()
  of_observation: dict[str, Any] = {}
  if isinstance(task, tasks.Environment):
    of_observation = dict(image_shape=task.image_shape,
                          num_features=task.num_features)
  return dict(
      core=config.core, output_size=task.output_size, unit=config.unit,
      unit_args=config.unit_args.to_dict(), encoder=config.encoder,
      encoder_args=config.encoder_args.to_dict(), head=config.head,
      head_args=config.head_args.to_dict(),
      input_size=task.input_size if task.input_spec.shape else None,
      precision=config.precision,
      **of_observation, **of_core)


def make_optimizer(config: ml_collections.ConfigDict,
                   numbers: Mapping[str, Number] | None = None
                   ) -> optax.GradientTransformation:
  """Returns the run's optimiser under its schedule, behind its clipping.

  Args:
    config: From `config.resolve` or `config.load`.
    numbers: Values of a sweep's flags in place of those in `config`.
  """
  numbers = numbers or {}
  given = _arguments(config, "optimizer", numbers)
  registry = members.REGISTRIES["optimizer"]
  registry.check(config.optimizer, given)
  schedule = make_schedule(config, numbers)
  if schedule is not None:  # In the place of a number, whatever its annotation.
    given["learning_rate"] = schedule
  optimizer = registry.get(config.optimizer)(**given)
  return optimizers.clipped(optimizer, *(
      numbers.get(name, config[name]) for name in (
          "max_grad_norm", "max_grad_value")))


def make_schedule(config: ml_collections.ConfigDict,
                  numbers: Mapping[str, Number]) -> optax.Schedule | None:
  """Returns the run's learning rate by update; None if it has none.

  Args:
    config: From `config.resolve` or `config.load`.
    numbers: Values of a sweep's flags in place of those in `config`.
  """
  arguments = members.arguments_of(config, "optimizer") | _arguments(
      config, "optimizer", numbers)
  if "learning_rate" not in arguments:
    return None
  return members.REGISTRIES["schedule"].make(
      config.schedule, learning_rate=arguments["learning_rate"],
      steps=config.steps, **_arguments(config, "schedule", numbers))


def make_curriculum(config: ml_collections.ConfigDict
                    ) -> curriculum.Exponential | None:
  """Returns the run's curriculum; None without one."""
  return _make(config, "curriculum")


def make_penalty(config: ml_collections.ConfigDict,
                 numbers: Mapping[str, Number] | None = None
                 ) -> penalties.Discrete | None:
  """Returns the regulariser that is added to the run's loss; None without.

  Args:
    config: From `config.resolve` or `config.load`.
    numbers: Values of a sweep's flags in place of those in `config`.
  """
  return _make(config, "penalty", numbers or {})


def make_agent(config: ml_collections.ConfigDict,
               numbers: Mapping[str, Number] | None = None
               ) -> actor_critic.ActorCritic | None:
  """Returns what learns the run's environment; None for other tasks.

  Args:
    config: From `config.resolve` or `config.load`.
    numbers: Values of a sweep's flags in place of those in `config`.
  """
  return _make(config, "agent", numbers or {})


def make_rules(config: ml_collections.ConfigDict, numbers: Mapping[str, Number]
               ) -> tuple[optax.GradientTransformation,
                          penalties.Discrete | None,
                          actor_critic.ActorCritic | None]:
  """Returns optimiser, penalty and agent with these values of a sweep's flags.
  """
  return (make_optimizer(config, numbers), make_penalty(config, numbers),
          make_agent(config, numbers))


def make_learner(config: ml_collections.ConfigDict, task: tasks.Trainable
                 ) -> learner.Learner:
  """Returns the learner of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task.
  """
  model = make_model(config, task)
  source: Any = None
  agent = make_agent(config)
  if isinstance(task, tasks.Environment):
    assert agent is not None
    source = actor.ActorSource(model, task, agent)
  elif isinstance(task, tasks.Stream):
    source = streams.StreamSource(model, task.vocabulary_digest)
  elif config.reuse_memory:
    source = sources.ReusedMemory(model)
  return learner.Learner(
      model, task, make_optimizer(config), batch_size=config.batch_size,
      accumulate=config.accumulate, source=source,
      penalty=make_penalty(config), agent=agent,
      curriculum=make_curriculum(config),
      vary=functools.partial(make_rules, config),
      skips_nonfinite=bool(config.skip_nonfinite))


def make_layout(config: ml_collections.ConfigDict,
                devices: Sequence[jax.Device] | None = None) -> layout.Layout:
  """Returns how a run is split over devices.

  Args:
    config: From `config.resolve` or `config.load`.
    devices: The devices; those of `devices.for_training` if None.
  """
  if devices is None:
    devices = devices_lib.for_training(config)
  num_entries = sweeps.num_entries(config)
  if num_entries > 1:
    return layout.SplitSeeds(devices, num_seeds=num_entries,
                             parallel=config.parallel)
  return layout.SplitBatch(devices, parallel=config.parallel)


def make_trainer(config: ml_collections.ConfigDict, task: tasks.Trainable,
                 devices: Sequence[jax.Device] | None = None
                 ) -> trainer.Trainer:
  """Returns what trains and evaluates all seeds and values of a run.

  Args:
    config: From `config.resolve` or `config.load`.
    task: The run's task.
    devices: The devices; those of `devices.for_training` if None.
  """
  return trainer.Trainer(
      make_learner(config, task), make_layout(config, devices),
      seed=config.seed, generator=config.rng, numbers=sweeps.points(config))


def _make(config, kind, numbers=None):
  """Returns the run's member of a kind; None without one."""
  name = members.name_of(config, kind)
  if name is None:
    return None
  return members.REGISTRIES[kind].make(
      name, **_arguments(config, kind, numbers or {}))


def _arguments(config, kind, numbers):
  """Returns the arguments that are set for a member, with those of a sweep."""
  return config[f"{kind}_args"].to_dict() | {
      name.removeprefix(f"{kind}."): value for name, value in numbers.items()
      if name.startswith(f"{kind}.")}
