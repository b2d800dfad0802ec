"""Measures what one launch spends its time on, and the devices' memory."""

import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from launch.configs.processes import hosts
from launch.learning.watching import timing
from launch.runs.job import goodput
from launch.runs.job.goodput import UPDATES, Journal

COMPILATION, DATA, EVALUATION, SAVING = (
    "compilation", "data", "evaluation", "saving")


class Watch:
  """Splits the time of a launch into events; use it as a context.

  The time of an event is without the compilation and the waiting for data
  within it, which are events of their own.
  """

  def __init__(self, workdir: pathlib.Path,
               clock: Callable[[], float] = goodput.now):
    """Constructs a watch; it writes nothing before `begin`.

    Args:
      workdir: of the run. Of several processes, the first one writes to it.
      clock: see `goodput.Journal`.
    """
    self._workdir, self._clock = workdir, clock
    self._launched = clock()
    self._meter = timing.Meter()
    self._journal: Journal | None = None
    self._step = 0
    self._noted = self._recorded = (0., 0.)  # Compilation and data.

  def __enter__(self) -> "Watch":
    self._meter.__enter__()
    return self

  def __exit__(self, *details: Any) -> None:
    self._meter.__exit__(*details)
    if self._journal:
      self._journal.close()

  def begin(self, step: int) -> None:
    """Notes the launch of a run that is not finished.

    Args:
      step: updates done before.
    """
    self._step = step
    if hosts.is_first():
      self._journal = Journal(self._workdir, self._launched, step, self._clock)
      self._note_waits()

  @contextlib.contextmanager
  def event(self, name: str) -> Iterator[None]:
    """Measures an event that does no updates, such as `SAVING`."""
    begun, waited = self._clock(), sum(self._waits)
    yield
    self._note(name, self._clock() - begun - (sum(self._waits) - waited))

  @contextlib.contextmanager
  def updates(self, count: int, found: dict[str, np.ndarray]
              ) -> Iterator[None]:
    """Measures updates.

    Args:
      count: how many.
      found: gets the times for a record: seconds of an update, and those of
        compilation and of waiting for data since the last record.
    """
    begun, waited = self._clock(), sum(self._waits)
    yield
    seconds = self._clock() - begun - (sum(self._waits) - waited)
    self._step += count
    self._note(UPDATES, seconds)
    compilation, data = np.subtract(self._waits, self._recorded)
    self._recorded = self._waits
    found |= {"step_seconds": np.array([seconds / count]),
              "compile_seconds": np.array([compilation]),
              "data_seconds": np.array([data])}

  @property
  def _waits(self) -> tuple[float, float]:
    return self._meter.compile_seconds, self._meter.data_seconds

  def _note(self, name: str, seconds: float) -> None:
    if self._journal is None:
      return
    self._note_waits()
    self._journal.note(name, seconds, self._step)

  def _note_waits(self) -> None:
    assert self._journal is not None
    for name, now, before in zip((COMPILATION, DATA), self._waits, self._noted,
                                 strict=True):
      if now > before:
        self._journal.note(name, now - before, self._step)
    self._noted = self._waits


def memory(devices: Iterable[Any]) -> dict[str, np.ndarray]:
  """Returns the peak memory of a device for a record; {} if it is not known.

  Args:
    devices: those of other processes do not count. CPUs do not tell.
  """
  stats = [device.memory_stats() or {} for device in devices
           if device.process_index == jax.process_index()]
  peaks = [each["peak_bytes_in_use"] for each in stats
           if "peak_bytes_in_use" in each]
  return {"device_memory_bytes": np.array([max(peaks)])} if peaks else {}
