"""Arithmetic operations, and the subsets of inputs that they apply to."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks import checks
from tasks.arithmetic import ranges


@dataclasses.dataclass(frozen=True)
class Operation:
  """Represents a function of a and b.

  Attributes:
    apply: computes it elementwise, on JAX or NumPy arrays.
    formula: how it is written.
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


def check(operation: str, *texts: str) -> None:
  """Checks the name of an operation and the ranges of its inputs.

  Raises:
    ValueError: the operation is unknown, a range has a wrong form, or the
      operation is 'sqrt' and a range has numbers below 0.
  """
  checks.check_member("operation", operation, OPERATIONS)
  for text in texts:
    if ranges.parse_range(text).lows[0] < 0 and operation == "sqrt":
      raise ValueError(
          f"operation 'sqrt' needs a range from 0 on, got {text!r}")


class Subsets(NamedTuple):
  """Represents the inputs that sum to a and to b: two overlapping runs.

  Attributes:
    sizes: number of inputs in each.
    overlap: number of inputs in both; the second run begins this many inputs
      before the end of the first.
  """

  sizes: tuple[int, int]
  overlap: int

  @property
  def extent(self) -> int:
    """The number of inputs in either run."""
    return sum(self.sizes) - self.overlap

  def draw_offset(self, key: jax.Array, input_size: int) -> jax.Array:
    """Draws the index of the first input of the first run.

    Args:
      key: consumed.
      input_size: F.

    Returns:
      A uniform int32 scalar.
    """
    return jax.random.randint(key, (), 0, input_size - self.extent + 1)

  def weights(self, input_size: int, offset: Any) -> Any:
    """Returns 1 where an input is in a run, `[input_size, 2]` float32.

    Args:
      input_size: F.
      offset: the first input of the first run, an integer or a scalar array.
        The result is a NumPy array unless this is a JAX array.
    """
    start = np.array([0, self.sizes[0] - self.overlap], np.int32) + offset
    place = np.arange(input_size, dtype=np.int32)[:, None] - start[None]
    sizes = np.array([self.sizes], np.int32)
    return ((place >= 0) & (place < sizes)).astype(np.float32)


def make_subsets(input_size: int, subset_ratio: float, overlap_ratio: float,
                 second_ratio: float = 0.) -> Subsets:
  """Makes two subsets, with sizes rounded down.

  Args:
    input_size: F.
    subset_ratio: share of the inputs in each subset.
    overlap_ratio: share of the first subset that is also in the second.
    second_ratio: share of the inputs in the second subset; 0 for
      `subset_ratio`.

  Raises:
    ValueError: the subsets are empty, have more in common than the second has,
      or need more than `input_size` inputs.
  """
  if not 0 <= overlap_ratio <= 1:
    raise ValueError(
        f"need 0 <= overlap_ratio <= 1, got overlap_ratio={overlap_ratio}")
  first, second = (_floor(ratio * input_size) for ratio in (
      subset_ratio, second_ratio or subset_ratio))
  subsets = Subsets((first, second), _floor(overlap_ratio * first))
  if (min(first, second) < 1 or subsets.overlap > second
      or subsets.extent > input_size):
    more = f", second_ratio={second_ratio}" if second_ratio else ""
    raise ValueError(
        f"need subsets of at least 1 input that fit into input_size="
        f"{input_size}, got subsets of {first} and {second} inputs with "
        f"{subsets.overlap} in common; change subset_ratio={subset_ratio}"
        f"{more} or overlap_ratio={overlap_ratio}")
  return subsets


def _floor(number: float) -> int:
  return int(number + 1e-9)  # 0.29 * 100 is not quite 29.


def exact_matmul(inputs: jax.Array, weights: jax.Array) -> jax.Array:
  """Multiplies in full float32, also on devices that would round the factors.

  Args:
    inputs: `[..., F]`.
    weights: `[F, 2]`.

  Returns:
    `[..., 2]`.
  """
  return jnp.matmul(inputs, weights, precision="highest")
