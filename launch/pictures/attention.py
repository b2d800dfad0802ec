"""Draws the attention of slots to slots and to the input, over time."""

import pathlib
from typing import Any

import numpy as np

import tasks
from launch.pictures import layout, panels

# Of a longer episode, only the last steps up to the last answer are drawn.
MAX_STEPS = 32


def draw(weights: np.ndarray, task: tasks.Episodes, batch: tasks.Batch,
         outputs: Any, path: pathlib.Path, title: str = "") -> None:
  """Draws inputs, targets, answers, and the attention weights of each step.

  There is a panel for each head, with a square for each step. A row of a square
  is the slot of a query. Its columns are the slots of the keys; after a white
  line follow the rows made from the input.

  Args:
    weights: `[T, 1, L, H, N, N + I]`, the attention of an `RMCState` of batch
      size 1 with a leading T axis.
    task: of the episode.
    batch: the episode, of batch size 1.
    outputs: `[T, 1, O]`.
    path: the picture to write.
    title: above the picture.
  """
  answered = np.flatnonzero(np.asarray(batch.mask)[:, 0])
  last = answered[-1] + 1 if len(answered) else len(batch.mask)
  first = max(last - MAX_STEPS, 0)
  weights = np.asarray(weights, np.float32)[first:last, 0]
  num_steps, num_blocks, num_heads, num_slots, num_rows = weights.shape
  episode = panels.of_episode(task, batch, outputs, slice(first, last))
  heads = [panels.Panel(_name_of(block, head, num_blocks),
                        squares(weights[:, block, head]), "viridis", limit=1.)
           for block in range(num_blocks) for head in range(num_heads)]
  heights = [*map(panels.height, episode), *[1.] * len(heads)]
  fig = layout.new_figure(
      figsize=(max(6, min(20, num_steps * 0.9)), 1.4 * sum(heights)),
      layout="constrained")
  axes = fig.subplots(len(heights), 1, height_ratios=heights)
  for axis, panel in zip(axes, [*episode, *heads], strict=True):
    panels.draw(fig, axis, panel, num_steps, first)
  # Each square has a column for every row, and the gap.
  middle = num_slots / (num_rows + 1) - .5
  for axis in axes[len(episode):]:
    axis.set_facecolor("white")
    axis.vlines(first + np.arange(num_steps) + middle, -.5, num_slots - .5,
                color="white", linewidth=.5)
    axis.set_yticks([0, num_slots - 1])
  axes[-1].set_xlabel("step; within it: slots, then the input")
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)


def _name_of(block: int, head: int, num_blocks: int) -> str:
  name = f"head {head + 1}"
  return f"{name},\nblock {block + 1}" if num_blocks > 1 else name


def squares(weights: np.ndarray) -> np.ndarray:
  """Returns the matrices of all steps side by side, a NaN gap after each.

  Args:
    weights: `[T, N, R]`.

  Returns:
    `[N, T (R + 1)]`.
  """
  gap = np.full((*weights.shape[:2], 1), np.nan, weights.dtype)
  wide = np.concatenate([weights, gap], axis=2)
  return wide.transpose(1, 0, 2).reshape(weights.shape[1], -1)
