"""The suites of `launch.benchmark` by name."""

from collections.abc import Callable, Mapping

from launch.benchmarks import (
    arithmetic,
    long_sequence,
    rmc,
    sampling,
    scaling,
)
from launch.benchmarks.scaling import Options

SUITES: Mapping[str, Callable[[Options], dict]] = {
    "arithmetic": arithmetic.arithmetic,
    "sam_scaling": scaling.sam_scaling,
    "sdnc": scaling.sdnc,
    "long_sequence": long_sequence.long_sequence,
    "rmc": rmc.rmc,
    "sampling": sampling.sampling,
}


def min_slots(suite: str) -> int:
  """How few slots a suite can be asked for: SAM's heads read four rows each."""
  return 1 if suite == "rmc" else scaling.SPARSE["top_k"]
