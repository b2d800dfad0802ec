"""Waits, but not for ever: a dead network mount never answers."""

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import ml_collections

from launch.configs.config import UsageError

_T = TypeVar("_T")


def within_timeout(config: ml_collections.ConfigDict, what: str,
                   read: Callable[[], _T]) -> _T:
  """Calls a function that reads a task's files, in a thread with a time-out.

  Args:
    config: Of the run; its `data_timeout` of 0 calls the function directly.
    what: What is read, for people.
    read: Reads it.

  Returns:
    What the function returns.

  Raises:
    UsageError: The time is over.
    Exception: Whatever the function raises.
  """
  if not config.data_timeout:
    return read()
  try:
    return within(config.data_timeout, read)
  except TimeIsOver:
    raise UsageError(
        f"task {config.task!r}: reading {what} in {_folder(config)} took "
        f"longer than {config.data_timeout:g} s; check that disk or network "
        "mount, or set a higher --data_timeout (0: no limit)") from None


class TimeIsOver(Exception):
  """Tells that a function took longer than it may."""


def within(seconds: float, function: Callable[[], _T]) -> _T:
  """Returns what a function returns, which is called in a thread.

  Nothing can end one that hangs. Its thread stays behind, and dies with the
  process.

  Args:
    seconds: that it may take.
    function: to be called.

  Raises:
    TimeIsOver: it takes longer.
    Exception: whatever the function raises.
  """
  outcome: dict[str, Any] = {}

  def call():
    try:
      outcome["value"] = function()
    except BaseException as error:  # pylint: disable=broad-except
      outcome["error"] = error

  # The context tells where the cache is.
  thread = threading.Thread(
      target=contextvars.copy_context().run, args=(call,), daemon=True)
  thread.start()
  thread.join(min(seconds, threading.TIMEOUT_MAX))
  if "error" in outcome:
    raise outcome["error"]
  if "value" not in outcome:
    raise TimeIsOver
  return outcome["value"]


def _folder(config):
  return config.data_dir or "its default folder (--data_dir is not set)"
