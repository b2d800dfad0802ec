"""Ranges of numbers: what JAX would cut off is refused, not used.

JAX computes with int32 and float32. A larger integer would end in a traceback
or wrap around; a seed is taken modulo 2**32, silently.
"""

import math
from collections.abc import Sequence

from launch.configs.config import UsageError

MAX_INT = 2**31 - 1
MAX_SEED = 2**32 - 1
MAX_SEEDS = 10**6  # Networks in one program.
# The smallest and largest magnitude of a float32, subnormal ones left out.
_TINY, _MAX_FLOAT = 2.**-126, (2 - 2.**-23) * 2.**127


def check(name: str, value: object) -> None:
  """Checks that a number is used as it was given.

  Args:
    name: Name of the field, argument or flag.
    value: Its value; only an int or a float is checked.

  Raises:
    ValueError: It is no int32, or it is not finite, infinite in float32, or 0
      in float32.
  """
  if isinstance(value, int):
    check_range(name, value, -MAX_INT - 1, MAX_INT)
  elif isinstance(value, float):
    _check_float(name, value)


def check_range(name: str, value: int, low: int, high: int) -> None:
  """Checks an integer.

  Raises:
    ValueError: It is outside of `low` to `high`; names them.
  """
  if not low <= value <= high:
    raise ValueError(f"{name} must be at least {low} and at most {high}, "
                     f"got {value}")


def check_seeds(seed: int, num_seeds: int) -> None:
  """Checks the seeds from `seed` on: each must train another run.

  Raises:
    ValueError: One of them is the same as another seed modulo 2**32.
  """
  check_range("seed", seed, 0, MAX_SEED)
  check_range("num_seeds", num_seeds, 1, MAX_SEEDS)
  check_range(f"seed={seed} with num_seeds={num_seeds}: the last seed",
              seed + num_seeds - 1, 0, MAX_SEED)


def integers(name: str, words: Sequence[str], low: int,
             high: int = MAX_INT) -> list[int]:
  """Parses the list of a flag.

  Args:
    name: Name of the flag.
    words: Its items.
    low: Smallest valid integer.
    high: Largest valid integer.

  Raises:
    UsageError: An item is not an integer from `low` to `high`.
  """
  try:
    found = [int(word) for word in words]
  except ValueError:
    found = []
  if len(found) < len(words) or not all(low <= x <= high for x in found):
    raise UsageError(f"--{name} takes integers of at least {low} and at most "
                     f"{high}, got {','.join(words)}")
  return found


def _check_float(name, value):
  if not math.isfinite(value):
    raise ValueError(f"{name} must be a finite number, got {value}")
  if value and not _TINY <= abs(value) <= _MAX_FLOAT:
    raise ValueError(f"{name} must be 0 or of a magnitude from {_TINY:.2g} to "
                     f"{_MAX_FLOAT:.2g} (float32), got {value}")
