"""The papers' experiments as presets, for `--preset=NAME`.

A preset is a function without arguments that returns a plain nested dict: the
fields of a run that differ from `launch.configs.config.default_config`. The
arguments of members are keyed by the member's name, so that one preset serves
several cores: `core_args={"rmc": {...}, "lstm": {...}}`. Two further keys hold
fields that only hold with one unit or one core: `unit_settings={"nmu": {...}}`
and `core_settings={"sam": {...}}`.

The docstring begins with a sentence that `--list` prints, names its `Paper:`
and its `Data:`, and says what the paper leaves open. A preset whose name ends
in `_paper` has the sizes of the paper; the one without the suffix is a smaller
experiment that two CPU cores can run.

Adding a preset takes a public function in one of these files. This package
imports nothing of `launch` but itself.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from launch.experiments import (
    agents,
    babi,
    curriculum,
    language,
    mnist,
    mnist_sequence,
    nalu_functions,
    neural_arithmetic,
    nth_farthest,
    omniglot,
    programs,
    sam,
    single_module,
    text,
)

_MODULES = (agents, babi, curriculum, language, mnist, mnist_sequence,
            nalu_functions, neural_arithmetic, nth_farthest, omniglot, programs,
            sam, single_module, text)

PRESETS: Mapping[str, Callable[[], dict[str, Any]]] = {
    name: function for module in _MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")}


def preset_names() -> list[str]:
  """Returns the names of all presets, sorted."""
  return sorted(PRESETS)


def load_preset(name: str) -> dict[str, Any]:
  """Returns the nested dict of a preset.

  Args:
    name: A name in `PRESETS`.

  Raises:
    KeyError: `name` is not in `PRESETS`.
  """
  return PRESETS[name]()


__all__ = ("PRESETS", "load_preset", "preset_names")
