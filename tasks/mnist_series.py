"""What the tasks on series of MNIST digits share: sampling and scoring."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, mnist_data, regression


@dataclasses.dataclass(frozen=True)
class MnistSeries(regression.RegressionTask):
  """Numbers that follow from a series of random handwritten digits.

  A step shows one image, ink 1 and paper 0. Images are drawn with replacement,
  all with the same odds, from those of the split. The length of a series is
  uniform in [min_length, level].

  Notes:
    `trivial_answer` and `trivial_score` take all digits to be equally likely,
    where each is 9 to 11 % of MNIST.

  Attributes:
    max_length: of a series, the highest level.
    min_length: of the shortest series; `max_length` if None.
    max_test_length: what `extrapolations` go up to. They take most of the time
      of an evaluation.
  """

  max_length: int = 10
  min_length: int | None = None
  max_test_length: int = 1000

  level_name: ClassVar[str] = "length"
  encoder: ClassVar[str] = "cnn"
  every_step: ClassVar[bool] = False  # Asked at each step, or at the last.
  test_lengths: ClassVar[tuple[int, ...]] = (1, 10, 100, 1000)

  def __post_init__(self):
    base.check_range("min_length", self._min_length, "max_length",
                     self.max_length)
    base.check_positive(max_test_length=self.max_test_length)

  @property
  def input_size(self) -> int:
    return mnist_data.SIZE ** 2

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
    """Series of other lengths, "length 1" to tell how well digits are read."""
    return {f"length {length}": self.at_level(length)
            for length in self.test_lengths
            if length <= self.max_test_length and not
            self._min_length == length == self.max_length}

  @abc.abstractmethod
  def running_answers(self, labels: jax.Array) -> jax.Array:
    """The answer after each image, `[T, O]` float32, from labels `[T]`."""

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """The digits of a split, see `mnist_data.load_digits`."""
    return mnist_data.load_digits(split, data_dir)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """One episode of `data`, a `mnist_data.Digits`."""
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

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Also the share of answers that are right when rounded."""
    wrong = jnp.abs(regression.errors(outputs, batch)) >= 0.5
    right = 1 - wrong.any(2, keepdims=True).astype(jnp.float32)
    right = right * batch.mask[:, :, None]
    return super().metrics(outputs, batch) | {
        "accuracy": regression.masked_mean(right, batch.mask)}

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Reads the targets: how to read a digit is what is to be learnt."""
    return batch.targets

  def num_summands(self) -> np.ndarray:
    """Of how many digits an answer is: the odds of 0 to `max_length`.

    All episodes weigh the same, and all answers of an episode.
    """
    odds = np.zeros(self.max_length + 1)
    for length in range(self._min_length, self.max_length + 1):
      if self.every_step:
        odds[1:length + 1] += 1 / length
      else:
        odds[length] += 1
    return odds / odds.sum()

  def distribution(self, digit: np.ndarray) -> np.ndarray:
    """The odds of answers 0, 1, 2, ... that are sums over digits.

    Args:
      digit: the odds of what one digit adds to the answer.
    """
    total = np.zeros(self.max_length * (len(digit) - 1) + 1)
    of_sum = np.ones(1)
    for odds in self.num_summands():
      total[:len(of_sum)] += odds * of_sum
      of_sum = np.convolve(of_sum, digit)
    return total


def median(odds: np.ndarray) -> float:
  """The least of 0, 1, 2, ... that is not exceeded in half of the cases."""
  return float(np.searchsorted(odds.cumsum(), 0.5 - 1e-9))


def mean_error(odds: np.ndarray, answer: float) -> float:
  """The mean absolute error of one answer to the numbers 0, 1, 2, ..."""
  return float(odds @ np.abs(np.arange(len(odds)) - answer))


def check_data(data: Any) -> None:
  """Raises a ValueError unless `data` is a `mnist_data.Digits` of images."""
  if not isinstance(data, mnist_data.Digits):
    raise ValueError("episodes are drawn from MNIST: pass what `load` returns "
                     f"as `data`, got {type(data).__name__}")
  shape = (data.labels.shape[0], mnist_data.SIZE, mnist_data.SIZE)
  if data.images.shape != shape or data.images.dtype != jnp.uint8:
    raise ValueError(f"need images of shape {shape} and dtype uint8, got "
                     f"{data.images.shape} and {data.images.dtype}")
