"""Looks at a trained network: all variants of a task, recall, one episode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import tasks
from launch.learning.trainer import Metrics, Trainer

# Numbers that exact search may read in an episode, to measure the recall.
MAX_RECALL_WORK = 2**30


def evaluate_all(trainer: Trainer, params: Any, data: Any,
                 task: tasks.Trainable, num_episodes: int) -> Metrics:
  """Returns the metrics of a task, and of its `extrapolations`.

  Args:
    trainer: evaluates.
    params: on the devices.
    data: from `put_data`, of the split to evaluate.
    task: the one trained on, or the same one at another level.
    num_episodes: of each variant and seed, rounded up to whole batches.

  Returns:
    Name -> `[S]`. Metrics of a variant are named `VARIANT/metric`; the task's
    `summary` of them is included. Where one
    network has an index that is not exact, `index_recall` on the task, unless
    an exact search would take too long.
  """
  batch_size = trainer.learner.batch_size
  num_episodes = -(-num_episodes // batch_size) * batch_size
  metrics = trainer.evaluate(params, data, task, num_episodes)
  for name, variant in task.extrapolations.items():
    assert isinstance(variant, tasks.Trainable)
    found = trainer.evaluate(params, data, variant, num_episodes)
    metrics |= {f"{name}/{metric}": value for metric, value in found.items()}
  metrics |= task.summary(metrics)
  if len(trainer.seeds) == 1 and trainer.model.searches_approximately and (
      not isinstance(task, tasks.Environment)) and (
      _recall_work(trainer, params, task) <= MAX_RECALL_WORK):
    metrics["index_recall"] = index_recall(trainer, params, data, task)
  return metrics


def index_recall(trainer: Trainer, params: Any, data: Any,
                 task: tasks.Trainable) -> np.ndarray:
  """Returns the share of exact search's rows that the core's index finds.

  Args:
    trainer: of a core whose index is not exact.
    params: on the devices.
    data: from `put_data`, of the split to evaluate.
    task: the one trained on, or the same one at another level.

  Returns:
    `[S]`, the share over one evaluation episode of each seed; NaN if exact
    search finds no rows.
  """
  model = trainer.model.with_core_args(measure_recall=True)
  params, data = trainer.get_params(params), trainer.get_data(data)

  @jax.jit
  def count(params, keys, data):
    data = trainer.learner.data(keys, data)
    inputs = _example(task, keys, data).inputs
    unrolled = model.unroll(
        params, None, inputs, model.initial_state(params, 1))
    return model.recall(unrolled.state)[0]

  counts = np.array([
      count(trainer.params_of(params, index), trainer.keys(index), data)
      for index in range(len(trainer.seeds))], np.float64)
  found, existing = counts.T
  return np.divide(found, existing, out=np.full_like(found, np.nan),
                   where=existing > 0)


def _example(task, keys, data) -> tasks.Batch:
  """Returns one evaluation episode, or the first window of a text."""
  if isinstance(task, tasks.Stream):
    first = jnp.zeros(1, jnp.int32)
    return task.window(task.corpus(data), first, 1, first)
  return task.sample(keys.evaluate, 1, data=data)


def _recall_work(trainer: Trainer, params: Any,
                 task: tasks.Episodes | tasks.Stream) -> int:
  """Returns how many numbers exact search reads in an episode, at most."""
  params = trainer.get_params(params)
  state = jax.eval_shape(lambda: trainer.model.initial_state(params, 1))
  return task.num_steps * max(x.size for x in jax.tree.leaves(state))


def trace(trainer: Trainer, params: Any, data: Any, task: tasks.Trainable
          ) -> tuple[tasks.Batch, Any, Any]:
  """Returns one evaluation episode step by step: batch, outputs, all states.

  Of a text, the episode is its first window.

  Args:
    trainer: of one seed.
    params: of the network, on the host.
    data: of the split to evaluate, on the host.
    task: the one trained on, or the same one at another level.
  """
  model = trainer.model

  @jax.jit
  def unroll(params, keys, data):
    data = trainer.learner.data(keys, data)
    batch = _example(task, keys, data)
    unrolled = model.unroll(params, None, batch.inputs,
                            model.initial_state(params, 1),
                            return_all_states=True)
    return batch, unrolled.outputs, unrolled.state

  return unroll(params, trainer.keys(), data)
