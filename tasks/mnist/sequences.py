"""Sequential MNIST: running sums and products of handwritten digits."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import checks, scores
from tasks.batch import Batch
from tasks.mnist import reader, series

# The mean and the mean square of the digits.
_SUM_MOMENTS = 4.5, 28.5  # Of 0 to 9.
_PRODUCT_MOMENTS = 5., 95 / 3  # Of 1 to 9.


@dataclasses.dataclass(frozen=True)
class RunningScore(series.SeriesScore):
  """Scores answers at every step."""

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Also returns the squared error at the last image only."""
    last = batch.mask - jnp.concatenate(
        [batch.mask[1:], jnp.zeros_like(batch.mask[:1])])
    final = scores.errors(outputs, batch._replace(mask=last))
    return super().metrics(outputs, batch) | {
        "final_mse": scores.mean_over_numbers(jnp.square(final), last)}


@dataclasses.dataclass(frozen=True)
class _Sequence(series.MnistSeries):
  """Represents a series whose target at every step is that of a prefix."""

  score: ClassVar[scores.Score] = RunningScore()
  every_step: ClassVar[bool] = True

  @property
  def output_size(self) -> int:
    return 1

  @property
  def output_names(self) -> Sequence[str]:
    return ("result",)


@dataclasses.dataclass(frozen=True)
class MnistSequenceSum(_Sequence):
  """Computes the running sum of a series of digits, at every image.

  See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
  section 4.3: trained at length 10, tested at 1 to 1000.

  Example:
    >>> from tasks.mnist.reader import Digits  # `load` reads those of MNIST.
    >>> digits = Digits(np.zeros([10, 28, 28], np.uint8), np.arange(10))
    >>> task = tasks.MnistSequenceSum(max_length=4)
    >>> batch = task.sample(jax.random.key(0), 1, data=digits)
    >>> batch.targets.ravel().tolist()  # After each image.
    [8.0, 17.0, 21.0, 29.0]

  Notes:
    `solved_below` is None. In the paper a run succeeds if its error is below
    the upper 1 % confidence bound of an image network whose digits are added
    exactly. That network has to be trained, so `launch.compare` computes the
    bound. It judges a run at its evaluation with the lowest error at length 10
    on test digits; the paper uses validation digits.
  """

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumsum(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    """The mean of all sums."""
    return self._moments()[0]

  @property
  def trivial_score(self) -> float:
    """The variance of all sums."""
    mean, square = self._moments()
    return square - mean ** 2

  def _moments(self) -> tuple[float, float]:
    """Returns the mean and the mean square of all sums."""
    mean, square = _SUM_MOMENTS
    odds = self.num_summands()
    n = np.arange(len(odds))
    return (float(odds @ (n * mean)),
            float(odds @ (n * (square - mean ** 2) + (n * mean) ** 2)))


@dataclasses.dataclass(frozen=True)
class MnistSequenceProduct(_Sequence):
  """Computes the running product of digits from 1 to 9, at every image.

  There are no zeros, because all products after a zero would be zero.

  See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
  section 4.3: trained at length 2, tested at 1 to 20.

  Example:
    >>> from tasks.mnist.reader import Digits  # `load` reads those of MNIST.
    >>> digits = Digits(np.zeros([9, 28, 28], np.uint8), np.arange(1, 10))
    >>> task = tasks.MnistSequenceProduct(max_length=4)
    >>> batch = task.sample(jax.random.key(0), 1, data=digits)
    >>> batch.targets.ravel().tolist()  # After each image.
    [6.0, 6.0, 6.0, 42.0]

  Notes:
    `solved_below` is None, see `MnistSequenceSum`.

  Attributes:
    max_length: length of the longest series, the highest level; at most 20.
    max_test_length: largest length in `extrapolations`. Long series take most
      of the time of an evaluation.
  """

  max_length: int = 2
  max_test_length: int = 20

  test_lengths: ClassVar[tuple[int, ...]] = (1, 2, 5, 10, 20)

  def __post_init__(self):
    super().__post_init__()
    # The squares of larger products exceed float32.
    checks.check_range("max_length", self.max_length, "20", 20)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the digits of a split that are not 0, see `reader.load_digits`."""
    digits = super().load(split, data_dir)
    return reader.Digits(*(array[digits.labels != 0] for array in digits))

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumprod(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    """The mean of all products."""
    return self._moment(0)

  @property
  def trivial_score(self) -> float:
    """The variance of all products."""
    return self._moment(1) - self._moment(0) ** 2

  def _moment(self, index: int) -> float:
    """Returns the mean of all products (0) or of their squares (1)."""
    odds = self.num_summands()
    return sum(p * _PRODUCT_MOMENTS[index] ** n for n, p in enumerate(odds))
