"""Arithmetic on sums of inputs: static simple function learning."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, operations, regression, uniform

CRITERIA = ("layers", "module")
# How many times further than the test's range success is looked for.
FACTORS = (3, 10, 100)

_NUMBERS = 2_000_000  # Of the sample that expectations are taken over.


@dataclasses.dataclass(frozen=True)
class Arithmetic(base.OneLevel, regression.RegressionTask):
  """Answer `a op b`, where a and b are sums of subsets of the inputs.

  One step; all inputs are drawn uniformly from one range. The subsets are runs
  of inputs that overlap. Where they begin is drawn once a run (`instance`);
  without that, at the first input.

  The defaults are those of "Neural Arithmetic Units" (Madsen, Johansen, 2020,
  arXiv 2001.05016), after section 4.1 of "Neural Arithmetic Logic Units" (Trask
  et al. 2018, arXiv 1808.00508), which does not give the sizes. The single
  modules of "A Primer for Neural Arithmetic Logic Modules" (Mistry et al. 2022,
  arXiv 2101.09530) are input_size=2, subset_ratio=0.5, overlap_ratio=0 and
  criterion='module', with nine ranges.

  Attributes:
    operation: a name in `operations.OPERATIONS`.
    input_size: numbers that are shown.
    subset_ratio: share of them that a is the sum of, and b.
    overlap_ratio: share of a's inputs that are b's, too.
    train_range: 'low,high' of the inputs, or 'low,high;low,high' for a union.
    test_range: the range of `extrapolations`; '' for the one published beside
      `train_range`.
    criterion: what `solved_below` is the error of: 'layers', a first of two
      layers that is nearly right, as Madsen and Johansen have it, or 'module',
      one unit that is, as the Primer has it.
  """

  operation: str = "add"
  input_size: int = 100
  subset_ratio: float = 0.25
  overlap_ratio: float = 0.5
  train_range: str = "1,2"
  test_range: str = ""
  criterion: str = "layers"

  def __post_init__(self):
    base.check_positive(input_size=self.input_size)
    operations.check(self.operation, self.train_range,
                     self._extrapolation_range)
    _ = self._subsets  # That they fit.
    if self.criterion not in CRITERIA:
      raise ValueError(f"unknown criterion {self.criterion!r}; valid criteria: "
                       f"{', '.join(CRITERIA)}")
    if self.criterion == "module":
      operations.check_module(self.operation, self._subsets)

  @property
  def output_size(self) -> int:
    return 1

  @property
  def num_steps(self) -> int:
    return 1

  @property
  def extrapolations(self) -> Mapping[str, "Arithmetic"]:
    """The test's range, and 3 to 100 times that."""
    test = self._extrapolation_range
    further = {f"extrapolation_x{factor}":
               str(operations.parse_range(test).times(factor))
               for factor in FACTORS}
    return {name: dataclasses.replace(self, train_range=drawn, test_range=drawn)
            for name, drawn in ({"extrapolation": test} | further).items()}

  def instance(self, key: jax.Array) -> jax.Array:
    """Where the first subset begins, an int32 scalar."""
    return self._subsets.draw_offset(key, self.input_size)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del level
    drawn = operations.parse_range(self.train_range)
    inputs = drawn.place(uniform.uniform(key, self.input_size))[None]
    return base.Batch(inputs, self.answer(inputs, data), jnp.ones(1))

  def answer(self, inputs: jax.Array, data: Any = None) -> jax.Array:
    """The right answers, `[..., 1]`, to `inputs [..., F]`.

    Args:
      inputs: the numbers shown.
      data: what `instance` returned, or None.
    """
    sums = operations.exact_matmul(inputs, self._weights(data))
    apply = operations.OPERATIONS[self.operation].apply
    return apply(sums[..., :1], sums[..., 1:])

  def oracle(self, batch: base.Batch) -> jax.Array:
    return self.answer(batch.inputs)

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
    return operations.extrapolation_range(self.train_range, self.test_range)

  @property
  def _subsets(self):
    return operations.make_subsets(self.input_size, self.subset_ratio,
                                   self.overlap_ratio)

  def _weights(self, data):
    return self._subsets.weights(self.input_size, 0 if data is None else data)


class _Expectations(NamedTuple):
  mean: float
  variance: float
  nearly_perfect: float


@functools.cache
def _expectations(task: Arithmetic) -> _Expectations:
  """In float64, as the errors of small weights are small themselves."""
  shares = np.random.default_rng(0).uniform(
      size=(_NUMBERS // task.input_size, task.input_size))
  inputs = operations.parse_range(task.train_range).place(shares)
  weights = task._weights(None)
  targets = operations.OPERATIONS[task.operation].apply(*(inputs @ weights).T)
  error = (operations.layers_error if task.criterion == "layers"
           else operations.module_error)
  return _Expectations(float(targets.mean()), float(targets.var()),
                       error(task.operation, inputs, weights))
