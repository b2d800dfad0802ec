"""Numbers that may differ between the networks of one program."""

from typing import TypeAlias

import jax

# A traced number differs along the axis of the seeds.
Number: TypeAlias = float | jax.Array


def is_traced(number: Number | None) -> bool:
  """Returns whether a number is known only when the program runs."""
  return isinstance(number, jax.Array)


def is_on(number: Number) -> bool:
  """Returns whether a number of which 0 means off has to be computed with.

  A traced number may be 0 for some networks, and not for others.
  """
  return is_traced(number) or bool(number)
