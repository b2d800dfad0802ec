"""Pictures of runs: learning curves, and what a memory core wrote and read."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import figure

from launch import reporting


def learning_curves(runs: Mapping[str, Sequence[pathlib.Path]], metric: str,
                    path: pathlib.Path, title: str = "",
                    x: str = "updates") -> None:
  """Draws loss and a metric of the evaluations.

  Args:
    runs: label -> workdirs of runs that differ in their seed alone: a line for
      their median, and a band from the lowest to the highest.
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
      if len(workdirs) > 1:
        label = f"{label} ({len(workdirs)} seeds)"
      stepped = name == "level" or x == "minutes"
      axis.plot(points, np.median(values, axis=0), color=f"C{number}",
                label=label, drawstyle="steps-post" if stepped else "default")
      axis.fill_between(points, values.min(0), values.max(0), alpha=0.2,
                        color=f"C{number}", step="post" if stepped else None)
    axis.set_xlabel(x)
    axis.set_ylabel(name.replace("_", " "))
    if name == "level":
      axis.set_yscale("log", base=2)
    else:
      axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    if axis.lines:
      axis.legend()
  fig.suptitle(title)
  fig.savefig(path, dpi=120)


def _curves(workdirs, metric, x):
  """Points `[S]` on the axis `x` that all runs have, values `[runs, S]`.

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
  values = [np.array(list(run.values()))[
      np.searchsorted(list(run), points, side="right") - 1] for run in runs
  ] if points else []
  return np.array(points), np.array(values)


def memory_access(access: Any, batch: Any, outputs: np.ndarray,
                  path: pathlib.Path, title: str = "") -> None:
  """Draws one episode: inputs, answers, and the rows written and read.

  Args:
    access: `SAMAccess` of batch size 1 with a leading T axis.
    batch: the episode, a `tasks.Batch` of batch size 1.
    outputs: `[T, 1, O]` logits.
    path: the PNG to write.
    title: above the picture.
  """
  num_slots = access.memory.shape[2]
  mask = np.asarray(batch.mask[:, 0])
  answers = np.where(mask[:, None] > 0, np.asarray(outputs[:, 0]), np.nan)
  panels = [
      ("input", np.asarray(batch.inputs[:, 0]).T, "Greys"),
      ("target", np.asarray(batch.targets[:, 0]).T, "Greys"),
      ("answer (logit)", answers.T, "coolwarm"),
      ("written to row", dense_weights(
          access.write_indices, access.write_weights, num_slots).T, "Blues"),
      ("read from row", dense_weights(
          access.read_indices, access.read_weights, num_slots).T, "Reds"),
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


def dense_weights(indices: np.ndarray, weights: np.ndarray,
                  num_slots: int) -> np.ndarray:
  """Sparse weights of one batch element, summed over heads, as `[T, N]`.

  Args:
    indices: `[T, 1, H, J]`.
    weights: `[T, 1, H, J]`.
    num_slots: N.
  """
  num_steps = indices.shape[0]
  dense = np.zeros((num_steps, num_slots))
  steps = np.arange(num_steps)[:, None]
  np.add.at(dense, (steps, np.asarray(indices).reshape(num_steps, -1)),
            np.asarray(weights).reshape(num_steps, -1))
  return dense
