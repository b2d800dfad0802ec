"""The indices by name."""

from collections.abc import Callable, Mapping

from rmc_nalu_sam.memory.lsh import LSHIndex
from rmc_nalu_sam.memory.search import ExactIndex, Index

# (num_slots, word_size) -> index.
INDICES: Mapping[str, Callable[[int, int], Index]] = {
    "exact": lambda num_slots, _: ExactIndex(num_slots),
    "approx": lambda num_slots, _: ExactIndex(num_slots, approximate=True),
    "lsh": LSHIndex,
}


def make_index(index: str, num_slots: int, word_size: int) -> Index:
  """An index from its name.

  Raises:
    ValueError: there is no such index.
  """
  if index not in INDICES:
    raise ValueError(
        f"unknown index {index!r}; valid indices: {', '.join(INDICES)}")
  return INDICES[index](num_slots, word_size)
