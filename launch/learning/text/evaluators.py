"""Other ways to score a text: adapting to it, with a cache, in short contexts.

Each scores every target of a text, for one network, on one device.

Letters: T steps of a window, R rows of the text.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import tasks
from launch.learning.text import continuous_cache, dynamic_evaluation
from rmc_nalu_sam import Model

SCALE_ROWS = 100  # The published numbers of dynamic evaluation belong to it.

# (carry, batch) -> log-probabilities of the targets `[T, R]`, and the carry.
_Score = Callable[[Any, tasks.Batch], tuple[jax.Array, Any]]

# Compiles a function once for all networks of a run.
_compiled = functools.partial(
    jax.jit, static_argnames=("model", "task", "options"))


@dataclasses.dataclass(frozen=True)
class Dynamic:
  """Holds the numbers of a dynamic evaluation; see `dynamic_evaluation`.

  Attributes:
    learning_rate: of the steps.
    decay: back to the trained parameters.
    segment: targets between two steps.
    max_windows: windows of the training text that the scale of the gradients is
      measured on; 0 for all of them.
  """

  learning_rate: float = 5e-5
  decay: float = .002
  segment: int = 5
  max_windows: int = 0


@dataclasses.dataclass(frozen=True)
class Cache:
  """Holds the numbers of a continuous cache; see `continuous_cache`.

  Attributes:
    length: words that it holds.
    sharpness: of the similarity of outputs.
    weight: share of the cache in the probabilities.
  """

  length: int = 3785
  sharpness: float = .662
  weight: float = .1279


@dataclasses.dataclass(frozen=True)
class Options:
  """Holds how else a text is to be scored.

  Attributes:
    dynamic: numbers of a dynamic evaluation; None for none.
    cache: numbers of a continuous cache; None for none.
    contexts: targets after which the network starts anew, one row for each.
    batch_size: pieces of a text at once, with `contexts`.
  """

  dynamic: Dynamic | None = None
  cache: Cache | None = None
  contexts: Sequence[int] = ()
  batch_size: int = 32

  def ways(self) -> list[str]:
    """Returns the names of the ways."""
    return [*(["dynamic"] if self.dynamic else []),
            *(f"context {length}" for length in self.contexts),
            *(["cache"] if self.cache else [])]


def gradient_scale(model: Model, params: Any, task: tasks.Stream, data: Any,
                   options: Dynamic) -> Any:
  """Returns the scale of the gradients over the training text.

  Args:
    model: the network.
    params: of the network.
    task: of the run.
    data: of the training split.
    options: of the dynamic evaluation.
  """
  return _scale(model, params, _in_segments(task, options), data, options)


@_compiled
def _scale(model, params, task, data, options):
  num_windows = tasks.num_windows(task, task.corpus(data), SCALE_ROWS)
  if options.max_windows:
    num_windows = min(num_windows, options.max_windows)

  def one(squares, number):
    return dynamic_evaluation.add_squares(
        _loss_of(model), params, squares,
        _window(task, data, SCALE_ROWS, number),
        segment=options.segment), None

  start = dynamic_evaluation.no_squares(
      params, model.initial_state(params, SCALE_ROWS))
  squares, _ = jax.lax.scan(one, start, jnp.arange(num_windows))
  return dynamic_evaluation.gradient_scale(squares)


def dynamic(model: Model, params: Any, task: tasks.Stream, data: Any,
            options: Dynamic, scale: Any) -> dict[str, np.ndarray]:
  """Returns the metrics of a network that adapts to the text, in one row.

  Args:
    model: the network.
    params: of the network.
    task: whose text to read.
    data: of the task.
    options: of the dynamic evaluation.
    scale: from `gradient_scale`.
  """
  task = _in_segments(task, options)
  return _metrics(task, data, _sums_of_dynamic(
      model, params, task, data, options, scale))


@_compiled
def _sums_of_dynamic(model, params, task, data, options, scale):
  def score(adapted, batch):
    nats, adapted = dynamic_evaluation.evaluate(
        _loss_of(model), params, scale, adapted, batch,
        learning_rate=options.learning_rate, decay=options.decay,
        segment=options.segment)
    return -nats, adapted

  start = dynamic_evaluation.begin(params, model.initial_state(params, 1))
  return _sums(task, data, 1, score, start)


def cached(model: Model, params: Any, task: tasks.Stream, data: Any,
           options: Cache) -> dict[str, np.ndarray]:
  """Returns the metrics of a network with a continuous cache, in one row.

  Args:
    model: the network.
    params: of the network.
    task: whose text to read.
    data: of the task.
    options: of the cache.
  """
  return _metrics(task, data, _sums_of_cached(
      model, params, task, data, options))


@_compiled
def _sums_of_cached(model, params, task, data, options):
  def score(carry, batch):
    state, cache = carry
    unrolled = model.unroll(
        params, None, batch.inputs, state, targets=batch.targets)
    log_probs, cache = continuous_cache.mix(
        cache, unrolled.core_outputs, batch.targets, unrolled.outputs,
        sharpness=options.sharpness, weight=options.weight)
    return log_probs, (unrolled.state, cache)

  state = model.initial_state(params, 1)
  size = jax.eval_shape(
      lambda: model.unroll(params, None, jnp.zeros([1, 1], jnp.int32),
                           state)).core_outputs.shape[-1]
  return _sums(task, data, 1, score, (
      state, continuous_cache.empty(1, size, length=options.length)))


def in_context(model: Model, params: Any, task: tasks.Stream, data: Any,
               length: int, batch_size: int) -> dict[str, np.ndarray]:
  """Returns the metrics of a network that starts anew after some targets.

  Args:
    model: the network.
    params: of the network.
    task: whose text to read.
    data: of the task.
    length: targets from one new state to the next, at most those of the text.
    batch_size: such pieces at once, at most as many as there are.
  """
  num_targets = len(task.corpus(data).tokens) - 1
  length = min(length, num_targets)
  num_rows = -(-num_targets // length)
  task = dataclasses.replace(task, num_steps=length)  # type: ignore[call-arg]
  return _metrics(task, data, _sums_in_context(
      model, params, task, data, (num_rows, min(batch_size, num_rows))))


@_compiled
def _sums_in_context(model, params, task, data, options):
  num_rows, batch_size = options

  def one(_, first):
    batch = task.window(
        task.corpus(data), first + jnp.arange(batch_size), num_rows,
        jnp.zeros(batch_size, jnp.int32))
    unrolled = model.unroll(
        params, None, batch.inputs, model.initial_state(params, batch_size),
        targets=batch.targets)
    return None, _summed(task, unrolled.outputs, batch)

  firsts = jnp.arange(0, num_rows, batch_size)
  return jax.tree.map(jnp.sum, jax.lax.scan(one, None, firsts)[1])


def _loss_of(model: Model) -> dynamic_evaluation.LossOf:
  def loss_of(params, state, inputs, targets, mask):
    del mask
    unrolled = model.unroll(params, None, inputs, state, targets=targets)
    return -unrolled.outputs, unrolled.state

  return loss_of


def _in_segments(task, options):
  """Returns the task with windows of whole segments."""
  size = options.segment
  return dataclasses.replace(task, num_steps=-(-task.num_steps // size) * size)


def _window(task, data, num_rows, number):
  return task.window(task.corpus(data), jnp.arange(num_rows), num_rows,
                     jnp.full(num_rows, number * task.num_steps))


def _sums(task, data, num_rows, score: _Score, start):
  """Returns the sums of the task's metrics over its whole text."""
  def one(carry, number):
    batch = _window(task, data, num_rows, number)
    log_probs, carry = score(carry, batch)
    return carry, _summed(task, log_probs, batch)

  count = tasks.num_windows(task, task.corpus(data), num_rows)
  return jax.tree.map(
      jnp.sum, jax.lax.scan(one, start, jnp.arange(count))[1])


def _summed(task, log_probs, batch):
  return jax.tree.map(jnp.sum, task.score.metrics(log_probs, batch))


def _metrics(task, data, sums):
  return jax.tree.map(
      functools.partial(np.asarray, dtype=np.float64),
      task.metrics_of(sums, data))
