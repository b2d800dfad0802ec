"""Lists the arrays of a checkpoint with checksums.

What is read back is then known to be what was written: a flipped bit on a disk
gives numbers, not an error.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class ArrayFacts(NamedTuple):
  """Describes an array.

  Attributes:
    dtype: name of its type.
    shape: of it.
    checksum: CRC-32 of its bytes.
  """

  dtype: str
  shape: tuple[int, ...]
  checksum: int

  def __str__(self) -> str:
    return f"{self.dtype}{list(self.shape)}"


def facts(tree: Any) -> dict[str, ArrayFacts]:
  """Returns the facts of each NumPy array of a tree, by its path."""
  return {jax.tree_util.keystr(path, simple=True, separator="/"):
          ArrayFacts(str(x.dtype), tuple(x.shape), _checksum(x))
          for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def to_json(arrays: Mapping[str, ArrayFacts]) -> dict[str, Any]:
  """Returns a manifest as JSON has it, with a checksum of its own."""
  return {"arrays": {name: list(each) for name, each in arrays.items()},
          "checksum": _of_names(arrays)}


def from_json(stored: Mapping[str, Any]) -> dict[str, ArrayFacts]:
  """Undoes `to_json`.

  Raises:
    ValueError: the manifest is damaged.
  """
  try:
    arrays = {name: ArrayFacts(dtype, tuple(shape), checksum) for
              name, (dtype, shape, checksum) in stored["arrays"].items()}
    is_sound = stored["checksum"] == _of_names(arrays)
  except (AttributeError, KeyError, TypeError, ValueError):
    is_sound = False
  if not is_sound:
    raise ValueError("the list of arrays is damaged")
  return arrays


def check(parts: Mapping[str, Any], arrays: Mapping[str, ArrayFacts]) -> None:
  """Compares what was read with the facts of what was written.

  Args:
    parts: trees of NumPy arrays, as they were read, by name.
    arrays: the facts of at least these parts, as they were written.

  Raises:
    ValueError: an array differs, or is missing.
  """
  found = facts(parts)
  for name, each in arrays.items():
    if part_of(name) in parts and found.pop(name, None) != each:
      raise ValueError(f"{name} is not what was written")
  if found:
    raise ValueError(f"{', '.join(found)} was never written")


def part_of(name: str) -> str:
  """Returns the part that an array belongs to, from its path."""
  return name.split("/")[0]


def _checksum(array: np.ndarray) -> int:
  flat = np.ascontiguousarray(array).reshape(-1)
  return zlib.crc32(flat.view(np.uint8).data)


def _of_names(arrays):
  return zlib.crc32(json.dumps(arrays, sort_keys=True).encode())
