"""Pictures of the weights of arithmetic units."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import figure

from rmc_nalu_sam import Unit
from rmc_nalu_sam.units import extract

# Numbers are written into a matrix of no more entries than this.
MAX_NUMBERS = 60
# A longer formula would not fit above the picture.
MAX_FORMULA = 200


def unit_weights(units: Mapping[str, Unit],
                 params: Mapping[str, Mapping[str, Any]],
                 path: pathlib.Path, title: str = "") -> None:
  """Draws the effective weights of units, and the formula they make.

  A row for each unit, and in it a heat map for each of its weights, one row an
  output and one column an input; from -1 to 1.

  Args:
    units: name of the module -> unit, in the order of calls; at least one.
    params: of the network.
    path: the PNG to write.
    title: above the formula.

  Raises:
    ValueError: there are no units.
  """
  if not units:
    raise ValueError("there are no units to draw; units={}")
  rows = [(name, {key: _matrix(value) for key, value in
                  unit.weights(params[name]).items()})
          for name, unit in units.items()]
  columns = max(len(weights) for _, weights in rows)
  fig = figure.Figure(figsize=(2 + 3 * columns, 1 + 2.2 * len(rows)),
                      layout="constrained")
  axes = fig.subplots(len(rows), columns, squeeze=False)
  for axis_row, (name, weights) in zip(axes, rows, strict=True):
    for axis in axis_row[len(weights):]:
      axis.set_axis_off()
    for axis, (key, matrix) in zip(axis_row, weights.items(), strict=False):
      shown = axis.imshow(matrix, aspect="auto", interpolation="nearest",
                          cmap="coolwarm", vmin=-1, vmax=1)
      axis.set_title(f"{name}: {key}", fontsize="small")
      axis.set_xlabel("input")
      axis.set_ylabel("output")
      axis.locator_params(integer=True)
      if matrix.size <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(matrix):
          axis.text(column, row, f"{value:.2f}", ha="center", va="center",
                    fontsize="x-small")
  fig.colorbar(shown, ax=axes)
  formula = str(extract(units, params))
  if len(formula) > MAX_FORMULA:
    formula = f"{formula[:MAX_FORMULA]} ..."
  # Text between dollars, or with a power, would be set as mathematics.
  fig.suptitle("\n".join(filter(None, (title, formula))), wrap=True,
               parse_math=False)
  fig.savefig(path, dpi=120)


def _matrix(weights: Any) -> np.ndarray:
  """`[O, I]`; the entries of a vector are in one row."""
  return np.atleast_2d(np.asarray(weights, np.float64).T)
