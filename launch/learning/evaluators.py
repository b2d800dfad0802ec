"""Looks at a trained network: all variants of a task, recall, one episode."""

from typing import Any

import jax
import numpy as np

import tasks
from launch.learning.trainer import Metrics, Trainer

# Numbers that exact search may read in an episode, to measure the recall.
MAX_RECALL_WORK = 2**30


def evaluate_all(trainer: Trainer, params: Any, data: Any,
                 task: tasks.Episodes, num_episodes: int) -> Metrics:
  """Returns the metrics of a task, and of its `extrapolations`.

  Args:
    trainer: evaluates.
    params: on the devices.
    data: from `put_data`, of the split to evaluate.
    task: the one trained on, or the same one at another level.
    num_episodes: of each variant and seed.

  Returns:
    Name -> `[S]`. Metrics of a variant are named `VARIANT/metric`. Where one
    network has an index that is not exact, `index_recall` on the task.
  """
  metrics = trainer.evaluate(params, data, task, num_episodes)
  for name, variant in task.extrapolations.items():
    assert isinstance(variant, tasks.Episodes)
    found = trainer.evaluate(params, data, variant, num_episodes)
    metrics |= {f"{name}/{metric}": value for metric, value in found.items()}
  recall = index_recall(trainer, params, data, task)
  if recall is not None:
    metrics["index_recall"] = np.array([recall])
  return metrics


def index_recall(trainer: Trainer, params: Any, data: Any,
                 task: tasks.Episodes) -> float | None:
  """Returns the share of exact search's rows that the core's index finds.

  Args:
    trainer: of one seed.
    params: on the devices.
    data: from `put_data`, of the split to evaluate.
    task: the one trained on, or the same one at another level.

  Returns:
    The share over one evaluation episode; None for many seeds, for a core that
    searches exactly, and if an exact search would take too long.
  """
  model = trainer.model
  if len(trainer.seeds) > 1 or not model.searches_approximately:
    return None
  model = model.with_core_args(measure_recall=True)
  assert model.recall is not None
  recall = model.recall
  params, data = trainer.get_params(params), trainer.get_data(data)
  state = jax.eval_shape(lambda: model.initial_state(params, 1))
  largest = max(x.size for x in jax.tree.leaves(state))
  if largest * task.num_steps > MAX_RECALL_WORK:
    return None

  @jax.jit
  def unroll(params, keys, data):
    data = trainer.learner.data(keys, data)
    inputs = task.sample(keys.evaluate, 1, data=data).inputs
    unrolled = model.unroll(
        params, None, inputs, model.initial_state(params, 1))
    return recall(unrolled.state)[0]

  found, existing = unroll(params, trainer.keys(), data)
  return float(found / existing)


def trace(trainer: Trainer, params: Any, data: Any, task: tasks.Episodes
          ) -> tuple[tasks.Batch, Any, Any]:
  """Returns one evaluation episode step by step: batch, outputs, all states.

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
    batch = task.sample(keys.evaluate, 1, data=data)
    unrolled = model.unroll(params, None, batch.inputs,
                            model.initial_state(params, 1),
                            return_all_states=True)
    return batch, unrolled.outputs, unrolled.state

  return unroll(params, trainer.keys(), data)
