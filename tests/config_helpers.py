"""Helpers for tests of configurations: command lines without a program."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

from absl import flags

from launch.configs import config as config_lib
from launch.configs import flags as flags_lib
from launch.configs import help as help_lib


@contextlib.contextmanager
def own_flags() -> Iterator[None]:
  """Removes the flags that are defined within, as a new process has none."""
  values, before = flags.FLAGS, set(flags.FLAGS)
  # To delete a flag, absl looks it up among all flags of each of these lists.
  # That takes longer than most tests.
  of_modules = (values.flags_by_module_dict(), values.flags_by_module_id_dict(),
                values.key_flags_by_module_dict())
  kept = [{module: list(defined) for module, defined in each.items()}
          for each in of_modules]
  try:
    yield
  finally:
    for each, old in zip(of_modules, kept, strict=True):
      each.clear()
      each.update(old)
    for name in set(values) - before:
      delattr(values, name)
    values.unparse_flags()


@contextlib.contextmanager
def parsed(*argv: Any, kinds=config_lib.KINDS) -> Iterator[None]:
  """Defines the flags of a program and parses a command line."""
  command = ["program", *map(str, argv)]
  with own_flags():
    with mock.patch.object(sys, "argv", command):
      flags_lib.define_config_flags()
      flags_lib.define_member_flags(kinds)
      help_lib.define_help_flags()
      flags.DEFINE_string("workdir", None, "")
      flags_lib.parse(command)
    yield


def resolve(*argv: Any):
  """Returns the config of a new run with this command line."""
  with parsed(*argv):
    return config_lib.resolve(
        flags.FLAGS.preset, flags_lib.config_overrides(),
        flags_lib.member_overrides())


def reconcile(stored, *argv: Any):
  """Returns the config of a run resumed with this command line."""
  with parsed(*argv):
    return config_lib.reconcile(
        stored, flags.FLAGS.preset, flags_lib.config_overrides(),
        flags_lib.member_overrides())


def environment() -> dict[str, str]:
  """Returns an environment in which a child process has the same imports."""
  return os.environ | {"PYTHONPATH": os.pathsep.join(
      [str(pathlib.Path(__file__).parent.parent), *filter(None, sys.path)])}


class OfNoParts:
  """Represents an agent that does not tell how to average its parts."""
