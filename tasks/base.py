"""The kinds of tasks, and the capabilities that a task may have.

A task is a frozen dataclass. It is hashable, so it can be a static argument of
`jax.jit`, and `dataclasses.replace` changes it. It knows arrays and keys, but
no networks, devices or flags. Everything except `load` is pure JAX, so sampling
runs on the device, inside the training step.

There are three kinds of tasks: `Episodes`, `Stream` (see `tasks.stream`) and
`Environment` (see `tasks.environment`). For what a task can also do, see
`tasks.capabilities`.

Letters: T time steps, B batch, F input size, O output size.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import chex
import jax
import jax.numpy as jnp

from tasks.batch import Batch
from tasks.capabilities import (
    Countable,
    Levelled,
    Readable,
    Symbolic,
    Transcribable,
)
from tasks.environment import Environment, Observation, TimeStep
from tasks.scores import Score
from tasks.stream import Corpus, Stream
from tasks.task import Task

__all__ = (
  "Batch",
  "Corpus",
  "Countable",
  "Environment",
  "Episodes",
  "Levelled",
  "Observation",
  "Readable",
  "Stream",
  "Symbolic",
  "Task",
  "TimeStep",
  "Trainable",
  "Transcribable",
  "draw_level",
  "numbered",
  "place",
)


@dataclasses.dataclass(frozen=True)
class Episodes(Task):
  """Represents a task made of independent episodes with targets.

  Example:
    >>> class Negation(tasks.Episodes):
    ...   input_size = output_size = num_steps = trivial_score = 1
    ...   score = tasks.Regression()
    ...   def episode(self, key, level, data):
    ...     x = jax.random.normal(key, [1, 1])
    ...     return tasks.Batch(x, -x, jnp.ones([1]))
    >>> batch = Negation().sample(jax.random.key(0), batch_size=5)
    >>> batch.inputs.shape, bool((batch.targets == -batch.inputs).all())
    ((1, 5, 1), True)
  """

  @property
  @abc.abstractmethod
  def score(self) -> Score:
    """How outputs are scored."""

  @property
  @abc.abstractmethod
  def num_steps(self) -> int:
    """T, the number of steps of an episode, padding included."""

  @property
  def num_answers(self) -> int:
    """Upper bound on the number of steps of an episode with mask 1.

    The read-out is computed at this many steps only. If an episode has more,
    the extra outputs are zeros.
    """
    return self.num_steps

  @property
  def input_names(self) -> Sequence[str]:
    """What the F numbers of an input are, for pictures; all different."""
    return numbered("input", self.input_size)

  @property
  def output_names(self) -> Sequence[str]:
    """What the O numbers of a target are, for pictures; all different."""
    return numbered("output", self.output_size)

  @property
  def trivial_answer(self) -> Any:
    """The best output that ignores the inputs: a number, or `[O]` logits.

    For squared errors it is the mean of the targets, for absolute errors their
    median, for classes the logits of their frequencies. The default, 0, is
    right if all bits or classes are equally likely.
    """
    return 0.

  def trivial(self, batch: Batch) -> jax.Array:
    """Returns `trivial_answer` at all steps, `[T, B, O]`."""
    answer = jnp.asarray(self.trivial_answer, jnp.float32)
    return jnp.broadcast_to(answer, batch.targets.shape)

  @abc.abstractmethod
  def episode(self, key: jax.Array, level: Any, data: Any) -> Batch:
    """Draws one episode: `inputs [T, F]`, `targets [T, O]`, `mask [T]`.

    Args:
      key: consumed.
      level: int32 scalar of at most `max_level`; None if the task is not
        `Levelled`.
      data: the result of `load` or `instance`, or None.
    """

  def sample(self, key: jax.Array, batch_size: int,
             level: chex.Numeric | None = None, data: Any = None) -> Batch:
    """Draws a batch of independent episodes.

    Args:
      key: consumed.
      batch_size: B.
      level: the highest level to draw, a number or a traced int32 scalar;
        `max_level` if None. Must be None if the task is not `Levelled`.
      data: the result of `load` or `instance`, or None.

    Returns:
      A time-major `Batch`.

    Raises:
      ValueError: a level for a task that is not `Levelled`.
    """
    return self.sample_from_keys(jax.random.split(key, batch_size), level, data)

  def sample_from_keys(self, keys: jax.Array,
                       level: chex.Numeric | None = None,
                       data: Any = None) -> Batch:
    """Draws episode i from `keys[i]`, else as `sample`.

    Use it to split a batch over devices without changing what is drawn.
    """
    if isinstance(self, Levelled):
      level = jnp.asarray(self.max_level if level is None else level, jnp.int32)
    elif level is not None:
      raise ValueError(f"{type(self).__name__} has no levels, got "
                       f"level={level}; leave `level` out")
    return jax.vmap(self.episode, (0, None, None), 1)(keys, level, data)


# What a `Learner` trains on.
Trainable: TypeAlias = Episodes | Stream | Environment


def numbered(name: str, count: int) -> tuple[str, ...]:
  """Returns 'bit 1', 'bit 2' and so on; the name alone for a count of 1."""
  return (name,) if count == 1 else tuple(
      f"{name} {i + 1}" for i in range(count))


def draw_level(key: jax.Array, low: int, high: jax.Array) -> jax.Array:
  """Draws a uniform integer in [low, high]; `high` itself if it is below low.

  Args:
    key: consumed.
    low: the lowest level.
    high: int32 scalar, the highest.
  """
  return jax.random.randint(key, (), jnp.minimum(low, high), high + 1)


def place(rows: jax.Array, index: jax.Array, where: jax.Array) -> jax.Array:
  """Returns `rows[index]` at the steps `where`, zeros elsewhere, `[T, F]`.

  Args:
    rows: `[N, F]`.
    index: `[T]` integers; those outside [0, N) are clipped.
    where: `[T]` bool.
  """
  index = jnp.clip(index, 0, rows.shape[0] - 1)
  return jnp.where(where[:, None], rows[index], 0)
