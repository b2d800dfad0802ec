"""Loss and metrics of a network on batches of episodes.

Letters: T steps, B episodes, O outputs, A answers of an episode.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import tasks
from launch.learning import sources
from launch.learning.layout import Share
from rmc_nalu_sam import Model, Unrolled


@dataclasses.dataclass(frozen=True)
class Scorer:
  """Unrolls a network over batches and scores its answers.

  Attributes:
    measures_inputs: whether the units' regulariser of their inputs is among the
      metrics, as `input_penalty`.
  """

  measures_inputs: bool = False

  def mean_loss(self, model: Model, params: Any, rng: jax.Array | None,
                start: Any, batch: tasks.Batch, task: tasks.Episodes,
                share: Share) -> tuple[jax.Array, dict[str, jax.Array], Any]:
    """Returns mean loss, means of loss and metrics, and the last core state.

    Args:
      model: the network.
      params: of the network.
      rng: reaches the network; None for an evaluation.
      start: the core state to start in.
      batch: this share's episodes.
      task: of the episodes.
      share: of the batch.
    """
    episodes, unrolled = self.score(model, params, rng, start, batch, task)
    metrics = jax.tree.map(jnp.mean, episodes)
    if self.measures_inputs:
      metrics["input_penalty"] = model.input_penalty(params, jax.tree.map(
          _mean_with_own_gradient(share), unrolled.unit_inputs))
    return metrics["loss"], metrics, unrolled.state

  def score(self, model: Model, params: Any, rng: jax.Array | None, start: Any,
            batch: tasks.Batch, task: tasks.Episodes
            ) -> tuple[dict[str, jax.Array], Unrolled]:
    """Returns loss and metrics of each episode, `[B]`, and what was unrolled.

    Args:
      model: the network.
      params: of the network.
      rng: reaches the network; None for an evaluation.
      start: the core state to start in.
      batch: the episodes.
      task: of the episodes.
    """
    unrolled = self._unroll(model, params, rng, start, batch, task.num_answers)
    episodes = task.score.metrics(unrolled.outputs, batch)
    loss = task.score.loss(unrolled.outputs, batch)
    return episodes | {"loss": loss}, unrolled

  def _unroll(self, model, params, rng, start, batch, num_answers) -> Unrolled:
    """Computes read-outs only where mask = 1; other outputs are zeros."""
    num_steps, batch_size = batch.mask.shape
    if num_answers == num_steps:
      return model.unroll(params, rng, batch.inputs, start,
                          return_unit_inputs=self.measures_inputs)
    steps = jax.lax.top_k(batch.mask.T, num_answers)[1].T
    unrolled = model.unroll(params, rng, batch.inputs, start, steps=steps,
                            return_unit_inputs=self.measures_inputs)
    answers = unrolled.outputs
    outputs = jnp.zeros((num_steps, *answers.shape[1:]), answers.dtype)
    outputs = outputs.at[steps, jnp.arange(batch_size)].set(answers)
    return unrolled._replace(outputs=outputs)

  def mean_of_batches(self, model: Model, params: Any, key: jax.Array,
                      data: Any, task: tasks.Episodes, num_batches: int,
                      batch_size: int, share: Share) -> dict[str, jax.Array]:
    """Returns this share's mean loss and metrics over drawn batches.

    Args:
      model: the network.
      params: of the network.
      key: has the number of the batch folded in.
      data: that the episodes draw from.
      task: of the episodes.
      num_batches: how many batches.
      batch_size: episodes of a batch, over all shares.
      share: of each batch.
    """
    def one(_, index):
      batch = sources.draw_share(
          jax.random.fold_in(key, index), task, None, data, batch_size, share)
      start = model.initial_state(params, batch.mask.shape[1])
      _, metrics, _ = self.mean_loss(
          model, params, None, start, batch, task, share)
      return None, metrics

    _, metrics = jax.lax.scan(one, None, jnp.arange(num_batches))
    return jax.tree.map(jnp.mean, metrics)

  def mean_of_examples(self, model: Model, params: Any, data: Any,
                       task: Any, batch_size: int, share: Share
                       ) -> dict[str, jax.Array]:
    """Returns this share's part of the means over all examples of a task.

    The mean over shares of these parts is the mean over examples.

    Args:
      model: the network.
      params: of the network.
      data: that the episodes draw from.
      task: a `Countable` one.
      batch_size: examples at once, over all shares.
      share: of each batch.
    """
    size, num_examples = batch_size // share.num_parts, task.num_examples

    def one(_, index):
      number = index * batch_size + share.part * size + jnp.arange(size)
      # Numbers beyond the last example repeat it, and do not count.
      batch = jax.vmap(task.example, (0, None), 1)(
          jnp.minimum(number, num_examples - 1), data)
      start = model.initial_state(params, size)
      episodes, _ = self.score(model, params, None, start, batch, task)
      return None, jax.tree.map(
          lambda x: jnp.where(number < num_examples, x, 0).sum(), episodes)

    num_batches = -(-num_examples // batch_size)
    _, sums = jax.lax.scan(one, None, jnp.arange(num_batches))
    weight = share.num_parts / num_examples
    return jax.tree.map(lambda x: x.sum() * weight, sums)


def _mean_with_own_gradient(share: Share) -> Callable[[jax.Array], jax.Array]:
  """Returns a mean over all shares whose gradient is that of this share.

  The mean of the shares' gradients is then the gradient of a function of the
  mean, whatever JAX takes for the gradient of a mean over devices.
  """
  return lambda x: x + jax.lax.stop_gradient(share.mean(x) - x)
