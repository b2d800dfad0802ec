"""Checks of constructor arguments."""


def check_positive(**sizes: int) -> None:
  """Checks sizes.

  Args:
    **sizes: name of an argument -> its value.

  Raises:
    ValueError: a size is below 1; the message names the first one.
  """
  for name, size in sizes.items():
    if size < 1:
      raise ValueError(f"{name} must be at least 1, got {size}")
