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
def parsed(*argv: Any, kinds=config_lib.KINDS) -> Iterator[None]:
  """Defines the flags of a program and parses a command line."""
  before = set(flags.FLAGS)
  command = ["program", *map(str, argv)]
  try:
    with mock.patch.object(sys, "argv", command):
      flags_lib.define_config_flags()
      flags_lib.define_member_flags(kinds)
      help_lib.define_help_flags()
      flags.DEFINE_string("workdir", None, "")
      flags_lib.parse(command)
    yield
  finally:
    for name in set(flags.FLAGS) - before:
      delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


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
