"""Arithmetic on sums over time: recurrent simple function learning."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.arithmetic import operations, ranges, uniform

# How many times longer the sequences of `extrapolations` are.
FACTORS = (10, 100)

_EPISODES = 20_000  # Size of the sample that expectations are taken over.


@dataclasses.dataclass(frozen=True)
class RecurrentArithmetic(base.Episodes, base.Levelled):
  """Computes `a op b`, where a and b are sums over inputs and over time.

  An episode shows numbers for L steps, uniform in one range. a is the sum of
  one subset of the inputs over all steps, b that of another. The target is at
  the last of these steps. L is uniform in [min_length, level]. `instance` draws
  where the subsets begin, once a run, as in `Arithmetic`.

  See "Neural Arithmetic Logic Units" (Trask et al. 2018, arXiv 1808.00508),
  section 4.1: trained at length 10, and tested at 1000.

  Example:
    >>> task = tasks.RecurrentArithmetic(
    ...     "sub", 4, subset_ratio=.5, overlap_ratio=0.)
    >>> task.answer(jnp.array([[1., 2., 3., 5.]])).tolist()  # 1 + 2 - (3 + 5)
    [-5.0]
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 7)
    >>> batch.inputs.shape, batch.mask[:, 0].tolist()
    ((10, 7, 4), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])

  Notes:
    The paper gives neither the number of inputs, nor their range, nor the sizes
    of the subsets. No later paper has a criterion for a solution, so there is
    no `solved_below`: compare the error with that of an untrained network.

  Attributes:
    operation: 'add', 'sub', 'mul', 'div', 'square' or 'sqrt'.
    input_size: number of inputs at a step.
    subset_ratio: share of the inputs that sum to a, and to b.
    overlap_ratio: share of a's inputs that are also b's.
    train_range: range of the inputs, 'low,high' or 'low,high;low,high' for a
      union; longer sequences have it too.
    min_length: length of the shortest sequence.
    max_length: length of the longest sequence, the highest level.
  """

  operation: str = "add"
  input_size: int = 10
  subset_ratio: float = 0.4
  overlap_ratio: float = 0.5
  train_range: str = "0,1"
  min_length: int = 10
  max_length: int = 10

  score: ClassVar[scores.Score] = scores.Regression()
  level_name: ClassVar[str] = "length"

  def __post_init__(self):
    checks.check_positive(input_size=self.input_size)
    checks.check_range("min_length", self.min_length, "max_length",
                       self.max_length)
    operations.check(self.operation, self.train_range)
    _ = self._subsets  # Raises if they do not fit.

  @property
  def output_size(self) -> int:
    return 1

  @property
  def input_names(self) -> Sequence[str]:
    return tuple(f"x{i + 1}" for i in range(self.input_size))

  @property
  def output_names(self) -> Sequence[str]:
    return ("y",)

  @property
  def num_steps(self) -> int:
    return self.max_length

  @property
  def max_level(self) -> int:
    return self.max_length

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, min_length=level, max_length=level)

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """Sequences 10 and 100 times as long as the longest."""
    lengths = [factor * self.max_length for factor in FACTORS]
    return {f"length_{length}": self.at_level(length) for length in lengths}

  def instance(self, key: jax.Array) -> jax.Array:
    """Draws the index of the first input of the first subset, int32 scalar."""
    return self._subsets.draw_offset(key, self.input_size)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    key, length_key = jax.random.split(key)
    length = base.draw_level(length_key, self.min_length, level)
    step = jnp.arange(self.num_steps)[:, None]
    shares = uniform.uniform(key, self.num_steps * self.input_size)
    inputs = ranges.parse_range(self.train_range).place(
        shares.reshape(self.num_steps, self.input_size))
    inputs = jnp.where(step < length, inputs, 0)
    asked = step == length - 1
    targets = jnp.where(asked, self.answer(inputs, data), 0)
    return base.Batch(inputs, targets, asked[:, 0].astype(jnp.float32))

  def answer(self, inputs: jax.Array, data: Any = None) -> jax.Array:
    """Computes the right answers, `[..., 1]`.

    Args:
      inputs: `[T, ..., F]`, zeros after the end of the sequence.
      data: the result of `instance`, or None.
    """
    sums = operations.exact_matmul(inputs.sum(0), self._weights(data))
    apply = operations.OPERATIONS[self.operation].apply
    return apply(sums[..., :1], sums[..., 1:])

  @property
  def trivial_answer(self) -> float:
    """The mean of the targets, over a large fixed sample."""
    return _mean_and_variance(self)[0]

  @property
  def trivial_score(self) -> float:
    """The variance of the targets, over a large fixed sample."""
    return _mean_and_variance(self)[1]

  @property
  def _subsets(self):
    return operations.make_subsets(self.input_size, self.subset_ratio,
                                   self.overlap_ratio)

  def _weights(self, data):
    return self._subsets.weights(self.input_size, 0 if data is None else data)


@functools.cache
def _mean_and_variance(task: RecurrentArithmetic) -> tuple[float, float]:
  rng = np.random.default_rng(0)
  lengths = rng.integers(task.min_length, task.max_length + 1, size=_EPISODES)
  drawn = ranges.parse_range(task.train_range)
  inputs = np.zeros((_EPISODES, task.input_size))
  for step in range(task.max_length):
    inputs += np.where(step < lengths[:, None],
                       drawn.place(rng.uniform(size=inputs.shape)), 0)
  sums = inputs @ task._weights(None)
  targets = operations.OPERATIONS[task.operation].apply(*sums.T)
  return float(targets.mean()), float(targets.var())
