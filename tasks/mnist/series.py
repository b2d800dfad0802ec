"""Sampling and scoring that the tasks on series of MNIST digits share."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.mnist import reader


@dataclasses.dataclass(frozen=True)
class SeriesScore(scores.Regression):
  """Scores whole numbers that a network outputs in a regression."""

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Also returns the share of answers that are right when rounded."""
    wrong = jnp.abs(scores.errors(outputs, batch)) >= 0.5
    right = 1 - wrong.any(2, keepdims=True).astype(jnp.float32)
    right = right * batch.mask[:, :, None]
    return super().metrics(outputs, batch) | {
        "accuracy": scores.mean_over_numbers(right, batch.mask)}


@dataclasses.dataclass(frozen=True)
class MnistSeries(base.Episodes, base.Levelled):
  """Represents a task whose targets follow from a series of random digits.

  A step shows one image, ink 1 and paper 0. Images are drawn from the split,
  uniformly and with replacement. The length of a series is uniform in
  [min_length, level].

  Notes:
    `trivial_answer` and `trivial_score` assume that all digits are equally
    likely. In MNIST each is 9 to 11 %.

  Attributes:
    max_length: length of the longest series, the highest level.
    min_length: length of the shortest series; `max_length` if None.
    max_test_length: largest length in `extrapolations`. Long series take most
      of the time of an evaluation.
  """

  max_length: int = 10
  min_length: int | None = None
  max_test_length: int = 1000

  level_name: ClassVar[str] = "length"
  encoder: ClassVar[str] = "cnn"
  every_step: ClassVar[bool] = False  # Targets at every step, or at the last.
  test_lengths: ClassVar[tuple[int, ...]] = (1, 10, 100, 1000)

  def __post_init__(self):
    checks.check_range("min_length", self._min_length, "max_length",
                       self.max_length)
    checks.check_positive(max_test_length=self.max_test_length)

  @property
  def input_size(self) -> int:
    return reader.SIZE ** 2

  @property
  def input_names(self) -> Sequence[str]:
    return base.numbered("pixel", self.input_size)

  @property
  def num_steps(self) -> int:
    return self.max_length

  @property
  def max_level(self) -> int:
    return self.max_length

  @property
  def _min_length(self) -> int:
    return self.max_length if self.min_length is None else self.min_length

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, max_length=level, min_length=level)

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """Series of other lengths; 'length 1' measures how digits are recognised.
    """
    return {f"length {length}": self.at_level(length)
            for length in self.test_lengths
            if length <= self.max_test_length and not
            self._min_length == length == self.max_length}

  @abc.abstractmethod
  def running_answers(self, labels: jax.Array) -> jax.Array:
    """Returns the target after each image, `[T, O]` float32.

    Args:
      labels: `[T]` integers, the digits of the series.
    """

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the digits of a split, see `reader.load_digits`."""
    return reader.load_digits(split, data_dir)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """Draws one episode of `data`, a `reader.Digits`."""
    check_data(data)
    length_key, image_key = jax.random.split(key)
    length = base.draw_level(length_key, self._min_length, level)
    index = jax.random.randint(
        image_key, (self.num_steps,), 0, data.labels.shape[0])
    step = jnp.arange(self.num_steps)
    shown = step < length
    asked = shown if self.every_step else step == length - 1
    images = jnp.asarray(data.images)[index].astype(jnp.float32) / 255
    answers = self.running_answers(jnp.asarray(data.labels)[index])
    return base.Batch(
        jnp.where(shown[:, None], images.reshape(self.num_steps, -1), 0),
        jnp.where(asked[:, None], answers, 0), asked.astype(jnp.float32))

  def num_summands(self) -> np.ndarray:
    """Returns the odds that a target is of 0, 1, ..., `max_length` digits.

    All episodes have the same weight, and all targets of an episode.
    """
    odds = np.zeros(self.max_length + 1)
    for length in range(self._min_length, self.max_length + 1):
      if self.every_step:
        odds[1:length + 1] += 1 / length
      else:
        odds[length] += 1
    return odds / odds.sum()

  def distribution(self, digit: np.ndarray) -> np.ndarray:
    """Returns the odds of the targets 0, 1, 2, ..., if they are sums.

    Args:
      digit: the odds that one digit adds 0, 1, 2, ... to the target.
    """
    total = np.zeros(self.max_length * (len(digit) - 1) + 1)
    of_sum = np.ones(1)
    for odds in self.num_summands():
      total[:len(of_sum)] += odds * of_sum
      of_sum = np.convolve(of_sum, digit)
    return total


def median(odds: np.ndarray) -> float:
  """Returns the median of 0, 1, 2, ..., the lower one if there are two."""
  return float(np.searchsorted(odds.cumsum(), 0.5 - 1e-9))


def mean_error(odds: np.ndarray, answer: float) -> float:
  """Returns the mean absolute error of one answer to 0, 1, 2, ..."""
  return float(odds @ np.abs(np.arange(len(odds)) - answer))


def check_data(data: Any) -> None:
  """Checks that `data` is a `reader.Digits` with images of the right shape.

  Raises:
    ValueError: it is not.
  """
  if not isinstance(data, reader.Digits):
    raise ValueError("need MNIST digits as `data`, got "
                     f"{type(data).__name__}; pass what `load` returns")
  shape = (data.labels.shape[0], reader.SIZE, reader.SIZE)
  if data.images.shape != shape or data.images.dtype != jnp.uint8:
    raise ValueError(f"need images of shape {shape} and dtype uint8, got "
                     f"{data.images.shape} and {data.images.dtype}")
