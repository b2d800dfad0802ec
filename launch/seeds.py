"""Many seeds at once: each trained as in a run of its own, in one program.

The seeds are split over the devices, and each device updates its share of them
together. Nothing is shared between seeds: each has its own initial parameters,
its own episodes of training and evaluation, and, where a task draws something
once a run, its own instance of the task.
"""

from typing import Any

import jax
import ml_collections
import numpy as np

import tasks
from launch import devices
from launch import keys as keys_lib
from launch.learner import Learner, Share, TrainState


class SeedsTrainer:
  """Trains and evaluates networks that differ in their seed alone.

  It has the methods of `training.Trainer`, but for those that look into one
  network. Every leaf of a state has a leading axis of seeds, and a metric is a
  list, one number a seed. The numbers of a seed that has diverged are not
  finite; the others do not know of it.
  """

  def __init__(self, config: ml_collections.ConfigDict, task: tasks.Task):
    """Builds the networks and the optimiser; compiles nothing yet.

    Args:
      config: see `launch.config.default_config`.
      task: the task to train on.
    """
    self._config = config
    self._task = task
    self._learner = Learner(config, task)
    self.model = self._learner.model
    keys = [keys_lib.make_keys(config.seed + i, config.rng)
            for i in range(config.num_seeds)]
    self._keys = [keys_lib.unwrap(each) for each in keys]
    self._key_data = devices.shard(
        jax.tree.map(lambda *each: np.stack(each), *self._keys))
    self._init = jax.pmap(jax.vmap(self._initial_state))
    self._train = jax.pmap(self._train_chunk, static_broadcasted_argnums=3,
                           donate_argnums=1)
    self._evaluate = jax.pmap(self._eval_chunk, static_broadcasted_argnums=3)

  def initial_state(self) -> TrainState:
    """The states before the first update, on the host."""
    return self.get(self._init(self._key_data))

  def put(self, state: TrainState) -> TrainState:
    """States from the host, sharded over devices."""
    return devices.shard(state)

  def get(self, state: TrainState) -> TrainState:
    """The sharded states, on the host."""
    return devices.unshard(state)

  def train(self, state: TrainState, data: Any, num_updates: int
            ) -> tuple[TrainState, dict[str, list[float]]]:
    """Does some updates of every seed, in one call.

    Args:
      state: sharded, and donated: it cannot be used afterwards.
      data: replicated, of the training split.
      num_updates: how many.

    Returns:
      The state after them, and the means of loss, metrics and the gradient's
      norm over them.
    """
    state, metrics = self._train(self._key_data, state, data, num_updates)
    return state, _lists(metrics)

  def evaluate(self, params: Any, data: Any, task: tasks.Task | None = None,
               num_episodes: int | None = None) -> dict[str, list[float]]:
    """Mean loss and metrics over fixed episodes, the same at every call.

    Args:
      params: sharded.
      data: replicated, of the split to evaluate.
      task: the task if it is not the one trained on.
      num_episodes: a seed; `eval_episodes` if None; rounded up to whole
        batches.
    """
    num_episodes = num_episodes or self._config.eval_episodes
    num_batches = -(-num_episodes // self._config.batch_size)
    evaluated = (task or self._task, num_batches)
    return _lists(self._evaluate(self._key_data, params, data, evaluated))

  def level(self, state: TrainState) -> None:
    """There is no curriculum."""
    del state

  def index_recall(self, params: Any, data: Any,
                   task: tasks.Task | None = None) -> None:
    """It is measured in a run of one seed."""
    del params, data, task

  def _initial_state(self, key_data):
    return self._learner.initial_state(
        keys_lib.wrap(key_data, self._config.rng))

  def _train_chunk(self, key_data, state, data, num_updates):
    def train(key_data, state):
      keys = keys_lib.wrap(key_data, self._config.rng)
      state, _, metrics = self._learner.train(
          keys, state, None, self._learner.data(keys, data), num_updates, None,
          Share())
      return state, metrics

    return jax.vmap(train)(key_data, state)

  def _eval_chunk(self, key_data, params, data, evaluated):
    task, num_batches = evaluated
    def evaluate(key_data, params):
      keys = keys_lib.wrap(key_data, self._config.rng)
      return self._learner.evaluate(
          keys, params, self._learner.data(keys, data), task, num_batches,
          Share())

    return jax.vmap(evaluate)(key_data, params)


def _lists(metrics: dict[str, jax.Array]) -> dict[str, list[float]]:
  return {name: values.tolist()
          for name, values in devices.unshard(metrics).items()}
