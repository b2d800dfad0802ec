"""How a network learns a task: pure functions of one seed's keys and state.

They know nothing of devices. `launch.training` runs them on all devices for one
seed, `launch.seeds` for many seeds at once.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

import tasks
from launch import config as config_lib
from launch import curriculum as curriculum_lib
from launch import optimisers
from launch.keys import Keys


class TrainState(NamedTuple):
  """All that changes in training; random numbers follow from seed and step.

  Attributes:
    step: `[]` int32, updates done.
    params: of the network.
    opt_state: of the optimiser.
    curriculum: a `CurriculumState`, or empty.
  """

  step: Any
  params: Any
  opt_state: Any
  curriculum: Any = ()


class Share(NamedTuple):
  """The part of each batch that is drawn here.

  Attributes:
    part: its number.
    num_parts: how many there are.
    mean: of a tree, over all parts.
  """

  part: Any = 0
  num_parts: int = 1
  mean: Callable[[Any], Any] = lambda tree: tree


class Learner:
  """One network that learns one task.

  Attributes:
    task: what it learns.
    model: the network.
    curriculum: how levels grow; None if they do not.
  """

  def __init__(self, config: ml_collections.ConfigDict, task: tasks.Task):
    """Builds the network and the optimiser.

    Args:
      config: see `launch.config.default_config`.
      task: the task to train on.
    """
    self.task = task
    self.model = config_lib.make_model(config, task)
    self.curriculum = curriculum_lib.make_curriculum(config)
    self._config = config
    # A memory that is used again and again; without clearing it.
    self.idle_model = (
        config_lib.make_model(config, task, gradient_steps=1)
        if config.reuse_memory else None)
    self._optimizer = optimisers.make_optimizer(
        config.optimizer, config.lr_schedule, config.learning_rate,
        config.steps, config.max_grad_norm, config.max_grad_value)
    self._is_sparse = config.unit != "linear" or task.solved_below is not None

  def initial_state(self, keys: Keys) -> TrainState:
    """The state before the first update."""
    inputs = jnp.zeros((1, 1, self.task.input_size))
    params = self.model.init(keys.init, inputs)
    return TrainState(
        np.zeros((), np.int32), params, self._optimizer.init(params),
        self.curriculum.initial_state() if self.curriculum else ())

  def data(self, keys: Keys, data: Any) -> Any:
    """What episodes draw from: of this run alone, or what was loaded."""
    instance = self.task.instance(keys.instance)
    return data if instance is None else instance

  def train(self, keys: Keys, state: TrainState, workspace: Any, data: Any,
            num_updates: int, levels: curriculum_lib.Levels | None,
            share: Share) -> tuple[TrainState, Any, dict[str, jax.Array]]:
    """Does some updates.

    Args:
      keys: of the seed.
      state: before them.
      workspace: the memory to start in, with `reuse_memory`; else None.
      data: from `data`.
      num_updates: how many.
      levels: of a curriculum.
      share: of each batch.

    Returns:
      The state and the workspace after them; the means of loss, metrics and the
      gradient's norm over them.
    """
    update = self._make_update(keys, data, levels, share)
    (state, workspace), metrics = jax.lax.scan(
        update, (state, workspace), length=num_updates)
    means = jax.tree.map(jnp.mean, metrics)
    return state, workspace, self.task.with_ratios(means)

  def _make_update(self, keys, data, levels, share):
    task = self.task.at_level(levels.room) if levels else self.task
    model = self.model
    if self.idle_model:
      model = config_lib.make_model(self._config, task,
                                    gradient_steps=task.num_steps)

    def loss(params, workspace, step, *args):
      if self.idle_model is None:
        value, (metrics, last) = self._loss(model, params, None, *args)
      else:
        assert model.forget and self.idle_model.forget
        # From a memory that is as new, in the arrays of the last one; the
        # length of the tape for the gradients is that of the episode, and of no
        # use afterwards.
        first = model.forget(params, workspace)
        value, (metrics, last) = self._loss(model, params, first, *args)
        last = self.idle_model.forget(params, last)
      if self._config.penalty_weight:
        penalty, weight = model.penalty(params), self._penalty_weight(step)
        metrics |= {"penalty": penalty, "penalty_weight": weight}
        value += weight * penalty
      if self._config.input_penalty_weight:
        value += self._config.input_penalty_weight * metrics["input_penalty"]
      return value, (metrics, last)

    def update(carry, _):
      state, workspace = carry
      key = jax.random.fold_in(keys.train, state.step)
      level = curriculum_lib.draw_level(
          jax.random.fold_in(keys.level, state.step),
          levels) if levels else None
      grads, (metrics, workspace) = jax.grad(loss, has_aux=True)(
          state.params, workspace, state.step, key, data, task, level, share)
      # Gradients first, then their mean: the gradient of a mean over devices
      # is another thing under pmap.
      grads, metrics = share.mean((grads, metrics))
      metrics["grad_norm"] = optax.tree.norm(grads)
      updates, opt_state = self._optimizer.update(
          grads, state.opt_state, state.params)
      params = model.constrain(optax.apply_updates(state.params, updates))
      curriculum = self.curriculum.next_state(
          state.curriculum, state.step,
          metrics["loss"]) if self.curriculum else ()
      state = TrainState(state.step + 1, params, opt_state, curriculum)
      return (state, workspace), metrics

    return update

  def _penalty_weight(self, step):
    start, end = self._config.penalty_start, self._config.penalty_end
    grown = (step - start) / (end - start) if start < end else step >= start
    return self._config.penalty_weight * jnp.clip(grown, 0., 1.)

  def evaluate(self, keys: Keys, params: Any, data: Any, task: tasks.Task,
               num_batches: int, share: Share) -> dict[str, jax.Array]:
    """Mean loss and metrics over fixed episodes, and whether they are solved.

    Args:
      keys: of the seed.
      params: of the network.
      data: from `data`.
      task: to evaluate.
      num_batches: of the batch size of the training; a task whose episodes can
        be counted is evaluated on each of them once instead.
      share: of each batch.
    """
    def one(_, index):
      key = jax.random.fold_in(keys.evaluate, index)
      return None, self._loss(
          self.model, params, None, key, data, task, None, share)[1][0]

    if task.num_examples is None:
      _, metrics = jax.lax.scan(one, None, jnp.arange(num_batches))
      metrics = jax.tree.map(jnp.mean, metrics)
    else:
      metrics = self._evaluate_examples(
          params, data, task, task.num_examples, share)
    metrics = task.with_ratios(share.mean(metrics))
    if task.solved_below is not None:
      is_solved = metrics[task.main_metric] < task.solved_below
      metrics["solved"] = is_solved.astype(jnp.float32)
    if self._is_sparse and task == self.task and self.model.units:
      metrics["sparsity_error"] = self.model.sparsity_error(params)
    return metrics

  def _evaluate_examples(self, params, data, task, num_examples,
                         share: Share):
    """This share of all episodes: what makes their means as a mean of shares.
    """
    batch_size = self._config.batch_size
    size = batch_size // share.num_parts

    def one(_, index):
      number = index * batch_size + share.part * size + jnp.arange(size)
      # Beyond the last there is the last again, and does not count.
      batch = jax.vmap(task.example, (0, None), 1)(
          jnp.minimum(number, num_examples - 1), data)
      episodes, *_ = self._score(self.model, params, None, batch, task)
      return None, jax.tree.map(
          lambda x: jnp.where(number < num_examples, x, 0).sum(), episodes)

    num_batches = -(-num_examples // batch_size)
    _, sums = jax.lax.scan(one, None, jnp.arange(num_batches))
    weight = share.num_parts / num_examples
    return jax.tree.map(lambda x: x.sum() * weight, sums)

  def _loss(self, model, params, first, key, data, task, level,
            share: Share):
    """This share: mean loss; means of loss and metrics; last state.

    Without a `first` state it starts from a new one, and returns no last one.
    """
    batch_size = self._config.batch_size
    keys = jax.random.split(key, batch_size)
    size = batch_size // share.num_parts
    if share.num_parts > 1:
      keys = jax.lax.dynamic_slice_in_dim(keys, share.part * size, size)
    batch = task.sample_from_keys(keys, level, data)
    episodes, last, unit_inputs = self._score(model, params, first, batch, task)
    metrics = jax.tree.map(jnp.mean, episodes)
    if self._config.input_penalty_weight:
      metrics["input_penalty"] = model.input_penalty(
          params, jax.tree.map(_mean_with_own_gradient(share), unit_inputs))
    return metrics["loss"], (metrics, None if first is None else last)

  def _score(self, model, params, first, batch, task):
    """Loss and metrics of each episode, `[B]`; last state; units' inputs."""
    start = model.initial_state(
        params, batch.mask.shape[1]) if first is None else first
    outputs, *rest = self._unroll(model, params, start, batch, task.num_answers)
    episodes = task.metrics(outputs, batch)
    return episodes | {"loss": task.loss(outputs, batch)}, *rest

  def _unroll(self, model, params, start, batch, num_answers):
    """The outputs, zeros where none is asked for; last state; units' inputs."""
    num_steps, batch_size = batch.mask.shape
    unroll = functools.partial(
        model.unroll, params, batch.inputs, start,
        return_unit_inputs=bool(self._config.input_penalty_weight))
    if num_answers == num_steps:
      outputs, *rest = unroll()
    else:
      steps = jax.lax.top_k(batch.mask.T, num_answers)[1].T
      answers, *rest = unroll(steps=steps)
      outputs = jnp.zeros((num_steps, *answers.shape[1:]), answers.dtype)
      outputs = outputs.at[steps, jnp.arange(batch_size)].set(answers)
    last, unit_inputs = rest if len(rest) == 2 else (*rest, {})
    return outputs, last, unit_inputs


def _mean_with_own_gradient(share: Share) -> Callable[[jax.Array], jax.Array]:
  """The mean over all parts, whose gradient is that of this part.

  The mean of the parts' gradients is then the gradient of a function of the
  mean, whatever JAX takes for the gradient of a mean over devices.
  """
  return lambda x: x + jax.lax.stop_gradient(share.mean(x) - x)
