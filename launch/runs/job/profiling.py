"""Traces some updates of a run with JAX's profiler."""

import pathlib
import re

import jax
from absl import logging

from launch.configs.config import UsageError
from launch.runs.checkpoints import saved_step

FOLDER = "profile"  # In the workdir.
HELP = (
    "START:STOP: traces the updates from step START to step STOP with JAX's "
    "profiler, in whole chunks (--log_every), into WORKDIR/profile. Open its "
    "perfetto_trace.json.gz at https://ui.perfetto.dev, or run tensorboard "
    "--logdir=WORKDIR/profile after pip install xprof. The first chunk holds "
    "the compilation: choose later ones to see updates alone.")


class Profiler:
  """Starts and ends one trace."""

  def __init__(self, workdir: pathlib.Path, start: int, stop: int):
    """Constructs a profiler; traces nothing yet.

    Args:
      workdir: of the run.
      start: updates before the ones to trace.
      stop: updates up to the last one to trace.
    """
    self._folder = workdir / FOLDER
    self._start, self._stop = start, stop
    self._first: int | None = None  # Where the trace began.
    self._last = 0
    self._is_tracing = False

  def before(self, step: int, chunk: int) -> None:
    """Starts the trace if one of the next updates is to be traced.

    Args:
      step: updates done.
      chunk: updates in the next call.
    """
    if (self._first is None and step < self._stop
        and step + chunk > self._start):
      self._first, self._is_tracing = step, True
      jax.profiler.start_trace(self._folder, create_perfetto_trace=True)

  def after(self, step: int) -> None:
    """Ends the trace if no further update is to be traced.

    Args:
      step: updates done.
    """
    self._last = step
    if self._is_tracing and step >= self._stop:
      self._end()

  def close(self) -> None:
    """Ends the trace of a run that ended before its last update."""
    if self._is_tracing:
      self._end()
    if self._first is None:
      logging.warning("--profile: nothing was traced, since the run ended "
                      "before step %d", self._start + 1)

  def _end(self) -> None:
    self._is_tracing = False
    jax.profiler.stop_trace()
    logging.info(
        "profile of steps %d to %d in %s: open the perfetto_trace.json.gz of "
        "its newest folder at https://ui.perfetto.dev", self._first, self._last,
        self._folder)


def make(flag: str | None, workdir: pathlib.Path, steps: int
         ) -> Profiler | None:
  """Returns the profiler of a command line; None if it asks for none.

  Args:
    flag: value of --profile.
    workdir: of the run.
    steps: updates in the whole run.

  Raises:
    UsageError: the steps are not valid, or are done.
  """
  if flag is None:
    return None
  found = re.fullmatch(r"(\d{1,18}):(\d{1,18})", flag, re.ASCII)
  if not found:
    raise UsageError(f"--profile={flag}: need START:STOP, two numbers of steps,"
                     " such as 100:200")
  start, stop = map(int, found.groups())
  if start >= stop:
    raise UsageError(f"--profile={flag}: there is no step between {start} and "
                     f"{stop}; STOP must be above START")
  if stop > steps:
    raise UsageError(f"--profile={flag}: the run has --steps={steps}; STOP "
                     "must not be above it")
  if stop <= (done := saved_step(workdir) or 0):
    raise UsageError(f"--profile={flag}: the run in {workdir} has done step "
                     f"{done}; choose later steps")
  return Profiler(workdir, start, stop)
