"""Pictures of runs: learning curves, and what a memory core wrote and read."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes as axes_lib
from matplotlib import figure

from launch import config as config_lib
from launch import reporting

# Of a larger memory only the first rows to be accessed are drawn.
MAX_ROWS = 512
# Values further apart than this factor are on a logarithmic scale.
MAX_LINEAR = 1e3
# The least weight of an access that counts (delta in the SAM paper).
ACCESSED = 0.005


def check_ending(output: pathlib.Path) -> None:
  """Raises a UsageError unless pictures can be written in that format."""
  formats = figure.Figure().canvas.get_supported_filetypes()
  if output.suffix.removeprefix(".") not in formats:
    raise config_lib.UsageError(
        f"cannot draw {output}: unknown ending; valid: {', '.join(formats)}")


def learning_curves(runs: Mapping[str, Sequence[pathlib.Path]], metric: str,
                    path: pathlib.Path, title: str = "",
                    x: str = "updates") -> None:
  """Draws loss and a metric of the evaluations.

  Args:
    runs: label -> workdirs of runs that differ in their seed alone: a line for
      the median of all seeds, and a band from the lowest to the highest.
      Numbers that are not finite are left out; those that differ by orders of
      magnitude are on a logarithmic scale.
    metric: name of the metric; a curriculum's level is on a scale of powers of
      two.
    path: the PNG to write.
    title: above the picture.
    x: against what, 'updates' or 'minutes' of wall time.
  """
  fig = figure.Figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, 2)
  for axis, name in zip(axes, ("loss", metric), strict=True):
    for number, (label, workdirs) in enumerate(runs.items()):
      points, values = _curves(workdirs, name, x)
      if not points.size:
        continue
      if len(values) > 1:
        label = f"{label} ({len(values)} seeds)"
      stepped = name == "level" or x == "minutes"
      values = np.ma.masked_invalid(values)
      axis.plot(points, np.ma.median(values, axis=0), color=f"C{number}",
                label=label, drawstyle="steps-post" if stepped else "default")
      axis.fill_between(points, values.min(0), values.max(0), alpha=0.2,
                        color=f"C{number}", step="post" if stepped else None)
    axis.set_xlabel(x)
    axis.set_ylabel(name.replace("_", " "))
    if name == "level":
      axis.set_yscale("log", base=2)
    elif _spans_magnitudes(axis):
      axis.set_yscale("log")
    else:
      top = axis.dataLim.ymax
      axis.set_ylim(0, 1.05 * top if 0 < top < np.inf else None)
    axis.grid(alpha=0.3)
  name_lines(fig, axes[1])
  fig.suptitle(title)
  fig.savefig(path, dpi=120)


def name_lines(fig: figure.Figure, axis: axes_lib.Axes) -> None:
  """Adds a legend below all panels, where long names have room.

  Args:
    fig: with a constrained layout; it grows by as much.
    axis: whose lines are named.
  """
  handles, labels = axis.get_legend_handles_labels()
  if not handles:
    return
  width = int(12 * fig.get_figwidth())  # In small characters.
  columns = max(1, min(len(labels), width // (8 + max(map(len, labels)))))
  labels = [textwrap.fill(label, width) for label in labels]
  lines = -(-len(labels) // columns) + sum(x.count("\n") for x in labels)
  fig.set_figheight(fig.get_figheight() + 0.1 + 0.2 * lines)
  fig.legend(handles, labels, loc="outside lower center", ncols=columns,
             fontsize="small")


def _spans_magnitudes(axis):
  """Whether the lines go over more than 3 of them, above 0."""
  values = np.concatenate([np.array([]), *(
      np.ma.masked_invalid(line.get_ydata()).compressed()
      for line in axis.lines)])
  return values.size > 0 and values.min() > 0 and (
      values.max() > MAX_LINEAR * values.min())


def _curves(workdirs, metric, x):
  """Points `[S]` on the axis `x` that all runs have, values `[seeds, S]`.

  Runs have the same steps, but times of their own: between two of its records
  a run has the value of the first.
  """
  # The level is known more often than it is evaluated.
  split = "train" if metric == "level" else "eval"
  runs = []
  for workdir in workdirs:
    records = [record for record in reporting.read_metrics(workdir)
               if record["split"] == split]
    runs.append({record["step"] if x == "updates" else record["seconds"] / 60:
                 record[metric] for record in records})
  if x == "updates":
    points = sorted(set.intersection(*map(set, runs)))
  else:
    first = max(min(run, default=np.inf) for run in runs)
    last = min(max(run, default=-np.inf) for run in runs)
    points = sorted(point for point in set.union(*map(set, runs))
                    if first <= point <= last)
  # A record of many seeds is a list, one column each.
  values = [np.array(list(run.values()), float).reshape(len(run), -1)[
      np.searchsorted(list(run), points, side="right") - 1].T for run in runs
  ] if points else [np.zeros((0, 0))]
  return np.array(points), np.concatenate(values)


def memory_access(access: Any, batch: Any, outputs: np.ndarray,
                  path: pathlib.Path, title: str = "") -> None:
  """Draws one episode: inputs, answers, and the rows written and read.

  Args:
    access: the access state of a memory core, of batch size 1 with a leading T
      axis. In a memory of more than `MAX_ROWS` rows, the first `MAX_ROWS` to be
      accessed are shown.
    batch: the episode, a `tasks.Batch` of batch size 1.
    outputs: `[T, 1, O]` logits.
    path: the PNG to write.
    title: above the picture.
  """
  num_slots = access.memory.shape[2]
  written, read = _accesses(access, "write"), _accesses(access, "read")
  if num_slots <= MAX_ROWS:
    rows, which = np.arange(num_slots), "row"
  else:
    rows = first_accessed(written, read)
    which = f"row\n({len(rows)} of {num_slots},\nby first access)"
  mask = np.asarray(batch.mask[:, 0])
  answers = np.where(mask[:, None] > 0, np.asarray(outputs[:, 0]), np.nan)
  panels = [
      ("input", np.asarray(batch.inputs[:, 0]).T, "Greys"),
      ("target", np.asarray(batch.targets[:, 0]).T, "Greys"),
      ("answer (logit)", answers.T, "coolwarm"),
      (f"written to {which}", weights_of(rows, *written).T, "Blues"),
      (f"read from {which}", weights_of(rows, *read).T, "Reds"),
  ]
  heights = [1, 1, 1, 2, 2]
  fig = figure.Figure(figsize=(10, 12), layout="constrained")
  axes = fig.subplots(len(panels), 1, sharex=True, height_ratios=heights)
  for axis, (name, image, colours) in zip(axes, panels, strict=True):
    limit = np.nanmax(np.abs(image)) if np.isfinite(image).any() else 1
    low = -limit if colours == "coolwarm" else 0
    shown = axis.imshow(image, aspect="auto", interpolation="nearest",
                        cmap=colours, vmin=low, vmax=max(limit, 1e-6))
    axis.set_ylabel(name)
    fig.colorbar(shown, ax=axis)
  axes[-1].set_xlabel("step")
  fig.suptitle(title)
  fig.savefig(path, dpi=120)


def _accesses(access, kind):
  """Rows `[T, J]` that the heads accessed in each step, and by how much."""
  weights = np.asarray(getattr(access, f"{kind}_weights"))
  indices = getattr(access, f"{kind}_indices", None)
  if indices is None:  # All rows.
    indices = np.broadcast_to(np.arange(weights.shape[-1]), weights.shape)
  shape = len(weights), -1
  return np.asarray(indices).reshape(shape), weights.reshape(shape)


def first_accessed(*accesses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
  """The rows that were accessed by more than `ACCESSED`, in that order.

  Args:
    *accesses: rows and weights, each `[T, J]`; those of a step in their order.

  Returns:
    The first `MAX_ROWS` of them, `[R]`; row 0 if there are none.
  """
  indices, weights = (np.concatenate(x, axis=1)
                      for x in zip(*accesses, strict=True))
  rows, first = np.unique(indices[weights > ACCESSED], return_index=True)
  return rows[np.argsort(first)][:MAX_ROWS] if rows.size else np.array([0])


def weights_of(rows: np.ndarray, indices: np.ndarray,
               weights: np.ndarray) -> np.ndarray:
  """By how much some rows were accessed in each step, summed over heads.

  Args:
    rows: `[R]`, all different.
    indices: `[T, J]`, the rows accessed.
    weights: `[T, J]`.

  Returns:
    `[T, R]`.
  """
  order = np.argsort(rows)
  place = np.searchsorted(rows, indices, sorter=order)
  place = order[np.minimum(place, len(rows) - 1)]
  steps, columns = np.nonzero(rows[place] == indices)
  image = np.zeros((len(indices), len(rows)))
  np.add.at(image, (steps, place[steps, columns]), weights[steps, columns])
  return image


def scaling(result: Mapping[str, Any], path: pathlib.Path) -> None:
  """Draws time and memory against the number of slots, log-log.

  Args:
    result: of a suite of `launch.benchmark`.
    path: the PNG to write.
  """
  fig = figure.Figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, 2)
  models = list(dict.fromkeys(row["model"] for row in result["rows"]))
  for number, model in enumerate(models):
    for axis, name, key, unit in (
        (axes[0], "time", "median", 1e-3),
        (axes[1], "memory", result["memory_key"], 2**20)):
      points = [(row["num_slots"], row[name][key] / unit)
                for row in result["rows"]
                if row["model"] == model and isinstance(row[name], dict)]
      if points:
        axis.loglog(*zip(*points, strict=True), "o-", color=f"C{number}",
                    label=model)
  axes[0].set_ylabel("ms a step, forward and backward")
  axes[1].set_ylabel("MiB")
  axes[1].set_title(result["title"])
  for axis in axes:
    axis.set_xlabel("slots")
    axis.grid(alpha=0.3)
    if axis.lines:  # Nothing may have fitted.
      axis.legend()
  fig.savefig(path, dpi=120)
