"""Holds the suites of `launch.benchmark` by name."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from launch.benchmarks import (
    arithmetic,
    collectives,
    devices,
    environments,
    index_recall,
    language,
    long_sequence,
    rmc,
    sampling,
    scaling,
)
from launch.benchmarks.scaling import Options


class Suite(NamedTuple):
  """Holds the function of a suite, and the fields of `Options` that it uses."""

  run: Callable[[Options], dict]
  options: tuple[str, ...]


_SCALING = ("sizes", "repeats", "time_limit", "memory_limit", "models",
            "batch_size")
SUITES: Mapping[str, Suite] = {
    "arithmetic": Suite(arithmetic.arithmetic, ("repeats",)),
    "index_recall": Suite(index_recall.index_recall,
                          ("sizes", "repeats", "records")),
    "sam_scaling": Suite(scaling.sam_scaling, _SCALING),
    "sdnc": Suite(scaling.sdnc, _SCALING),
    "long_sequence": Suite(long_sequence.long_sequence,
                           ("sizes", "repeats", "num_steps")),
    "rmc": Suite(rmc.rmc, ("sizes", "repeats", "time_limit", "models")),
    "language": Suite(
        language.language, ("sizes", "repeats", "time_limit", "models")),
    "environments": Suite(
        environments.environments, ("repeats", "time_limit", "models")),
    "devices": Suite(
        devices.devices, ("sizes", "repeats", "time_limit", "models")),
    "collectives": Suite(collectives.collectives, ("models", "data_dir")),
    "sampling": Suite(sampling.sampling, ("repeats", "time_limit")),
}


def min_slots(suite: str) -> int:
  """Returns the smallest size of a suite: SAM's heads read four rows each."""
  is_free = suite in ("devices", "language", "rmc")
  return 1 if is_free else scaling.SPARSE["top_k"]
