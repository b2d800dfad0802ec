"""Which code the config.json of a workdir may name.

A config.json can name classes and functions, 'package.module:attribute', which
are imported and called with arguments that it also holds. A workdir may come
from somebody else, and 'os:system' is a function. So a stored name is used only
if it is of

- the user's own modules: on Python's path, but not in Python's own folders, in
  those of installed packages, in this project's packages or in the workdir;
- a package in `LIBRARIES`, or in the environment variable `VARIABLE`;
- the command line.

Notes:
  A workdir from a stranger can still call the user's own classes and functions
  with arguments of its choice.
"""

import functools
import importlib
import importlib.util
import os
import pathlib
import re
import sys
import sysconfig
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

LIBRARIES = ("haiku", "optax", "gymnax")
VARIABLE = "RMC_NALU_SAM_TRUST"
_OURS = ("launch", "rmc_nalu_sam", "tasks")
_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*:[\w.]+")
_INSTALLED = ("site-packages", "dist-packages")


def refusal(stored: Mapping[str, Any], workdir: pathlib.Path,
            given: Collection[str] = ()) -> str | None:
  """Returns what a config names that may not be imported; None if nothing.

  Args:
    stored: content of config.json.
    workdir: its folder.
    given: names on the command line.
  """
  for field, name in _names(stored):
    if name not in given and not _is_trusted(name, workdir):
      root = name.partition(":")[0].partition(".")[0]
      return (f"{field}={name!r} names code that is not of your own modules, "
              "so it is not run; if you trust this workdir, set "
              f"{VARIABLE}={root} in the environment")
  return None


def _names(stored: Any, field: str = "") -> Iterator[tuple[str, str]]:
  """Yields all strings that could be imported, with their fields."""
  if isinstance(stored, Mapping):
    for key, value in stored.items():
      if field or key not in ("data_dir", "cache_dir", "init_from", "preset"):
        yield from _names(value, f"{field}.{key}" if field else str(key))
  elif isinstance(stored, list | tuple):
    for value in stored:
      yield from _names(value, field)
  elif isinstance(stored, str) and _PATH.fullmatch(stored):
    yield field, stored


def _is_trusted(name: str, workdir: pathlib.Path) -> bool:
  module, _, attributes = name.partition(":")
  root = module.partition(".")[0]
  if root in _trusted():
    return True
  if root not in LIBRARIES and not _is_own(root, workdir):
    return False
  try:
    member: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
      member = getattr(member, attribute)
  except Exception:  # Whoever uses the name reports it.
    return True
  # Not what the module has imported from elsewhere.
  while isinstance(member, functools.partial):
    member = member.func
  origin = (member.__name__ if isinstance(member, types.ModuleType)
            else getattr(member, "__module__", None) or "")
  return origin.partition(".")[0] == root


def _trusted() -> list[str]:
  return os.environ.get(VARIABLE, "").split(",")


def _is_own(root: str, workdir: pathlib.Path) -> bool:
  """Returns whether a module is a user's own; imports nothing."""
  if root in _OURS or root in sys.stdlib_module_names:
    return False
  try:
    spec = importlib.util.find_spec(root)
  except (ImportError, ValueError):  # A module that Python made itself.
    return False
  if spec is None:
    return True  # Nothing can be imported; whoever uses the name reports it.
  places = [*(spec.submodule_search_locations or ()),
            *([spec.origin] if spec.has_location and spec.origin else [])]
  standard = pathlib.Path(sysconfig.get_path("stdlib")).resolve()
  return bool(places) and not any(
      standard in path.parents or workdir.resolve() in path.parents
      or workdir.resolve() == path or set(_INSTALLED) & set(path.parts)
      for path in (pathlib.Path(place).resolve() for place in places))
