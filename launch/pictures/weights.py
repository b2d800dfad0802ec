"""Draws the weights of arithmetic units."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from launch.pictures import layout
from rmc_nalu_sam import Unit
from rmc_nalu_sam.units import Formula, extract

# A larger matrix has no numbers written into its cells.
MAX_NUMBERS = 8
# A longer formula would not fit above the picture.
MAX_FORMULA = 200


def draw(units: Mapping[str, Unit], params: Mapping[str, Mapping[str, Any]],
         path: pathlib.Path, title: str = "",
         formula: Formula | None = None) -> None:
  """Draws the effective weights of units, and their formula.

  There is a row for each unit, with a heat map for each of its weights: a row
  for each output, a column for each input, counted from 1 as in the formula;
  colours from -1 to 1. A vector over inputs is a row, one over outputs a
  column.

  Args:
    units: name of the module -> unit, in the order of calls; at least one.
    params: of the network.
    path: the picture to write.
    title: above the formula.
    formula: above the picture; the result of `extract` if None.

  Raises:
    ValueError: there are no units.
  """
  if not units:
    raise ValueError("there are no units to draw; units={}")
  rows = [(name, unit, unit.weights(params[name]))
          for name, unit in units.items()]
  columns = max(len(weights) for _, _, weights in rows)
  most = max(len(w) for _, _, weights in rows for w in weights.values())
  width = np.clip(most / 20, 3, max(3, 18 / columns))
  fig = layout.new_figure(
      figsize=(2 + width * columns, 1 + 2.2 * len(rows)), layout="constrained")
  axes = fig.subplots(len(rows), columns, squeeze=False)
  for axis_row, (name, unit, weights) in zip(axes, rows, strict=True):
    for axis in axis_row[len(weights):]:
      axis.set_axis_off()
    for axis, key in zip(axis_row, weights, strict=False):
      shown = _draw_weight(axis, unit, weights, key)
      axis.set_title(f"{name}: {key}", fontsize="small")
  fig.colorbar(shown, ax=axes)
  text = str(formula or extract(units, params))
  if len(text) > MAX_FORMULA:
    text = f"{text[:MAX_FORMULA]} ..."
  # Otherwise dollars and powers would be typeset as mathematics.
  fig.suptitle("\n".join(filter(None, (title, text))), wrap=True,
               parse_math=False)
  fig.savefig(path, dpi=layout.DPI)


def _draw_weight(axis, unit, weights, key):
  """Draws one weight as a heat map `[O, I]`, `[1, I]` or `[O, 1]`."""
  matrix = np.asarray(weights[key], np.float64).T
  of_inputs = of_outputs = True
  if matrix.ndim == 1:
    of_inputs = _is_of_inputs(unit, key, len(matrix))
    of_outputs = not of_inputs
    matrix = matrix[None] if of_inputs else matrix[:, None]
  height, width = matrix.shape
  shown = axis.imshow(matrix, aspect="auto", interpolation="nearest",
                      cmap="coolwarm", vmin=-1, vmax=1,
                      extent=(.5, width + .5, height + .5, .5))
  # So that a single row or column has a tick, too.
  axis.locator_params(integer=True, min_n_ticks=1)
  if of_inputs:
    axis.set_xlabel("input")
  else:
    axis.set_xticks([])
  if of_outputs:
    axis.set_ylabel("output")
  else:
    axis.set_yticks([])
  if max(matrix.shape) <= MAX_NUMBERS:
    for (row, column), value in np.ndenumerate(matrix):
      axis.text(column + 1, row + 1, f"{value:.2f}", ha="center", va="center",
                fontsize="x-small")
  return shown


def _is_of_inputs(unit, key, length):
  """Returns whether a vector grows with the inputs: a layer may have I = O."""
  params = {name: jax.ShapeDtypeStruct(parameter.shape, np.float32)
            for name, parameter in unit.parameters(length + 1).items()}
  return jax.eval_shape(unit.weights, params)[key].shape != (length,)
