"""MNIST counting: how often each digit occurs in a series."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tasks.batch import Batch
from tasks.mnist import series

_ODDS = np.array([9, 1]) / 10  # That an image adds 0 or 1 to a count.


@dataclasses.dataclass(frozen=True)
class CountScore(series.SeriesScore):
  """Scores ten counts.

  Attributes:
    is_single: whether a series is one image, so that the highest count names
      its digit.
  """

  main_metric: str = "mae"
  is_single: bool = False

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Also returns the share of recognised digits, for single images."""
    metrics = super().metrics(outputs, batch)
    if self.is_single:
      right = outputs[0].argmax(1) == batch.targets[0].argmax(1)
      metrics["class_accuracy"] = right.astype(jnp.float32)
    return metrics


@dataclasses.dataclass(frozen=True)
class MnistCounting(series.MnistSeries):
  """Counts the images of each digit in a series.

  The targets are ten numbers at the last image, in a regression. The absolute
  error is that of one count, averaged over all ten.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.2: trained at length 10, tested at lengths 10, 100 and 1000. At
  length 1 the highest count is the digit that the network recognises.

  Example:
    >>> from tasks.mnist.reader import Digits  # `load` reads those of MNIST.
    >>> digits = Digits(np.zeros([10, 28, 28], np.uint8), np.arange(10))
    >>> task = tasks.MnistCounting(max_length=3)
    >>> batch = task.sample(jax.random.key(0), 1, data=digits)
    >>> batch.targets[-1, 0].astype(int).tolist()  # How many 0s, 1s, ..., 9s.
    [0, 0, 0, 0, 1, 0, 0, 0, 1, 1]
  """

  @property
  def score(self) -> CountScore:
    return CountScore(is_single=self.max_length == 1)

  @property
  def output_size(self) -> int:
    return 10

  @property
  def output_names(self) -> Sequence[str]:
    return tuple(f"count of {digit}" for digit in range(10))

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return jax.nn.one_hot(labels, 10).cumsum(0)

  @property
  def trivial_answer(self) -> float:
    """The median of a count."""
    return series.median(self.distribution(_ODDS))

  @property
  def trivial_score(self) -> float:
    """The mean absolute error of the median."""
    return series.mean_error(self.distribution(_ODDS), self.trivial_answer)
