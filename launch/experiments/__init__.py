"""Presets of the papers' experiments, one a file, by the file's name."""

import importlib
import pkgutil

import ml_collections


def preset_names() -> list[str]:
  """The names that `load_preset` takes."""
  return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_preset(name: str) -> ml_collections.ConfigDict:
  """The configuration of a preset; see `launch.config.default_config`.

  Raises:
    ValueError: there is no such preset.
  """
  if name not in preset_names():
    raise ValueError(
        f"unknown preset {name!r}; valid presets: {', '.join(preset_names())}")
  return importlib.import_module(f"{__name__}.{name}").get_config()
