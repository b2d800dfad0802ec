"""Draws the attention of slots to slots and to the input, over time."""

import pathlib
from typing import Any

import numpy as np

from launch.pictures import layout

# Of a longer episode, only the last steps up to the last answer are drawn.
MAX_STEPS = 32


def draw(weights: np.ndarray, batch: Any, outputs: np.ndarray,
         path: pathlib.Path, title: str = "") -> None:
  """Draws inputs, targets, answers, and the attention weights of each step.

  There is a panel for each head, with a square for each step. A row of a square
  is the slot of a query. Its columns are the slots of the keys; after a white
  line follow the rows made from the input.

  Args:
    weights: `[T, 1, L, H, N, N + I]`, the attention of an `RMCState` of batch
      size 1 with a leading T axis.
    batch: the episode, a `tasks.Batch` of batch size 1.
    outputs: `[T, 1, O]` logits.
    path: the picture to write.
    title: above the picture.
  """
  answered = np.flatnonzero(np.asarray(batch.mask)[:, 0])
  last = answered[-1] + 1 if len(answered) else len(batch.mask)
  first = max(last - MAX_STEPS, 0)
  weights, mask, inputs, targets, outputs = (
      np.asarray(x, np.float32)[first:last, 0]
      for x in (weights, batch.mask, batch.inputs, batch.targets, outputs))
  num_steps, num_blocks, num_heads, num_slots, num_rows = weights.shape
  asked = mask[:, None] > 0
  panels = [
      ("input", inputs.T, "coolwarm" if inputs.min() < 0 else "Greys"),
      ("target", np.where(asked, targets, np.nan).T, "Greys"),
      ("answer (logit)", np.where(asked, outputs, np.nan).T, "coolwarm")]
  for block in range(num_blocks):
    for head in range(num_heads):
      name = f"head {head + 1}" + (
          f",\nblock {block + 1}" if num_blocks > 1 else "")
      panels.append((name, squares(weights[:, block, head]), "viridis"))

  fig = layout.new_figure(
      figsize=(max(6, min(20, num_steps * 0.9)), 1.4 * len(panels)),
      layout="constrained")
  axes = fig.subplots(len(panels), 1, sharex=True)
  for axis, (name, image, colours) in zip(axes, panels, strict=True):
    limit = 1. if colours == "viridis" else max(
        np.nanmax(np.abs(image), initial=0), 1e-6)
    shown = axis.imshow(
        image, aspect="auto", interpolation="nearest", cmap=colours,
        vmin=-limit if colours == "coolwarm" else 0, vmax=limit,
        extent=(first - .5, first + num_steps - .5, len(image) - .5, -.5))
    axis.set_ylabel(name)
    if colours == "viridis":
      # Each square has a column for every row, and the gap.
      width = 1 / (num_rows + 1)
      axis.vlines(first - .5 + np.arange(num_steps) + width * num_slots,
                  -.5, num_slots - .5, color="white", linewidth=.5)
      axis.set_yticks([0, num_slots - 1])
    fig.colorbar(shown, ax=axis)
  axes[-1].locator_params("x", integer=True)
  axes[-1].set_xlabel("step; within it: slots, then the input")
  fig.suptitle(title)
  fig.savefig(path, dpi=layout.DPI)


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
