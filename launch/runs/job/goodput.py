"""Goodput: the share of the wall time that brought a run forward.

    goodput = time of updates that the state includes
              / time from the first launch to the last event

Each launch appends its events to `goodput.jsonl` as they happen, so a killed
process leaves them there. Compilation, data, evaluations, checkpoints, updates
that were lost and done again, and the time between two launches all lower the
goodput. A launch of a finished run adds nothing.
"""

import pathlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from launch.runs import strict_json

FILE = "goodput.jsonl"
_LAUNCH, UPDATES = "launch", "updates"
# Seconds since 1970 as the launch began, without later corrections of the
# clock: events would take less time than none.
_OFFSET = time.time() - time.monotonic()


class Goodput(NamedTuple):
  """Holds the two times of which goodput is the ratio.

  Attributes:
    productive: seconds of updates that the state includes.
    wall: seconds since the first launch.
  """

  productive: float
  wall: float

  def __str__(self) -> str:
    share = 100 * self.productive / self.wall
    return (f"goodput {share:.0f} %: updates took {_shown(self.productive)} of "
            f"{_shown(self.wall)} since the first launch")


def now() -> float:
  """Returns seconds since 1970."""
  return _OFFSET + time.monotonic()


class Journal:
  """Appends the events of one launch."""

  def __init__(self, workdir: pathlib.Path, launched: float, step: int,
               clock: Callable[[], float] = now):
    """Opens the file, and notes the launch.

    Args:
      workdir: of the run.
      launched: time at which the process began, by `clock`.
      step: updates done before; those after it are lost.
      clock: returns seconds since any fixed time, the same for all launches.
    """
    self._clock = clock
    path = workdir / FILE
    is_torn = path.exists() and not path.read_bytes().endswith(b"\n")
    self._file = path.open("a", buffering=1)
    if is_torn:
      self._file.write("\n")
    self._append(time=launched, event=_LAUNCH, step=step)

  def note(self, event: str, seconds: float, step: int) -> None:
    """Notes an event that has just ended.

    Args:
      event: its name; `UPDATES` are productive.
      seconds: that it took.
      step: updates done at its end.
    """
    self._append(time=self._clock(), event=event, step=step, seconds=seconds)

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _append(self, **event: Any) -> None:
    self._file.write(strict_json.dumps(event) + "\n")


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the events of all launches, without lines that were torn."""
  path, events = workdir / FILE, []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      events.append(strict_json.loads(line))
    except ValueError:
      continue
  return events


def of(events: Iterable[Mapping[str, Any]]) -> Goodput | None:
  """Returns the goodput of a run; None if it was not launched.

  Args:
    events: from `read`.
  """
  kept: list[Mapping[str, Any]] = []  # Updates.
  times = []
  for event in events:
    times.append(event["time"])
    if event["event"] == _LAUNCH:
      kept = [each for each in kept if each["step"] <= event["step"]]
    elif event["event"] == UPDATES:
      kept.append(event)
  wall = times[-1] - times[0] if times else 0
  return (Goodput(sum(each["seconds"] for each in kept), wall) if wall > 0
          else None)


def _shown(seconds: float) -> str:
  if seconds < 60:
    return f"{seconds:.3g} s"
  return (f"{seconds / 60:.1f} minutes" if seconds < 3600
          else f"{seconds / 3600:.1f} hours")
