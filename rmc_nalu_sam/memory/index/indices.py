"""The indices by name, and how a core gets its index."""

from collections.abc import Mapping
from typing import Any

from rmc_nalu_sam.memory.index.lsh import LSHIndex
from rmc_nalu_sam.memory.index.recall import MeasuredIndex
from rmc_nalu_sam.memory.index.search import ApproximateIndex, ExactIndex, Index
from rmc_nalu_sam.registry import Registry

INDICES = Registry("index", {
    "approx": ApproximateIndex,
    "exact": ExactIndex,
    "lsh": LSHIndex,
}, given=("num_slots", "word_size"))


def make_index(index: str | Index, num_slots: int, word_size: int,
               index_args: Mapping[str, Any] | None = None,
               measure_recall: bool = False) -> Index:
  """Returns an index for a memory of this size.

  Args:
    index: a name in `INDICES`, "package.module:attribute" for an index class of
      your own, or an index.
    num_slots: N.
    word_size: W.
    index_args: the index's own arguments; only with a name.
    measure_recall: whether to wrap the index in a `MeasuredIndex`.

  Raises:
    ValueError: there is no such index, it has no such argument or refuses its
      value, or `index_args` are given with an index that is made already.
  """
  made = _make(index, num_slots, word_size, dict(index_args or {}))
  return MeasuredIndex(made) if measure_recall else made


def _make(index: str | Index, num_slots: int, word_size: int,
          arguments: dict[str, Any]) -> Index:
  if isinstance(index, str):
    INDICES.check(index, arguments)
    return INDICES.get(index)(num_slots, word_size, **arguments)
  if arguments:
    raise ValueError(
        f"index_args={arguments} need the name of an index, got the index "
        f"{index!r}; pass the arguments to its constructor")
  return index
