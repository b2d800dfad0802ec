"""Training and evaluation steps, compiled for all local devices."""

import collections
import functools
from typing import Any

import jax
import ml_collections
import numpy as np

import tasks
from launch import config as config_lib
from launch import curriculum as curriculum_lib
from launch import devices
from launch import keys as keys_lib
from launch.learner import Learner, Share, TrainState
from rmc_nalu_sam.memory import sam_access

# Numbers that an exact search may read in an episode, to measure the recall.
MAX_RECALL_WORK = 2**30


class Trainer:
  """Trains and evaluates one network on one task.

  Each device computes the gradients of its share of the batch; they are
  averaged over devices, and every device applies the same update. Episode i of
  update s is the same one for any number of devices.
  """

  def __init__(self, config: ml_collections.ConfigDict, task: tasks.Task):
    """Builds the network and the optimiser; compiles nothing yet.

    Args:
      config: see `launch.config.default_config`.
      task: the task to train on.
    """
    self._config = config
    self._task = task
    self._learner = Learner(config, task)
    self.model = self._learner.model
    self._curriculum = self._learner.curriculum
    self._workspace: Any = None
    self._keys = keys_lib.make_keys(config.seed, config.rng)
    # An argument: XLA would spend minutes to fold what follows from constants.
    self._key_data = devices.replicate(keys_lib.unwrap(self._keys))
    self._train = jax.pmap(
        self._train_chunk, axis_name=devices.AXIS,
        static_broadcasted_argnums=(4, 5), donate_argnums=(1, 2))
    self._evaluate = jax.pmap(self._eval_chunk, axis_name=devices.AXIS,
                              static_broadcasted_argnums=3)

  def initial_state(self) -> TrainState:
    """The state before the first update, on the host."""
    return jax.tree.map(np.asarray, self._learner.initial_state(self._keys))

  def put(self, state: TrainState) -> TrainState:
    """A state from the host, replicated."""
    return devices.replicate(state)

  def get(self, state: TrainState) -> TrainState:
    """A replicated state, on the host."""
    return devices.first_replica(state)

  def train(self, state: TrainState, data: Any,
            num_updates: int) -> tuple[TrainState, dict[str, float]]:
    """Does some updates, in one call (with a curriculum: one a stretch).

    Args:
      state: replicated, and donated: it cannot be used afterwards.
      data: replicated, of the training split.
      num_updates: how many.

    Returns:
      The state after them, and the means of loss, metrics and the gradient's
      norm over them.
    """
    if not self._curriculum:
      return self._train_stretch(state, data, num_updates, None)
    means: dict[str, float] = collections.defaultdict(float)
    step = int(devices.first_replica(state.step))
    last = step + num_updates
    while step < last:
      level = int(devices.first_replica(state.curriculum.level))
      levels = self._curriculum.draw_levels(self._config.seed, step, level)
      chunk = min(last - step, curriculum_lib.STRETCH
                  - step % curriculum_lib.STRETCH)
      state, metrics = self._train_stretch(state, data, chunk, levels)
      for name, value in metrics.items():
        means[name] += value * chunk / num_updates
      step += chunk
    return state, dict(means)

  def _train_stretch(self, state, data, num_updates, levels):
    task = self._task.at_level(levels.room) if levels else self._task
    if (self._workspace is not None and num_updates * task.num_steps
        > sam_access.steps_left(self._workspace.access)):
      self._workspace = None
    if self._learner.idle_model and self._workspace is None:
      share = self._config.batch_size // jax.local_device_count()
      self._workspace = jax.pmap(
          functools.partial(self._learner.idle_model.initial_state,
                            batch_size=share))(state.params)
    # Lost if the call fails, as it is donated.
    workspace, self._workspace = self._workspace, None
    state, self._workspace, metrics = self._train(
        self._key_data, state, workspace, data, num_updates, levels)
    return state, _floats(metrics)

  def level(self, state: TrainState) -> int | None:
    """The level that the curriculum has reached; None without a curriculum.

    Args:
      state: replicated.
    """
    if not self._curriculum:
      return None
    return int(devices.first_replica(state.curriculum.level))

  def evaluate(self, params: Any, data: Any, task: tasks.Task | None = None,
               num_episodes: int | None = None) -> dict[str, float]:
    """Mean loss and metrics over fixed episodes, the same at every call.

    Args:
      params: replicated.
      data: replicated, of the split to evaluate.
      task: the task if it is not the one trained on (another level).
      num_episodes: `eval_episodes` if None; rounded up to whole batches.
    """
    num_episodes = num_episodes or self._config.eval_episodes
    num_batches = -(-num_episodes // self._config.batch_size)
    evaluated = (task or self._task, num_batches)
    return _floats(self._evaluate(self._key_data, params, data, evaluated))

  def index_recall(self, params: Any, data: Any,
                   task: tasks.Task | None = None) -> float | None:
    """How much of what exact search finds the core's index finds.

    Args:
      params: replicated.
      data: replicated, of the split to evaluate.
      task: the task if it is not the one trained on (another level).

    Returns:
      The share over one evaluation episode; None if the core has no index but
      exact search, or if exact search would take too long to compare with.
    """
    task = task or self._task
    if self._config.core_args.get("index", "exact") == "exact":
      return None
    params, data = devices.first_replica((params, data))
    model = config_lib.make_model(self._config, self._task,
                                  measure_recall=True)
    state = jax.eval_shape(lambda: model.initial_state(params, 1))
    if state.access.memory.size * task.num_steps > MAX_RECALL_WORK:
      return None

    @jax.jit
    def unroll(params, keys, data):
      data = self._learner.data(keys, data)
      inputs = task.sample(keys.evaluate, 1, data=data).inputs
      _, state = model.unroll(params, inputs, model.initial_state(params, 1))
      return state.access.recall[0]

    found, existed = unroll(params, self._keys, data)
    return float(found / existed)

  def trace(self, params: Any, data: Any, task: tasks.Task | None = None
            ) -> tuple[tasks.Batch, Any, Any]:
    """One evaluation episode step by step: batch, outputs, all states.

    Args:
      params: one copy.
      data: one copy, of the split to evaluate.
      task: the task if it is not the one trained on (another level).
    """

    @jax.jit
    def unroll(params, keys, data):
      data = self._learner.data(keys, data)
      batch = (task or self._task).sample(keys.evaluate, 1, data=data)
      outputs, states = self.model.unroll(
          params, batch.inputs, self.model.initial_state(params, 1),
          return_all_states=True)
      return batch, outputs, states

    return unroll(params, self._keys, data)

  def _train_chunk(self, key_data, state, workspace, data, num_updates, levels):
    keys = keys_lib.wrap(key_data, self._config.rng)
    return self._learner.train(
        keys, state, workspace, self._learner.data(keys, data), num_updates,
        levels, _share())

  def _eval_chunk(self, key_data, params, data, evaluated):
    task, num_batches = evaluated
    keys = keys_lib.wrap(key_data, self._config.rng)
    return self._learner.evaluate(
        keys, params, self._learner.data(keys, data), task, num_batches,
        _share())


def _share() -> Share:
  return Share(jax.lax.axis_index(devices.AXIS),
               jax.lax.axis_size(devices.AXIS),
               functools.partial(jax.lax.pmean, axis_name=devices.AXIS))


def evaluate_all(trainer: Any, params: Any, data: Any,
                 task: tasks.Task) -> dict[str, Any]:
  """The metrics of a task, and, as `NAME/metric`, of its `extrapolations`.

  And, where an index is not exact, `index_recall` on the task.

  Args:
    trainer: a `Trainer`, or a `SeedsTrainer`.
    params: on the devices.
    data: replicated, of the split to evaluate.
    task: the one trained on, or that at another level.
  """
  metrics = trainer.evaluate(params, data, task)
  for name, variant in task.extrapolations.items():
    metrics |= {f"{name}/{metric}": value for metric, value in
                trainer.evaluate(params, data, variant).items()}
  recall = trainer.index_recall(params, data, task)
  return metrics if recall is None else metrics | {"index_recall": recall}


def _floats(metrics: dict[str, jax.Array]) -> dict[str, float]:
  return {name: float(value)
          for name, value in devices.first_replica(metrics).items()}
