"""MNIST addition: the sum of the digits in a series."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import mnist_series

_ODDS = np.ones(10) / 10  # Of the digits 0 to 9.


@dataclasses.dataclass(frozen=True)
class MnistAddition(mnist_series.MnistSeries):
  """Add up the digits of a series, the sum asked for at its last image.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.2: trained at length 10, tested at lengths 10, 100 and 1000; at
  length 1 the rounded sum tells what the digit was read as, which `accuracy`
  counts there.
  """

  main_metric: ClassVar[str] = "mae"

  @property
  def output_size(self) -> int:
    return 1

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumsum(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    return mnist_series.median(self.distribution(_ODDS))

  @property
  def trivial_score(self) -> float:
    """The mean absolute error of the sum's median."""
    return mnist_series.mean_error(self.distribution(_ODDS),
                                   self.trivial_answer)
