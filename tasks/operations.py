"""Arithmetic on two sums of inputs: operations, ranges, and the criterion."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# The error of every weight of a nearly perfect solution.
EPSILON = 1e-5

# Range of training -> range of the test in "Neural Arithmetic Units" and in
# "A Primer for Neural Arithmetic Logic Modules", which has all but '0,1'.
TEST_RANGES: Mapping[str, str] = {
    "-20,-10": "-40,-20",
    "-2,-1": "-6,-2",
    "-1.2,-1.1": "-6.1,-1.2",
    "-0.2,-0.1": "-2,-0.2",
    "-2,2": "-6,-2;2,6",
    "0,1": "1,5",
    "0.1,0.2": "0.2,2",
    "1,2": "2,6",
    "1.1,1.2": "1.2,6",
    "10,20": "20,40",
}


@dataclasses.dataclass(frozen=True)
class Operation:
  """What is to be computed from a and b.

  Attributes:
    apply: of JAX or NumPy arrays alike, elementwise.
    formula: for people.
  """

  apply: Callable[[Any, Any], Any]
  formula: str


OPERATIONS: Mapping[str, Operation] = {
    "add": Operation(lambda a, b: a + b, "a + b"),
    "sub": Operation(lambda a, b: a - b, "a - b"),
    "mul": Operation(lambda a, b: a * b, "a * b"),
    "div": Operation(lambda a, b: a / b, "a / b"),
    "square": Operation(lambda a, b: a * a, "a^2"),
    "sqrt": Operation(lambda a, b: a**0.5, "sqrt(a)"),
}


class Range(NamedTuple):
  """A union of disjoint intervals, in rising order.

  Attributes:
    lows: their lower ends.
    highs: their upper ends.
  """

  lows: tuple[float, ...]
  highs: tuple[float, ...]

  def place(self, share: Any) -> Any:
    """Numbers in (0, 1) to numbers in the range; uniform if those are.

    Args:
      share: a JAX or NumPy array.
    """
    position = self.lows[0] + share * sum(
        high - low for low, high in zip(self.lows, self.highs, strict=True))
    for end, start in zip(self.highs[:-1], self.lows[1:], strict=True):
      # All that is beyond the end of an interval moves on over the gap.
      position = position + (position >= end) * (start - end)
    return position

  def times(self, factor: float) -> "Range":
    """The range scaled by a factor above 0."""
    return Range(tuple(factor * x for x in self.lows),
                 tuple(factor * x for x in self.highs))

  def __str__(self) -> str:
    return ";".join(f"{low:g},{high:g}" for low, high in zip(
        self.lows, self.highs, strict=True))


def parse_range(text: str) -> Range:
  """The range of a text such as '1,2', or '-6,-2;2,6' for a union.

  Raises:
    ValueError: it is not a range.
  """
  try:
    pairs = [tuple(map(float, part.split(","))) for part in text.split(";")]
    lows, highs = (tuple(ends) for ends in zip(*pairs, strict=True))
  except ValueError:
    raise ValueError(
        f"range {text!r} is not of the form 'low,high', or 'low,high;low,high'"
        " for a union") from None
  ends = [end for pair in pairs for end in pair]
  if not all(x < y for x, y in itertools.pairwise(ends)):
    raise ValueError(f"the ends of range {text!r} do not rise")
  return Range(lows, highs)


def extrapolation_range(train_range: str, test_range: str) -> str:
  """The range to extrapolate to: the published one if none is given.

  Raises:
    ValueError: none is given, and none was published.
  """
  if test_range:
    return test_range
  published = {parse_range(key): value for key, value in TEST_RANGES.items()}
  try:
    return published[parse_range(train_range)]
  except KeyError:
    raise ValueError(
        f"set test_range, as no range of the test was published for "
        f"train_range={train_range!r}, but for "
        f"{', '.join(map(repr, TEST_RANGES))}") from None


def check(operation: str, *ranges: str) -> None:
  """Raises a ValueError if an operation or a range is not valid."""
  if operation not in OPERATIONS:
    raise ValueError(f"unknown operation {operation!r}; valid operations: "
                     f"{', '.join(OPERATIONS)}")
  for text in ranges:
    if parse_range(text).lows[0] < 0 and operation == "sqrt":
      raise ValueError(f"operation 'sqrt' of a range below 0: {text!r}")


class Subsets(NamedTuple):
  """Where a and b come from: two overlapping runs of inputs.

  Attributes:
    size: inputs in each.
    overlap: inputs in both; the second follows the first but for these.
  """

  size: int
  overlap: int

  @property
  def extent(self) -> int:
    """Inputs in either."""
    return 2 * self.size - self.overlap

  def draw_offset(self, key: jax.Array, input_size: int) -> jax.Array:
    """Where the first subset may begin, a uniform int32 scalar.

    Args:
      key: consumed.
      input_size: F.
    """
    return jax.random.randint(key, (), 0, input_size - self.extent + 1)

  def weights(self, input_size: int, offset: Any) -> Any:
    """1 where an input is in the subset, `[input_size, 2]` float32.

    Args:
      input_size: F.
      offset: the first input of the first subset, an integer or a scalar.
    """
    # In NumPy as long as the offset is.
    start = np.array([0, self.size - self.overlap], np.int32) + offset
    place = np.arange(input_size, dtype=np.int32)[:, None] - start
    return ((place >= 0) & (place < self.size)).astype(np.float32)


def make_subsets(input_size: int, subset_ratio: float,
                 overlap_ratio: float) -> Subsets:
  """The subsets of `subset_ratio` of the inputs, rounded down.

  Args:
    input_size: F.
    subset_ratio: share of the inputs that each has.
    overlap_ratio: share of a subset that the other has, too.

  Raises:
    ValueError: they are empty, or do not fit.
  """
  if not 0 <= overlap_ratio <= 1:
    raise ValueError(f"need 0 <= overlap_ratio <= 1, got {overlap_ratio}")
  size = _floor(subset_ratio * input_size)
  subsets = Subsets(size, _floor(overlap_ratio * size))
  if size < 1 or subsets.extent > input_size:
    raise ValueError(
        f"two subsets of {size} inputs, {subsets.overlap} of them shared, of "
        f"input_size={input_size}: need at least 1 in each and {input_size} in "
        f"both; change subset_ratio={subset_ratio} or "
        f"overlap_ratio={overlap_ratio}")
  return subsets


def _floor(number: float) -> int:
  return int(number + 1e-9)  # 0.29 * 100 is not quite 29.


def exact_matmul(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """The product, in full float32 on devices that would round the factors."""
  return jnp.matmul(inputs, weights, precision="highest")


def layers_error(operation: str, inputs: np.ndarray,
                 weights: np.ndarray) -> float:
  """The mean squared error of a first layer that is nearly right.

  Each of its weights is off by `EPSILON`, into [0, 1], as if the sums were
  taken by a layer of its own; what follows is exact. See "Measuring Arithmetic
  Extrapolation Performance" (Madsen, Johansen, 2019, arXiv 1910.01888).

  Args:
    operation: a name in `OPERATIONS`.
    inputs: `[B, F]` float64.
    weights: `[F, 2]`, 0 or 1.
  """
  apply = OPERATIONS[operation].apply
  wrong = inputs @ np.where(weights > 0, 1 - EPSILON, EPSILON)
  right = inputs @ weights
  return float(np.mean(np.square(apply(*wrong.T) - apply(*right.T))))


def module_error(operation: str, inputs: np.ndarray,
                 weights: np.ndarray) -> float:
  """The mean squared error of one unit that is nearly right.

  Each weight of the unit that does it all is off by `EPSILON`: a sum is off by
  that share of all absolute inputs; the inputs that belong to a product come in
  with a factor, and the others as factors. See "A Primer for Neural Arithmetic
  Logic Modules" (Mistry et al. 2022, arXiv 2101.09530), its code.

  Args:
    operation: one that `check_module` admits.
    inputs: `[B, F]` float64.
    weights: `[F, 2]`, 0 or 1, with one input in each subset.
  """
  if operation in ("add", "sub"):
    error = EPSILON * np.abs(inputs).sum(1)
  else:
    right = OPERATIONS[operation].apply(*(inputs @ weights).T)
    others = inputs[:, weights.sum(1) == 0]
    factor = {"mul": (1 - EPSILON)**2,
              "div": (1 - EPSILON) / (1 + EPSILON)}[operation]
    factor = factor * np.prod(1 - EPSILON * np.abs(others), axis=1)
    error = right * (factor - 1)
  return float(np.mean(np.square(error)))


def check_module(operation: str, subsets: Subsets) -> None:
  """Raises a ValueError where `module_error` is not defined."""
  if operation not in ("add", "sub", "mul", "div") or subsets.extent != 2:
    raise ValueError(
        f"criterion 'module' is of add, sub, mul or div of two single inputs, "
        f"not of {operation} of subsets of {subsets.size}, {subsets.overlap} "
        "of them shared; take criterion 'layers'")
