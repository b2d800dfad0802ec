"""How a preset builds on another one."""

from collections.abc import Mapping
from typing import Any

Preset = dict[str, Any]


def merge(preset: Mapping[str, Any], changes: Mapping[str, Any]) -> Preset:
  """Returns `preset` with `changes`; nested dicts are merged key by key.

  Args:
    preset: Fields of a run, or arguments of members.
    changes: Values that replace those of `preset`.

  Returns:
    A new dict, which shares no dict with the arguments.
  """
  merged = {name: merge(value, {}) if isinstance(value, Mapping) else value
            for name, value in preset.items()}
  for name, value in changes.items():
    if isinstance(value, Mapping):
      before = merged.get(name)
      value = merge(before if isinstance(before, Mapping) else {}, value)
    merged[name] = value
  return merged
