"""Ranges that inputs are drawn from: intervals, and unions of intervals."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

# Maps the training range to the test range, as in "Neural Arithmetic Units" and
# "A Primer for Neural Arithmetic Logic Modules". The latter has all but '0,1'.
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


class Range(NamedTuple):
  """Represents a union of disjoint intervals, in rising order.

  Attributes:
    lows: the lower ends.
    highs: the upper ends.
  """

  lows: tuple[float, ...]
  highs: tuple[float, ...]

  def place(self, share: Any) -> Any:
    """Maps numbers in (0, 1) to the range. Uniform numbers stay uniform.

    Args:
      share: a JAX or NumPy array.
    """
    position = self.lows[0] + share * sum(
        high - low for low, high in zip(self.lows, self.highs, strict=True))
    for end, start in zip(self.highs[:-1], self.lows[1:], strict=True):
      # Move everything beyond the end of an interval over the gap.
      is_beyond = (position >= end).astype(position.dtype)
      position = position + is_beyond * (start - end)
    return position

  def times(self, factor: float) -> "Range":
    """Returns the range scaled by a positive factor."""
    return Range(tuple(factor * x for x in self.lows),
                 tuple(factor * x for x in self.highs))

  def __str__(self) -> str:
    return ";".join(f"{low:g},{high:g}" for low, high in zip(
        self.lows, self.highs, strict=True))


def parse_range(text: str) -> Range:
  """Parses a range such as '1,2', or '-6,-2;2,6' for a union.

  Raises:
    ValueError: the text has another form, or its numbers do not rise.
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
    raise ValueError(f"the ends of range {text!r} do not rise; write the lower "
                     "end of each interval first, and lower intervals first")
  return Range(lows, highs)


def extrapolation_range(train_range: str, test_range: str) -> str:
  """Returns `test_range`, or the published test range if it is ''.

  Raises:
    ValueError: `test_range` is '', and none is published for `train_range`.
  """
  if test_range:
    return test_range
  published = {parse_range(key): value for key, value in TEST_RANGES.items()}
  try:
    return published[parse_range(train_range)]
  except KeyError:
    raise ValueError(
        f"set test_range: no test range is published for train_range="
        f"{train_range!r}, only for {', '.join(map(repr, TEST_RANGES))}"
        ) from None
