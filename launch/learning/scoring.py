"""Loss and metrics of a network on batches of episodes.

Letters: T steps, B episodes, O outputs, A answers of an episode.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

import tasks
from launch.learning.layout import Share
from launch.learning.updates.accumulation import Division
from rmc_nalu_sam import Model, Unrolled

# (number of the first episode, how many of them) -> these episodes.
Draw = Callable[[jax.Array, int], tasks.Batch]


@dataclasses.dataclass(frozen=True)
class Scorer:
  """Unrolls a network over batches and scores its answers.

  Attributes:
    measures_inputs: whether the units' regulariser of their inputs is among the
      metrics, as `input_penalty`.
    DIVISION: which metrics of `mean_loss` are no means over episodes.
  """

  DIVISION: ClassVar[Division] = Division()

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
    metrics |= self._input_penalty(model, params, unrolled, share)
    return metrics["loss"], metrics, unrolled.state

  def _input_penalty(self, model, params, unrolled, share):
    """Returns the regulariser of the mean inputs over a batch, if measured."""
    if not self.measures_inputs:
      return {}
    return {"input_penalty": model.input_penalty(params, jax.tree.map(
        _mean_with_own_gradient(share), unrolled.unit_inputs))}

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

  def mean_of_drawn(self, model: Model, params: Any, draw: Draw,
                    task: tasks.Episodes, num_episodes: int, batch_size: int,
                    share: Share) -> dict[str, jax.Array]:
    """Returns this share's part of the means over drawn episodes.

    The mean over shares of these parts is the mean over episodes. If all
    batches are whole, `input_penalty` is the mean over batches.

    Args:
      model: the network.
      params: of the network.
      draw: draws the episodes.
      task: of the episodes.
      num_episodes: how many.
      batch_size: see `share_size`.
      share: of each batch.
    """
    size = share_size(batch_size, share)
    sums, of_batches = self._sums(
        model, params, draw, task, num_episodes, size, share)
    num_drawn = len(sums["loss"]) * size * share.num_parts
    means = jax.tree.map(
        lambda x: (x / size).mean() * (num_drawn / num_episodes), sums)
    # A batch that is not whole has padding among its inputs.
    if num_drawn == num_episodes:
      means |= jax.tree.map(jnp.mean, of_batches)
    return means

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
      batch_size: see `share_size`.
      share: of each batch.
    """
    def draw(first, size):
      # Numbers beyond the last example repeat it, and do not count.
      number = jnp.minimum(first + jnp.arange(size), task.num_examples - 1)
      return jax.vmap(task.example, (0, None), 1)(number, data)

    sums, _ = self._sums(model, params, draw, task, task.num_examples,
                         share_size(batch_size, share), share)
    weight = share.num_parts / task.num_examples
    return jax.tree.map(lambda x: x.sum() * weight, sums)

  def _sums(self, model, params, draw, task, num_episodes, size, share):
    """Returns sums over the share of each batch, and metrics of the batches."""
    def one(_, index):
      first = (index * share.num_parts + share.part) * size
      batch = draw(first, size)
      start = model.initial_state(params, size)
      episodes, unrolled = self.score(model, params, None, start, batch, task)
      counts = first + jnp.arange(size) < num_episodes
      sums = jax.tree.map(lambda x: jnp.where(counts, x, 0).sum(), episodes)
      return None, (sums, self._input_penalty(model, params, unrolled, share))

    num_batches = -(-num_episodes // (size * share.num_parts))
    return jax.lax.scan(one, None, jnp.arange(num_batches))[1]


def share_size(batch_size: int, share: Share) -> int:
  """Returns the number of episodes that a share computes at once.

  Args:
    batch_size: episodes at once over all shares, rounded up to a multiple of
      their number.
    share: of the batch.
  """
  return -(-batch_size // share.num_parts)


def _mean_with_own_gradient(share: Share) -> Callable[[jax.Array], jax.Array]:
  """Returns a mean over all shares whose gradient is that of this share.

  The mean of the shares' gradients is then the gradient of a function of the
  mean, whatever JAX takes for the gradient of a mean over devices.
  """
  return lambda x: x + jax.lax.stop_gradient(share.mean(x) - x)
