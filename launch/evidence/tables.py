"""Formats results as markdown tables: the numbers here beside the paper's."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launch.evidence import results
from launch.evidence.experiment import Cell, Experiment
from launch.runs import statistics
from launch.runs import tables as run_tables

# More values than these are shown as a median and a range.
MAX_LISTED = 5


def table(experiment: Experiment, entries: Sequence[results.Entry]) -> str:
  """Returns the table of an experiment: `ours (published)`.

  Args:
    experiment: whose rows and columns it has.
    entries: of its file.
  """
  cells = experiment.cells()
  rows = list(dict.fromkeys(cell.row for cell in cells))
  columns = list(dict.fromkeys(cell.column for cell in cells))
  values = ours(experiment, entries)
  lines = [["", *columns]]
  for row in rows:
    lines.append([row, *(both(values.get(Cell(row, column)),
                              experiment.published.get(Cell(row, column)))
                         for column in columns)])
  return run_tables.markdown(lines)


def ours(experiment: Experiment, entries: Sequence[results.Entry]
         ) -> dict[Cell, str]:
  """Returns the text of each cell that was measured.

  Statistics that are not a number stand for nothing: no seed solved the task.
  """
  found = {}
  for piece in experiment.pieces:
    entry = results.best(list(entries), piece.name)
    for cell, metric in piece.cells.items():
      if entry is not None and not _is_nothing(entry.metrics.get(metric)):
        found[cell] = text(metric, entry.metrics[metric])
  return found


def _is_nothing(value) -> bool:
  return value is None or (isinstance(value, Mapping) and all(
      np.isnan(results.number(each)) for each in value.values()))


def both(measured: str | None, published: Any) -> str:
  """Returns a cell: the number measured, and the published one in brackets."""
  if published is None:
    return measured or ""
  return f"{measured or ''} ({value_text(published)})".strip()


def text(metric: str, value: Sequence[float] | Mapping[str, float]) -> str:
  """Returns a metric as text.

  Args:
    metric: its name.
    value: one number a seed, or statistics.

  Returns:
    A success rate with its 95 % interval for `solved`; all seeds if they are
    few; else the median, the lowest and the highest.
  """
  is_rate = metric.split("/")[-1] == "solved"
  if isinstance(value, Mapping):
    return _statistics(value, is_rate)
  values = np.array([results.number(each) for each in value])
  # Of an agent, it is a share of levels, and no yes or no of a seed.
  is_rate = is_rate and bool(np.isin(values, (0, 1)).all())
  if is_rate and len(values) > 1:
    rate = statistics.wilson(int(values.sum()), len(values))
    return _statistics(rate._asdict(), True)
  if len(values) <= MAX_LISTED:
    shown = [value_text(each) for each in values.tolist()]
    return ("; " if "," in "".join(shown) else ", ").join(shown)
  finite = np.where(np.isnan(values), np.inf, values)
  return (f"{value_text(np.median(finite).item())} "
          f"[{value_text(finite.min().item())} to "
          f"{value_text(finite.max().item())}]")


def _statistics(value: Mapping[str, float], is_rate: bool) -> str:
  shown = {name: _percent(number) if is_rate else value_text(number)
           for name, number in value.items()}
  middle = shown.get("value") or shown.get("median") or shown.get("mean", "")
  unit = " %" if is_rate else ""
  result = middle + unit
  if "median" in shown and "mean" in shown:
    result += f" [mean {shown['mean']}]"
  if "low" in shown:
    result += f" [{shown['low']} to {shown['high']}]"
  return result


def _percent(value: float) -> str:
  return f"{100 * results.number(value):.0f}"


def value_text(value: Any) -> str:
  """Returns a number with four digits, and thousands separated; text as is."""
  if value is None or not isinstance(value, numbers.Real):
    return str(value)
  value = float(value)
  if np.isfinite(value) and value == int(value) and abs(value) < 1e9:
    return f"{int(value):,}"
  if 1e3 <= abs(value) < 1e6:
    return f"{value:,.0f}"
  return run_tables.format_value(value)
