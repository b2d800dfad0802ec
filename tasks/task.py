"""What a run has to know of any task."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from tasks import scores


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
  """Represents what a run has to know of any task.

  Attributes:
    encoder: name of the encoder that suits the inputs, the default of a run:
      'none' for vectors, 'embed' for one-hot tokens, 'cnn' for flattened square
      images, 'tokens' for integer tokens.
    head: name of the head that suits the answers, the default of a run.
    agent: name of the agent that learns it, the default of a run; 'none' if it
      has targets to learn from.

  Example:
    >>> task = tasks.Arithmetic(operation="mul", input_size=10)
    >>> task.input_size, task.output_size, task.score.main_metric
    (10, 1, 'mse')
    >>> list(task.extrapolations)[:2]
    ['extrapolation', 'extrapolation_x3']
    >>> task.trivial_score > task.solved_below
    True
  """

  encoder: ClassVar[str] = "none"
  head: ClassVar[str] = "unit"
  agent: ClassVar[str] = "none"

  @property
  @abc.abstractmethod
  def input_size(self) -> int:
    """F, the size of the input at one step."""

  @property
  def input_spec(self) -> jax.ShapeDtypeStruct:
    """Shape and type of the input at one step, without a batch axis."""
    return jax.ShapeDtypeStruct((self.input_size,), jnp.float32)

  @property
  @abc.abstractmethod
  def output_size(self) -> int:
    """O, how many numbers (or logits) a network outputs at one step."""

  @property
  @abc.abstractmethod
  def score(self) -> scores.Measure:
    """Names the metrics by which runs are compared; scores outputs."""

  @property
  @abc.abstractmethod
  def trivial_score(self) -> float:
    """The expected main metric of the best answer that ignores the inputs."""

  @property
  def extrapolations(self) -> Mapping[str, "Task"]:
    """Maps names to variants of this task that are evaluated beside it.

    The variants draw differently (another range, longer sequences, another
    split). They have the same input and output sizes and take the same `data`.
    If they move ever further from the training distribution, they are in that
    order.
    """
    return {}

  def summary(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metrics over all variants, such as a mean over tasks.

    Args:
      metrics: maps `VARIANT/metric` to values `[S]`, for every variant in
        `extrapolations`.
    """
    del metrics
    return {}

  def metrics_of(self, means: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Returns the metrics to report, from the means over batches or episodes.

    Args:
      means: of the score's metrics and of the loss; may hold others too.
      data: that the batches were drawn from.
    """
    del data
    return self.score.with_ratios(means)

  @property
  def solved_below(self) -> float | None:
    """A run solves this task if its mean main metric is below this value.

    None if there is no such criterion.
    """
    return None

  def instance(self, key: jax.Array) -> Any:
    """Draws what is fixed for a whole run, so that seeds have different tasks.

    This is pure JAX, so it can be mapped over the keys of many seeds. If the
    result is not None, it is the `data` of all episodes of the run, those of
    evaluations and of `extrapolations` included. A task has either this or
    `load`, not both. With `data` None, such a task is one fixed instance.

    Args:
      key: consumed. It depends on the seed of the run, but not on the step or
        the device.

    Returns:
      A tree of arrays, or None if all runs have the same task.
    """
    del key
    return None

  def prepared(self, data_dir: str | None = None) -> Self:
    """Returns this task with what it must know of its files before `load`.

    A vocabulary decides the sizes of inputs and outputs, for example. Most
    tasks need nothing, and return themselves.

    Args:
      data_dir: folder of the data files.

    Raises:
      ValueError, OSError: as `load`.
    """
    del data_dir
    return self

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the arrays of a split, from which episodes are drawn.

    Args:
      split: 'train' or 'test'.
      data_dir: folder of the data files.

    Returns:
      A tree of arrays, or None if the task is synthetic.
    """
    del split, data_dir
    return None

  def check(self, data: Any, batch_size: int) -> None:
    """Refuses data that batches cannot be drawn from.

    Args:
      data: the result of `load` for the training split, on the host.
      batch_size: of an update.

    Raises:
      ValueError: a batch cannot be drawn.
    """
    del data, batch_size

  def remarks(self, data: Any) -> Sequence[str]:
    """Says what of the published data is missing, to stand beside results.

    Args:
      data: the result of `load`, on the host.

    Returns:
      One line each.
    """
    del data
    return ()
