"""Loads the trained network of a run."""

import os
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

import rmc_nalu_sam
import tasks
from launch.configs import build
from launch.configs.config import UsageError
from launch.learning.learner import RunState
from launch.learning.trainer import Trainer
from launch.runs.run import Run, at_level


class Trained(NamedTuple):
  """Holds a trained network, and what it was trained on.

  Attributes:
    model: its pure functions.
    params: its parameters, on the first device.
    task: what it was trained on; with a curriculum, at the level reached.
    config: the configuration of the run; of a sweep, that of the best value.
    seed: its seed.
    step: number of updates that it has had.
  """

  model: rmc_nalu_sam.Model
  params: Any
  task: tasks.Trainable
  config: ml_collections.ConfigDict
  seed: int
  step: int


def load(workdir: str | os.PathLike[str],
         data_dir: str | None = None) -> Trained:
  """Returns the network of a run's newest checkpoint.

  Of many seeds it is the best one, and of a sweep that of the best value, by
  validation, as in `launch.evaluate`.

  >>> from launch import runs
  >>> trained = runs.load("runs/copy")  # doctest: +SKIP

  Args:
    workdir: folder of the run.
    data_dir: folder of real data, if not the one used in training.

  Raises:
    UsageError: there is no run or no checkpoint, or files of the task cannot be
      read, or the run names code that is not trusted.
  """
  run = Run(pathlib.Path(workdir).expanduser().absolute())
  if data_dir is not None:
    run.config.data_dir = data_dir
  trainer = build.make_trainer(run.config, run.task, jax.local_devices()[:1])
  state = restore(run, trainer).train
  task = run.task
  if state.curriculum:
    task = at_level(task, int(state.curriculum.level))
  seed, params = run.best_params(state.params)
  return Trained(
      trainer.model, jax.tree.map(jnp.asarray, params), task,
      run.best().config, seed, int(np.min(state.step)))


def restore(run: Run, trainer: Trainer,
            like: RunState | None = None) -> RunState:
  """Returns the newest checkpoint, on the host.

  Args:
    run: whose checkpoint to read.
    trainer: of the run.
    like: of the checkpoint's shapes; `trainer.empty_state()` if None.

  Raises:
    UsageError: there is none, or it does not suit the task's vocabulary.
  """
  checkpoints = run.checkpoints()
  try:
    state = checkpoints.restore(trainer.empty_state() if like is None else like)
  finally:
    checkpoints.close()
  if state is None:
    raise UsageError(f"{run.workdir} holds no checkpoint yet")
  check_source(trainer, state)
  return state


def check_source(trainer: Trainer, state: RunState) -> None:
  """Raises a UsageError if a saved state does not suit the data.

  Args:
    trainer: that is to go on with it.
    state: of a checkpoint, on the host.
  """
  if jax.tree.leaves(state.source):
    try:
      trainer.learner.source.check(state.source)
    except ValueError as error:
      raise UsageError(str(error)) from None
