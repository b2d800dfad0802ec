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

# Raised when older versions would misread a checkpoint. Whatever else changes,
# 'format' and 'checksum' stay. Manifests of before have format 0.
FORMAT = 1


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
  content = {"format": FORMAT,
             "arrays": {name: list(each) for name, each in arrays.items()}}
  return {**content, "checksum": _of_json(content)}


def format_of(stored: Any) -> int:
  """Returns the format of a manifest, of any version.

  Args:
    stored: what `to_json` of some version returned, and JSON gave back.

  Raises:
    ValueError: the manifest is damaged.
  """
  if isinstance(stored, dict):
    content: Any = {
        name: x for name, x in stored.items() if name != "checksum"}
    if "format" not in content:  # The checksum was that of the arrays alone.
      content = content.get("arrays")
    if stored.get("checksum") == _of_json(content):
      return stored.get("format", 0)
  raise ValueError("the list of arrays is damaged")


def from_json(stored: Mapping[str, Any]) -> dict[str, ArrayFacts]:
  """Undoes `to_json`; reads `FORMAT`, and those before it.

  Raises:
    ValueError: the manifest is damaged.
  """
  format_of(stored)
  return {name: ArrayFacts(dtype, tuple(shape), checksum) for
          name, (dtype, shape, checksum) in stored["arrays"].items()}


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


def _of_json(content):
  return zlib.crc32(json.dumps(content, sort_keys=True).encode())
