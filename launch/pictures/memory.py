"""Draws what a memory core wrote and read in one episode."""

import pathlib
from typing import Any

import numpy as np

import tasks
from launch.pictures import layout, panels

# Of a larger memory, only the first rows to be accessed are drawn.
MAX_ROWS = 512
# Smaller weights do not count as an access (delta in the SAM paper).
ACCESSED = 0.005


def draw(access: Any, task: tasks.Episodes, batch: tasks.Batch,
         outputs: np.ndarray, path: pathlib.Path, title: str = "") -> None:
  """Draws inputs, targets, answers, and the rows written and read.

  Args:
    access: access state of a memory core, of batch size 1 with a leading T
      axis. Of a larger memory, the first `MAX_ROWS` rows to be accessed are
      drawn.
    task: of the episode.
    batch: the episode, of batch size 1.
    outputs: `[T, 1, O]`.
    path: the picture to write.
    title: above the picture.
  """
  num_slots = access.memory.shape[2]
  written, read = _accesses(access, "write"), _accesses(access, "read")
  if num_slots <= MAX_ROWS:
    rows, which = np.arange(num_slots), "row"
  else:
    rows = first_accessed(written, read)
    which = f"row\n({len(rows)} of {num_slots},\nby first access)"
  episode = panels.of_episode(task, batch, outputs)
  shown = [
      *episode,
      panels.Panel(f"written to {which}", weights_of(rows, *written).T,
                   "Blues"),
      panels.Panel(f"read from {which}", weights_of(rows, *read).T, "Reds")]
  num_steps = len(batch.mask)
  heights = [*map(panels.height, episode), 2.5, 2.5]
  fig = layout.new_figure(
      figsize=(panels.width(episode, num_steps), 2 + 1.25 * sum(heights)),
      layout="constrained")
  axes = fig.subplots(len(shown), 1, height_ratios=heights)
  for axis, panel in zip(axes, shown, strict=True):
    panels.draw(fig, axis, panel, num_steps)
  axes[-1].set_xlabel("step")
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)


def read_weights(access: Any) -> np.ndarray:
  """Returns the weights with which slots were read, as an image a step.

  Args:
    access: as for `draw`.

  Returns:
    `[T, rows, columns]`, the weights of all heads together, cut to 1. Of a
    larger memory, the first `MAX_ROWS` slots to be accessed.
  """
  written, read = _accesses(access, "write"), _accesses(access, "read")
  count = access.memory.shape[2]
  slots = (np.arange(count) if count <= MAX_ROWS else
           first_accessed(written, read))
  weights = np.minimum(weights_of(slots, *read), 1)
  columns = min(len(slots), 32)
  weights = np.pad(weights, [(0, 0), (0, -len(slots) % columns)])
  return weights.reshape(len(weights), -1, columns)


def _accesses(access, kind):
  """Returns the rows that the heads accessed, and their weights: `[T, J]`."""
  weights = np.asarray(getattr(access, f"{kind}_weights"))
  indices = getattr(access, f"{kind}_rows", None)
  if indices is None:  # All rows.
    indices = np.broadcast_to(np.arange(weights.shape[-1]), weights.shape)
  shape = len(weights), -1
  return np.asarray(indices).reshape(shape), weights.reshape(shape)


def first_accessed(*accesses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
  """Returns the rows with a weight above `ACCESSED`, by first access.

  Args:
    *accesses: (rows, weights), each `[T, J]`; within a step they count in this
      order.

  Returns:
    The first `MAX_ROWS` rows, `[R]`; row 0 if there are none.
  """
  indices, weights = (np.concatenate(x, axis=1)
                      for x in zip(*accesses, strict=True))
  rows, first = np.unique(indices[weights > ACCESSED], return_index=True)
  return rows[np.argsort(first)][:MAX_ROWS] if rows.size else np.array([0])


def weights_of(rows: np.ndarray, indices: np.ndarray,
               weights: np.ndarray) -> np.ndarray:
  """Returns the weights of some rows in each step, summed over heads.

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
