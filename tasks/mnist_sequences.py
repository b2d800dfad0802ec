"""Sequential MNIST: running sums and products of handwritten digits."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, mnist_data, mnist_series, regression

# The mean and the mean square of the digits.
_SUM_MOMENTS = 4.5, 28.5  # Of 0 to 9.
_PRODUCT_MOMENTS = 5., 95 / 3  # Of 1 to 9.


@dataclasses.dataclass(frozen=True)
class _Sequence(mnist_series.MnistSeries):
  """An answer is asked for at every step: that of the images so far."""

  every_step: ClassVar[bool] = True

  @property
  def output_size(self) -> int:
    return 1

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Also the squared error at the last image alone."""
    last = batch.mask - jnp.roll(batch.mask, -1, axis=0).at[-1].set(0)
    final = regression.errors(outputs, batch._replace(mask=last))
    return super().metrics(outputs, batch) | {
        "final_mse": regression.masked_mean(jnp.square(final), last)}


@dataclasses.dataclass(frozen=True)
class MnistSequenceSum(_Sequence):
  """The sum so far of a series of digits, at every image.

  See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
  section 4.3: trained at length 10, tested at 1 to 1000.

  Notes:
    `solved_below` is None: the paper calls a run a success if its error is less
    than the upper 1 % confidence bound of an image network's whose digits are
    added up exactly, which is to be trained and not computed: `launch.compare`.
    That judges a run at its evaluation with the lowest error at length 10 on
    digits of the test; in the paper they are of the validation.
  """

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumsum(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    return self._moments()[0]

  @property
  def trivial_score(self) -> float:
    """The variance of all sums asked for."""
    mean, square = self._moments()
    return square - mean ** 2

  def _moments(self) -> tuple[float, float]:
    mean, square = _SUM_MOMENTS
    odds = self.num_summands()
    n = np.arange(len(odds))
    return (float(odds @ (n * mean)),
            float(odds @ (n * (square - mean ** 2) + (n * mean) ** 2)))


@dataclasses.dataclass(frozen=True)
class MnistSequenceProduct(_Sequence):
  """The product so far of a series of digits from 1 to 9, at every image.

  See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
  section 4.3: trained at length 2, tested at 1 to 20. A series of zeros would
  be zero for good, so that there are none.

  Notes:
    `solved_below` is None, see `MnistSequenceSum`.
  """

  max_length: int = 2
  max_test_length: int = 20

  test_lengths: ClassVar[tuple[int, ...]] = (1, 2, 5, 10, 20)

  def __post_init__(self):
    super().__post_init__()
    # Squares of greater products are no float32.
    base.check_range("max_length", self.max_length, "20", 20)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """The digits of a split that are not 0."""
    digits = super().load(split, data_dir)
    return mnist_data.Digits(*(array[digits.labels != 0] for array in digits))

  def running_answers(self, labels: jax.Array) -> jax.Array:
    return labels.astype(jnp.float32).cumprod(0)[:, None]

  @property
  def trivial_answer(self) -> float:
    return self._moment(0)

  @property
  def trivial_score(self) -> float:
    """The variance of all products asked for."""
    return self._moment(1) - self._moment(0) ** 2

  def _moment(self, index: int) -> float:
    odds = self.num_summands()
    return sum(p * _PRODUCT_MOMENTS[index] ** n for n, p in enumerate(odds))
