"""Pictures of how far runs extrapolate: a metric against a task's variants."""

import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib import figure

from launch import config as config_lib
from launch import outcome, plots, reporting

# A larger median is on a scale that is logarithmic from 1 on.
MAX_LINEAR = 100.


def last_values(workdir: pathlib.Path, metric: str,
                names: list[str]) -> np.ndarray:
  """A metric of the last evaluation on a task and its variants, `[S, V]`.

  Args:
    workdir: of a run of S seeds that was evaluated.
    metric: its name, of the task itself.
    names: of the variants; `outcome.TRAINED` for the task itself.

  Raises:
    UsageError: one of them was not evaluated.
  """
  last = [record for record in reporting.read_metrics(workdir)
          if record["split"] == "eval"][-1]
  columns = [metric if name == outcome.TRAINED else f"{name}/{metric}"
             for name in names]
  for column in columns:
    if column not in last:
      raise config_lib.UsageError(
          f"{workdir} has no {column} in its last evaluation, and cannot be "
          "drawn beside runs that have")
  return np.array([np.ravel(last[column]) for column in columns], float).T


def draw(groups: Mapping[str, np.ndarray], names: list[str], metric: str,
         path: pathlib.Path, title: str = "") -> None:
  """Draws the metric against the variants.

  Variants whose names are numbers stand at their place, without the task
  itself; others side by side.

  Args:
    groups: label -> values `[S, V]`: a line for the median of the seeds, in a
      band from the first quartile to the third. Numbers that are not finite
      are left out.
    names: of the variants, in their order.
    metric: its name.
    path: the PNG to write.
    title: above the picture.
  """
  fig = figure.Figure(figsize=(8, 5), layout="constrained")
  axis = fig.subplots()
  numbers = [_number(name) for name in names]
  shown = np.array([number is not None for number in numbers])
  if shown.sum() > 1:
    places = np.array([number for number in numbers if number is not None])
    axis.set_xlabel("asked for")
  else:
    shown[:] = True
    places = np.arange(len(names))
    axis.set_xticks(places, [name.replace("_", "\n") for name in names])
  largest = 0.
  for number, (label, values) in enumerate(groups.items()):
    values = np.where(np.isfinite(values), values, np.nan)[:, shown]
    if len(values) > 1:
      label = f"{label} ({len(values)} seeds)"
    known = ~np.isnan(values).all(0)
    if not known.any():
      axis.plot([], [], color=f"C{number}", label=f"{label}: not finite")
      continue
    low, median, high = np.nanquantile(values[:, known], [.25, .5, .75], axis=0)
    # There are ten colours.
    axis.plot(places[known], median, label=label, color=f"C{number}",
              linestyle="-" if number < 10 else "--")
    axis.fill_between(places[known], low, high, alpha=0.2, color=f"C{number}")
    largest = max(largest, median.max(initial=0))
  axis.set_ylabel(metric.replace("_", " "))
  if largest > MAX_LINEAR:
    axis.set_yscale("symlog", linthresh=1)
  axis.set_ylim(bottom=0)
  axis.grid(alpha=0.3)
  plots.name_lines(fig, axis)
  fig.suptitle(title)
  fig.savefig(path, dpi=120)


def format_row(label: str, values: np.ndarray, names: list[str]) -> str:
  """A line for people: each variant's mean over seeds, and the median.

  Args:
    label: of the run or runs.
    values: `[S, V]`.
    names: of the variants.
  """
  cells = ", ".join(
      "{} {} ({})".format(name, *map(reporting.format_value, (
          float(column.mean()), float(np.median(column)))))
      for name, column in zip(names, np.nan_to_num(values, nan=np.inf).T,
                              strict=True))
  return f"{label}: {cells}"


def _number(name):
  try:
    return float(name)
  except ValueError:
    return None
