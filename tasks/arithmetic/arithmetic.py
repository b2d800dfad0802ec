"""Arithmetic on sums of inputs: static simple function learning."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.arithmetic import criteria, operations, ranges, uniform

# The test range is also evaluated scaled by these factors.
FACTORS = (3, 10, 100)

_NUMBERS = 2_000_000  # Size of the sample that expectations are taken over.


@dataclasses.dataclass(frozen=True)
class Arithmetic(base.Episodes):
  """Computes `a op b`, where a and b are sums of subsets of the inputs.

  An episode is one step. All inputs are uniform in the same range. The subsets
  are runs of inputs that overlap. `instance` draws where they begin, once a
  run. Without an instance, the first subset begins at the first input.

  The defaults are those of "Neural Arithmetic Units" (Madsen, Johansen, 2020,
  arXiv 2001.05016), after section 4.1 of "Neural Arithmetic Logic Units" (Trask
  et al. 2018, arXiv 1808.00508), which does not give the sizes. The single
  modules of "A Primer for Neural Arithmetic Logic Modules" (Mistry et al. 2022,
  arXiv 2101.09530) are input_size=2, subset_ratio=0.5, overlap_ratio=0 and
  criterion='module', with nine ranges.

  Attributes:
    operation: 'add', 'sub', 'mul', 'div', 'square' or 'sqrt'.
    input_size: number of inputs.
    subset_ratio: share of the inputs that sum to a, and to b.
    overlap_ratio: share of a's inputs that are also b's.
    second_ratio: share of the inputs that sum to b; 0 for `subset_ratio`.
    train_range: range of the inputs, 'low,high' or 'low,high;low,high' for a
      union.
    test_range: range of the inputs in `extrapolations`; '' for the one
      published for `train_range`.
    criterion: nearly perfect solution whose error is `solved_below`: 'layers'
      for the first of two layers (Madsen and Johansen), 'module' for a single
      unit (the Primer).

  Example:
    >>> task = tasks.Arithmetic("mul", 4, subset_ratio=.5, overlap_ratio=0.)
    >>> x = jnp.array([1., 2., 3., 5.])
    >>> task.answer(x).tolist()  # (1 + 2) (3 + 5)
    [24.0]
    >>> task.sample(jax.random.key(0), batch_size=7).inputs.shape
    (1, 7, 4)
  """

  operation: str = "add"
  input_size: int = 100
  subset_ratio: float = 0.25
  overlap_ratio: float = 0.5
  second_ratio: float = 0.
  train_range: str = "1,2"
  test_range: str = ""
  criterion: str = "layers"

  score: ClassVar[scores.Score] = scores.Regression()

  def __post_init__(self):
    checks.check_positive(input_size=self.input_size)
    operations.check(self.operation, self.train_range,
                     self._extrapolation_range)
    _ = self._subsets  # Raises if they do not fit.
    checks.check_member("criterion", self.criterion, criteria.CRITERIA)
    if self.criterion == "module":
      criteria.check_module(self.operation, self._subsets)

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
    return 1

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """The test range, and that range scaled by 3 to 100."""
    test = self._extrapolation_range
    further = {f"extrapolation_x{factor}":
               str(ranges.parse_range(test).times(factor))
               for factor in FACTORS}
    return {name: dataclasses.replace(self, train_range=drawn, test_range=drawn)
            for name, drawn in ({"extrapolation": test} | further).items()}

  def instance(self, key: jax.Array) -> jax.Array:
    """Draws the index of the first input of the first subset, int32 scalar."""
    return self._subsets.draw_offset(key, self.input_size)

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    del level
    drawn = ranges.parse_range(self.train_range)
    inputs = drawn.place(uniform.uniform(key, self.input_size))[None]
    return base.Batch(inputs, self.answer(inputs, data), jnp.ones(1))

  def answer(self, inputs: jax.Array, data: Any = None) -> jax.Array:
    """Computes the right answers, `[..., 1]`.

    Args:
      inputs: `[..., F]`.
      data: the result of `instance`, or None.
    """
    sums = operations.exact_matmul(inputs, self._weights(data))
    apply = operations.OPERATIONS[self.operation].apply
    return apply(sums[..., :1], sums[..., 1:])

  @property
  def trivial_answer(self) -> float:
    """The mean of the targets, over a large fixed sample."""
    return _expectations(self).mean

  @property
  def trivial_score(self) -> float:
    """The variance of the targets, over a large fixed sample."""
    return _expectations(self).variance

  @property
  def solved_below(self) -> float:
    """The error of a nearly perfect solution, over a large fixed sample."""
    return _expectations(self).nearly_perfect

  @property
  def _extrapolation_range(self):
    return ranges.extrapolation_range(self.train_range, self.test_range)

  @property
  def _subsets(self):
    return operations.make_subsets(self.input_size, self.subset_ratio,
                                   self.overlap_ratio, self.second_ratio)

  def _weights(self, data):
    return self._subsets.weights(self.input_size, 0 if data is None else data)


class _Expectations(NamedTuple):
  mean: float
  variance: float
  nearly_perfect: float


@functools.cache
def _expectations(task: Arithmetic) -> _Expectations:
  """Computes in float64, since small weights have small errors."""
  shares = np.random.default_rng(0).uniform(
      size=(_NUMBERS // task.input_size, task.input_size))
  inputs = ranges.parse_range(task.train_range).place(shares)
  weights = task._weights(None)
  targets = operations.OPERATIONS[task.operation].apply(*(inputs @ weights).T)
  error = (criteria.layers_error if task.criterion == "layers"
           else criteria.module_error)
  return _Expectations(float(targets.mean()), float(targets.var()),
                       error(task.operation, inputs, weights))
