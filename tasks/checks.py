"""Checks of task arguments. Each raises a ValueError that names the value."""

from collections.abc import Iterable

MAX_COUNT = 1_000


def check_positive(**values: int) -> None:
  """Checks that every value is at least 1.

  Raises:
    ValueError: a value is below 1; names the first of them.
  """
  for name, value in values.items():
    if value < 1:
      raise ValueError(f"need {name} >= 1, got {name}={value}")


def check_count(**counts: int) -> None:
  """Checks numbers of parts that a program has one by one.

  Raises:
    ValueError: a number is above `MAX_COUNT`, where tracing the program would
      take hours; names the first of them.
  """
  for name, count in counts.items():
    if count > MAX_COUNT:
      raise ValueError(f"need {name} <= {MAX_COUNT}, got {name}={count}")


def check_range(low_name: str, low: int, high_name: str, high: int) -> None:
  """Checks that `1 <= low <= high`.

  Raises:
    ValueError: it does not hold; names both values.
  """
  if not 1 <= low <= high:
    raise ValueError(
        f"need 1 <= {low_name} <= {high_name}, got {low_name}={low} and "
        f"{high_name}={high}")


def check_member(kind: str, value: str, valid: Iterable[str]) -> None:
  """Checks that `value` is one of the valid values.

  Args:
    kind: what the value names, in the singular, such as 'split'.
    value: the value to check.
    valid: the valid values, in the order in which the error lists them.

  Raises:
    ValueError: it is not one of them; lists all.
  """
  valid = tuple(valid)
  if value not in valid:
    raise ValueError(
        f"unknown {kind} {value!r}; valid {_plural(kind)}: {', '.join(valid)}")


def _plural(kind: str) -> str:
  return {"criterion": "criteria"}.get(kind, f"{kind}s")
