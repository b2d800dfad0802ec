"""Errors of nearly perfect solutions, below which a run counts as solved."""

import numpy as np

from tasks.arithmetic import operations

CRITERIA = ("layers", "module")

# The error of every weight of a nearly perfect solution.
EPSILON = 1e-5


def layers_error(operation: str, inputs: np.ndarray,
                 weights: np.ndarray) -> float:
  """Computes the mean squared error of a nearly perfect first layer.

  A first layer computes the two sums. Each of its weights is off by `EPSILON`,
  towards the inside of [0, 1]. What follows is exact. See "Measuring Arithmetic
  Extrapolation Performance" (Madsen, Johansen, 2019, arXiv 1910.01888).

  Args:
    operation: a name in `operations.OPERATIONS`.
    inputs: `[B, F]` float64.
    weights: `[F, 2]`, 0 or 1.
  """
  apply = operations.OPERATIONS[operation].apply
  wrong = inputs @ np.where(weights > 0, 1 - EPSILON, EPSILON)
  right = inputs @ weights
  return float(np.mean(np.square(apply(*wrong.T) - apply(*right.T))))


def module_error(operation: str, inputs: np.ndarray,
                 weights: np.ndarray) -> float:
  """Computes the mean squared error of a single, nearly perfect unit.

  Each weight of the unit is off by `EPSILON`. A sum is then off by that share
  of all absolute inputs. In a product, its own inputs contribute a factor, and
  so do all others. See the code of "A Primer for Neural Arithmetic Logic
  Modules" (Mistry et al. 2022, arXiv 2101.09530).

  Args:
    operation: one that `check_module` accepts.
    inputs: `[B, F]` float64.
    weights: `[F, 2]`, 0 or 1, with one input in each subset.
  """
  if operation in ("add", "sub"):
    error = EPSILON * np.abs(inputs).sum(1)
  else:
    right = operations.OPERATIONS[operation].apply(*(inputs @ weights).T)
    others = inputs[:, weights.sum(1) == 0]
    of_own = {"mul": (1 - EPSILON)**2,
              "div": (1 - EPSILON) / (1 + EPSILON)}[operation]
    of_others = np.prod(1 - EPSILON * np.abs(others), axis=1)
    error = right * (of_own * of_others - 1)
  return float(np.mean(np.square(error)))


def check_module(operation: str, subsets: operations.Subsets) -> None:
  """Checks that `module_error` is defined.

  Raises:
    ValueError: another operation than add, sub, mul or div, or subsets that are
      not two different single inputs.
  """
  alone = subsets.sizes == (1, 1) and subsets.overlap == 0
  if operation not in ("add", "sub", "mul", "div") or not alone:
    raise ValueError(
        "criterion 'module' needs operation add, sub, mul or div of two single "
        f"inputs, got {operation} of subsets of {subsets.sizes[0]} and "
        f"{subsets.sizes[1]} inputs with {subsets.overlap} in common; use "
        "criterion='layers'")
