"""Checks of constructor arguments."""

import difflib
from collections.abc import Collection, Mapping

MAX_COUNT = 1_000
MAX_SIZE = 2**31 - 1  # Of a vector: XLA ends the process beyond int32.
_MAX_FLOAT = (2 - 2.**-23) * 2.**127


def nearest(name: str, valid: Collection[str]) -> str:
  """Returns " did you mean 'x'?", or "" if no valid name is similar."""
  found = difflib.get_close_matches(name, list(valid), n=1)
  return f" did you mean {found[0]!r}?" if found else ""


def check_numbers(arguments: Mapping[str, object]) -> None:
  """Checks that arguments are numbers that JAX can compute with.

  Args:
    arguments: name of an argument -> its value; others than int and float are
      not checked.

  Raises:
    ValueError: a number is no int32, or not finite in float32; the message
      names the first one.
  """
  for name, value in arguments.items():
    if isinstance(value, int) and not -MAX_SIZE - 1 <= value <= MAX_SIZE:
      raise ValueError(f"{name} must be at least {-MAX_SIZE - 1} and at most "
                       f"{MAX_SIZE} (int32), got {value}")
    if isinstance(value, float) and not abs(value) <= _MAX_FLOAT:
      raise ValueError(f"{name} must be finite, and at most {_MAX_FLOAT:.2g} "
                       f"in magnitude (float32), got {value}")


def check_choice(valid: Collection[str], **choices: str) -> None:
  """Checks the values of arguments that are words.

  Args:
    valid: the valid values.
    **choices: name of an argument -> its value.

  Raises:
    ValueError: a value is not valid; the message names the first one.
  """
  for name, value in choices.items():
    if value not in valid:
      raise ValueError(f"unknown {name} {value!r};{nearest(value, valid)} "
                       f"valid: {', '.join(valid)}")


def check_rate(**rates: float) -> None:
  """Checks rates, such as that of a dropout.

  Args:
    **rates: name of an argument -> its value.

  Raises:
    ValueError: a rate is not in [0, 1); the message names the first one.
  """
  for name, rate in rates.items():
    if not 0 <= rate < 1:
      raise ValueError(f"{name} must be in [0, 1), got {rate}")


def check_count(**counts: int) -> None:
  """Checks numbers of parts that a program has one by one, such as layers.

  Args:
    **counts: name of an argument -> its value.

  Raises:
    ValueError: a number is below 1 or above `MAX_COUNT`, where tracing the
      program would take hours; the message names the first one.
  """
  check_positive(**counts)
  for name, count in counts.items():
    if count > MAX_COUNT:
      raise ValueError(f"{name} must be at most {MAX_COUNT}, got {count}")


def check_natural(**numbers: int) -> None:
  """Checks numbers of which 0 stands for none.

  Args:
    **numbers: name of an argument -> its value.

  Raises:
    ValueError: a number is below 0; the message names the first one.
  """
  _check_least(0, numbers)


def check_positive(**sizes: int) -> None:
  """Checks sizes.

  Args:
    **sizes: name of an argument -> its value.

  Raises:
    ValueError: a size is below 1; the message names the first one.
  """
  _check_least(1, sizes)


def _check_least(least: int, numbers: Mapping[str, int]) -> None:
  for name, number in numbers.items():
    if number < least:
      raise ValueError(f"{name} must be at least {least}, got {number}")
