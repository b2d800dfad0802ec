"""Signals in training: the first one saves, the second one ends at once.

While the first updates are compiled there is nothing to save, so the first one
ends at once, too.

Ctrl-C (SIGINT), a scheduler's SIGTERM and a closed terminal's SIGHUP are
treated alike. In a run of several processes SIGTERM is left to JAX, and
`configs.processes.hosts.must_end` asks it: a handler of Python's would silently
switch that off.
"""

import contextlib
import os
import pathlib
import shlex
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax

from launch.configs import config as config_lib
from launch.configs.signals import watching
from launch.learning.watching import timing
from launch.runs.checkpoints import saved_step

_NAMES = tuple(getattr(signal, name) for name in (
    "SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))  # As Windows has.


def _signals() -> list[signal.Signals]:
  """Returns the signals that end training."""
  return [name for name in _NAMES
          if name != signal.SIGTERM or jax.process_count() == 1]


def command(workdir: pathlib.Path) -> str:
  """Returns the command that continues a run."""
  return f"python -m launch.train --workdir={shlex.quote(str(workdir))}"


def describe(workdir: pathlib.Path) -> str:
  """Returns what an interrupted run has saved, and how to go on."""
  again = command(workdir)
  step = saved_step(workdir)
  if step is not None:
    return f"interrupted and saved up to step {step}; continue with: {again}"
  if (workdir / config_lib.CONFIG_FILE).exists():
    return ("interrupted before a checkpoint, nothing is saved; start again "
            f"with: {again}")
  return "interrupted before the start; start again with the same command"


class Caught(list[int]):
  """Holds the numbers of the signals that came.

  Attributes:
    has_nothing_to_save: whether the first signal ends the process at once.
  """

  has_nothing_to_save = False

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Has nothing to save up to the end of the first compilation within."""
    def compiled():
      self.has_nothing_to_save = False

    # Several processes save together.
    self.has_nothing_to_save = jax.process_count() == 1
    try:
      with timing.at_first_program(compiled):
        yield
    finally:
      compiled()


@contextlib.contextmanager
def caught(workdir: pathlib.Path) -> Iterator[Caught]:
  """Yields a list that is not empty once one of `_signals` came.

  SIGHUP stays ignored if it was, as under `nohup`. A second signal ends the
  process at once, with `describe` on stderr, even while XLA compiles or runs.
  In a thread no signal is caught: Python delivers them to the main thread.

  Args:
    workdir: Folder of the run.
  """
  found = Caught()
  if threading.current_thread() is not threading.main_thread():
    yield found
    return
  terminals = [number for number in (1, 2) if os.isatty(number)]

  def handler(number, _):
    found.append(number)
    _leave_closed(terminals)
    for name in previous:
      signal.signal(name, lambda *_: None)  # `react` ends the process.

  count = 0

  def react(number):
    nonlocal count
    count += number in _signals()
    if count > 1 or (count and found.has_nothing_to_save):
      watching.end(describe(workdir))

  previous: dict[signal.Signals, Any] = {
      name: signal.signal(name, handler) for name in _to_catch()}
  try:
    with watching.watched(react):
      yield found
  finally:
    for name, old in previous.items():
      signal.signal(name, old)


def _to_catch():
  return [name for name in _signals() if name.name != "SIGHUP"
          or signal.getsignal(name) is not signal.SIG_IGN]


def _leave_closed(terminals):
  """Drops output to a terminal that was closed: a write would fail."""
  for number in terminals:
    if not os.isatty(number):
      os.dup2(os.open(os.devnull, os.O_WRONLY), number)
