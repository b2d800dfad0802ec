"""MNIST addition: the sum of the digits in a series."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import scores
from tasks.mnist import series

_ODDS = np.ones(10) / 10  # Of the digits 0 to 9.


@dataclasses.dataclass(frozen=True)
class MnistAddition(series.MnistSeries):
  """Adds the digits of a series; the target is at the last image.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.2: trained at length 10, tested at lengths 10, 100 and 1000. At
  length 1 the rounded sum is the digit that the network recognises, and
  `accuracy` counts the right ones.

  Example:
    >>> from tasks.mnist.reader import Digits  # `load` reads those of MNIST.
    >>> digits = Digits(np.zeros([10, 28, 28], np.uint8), np.arange(10))
    >>> task = tasks.MnistAddition(max_length=3)
    >>> batch = jax.jit(task.sample, static_argnums=1)(
    ...     jax.random.key(0), 2, data=digits)
    >>> batch.inputs.shape, batch.targets[-1].tolist()
    ((3, 2, 784), [[21.0], [12.0]])
  """

  score: ClassVar[scores.Score] = series.SeriesScore(main_metric="mae")

  @property
  def output_size(self) -> int:
    return 1

  @property
  def output_names(self) -> Sequence[str]:
    return ("sum",)

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumsum(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    """The median of the sums."""
    return series.median(self.distribution(_ODDS))

  @property
  def trivial_score(self) -> float:
    """The mean absolute error of the median."""
    return series.mean_error(self.distribution(_ODDS), self.trivial_answer)
