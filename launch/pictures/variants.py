"""Draws how far runs extrapolate: a metric against the variants of a task."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.pictures import layout
from launch.runs import statistics

if TYPE_CHECKING:
  from matplotlib.axes import Axes

# A larger median is drawn on a scale that is logarithmic from 1 on.
MAX_LINEAR = 100.


def draw(groups: Mapping[str, np.ndarray], names: Sequence[str], metric: str,
         path: pathlib.Path, title: str = "", what: str = "variant") -> None:
  """Draws the median of the seeds, in a band between the quartiles.

  Variants whose names are numbers stand at their place on the axis, and the
  task itself is left out. Other variants stand side by side.

  Args:
    groups: label -> values `[S, V]`. Values that are not finite are left out.
    names: of the V variants, in order.
    metric: its name.
    path: the picture to write.
    title: above the picture.
    what: what the names are, if they are numbers.
  """
  fig = layout.new_figure(figsize=(8, 5), layout="constrained")
  axis = fig.subplots()
  places, shown = _places(axis, names, what)
  largest = lowest = 0.
  for number, (label, values) in enumerate(groups.items()):
    label, style = layout.of_seeds(label, len(values)), layout.style(number)
    values = values[:, shown]
    known = np.isfinite(values).any(0)
    if not known.any():
      axis.plot([], [], **style, label=f"{label}: not finite")
      continue
    low, median, high = statistics.quartiles(values[:, known])
    axis.plot(places[known], median, label=label, **style)
    axis.fill_between(places[known], low, high, alpha=0.2, color=style["color"])
    largest = max(largest, median.max(initial=0))
    lowest = min(lowest, low.min(initial=0))
  axis.set_ylabel(metric.replace("_", " "))
  if largest > MAX_LINEAR:
    axis.set_yscale("symlog", linthresh=1)
  axis.set_ylim(bottom=None if lowest < 0 else 0)
  axis.grid(alpha=0.3)
  layout.name_lines(fig, axis)
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)


def _places(axis: "Axes", names: Sequence[str], what: str
            ) -> tuple[np.ndarray, np.ndarray]:
  """Returns the variants' places on the axis, and which are shown `[V]`."""
  numbers = [_number(name) for name in names]
  shown = np.array([number is not None for number in numbers])
  if shown.sum() > 1:
    axis.set_xlabel(what)
    return np.array([x for x in numbers if x is not None]), shown
  layout.name_ticks(axis, names)
  return np.arange(len(names)), np.ones_like(shown)


def _number(name: str) -> float | None:
  try:
    return float(name)
  except ValueError:
    return None
