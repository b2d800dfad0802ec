"""Draws learning curves: two metrics over time."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from launch.pictures import layout
from launch.runs import Run, statistics

if TYPE_CHECKING:
  from matplotlib.axes import Axes

# Values further apart than this factor are drawn on a logarithmic scale.
MAX_LINEAR = 1e3


class Curve(NamedTuple):
  """Represents a metric over time, of runs that differ in their seed only.

  Attributes:
    points: `[E]`, updates or minutes.
    values: `[S, E]`.
  """

  points: np.ndarray
  values: np.ndarray


def of_runs(runs: Sequence[Run], metric: str, x: str = "updates",
            split: str = "eval") -> Curve:
  """Returns a metric at the points that all runs have.

  Args:
    runs: of different seeds.
    metric: its name; `level` is taken from the training records, which are more
      frequent than evaluations.
    x: 'updates' or 'minutes' of wall time. Runs share steps, but not times:
      between two of its records a run has the value of the first one.
    split: 'eval' for evaluations, 'train' for the batches of training.
  """
  split = "train" if metric == "level" else split
  columns = []
  for run in runs:
    records = run.records(split)
    columns.append({
        record["step"] if x == "updates" else record["seconds"] / 60:
        record[metric] for record in records if metric in record})
  if x == "updates":
    points = sorted(set.intersection(*map(set, columns)))
  else:
    first = max(min(column, default=np.inf) for column in columns)
    last = min(max(column, default=-np.inf) for column in columns)
    points = sorted(point for point in set.union(*map(set, columns))
                    if first <= point <= last)
  if not points:
    return Curve(np.zeros(0), np.zeros((0, 0)))
  return Curve(np.array(points), np.concatenate([
      np.array(list(column.values()), float)[
          np.searchsorted(list(column), points, side="right") - 1].T
      for column in columns]))


def draw(panels: Sequence[tuple[str, Mapping[str, Curve]]],
         path: pathlib.Path, title: str = "", x: str = "updates",
         guesses: Iterable[float] = ()) -> None:
  """Draws curves: a line for the median of all seeds, a band for their range.

  A point without neighbours has a marker, and a bar for the range. Values that
  are not finite are left out. Values that differ by orders of
  magnitude are on a logarithmic scale, a curriculum's `level` on a scale of
  powers of two.

  Args:
    panels: of each panel the name of its metric, and label -> curve; at least
      two. The legend is that of the last panel.
    path: the picture to write.
    title: above the picture.
    x: 'updates' or 'minutes'.
    guesses: scores of guessing, grey lines in the last panel.
  """
  fig = layout.new_figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, len(panels))
  for axis, (name, curves) in zip(axes, panels, strict=True):
    for number, (label, curve) in enumerate(curves.items()):
      if curve.points.size:
        stepped = name == "level" or x == "minutes"
        _draw_curve(axis, curve, label, layout.style(number), stepped,
                    len(curves) == 1)
    axis.set_xlabel(x)
    axis.set_ylabel(name.replace("_", " "))
    axis.xaxis.get_major_locator().set_params(integer=x == "updates")
    axis.grid(alpha=0.3)
    if axis is axes[-1]:
      _draw_guesses(axis, guesses)
    _scale(axis, name)
  layout.name_lines(fig, axes[-1])
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)


def _draw_curve(axis: "Axes", curve: Curve, label: str,
                style: Mapping[str, Any], stepped: bool, is_alone: bool
                ) -> None:
  low, middle, high = statistics.band(curve.values)
  axis.plot(curve.points, middle, **style,
            markevery=layout.marks(middle, is_alone),
            label=layout.of_seeds(label, len(curve.values)),
            drawstyle="steps-post" if stepped else "default")
  axis.fill_between(curve.points, low, high, alpha=0.2, color=style["color"],
                    step="post" if stepped else None)
  alone = layout.marks(middle, is_alone=True)  # A band there has no width.
  if alone:
    axis.vlines(curve.points[alone], low[alone], high[alone], alpha=0.5,
                color=style["color"])


def _draw_guesses(axis: "Axes", guesses: Iterable[float]) -> None:
  if not axis.lines:
    return
  for number, guess in enumerate(sorted(set(guesses))):
    axis.axhline(guess, color="grey", linestyle="--", linewidth=1, zorder=1,
                 label=None if number else "guessing")


def _scale(axis: "Axes", name: str) -> None:
  if name == "level":
    axis.set_yscale("log", base=2)
  elif _spans_magnitudes(axis):
    axis.set_yscale("log")
  else:
    low, top = axis.dataLim.ymin, axis.dataLim.ymax
    # A line at 0 must not lie under the frame.
    axis.set_ylim(1.05 * low if -np.inf < low < 0 else -0.02 * max(top, 0)
                  if np.isfinite(top) else 0,
                  1.05 * top if 0 < top < np.inf else None)


def _spans_magnitudes(axis: "Axes") -> bool:
  """Returns whether the positive lines span more than `MAX_LINEAR`."""
  values = np.concatenate([np.array([]), *(
      np.ma.masked_invalid(line.get_ydata()).compressed()
      for line in axis.lines)])
  return values.size > 0 and values.min() > 0 and (
      values.max() > MAX_LINEAR * values.min())
