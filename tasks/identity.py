"""The identity: a number in, the same number out."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, operations, regression, uniform

# The numbers of Figure 1 at which an evaluation looks.
TEST_NUMBERS = tuple(2.5 * i for i in range(-8, 9))


@dataclasses.dataclass(frozen=True)
class Identity(base.OneLevel, regression.RegressionTask):
  """Give out the number that was put in, also beyond those trained with.

  One step, one number, uniform in a range. It says how an activation
  extrapolates: most are left with an error that grows with the distance from
  what they were trained with. See "Neural Arithmetic Logic Units" (Trask et al.
  2018, arXiv 1808.00508), section 1.1 and Figure 1.

  Attributes:
    train_range: 'low,high' of the numbers, or 'low,high;low,high' for a union.
    number: the only number there is, as in `extrapolations`; any of the range
      if None.
  """

  train_range: str = "-5,5"
  number: float | None = None

  main_metric: ClassVar[str] = "mae"

  def __post_init__(self):
    _ = self._range  # That it is one.

  @property
  def input_size(self) -> int:
    return 1

  @property
  def output_size(self) -> int:
    return 1

  @property
  def num_steps(self) -> int:
    return 1

  @property
  def extrapolations(self) -> Mapping[str, "Identity"]:
    """Single numbers from -20 to 20, those of the training's range, too."""
    if self.number is not None:
      return {}
    return {f"{number:g}": dataclasses.replace(self, number=number)
            for number in TEST_NUMBERS}

  @property
  def num_examples(self) -> int | None:
    """One, of a single number."""
    return None if self.number is None else 1

  def example(self, index: jax.Array, data: Any = None) -> base.Batch:
    del index, data
    return _batch(jnp.array([self.number], jnp.float32))

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del level
    if self.number is not None:
      return self.example(jnp.int32(0), data)
    return _batch(self._range.place(uniform.uniform(key, 1)))

  def oracle(self, batch: base.Batch) -> jax.Array:
    return batch.inputs

  @property
  def trivial_answer(self) -> float:
    """The median."""
    return float(self._range.place(0.5)) if self.number is None else self.number

  @property
  def trivial_score(self) -> float:
    """The mean absolute deviation from it."""
    if self.number is not None:
      return 0.
    lows, highs = (np.array(ends) for ends in self._range)
    deviations = [np.abs(ends - self.trivial_answer) * (
        ends - self.trivial_answer) / 2 for ends in (lows, highs)]
    return float((deviations[1] - deviations[0]).sum() / (highs - lows).sum())

  @property
  def _range(self):
    return operations.parse_range(self.train_range)


def _batch(numbers):
  return base.Batch(numbers[None], numbers[None], jnp.ones(1))
