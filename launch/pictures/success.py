"""Draws success rates of runs of many seeds."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from launch.pictures import layout
from launch.runs import statistics


def draw(runs: Mapping[str, Mapping[str, tuple[int, int]]],
         path: pathlib.Path, title: str = "") -> None:
  """Draws success rates with Wilson's intervals against a task's variants.

  Args:
    runs: label of a run -> label of a variant (a range, a length), in order ->
      (successes, trials). All runs have the same variants.
    path: the picture to write.
    title: above the picture.

  Raises:
    ValueError: the runs were not tested on the same variants.
  """
  variants: Sequence[str] = list(next(iter(runs.values())))
  for label, run in runs.items():
    if list(run) != variants:
      raise ValueError(f"{label} was tested on {', '.join(run)}, the first run "
                       f"on {', '.join(variants)}")
  fig = layout.new_figure(figsize=(7, 4), layout="constrained")
  axis = fig.subplots()
  for number, (label, run) in enumerate(runs.items()):
    rates = [statistics.wilson(*counts) for counts in run.values()]
    value, low, high = map(np.array, zip(*rates, strict=True))
    # Runs stand side by side, so that equal rates do not hide each other.
    place = np.arange(len(variants)) + 0.06 * (number - (len(runs) - 1) / 2)
    trials = next(iter(run.values()))[1]
    # Rounding may put an end on the wrong side of a rate of 0 or 1.
    axis.errorbar(place, value, np.maximum([value - low, high - value], 0),
                  **layout.style(number), capsize=3,
                  label=f"{label} ({trials} seeds)")
  layout.name_ticks(axis, variants)
  axis.set_ylim(-0.03, 1.03)
  axis.set_ylabel("success rate")
  axis.grid(alpha=0.3)
  layout.name_lines(fig, axis)
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)
