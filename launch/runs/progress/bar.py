"""Shows how far a run is: a bar on a terminal, elsewhere a line a record."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import tqdm

WIDTH = 80  # Of a terminal that does not tell.
COMPILING = "compiling"
# Weight of the newest record in the time of an update.
_SMOOTHING = .3


class Pace:
  """Measures the time of an update, evaluations and checkpoints included."""

  def __init__(self):
    self._updates = self._seconds = 0.

  def add(self, updates: int, seconds: float) -> None:
    """Adds the updates of a record, and their time without compilation."""
    keep = 1 - _SMOOTHING
    self._updates = keep * self._updates + updates
    self._seconds = keep * self._seconds + max(seconds, 0.)

  @property
  def rate(self) -> float:
    """Updates per second; 0 if it is not known yet."""
    return self._updates / self._seconds if self._seconds else 0.

  def left(self, updates: int) -> float | None:
    """Returns the seconds of further updates; None if it is not known yet."""
    return updates / self.rate if self.rate else None


class State(NamedTuple):
  """Holds what is shown of a run.

  Attributes:
    step: updates done.
    total: updates in the whole run.
    metrics: name -> text, the most important one first.
    elapsed: seconds of training so far.
    rate: updates per second; 0 if it is not known yet.
    left: seconds left; None if it is not known yet.
    doing: what else the run does now; '' while it trains.
    frames: steps of environments in an update; 0 for a task without.
  """

  step: int
  total: int
  metrics: Mapping[str, str] = {}
  elapsed: float = 0.
  rate: float = 0.
  left: float | None = None
  doing: str = ""
  frames: int = 0


def beside_bar(state: State, room: int) -> str:
  """Returns what stands beside the bar, in this number of columns.

  What does not fit is left out, the least important first.
  """
  metrics = [f"{name}={text}" for name, text in state.metrics.items()]
  fields = [state.doing, _left(state), *metrics[:2], _rate(state), *metrics[2:]]
  text = ""
  for field in filter(None, fields):
    longer = f"{text}, {field}" if text else field
    if len(longer) > room:
      break
    text = longer
  return text


def line(state: State) -> str:
  """Returns a record as a line, for a log."""
  metrics = " ".join(f"{name}={text}" for name, text in state.metrics.items())
  times = [f"{clock(state.elapsed)} elapsed", _rate(state), _left(state)]
  parts = [metrics, state.doing or ", ".join(filter(None, times))]
  return "  ".join([f"step {state.step}/{state.total}", *filter(None, parts)])


def clock(seconds: float) -> str:
  """Returns a time as m:ss, h:mm:ss or days and hours."""
  minutes, rest = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours >= 48:
    return f"{hours // 24} days {hours % 24} h"
  return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
  """Draws a `State`, or prints it where stderr is no terminal."""

  def __init__(self, total: int, first: int, **of_tqdm: Any):
    """Opens the bar.

    Args:
      total: updates in the whole run.
      first: updates done before.
      **of_tqdm: its arguments, for a test.
    """
    self._bar = tqdm.tqdm(**(dict[str, Any](
        total=total, initial=first, file=sys.stderr, dynamic_ncols=True,
        disable=None, bar_format="{n_fmt}/{total_fmt}|{bar}| {desc}")
        | of_tqdm))

  def show(self, state: State) -> None:
    """Shows a state; without a terminal, in a line of its own."""
    self.note(state)
    self.redraw(state)

  def note(self, state: State) -> None:
    """Prints a state in a line of its own, unless there is a terminal."""
    if self._bar.disable:
      print(line(state), file=sys.stderr, flush=True)

  def redraw(self, state: State) -> None:
    """Shows a state, on a terminal only."""
    if self._bar.disable:
      return
    self._bar.n = state.step
    columns = self._bar.format_dict["ncols"] or WIDTH
    room = columns - len(f"{state.step}/{state.total}|#| ") - 1
    self._bar.set_description_str(beside_bar(state, room))

  def close(self) -> None:
    """Closes the bar."""
    self._bar.close()


def _rate(state):
  if not state.rate:
    return ""
  if state.frames:
    return f"{state.rate * state.frames:,.0f} frames/s"
  if state.rate >= 100:
    return f"{state.rate:.0f} updates/s"
  return (f"{state.rate:.3g} updates/s" if state.rate >= 1
          else f"{1 / state.rate:.3g} s/update")


def _left(state):
  return "" if state.left is None else f"{clock(state.left)} left"
