"""Identity: the output is the input number."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, scores
from tasks.arithmetic import ranges, uniform

# The numbers at which Figure 1 evaluates.
TEST_NUMBERS = tuple(2.5 * i for i in range(-8, 9))


@dataclasses.dataclass(frozen=True)
class _Identity(base.Episodes):
  """Represents what a range and a single number have in common."""

  score: ClassVar[scores.Score] = scores.Regression(main_metric="mae")

  @property
  def input_size(self) -> int:
    return 1

  @property
  def output_size(self) -> int:
    return 1

  @property
  def input_names(self) -> Sequence[str]:
    return ("x",)

  @property
  def output_names(self) -> Sequence[str]:
    return ("y",)

  @property
  def num_steps(self) -> int:
    return 1


@dataclasses.dataclass(frozen=True)
class Identity(_Identity):
  """Returns the input number, also outside the training range.

  An episode is one step and one number, uniform in a range. The task measures
  how an activation extrapolates: with most, the error grows with the distance
  from the training range. See "Neural Arithmetic Logic Units" (Trask et al.
  2018, arXiv 1808.00508), section 1.1 and Figure 1.

  Attributes:
    train_range: range of the numbers, 'low,high' or 'low,high;low,high' for a
      union.

  Example:
    >>> task = tasks.Identity("-2,2")
    >>> batch = task.sample(jax.random.key(0), batch_size=7)
    >>> bool((batch.inputs == batch.targets).all()), task.trivial_score
    (True, 1.0)
    >>> list(task.extrapolations)[:3]
    ['-20', '-17.5', '-15']
  """

  train_range: str = "-5,5"

  def __post_init__(self):
    _ = self._range  # Raises if it is not valid.

  @property
  def extrapolations(self) -> Mapping[str, "IdentityAt"]:
    """Single numbers from -20 to 20, in the training range and outside."""
    return {f"{number:g}": IdentityAt(number) for number in TEST_NUMBERS}

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    del level, data
    return _batch(self._range.place(uniform.uniform(key, 1)))

  @property
  def trivial_answer(self) -> float:
    """The median of the range."""
    return float(self._range.place(np.float64(.5)))

  @property
  def trivial_score(self) -> float:
    """The mean absolute deviation from the median."""
    lows, highs = (np.array(ends) for ends in self._range)
    deviations = [np.abs(ends - self.trivial_answer) * (
        ends - self.trivial_answer) / 2 for ends in (lows, highs)]
    return float((deviations[1] - deviations[0]).sum() / (highs - lows).sum())

  @property
  def _range(self):
    return ranges.parse_range(self.train_range)


@dataclasses.dataclass(frozen=True)
class IdentityAt(_Identity, base.Countable):
  """Returns the input number, which is always the same.

  Attributes:
    number: the input.
  """

  number: float = 0.

  @property
  def num_examples(self) -> int:
    return 1

  def example(self, index: jax.Array, data: Any = None) -> base.Batch:
    del index, data
    return _batch(jnp.array([self.number], jnp.float32))

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    del key, level
    return self.example(jnp.int32(0), data)

  @property
  def trivial_answer(self) -> float:
    return self.number

  @property
  def trivial_score(self) -> float:
    return 0.


def _batch(numbers: jax.Array) -> base.Batch:
  return base.Batch(numbers[None], numbers[None], jnp.ones(1))
