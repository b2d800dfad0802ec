"""What an update is: pure functions of one seed's keys and state.

A `Learner` gets objects: a network, a task, an optimiser. It knows nothing of
configurations or devices. `trainer.py` runs its functions on all devices.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypeAlias

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

import tasks
from launch.learning import curriculum as curriculum_lib
from launch.learning import penalties, scoring, sources
from launch.learning.agents import actor, actor_critic
from launch.learning.keys import Keys
from launch.learning.layout import Share
from launch.learning.text import streams
from launch.learning.updates import accumulation, skipping
from launch.learning.varied import Number, is_on
from rmc_nalu_sam import Linear, Model, dropout


class TrainState(NamedTuple):
  """Holds what training changes, the same on all devices.

  Attributes:
    step: `[]` int32, updates done.
    params: of the network.
    opt_state: of the optimiser.
    curriculum: a `CurriculumState`, or empty.
    skips: `skipping.Skips`, or empty if no update is skipped.
  """

  step: Any
  params: Any
  opt_state: Any
  curriculum: Any = ()
  skips: Any = ()


class RunState(NamedTuple):
  """Holds all that changes in a run; random numbers follow from seed and step.

  Attributes:
    train: the same on all devices.
    source: of the `Source`, split over the devices.
  """

  train: TrainState
  source: sources.SourceState = ()


# Turns numbers of a sweep, flag -> value, into optimiser, penalty and agent.
Vary: TypeAlias = Callable[[Mapping[str, Number]], tuple[
    optax.GradientTransformation, penalties.Discrete | None,
    actor_critic.ActorCritic | None]]


class Learner:
  """Trains and evaluates one network on one task.

  Attributes:
    model: the network.
    task: the task.
    batch_size: episodes of an update, over all devices.
    accumulate: parts that each device's share is computed in.
    source: draws the batches.
    curriculum: raises the level; None if it does not change.
    agent: learns an `Environment`; None for other tasks.
  """

  def __init__(self, model: Model, task: tasks.Trainable,
               optimizer: optax.GradientTransformation, *, batch_size: int,
               accumulate: int = 1,
               source: sources.Source | None = None,
               penalty: penalties.Discrete | None = None,
               agent: actor_critic.ActorCritic | None = None,
               curriculum: curriculum_lib.Exponential | None = None,
               vary: Vary | None = None, skips_nonfinite: bool = False):
    """Constructs a learner.

    Args:
      model: the network.
      task: the task to train on.
      optimizer: turns gradients into updates.
      batch_size: episodes of an update, over all devices.
      accumulate: parts that each device's share is computed in, one after the
        other; they divide it. Not for a penalty of inputs, which is a function
        of the whole batch.
      source: draws the batches; an `EpisodeSource` if None.
      penalty: is added to the loss.
      agent: learns an `Environment`; None for other tasks.
      curriculum: raises the level of the episodes; its task is `Levelled`.
      vary: makes optimiser, penalty and agent anew for `with_numbers`.
      skips_nonfinite: skips and counts updates that are not finite.
    """
    self.model = model
    self.task = task
    self.batch_size = batch_size
    self.accumulate = accumulate
    self.source: sources.Source = source or sources.EpisodeSource(model)
    self.curriculum = curriculum
    self._vary = vary
    self._skips_nonfinite = skips_nonfinite
    self._scorer: Any = None
    self._set_rules(optimizer, penalty, agent)

  def with_numbers(self, numbers: Mapping[str, Number]) -> Self:
    """Returns this learner with other numbers in optimiser, penalty and agent.

    Args:
      numbers: flag -> traced value; {} for this learner itself.
    """
    if not numbers:
      return self
    assert self._vary is not None
    varied = copy.copy(self)
    varied._set_rules(*self._vary(numbers))
    return varied

  def _set_rules(self, optimizer, penalty, agent):
    self._optimizer = optimizer
    self._penalty = penalty or penalties.Discrete()
    self.agent = agent
    if agent:
      assert isinstance(self.source, actor.ActorSource)
      self.source, self._scorer = self.source.with_agent(agent), agent
      return
    scorer = (streams.StreamScorer if isinstance(self.task, tasks.Stream)
              else scoring.Scorer)
    self._scorer = scorer(is_on(self._penalty.input_weight))

  @property
  def frames(self) -> int:
    """Returns the steps of an environment in an update; 0 for other tasks."""
    return self.batch_size * self.agent.unroll_length if self.agent else 0

  def initial_state(self, keys: Keys, params: hk.Params | None = None
                    ) -> TrainState:
    """Returns the state before the first update.

    Args:
      keys: of the seed.
      params: to start with; new ones if None.
    """
    if params is None:
      spec = self.task.input_spec
      params = self.model.init(
          keys.init, jnp.zeros((1, 1, *spec.shape), spec.dtype))
    return TrainState(
        np.zeros((), np.int32), params, self._optimizer.init(params),
        self.curriculum.initial_state() if self.curriculum else (),
        skipping.none() if self._skips_nonfinite else ())

  def data(self, keys: Keys, data: Any) -> Any:
    """Returns what episodes draw from: this seed's instance of the task, or
    what was loaded."""
    instance = self.task.instance(keys.instance)
    return data if instance is None else instance

  def padded_task(self, levels: curriculum_lib.Levels | None
                  ) -> tasks.Trainable:
    """Returns the task whose episodes are padded to the end of a bucket.

    Args:
      levels: the bucket of a curriculum; None without a curriculum.
    """
    if levels is None:
      return self.task
    assert isinstance(self.task, tasks.Levelled)
    return self.task.at_level(levels.room)

  def train(self, keys: Keys, state: RunState, data: Any, num_updates: int,
            levels: curriculum_lib.Levels | None, share: Share
            ) -> tuple[RunState, dict[str, jax.Array]]:
    """Does some updates.

    Args:
      keys: of the seed.
      state: before the updates.
      data: from `data`.
      num_updates: how many.
      levels: the bucket of a curriculum; None without a curriculum.
      share: of each batch.

    Returns:
      The state after the updates; the means of loss, metrics and the gradient's
      norm over them.
    """
    task = self.padded_task(levels)

    def one(state, _):
      level = self._draw_level(keys, state, levels)
      return self._update(keys, state, data, task, level, share)

    state, metrics = jax.lax.scan(one, state, length=num_updates)
    means = (skipping.mean(metrics, metrics.pop("is_kept"))
             if self._skips_nonfinite else jax.tree.map(jnp.mean, metrics))
    return state, self.task.metrics_of(means, data)

  def _draw_level(self, keys, state, levels):
    return curriculum_lib.draw_level(
        jax.random.fold_in(keys.level, state.train.step),
        levels) if levels else None

  def _mean_gradients(self, keys, state, data, task, level, share):
    """Returns gradients and metrics of a batch, and the source's states."""
    train, source_state = state
    gradients, metrics, states = accumulation.over_parts(
        functools.partial(self._gradients, keys, train, data, task, level),
        train.params, source_state, share, self.accumulate,
        self._scorer.DIVISION)
    # First the gradients, then their mean: under pmap, the gradient of a mean
    # over devices is something else.
    gradients, metrics = share.mean((gradients, metrics))
    metrics["grad_norm"] = optax.tree.norm(gradients)
    return gradients, metrics, states

  def _update(self, keys, state, data, task, level, share):
    """Does one update: gradients, mean over devices, step, projection."""
    train = state.train
    gradients, metrics, (drawn, source_state) = self._mean_gradients(
        keys, state, data, task, level, share)
    updates, opt_state = self._optimizer.update(
        gradients, train.opt_state, train.params)
    params = self.model.constrain(optax.apply_updates(train.params, updates))
    curriculum = self.curriculum.next_state(
        train.curriculum, train.step,
        metrics[task.score.judged_metric]) if self.curriculum else ()
    after = RunState(TrainState(
        train.step + 1, params, opt_state, curriculum, train.skips),
                     source_state)
    if self._skips_nonfinite:
      after, metrics["is_kept"] = skipping.kept_if_finite(
          self.source.carried, state, drawn, after,
          (gradients, metrics["loss"]), share)
    return after, metrics

  def _gradients(self, keys, train, data, task, level, source_state, share):
    """Draws a share's batch; returns gradients, metrics and source states.

    These are the state after drawing, if updates may be skipped, and that after
    the update.
    """
    batch, drawn = self.source.next(
        source_state, train.params,
        jax.random.fold_in(keys.train, train.step), task, level, data,
        self.batch_size, share)
    gradients, (metrics, source_state) = jax.grad(self._loss, has_aux=True)(
        train.params, drawn, batch, task, train.step,
        self._network_key(keys, train.step, share), share)
    return gradients, metrics, (
        drawn if self._skips_nonfinite else (), source_state)

  def _network_key(self, keys, step, share):
    """Returns the key of one update of one share's network.

    If the network draws, these are the keys of the share's episodes, and one
    that all shares have in common.
    """
    key = jax.random.fold_in(keys.network, step)
    if self.model.draws:
      return dropout.Keys(
          key, sources.split_share(key, self.batch_size, share))
    return key if share.num_parts == 1 else jax.random.fold_in(key, share.part)

  def _loss(self, params, source_state, batch, task, step, rng, share):
    """Returns the loss of this share's batch, and (metrics, source state)."""
    model = self.source.model(task)
    start = self.source.start(source_state, params, task, batch.mask.shape[1])
    value, metrics, last = self._scorer.mean_loss(
        model, params, rng, start, batch, task, share)
    penalty, penalty_metrics = self._penalty.of_params(model, params, step)
    value += penalty
    metrics |= penalty_metrics
    if is_on(self._penalty.input_weight):
      value += self._penalty.input_weight * metrics["input_penalty"]
    return value, (metrics, self.source.finish(source_state, params, last))

  def nonfinite(self, keys: Keys, state: RunState, data: Any,
                levels: curriculum_lib.Levels | None, share: Share
                ) -> dict[str, jax.Array]:
    """Looks for what is not finite in the next update, and does not do it.

    Args:
      keys: of the seed.
      state: before the update.
      data: from `data`.
      levels: the bucket of a curriculum; None without a curriculum.
      share: of the batch.

    Returns:
      'params' and 'gradients', `[N]` bool of each of the N parameters: whether
      a number of it, or of its gradient, is not finite; and 'loss', `[1]`.
    """
    gradients, metrics, _ = self._mean_gradients(
        keys, state, data, self.padded_task(levels),
        self._draw_level(keys, state, levels), share)
    return {name: jnp.stack([~jnp.isfinite(x).all()
                             for x in jax.tree.leaves(tree)])
            for name, tree in (("params", state.train.params),
                               ("gradients", gradients),
                               ("loss", metrics["loss"]))}

  def evaluate(self, keys: Keys, params: Any, data: Any, task: tasks.Trainable,
               num_episodes: int, batch_size: int, share: Share
               ) -> dict[str, jax.Array]:
    """Returns mean loss and metrics over fixed episodes; `solved` for a task
    with a criterion; `sparsity_error` for units that are to become discrete.

    Args:
      keys: of the seed.
      params: of the network.
      data: from `data`.
      task: to evaluate.
      num_episodes: how many. A `Countable` task is evaluated on each of its
        episodes once instead, and a `Stream` on its whole text.
      batch_size: episodes at once, over all devices. Does not change which
        episodes are drawn. Of a `Stream`, the number of rows.
      share: of each batch.
    """
    if isinstance(task, tasks.Environment):
      metrics = self._scorer.mean_of_episodes(
          self.model, params, keys.evaluate, task, num_episodes, batch_size,
          share)
    elif isinstance(task, tasks.Stream):
      metrics = self._scorer.mean_of_text(
          self.model, params, data, task, batch_size, share)
    elif isinstance(task, tasks.Countable):
      metrics = self._scorer.mean_of_examples(
          self.model, params, data, task, batch_size, share)
    else:
      draw = functools.partial(sources.draw_numbered, keys.evaluate, task, data,
                               self.batch_size)
      metrics = self._scorer.mean_of_drawn(
          self.model, params, draw, task, num_episodes, batch_size, share)
    metrics = task.metrics_of(share.mean(metrics), data)
    if task.solved_below is not None:
      is_solved = metrics[task.score.main_metric] < task.solved_below
      metrics["solved"] = is_solved.astype(jnp.float32)
    if task == self.task and (units := self._discrete_units()):
      metrics["sparsity_error"] = functools.reduce(jnp.maximum, [
          unit.sparsity_error(params[name]) for name, unit in units.items()])
    return metrics

  def _discrete_units(self):
    """Returns the units that should become discrete; linear ones need not."""
    return {name: unit for name, unit in self.model.units.items()
            if unit.is_discrete and not isinstance(unit, Linear)}
