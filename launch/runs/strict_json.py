"""Writes numbers that are not finite as JSON that every reader accepts.

Python writes `NaN` and `Infinity`, which are not JSON: browsers, jq and DuckDB
refuse them. Here they are the strings "NaN", "Infinity" and "-Infinity", as in
the JSON mapping of Protocol Buffers.
"""

import json
import math
from typing import Any

_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def dumps(tree: Any, indent: int | None = None) -> str:
  """Returns a tree of dicts, lists and numbers as JSON."""
  return json.dumps(_named(tree), indent=indent, allow_nan=False)


def loads(text: str) -> Any:
  """Undoes `dumps`; also reads what Python's `json` writes.

  Raises:
    ValueError: the text is not JSON.
  """
  try:
    return _numbers(json.loads(text))
  except RecursionError:
    raise ValueError("is nested too deeply") from None


def _named(tree):
  if isinstance(tree, dict):
    return {key: _named(value) for key, value in tree.items()}
  if isinstance(tree, list | tuple):
    return [_named(value) for value in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return ("NaN" if math.isnan(tree) else
            "Infinity" if tree > 0 else "-Infinity")
  return tree


def _numbers(tree):
  if isinstance(tree, dict):
    return {key: _numbers(value) for key, value in tree.items()}
  if isinstance(tree, list):
    return [_numbers(value) for value in tree]
  return _NAMES.get(tree, tree) if isinstance(tree, str) else tree
