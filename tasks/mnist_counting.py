"""MNIST counting: how often each digit occurs in a series."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, mnist_series

_ODDS = np.array([9, 1]) / 10  # That an image adds 0 or 1 to a count.


@dataclasses.dataclass(frozen=True)
class MnistCounting(mnist_series.MnistSeries):
  """Count how many images of each digit a series has.

  Ten numbers are asked for at the last image, in a regression. The absolute
  error is that of one count, the mean of all ten.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.2: trained at length 10, tested at lengths 10, 100 and 1000; at
  length 1 the highest count tells what the digit was read as.
  """

  main_metric: ClassVar[str] = "mae"

  @property
  def output_size(self) -> int:
    return 10

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return jax.nn.one_hot(labels, 10).cumsum(0)

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Also how many digits are read rightly, where there is one a series."""
    scores = super().metrics(outputs, batch)
    if self.max_length == 1:
      right = outputs[0].argmax(1) == batch.targets[0].argmax(1)
      scores["class_accuracy"] = right.astype(jnp.float32)
    return scores

  @property
  def trivial_answer(self) -> float:
    return mnist_series.median(self.distribution(_ODDS))

  @property
  def trivial_score(self) -> float:
    """The mean absolute error of a count's median."""
    return mnist_series.mean_error(self.distribution(_ODDS),
                                   self.trivial_answer)
