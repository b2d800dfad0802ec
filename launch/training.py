"""Training and evaluation steps, compiled for all local devices."""

import collections
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

import rmc_nalu_sam
import tasks
from launch import curriculum as curriculum_lib
from launch import devices, optimisers

# Numbers that an exact search may read in an episode, to measure the recall.
MAX_RECALL_WORK = 2**30


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
    self._seed = config.seed
    self._batch_size = config.batch_size
    self._eval_episodes = config.eval_episodes
    self._task = task
    self._make_model = functools.partial(
        rmc_nalu_sam.make_model, config.core, task.output_size,
        **config.core_args)
    self.model = self._make_model()
    self._has_index = config.core_args.get("index", "exact") != "exact"
    # A memory that is used again and again; without clearing it.
    self._idle_model = (self._make_model(gradient_steps=1)
                        if config.reuse_memory else None)
    self._workspace: Any = None
    self._optimizer = optimisers.make_optimizer(
        config.optimizer, config.lr_schedule, config.learning_rate,
        config.steps, config.max_grad_norm)
    self._curriculum = curriculum_lib.make_curriculum(config)
    key = jax.random.key(config.seed)
    self._init_key, self._train_key, self._eval_key = jax.random.split(key, 3)
    self._level_key = jax.random.fold_in(key, 3)
    self._train = jax.pmap(
        self._train_chunk, axis_name=devices.AXIS,
        static_broadcasted_argnums=(3, 4), donate_argnums=(0, 1))
    self._evaluate = jax.pmap(self._eval_chunk, axis_name=devices.AXIS,
                              static_broadcasted_argnums=3)

  def initial_state(self) -> TrainState:
    """The state before the first update, on the host."""
    inputs = jnp.zeros((1, 1, self._task.input_size))
    params = self.model.init(self._init_key, inputs)
    state = TrainState(
        np.zeros((), np.int32), params, self._optimizer.init(params),
        self._curriculum.initial_state() if self._curriculum else ())
    return jax.tree.map(np.asarray, state)

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
      levels = self._curriculum.draw_levels(self._seed, step, level)
      chunk = min(last - step, curriculum_lib.STRETCH
                  - step % curriculum_lib.STRETCH)
      state, metrics = self._train_stretch(state, data, chunk, levels)
      for name, value in metrics.items():
        means[name] += value * chunk / num_updates
      step += chunk
    return state, dict(means)

  def _train_stretch(self, state, data, num_updates, levels):
    if self._idle_model and self._workspace is None:
      share = self._batch_size // jax.local_device_count()
      self._workspace = jax.pmap(
          functools.partial(self._idle_model.initial_state,
                            batch_size=share))(state.params)
    # Lost if the call fails, as it is donated.
    workspace, self._workspace = self._workspace, None
    state, self._workspace, metrics = self._train(
        state, workspace, data, num_updates, levels)
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
    num_episodes = num_episodes or self._eval_episodes
    num_batches = -(-num_episodes // self._batch_size)
    keys = devices.replicate(jax.random.key_data(self._eval_key))
    evaluated = (task or self._task, num_batches)
    return _floats(self._evaluate(params, data, keys, evaluated))

  def index_recall(self, params: Any, data: Any,
                   task: tasks.Task | None = None) -> float | None:
    """How much of what exact search finds the core's index finds.

    Args:
      params: one copy.
      data: one copy, of the split to evaluate.
      task: the task if it is not the one trained on (another level).

    Returns:
      The share over one evaluation episode; None if the core has no index but
      exact search, or if exact search would take too long to compare with.
    """
    task = task or self._task
    if not self._has_index:
      return None
    model = self._make_model(measure_recall=True)
    state = jax.eval_shape(lambda: model.initial_state(params, 1))
    if state.access.memory.size * task.num_steps > MAX_RECALL_WORK:
      return None

    @jax.jit
    def unroll(params, key, data):
      inputs = task.sample(key, 1, data=data).inputs
      _, state = model.unroll(params, inputs, model.initial_state(params, 1))
      return state.access.recall[0]

    found, existed = unroll(params, self._eval_key, data)
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
    def unroll(params, key, data):
      batch = (task or self._task).sample(key, 1, data=data)
      outputs, states = self.model.unroll(
          params, batch.inputs, self.model.initial_state(params, 1),
          return_all_states=True)
      return batch, outputs, states

    return unroll(params, self._eval_key, data)

  def _train_chunk(self, state, workspace, data, num_updates, levels):
    task = self._task.at_level(levels.room) if levels else self._task
    model = self.model
    if self._idle_model:
      model = self._make_model(gradient_steps=task.num_steps)

    def loss(params, workspace, *args):
      if self._idle_model is None:
        return self._loss(model, params, None, *args)
      assert model.forget and self._idle_model.forget
      # From a memory that is as new, in the arrays of the last one; the length
      # of the tape for the gradients is that of the episode, and of no use
      # afterwards.
      first = model.forget(params, workspace)
      value, (metrics, last) = self._loss(model, params, first, *args)
      return value, (metrics, self._idle_model.forget(params, last))

    def update(carry, _):
      state, workspace = carry
      key = jax.random.fold_in(self._train_key, state.step)
      level = curriculum_lib.draw_level(
          jax.random.fold_in(self._level_key, state.step),
          levels) if levels else None
      grads, (metrics, workspace) = jax.grad(loss, has_aux=True)(
          state.params, workspace, key, data, task, level)
      # Gradients first, then their mean: the gradient of a mean over devices
      # is another thing under pmap.
      grads, metrics = jax.lax.pmean((grads, metrics), devices.AXIS)
      metrics["grad_norm"] = optax.tree.norm(grads)
      updates, opt_state = self._optimizer.update(
          grads, state.opt_state, state.params)
      params = optax.apply_updates(state.params, updates)
      curriculum = self._curriculum.next_state(
          state.curriculum, state.step,
          metrics["loss"]) if self._curriculum else ()
      state = TrainState(state.step + 1, params, opt_state, curriculum)
      return (state, workspace), metrics

    (state, workspace), metrics = jax.lax.scan(
        update, (state, workspace), length=num_updates)
    return state, workspace, jax.tree.map(jnp.mean, metrics)

  def _eval_chunk(self, params, data, key_data, evaluated):
    task, num_batches = evaluated

    def one(_, index):
      key = jax.random.fold_in(jax.random.wrap_key_data(key_data), index)
      return None, self._loss(
          self.model, params, None, key, data, task, None)[1][0]

    _, metrics = jax.lax.scan(one, None, jnp.arange(num_batches))
    return jax.lax.pmean(jax.tree.map(jnp.mean, metrics), devices.AXIS)

  def _loss(self, model, params, first, key, data, task, level):
    """This device's share: mean loss; means of loss and metrics; last state.

    Without a `first` state it starts from a new one, and returns no last one.
    """
    keys = jax.random.split(key, self._batch_size)
    share = self._batch_size // jax.lax.axis_size(devices.AXIS)
    keys = jax.lax.dynamic_slice_in_dim(
        keys, jax.lax.axis_index(devices.AXIS) * share, share)
    batch = task.sample_from_keys(keys, level, data)
    start = model.initial_state(params, share) if first is None else first
    outputs, last = model.unroll(params, batch.inputs, start)
    loss = task.loss(outputs, batch).mean()
    metrics = jax.tree.map(jnp.mean, task.metrics(outputs, batch))
    return loss, (metrics | {"loss": loss}, None if first is None else last)


def _floats(metrics: dict[str, jax.Array]) -> dict[str, float]:
  return {name: float(value)
          for name, value in devices.first_replica(metrics).items()}
