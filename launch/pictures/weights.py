"""Draws the weights of arithmetic units."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from launch.pictures import layout
from rmc_nalu_sam import Unit
from rmc_nalu_sam.units import Formula, extract

if TYPE_CHECKING:
  from matplotlib.axes import Axes

_LARGE, _SMALL = 9., 5.  # Points: of numbers that can be read.
_LETTER = 0.65  # Width of a letter, in heights.
# A longer formula would not fit above the picture.
MAX_FORMULA = 200


def draw(units: Mapping[str, Unit], params: Mapping[str, Mapping[str, Any]],
         path: pathlib.Path, title: str = "",
         formula: str | None = None) -> None:
  """Draws the effective weights of units, and the formula that they learned.

  There is a row for each unit, with a heat map for each of its weights: a row
  for each output, a column for each input, counted from 1 as in the formula;
  colours from -1 to 1. A vector over inputs is a row, one over outputs a
  column.

  Args:
    units: name of the module -> unit, in the order of calls; at least one.
    params: of the network.
    path: the picture to write.
    title: above the formula.
    formula: above the picture, or why there is none; None for the result of
      `extract`, if the weights are near it.

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
  largest = max(np.abs(weight).max(initial=0) for _, _, weights in rows
                for weight in weights.values())
  fig.colorbar(shown, ax=axes, extend="both" if largest > 1 else "neither")
  text = _shown(extract(units, params)) if formula is None else formula
  if len(text) > MAX_FORMULA:
    text = f"{text[:MAX_FORMULA]} ..."
  # Otherwise dollars and powers would be typeset as mathematics.
  fig.suptitle("\n".join(filter(None, (title, text))), wrap=True,
               parse_math=False)
  fig.draw_without_rendering()  # Now the cells have their sizes.
  for axis in fig.axes:
    if axis.get_title():  # It is no colour bar.
      _write_numbers(axis)
  fig.savefig(path, dpi=layout.DPI)


def _shown(formula: Formula) -> str:
  return str(formula) if formula.is_learned else ""


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
  return shown


def _write_numbers(axis: "Axes") -> None:
  """Writes the numbers into the cells, if they can be read there.

  Args:
    axis: with one heat map; laid out.
  """
  (shown,) = axis.images
  matrix = np.asarray(shown.get_array())
  box, (height, width) = axis.get_window_extent(), matrix.shape
  # Adding 0 makes 0 of -0.
  texts = np.array([[f"{value + 0.:.2f}" for value in row]
                    for row in np.round(matrix, 2)])
  points = 72 / axis.figure.dpi
  size = min(_LARGE, 0.8 * points * box.height / height,
             points * box.width / width / (
                 _LETTER * (1 + max(map(len, texts.flat)))))
  if size < _SMALL:
    return
  for (row, column), text in np.ndenumerate(texts):
    axis.text(column + 1, row + 1, text, ha="center", va="center",
              fontsize=size, color=_ink(shown.to_rgba(matrix[row, column])))


def _ink(colour: Any) -> str:
  """Returns the colour of letters with the higher contrast to a ground.

  See "Web Content Accessibility Guidelines 2.1" (W3C, 2018), contrast ratio.
  """
  linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
            for x in colour[:3]]
  luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
  return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _is_of_inputs(unit, key, length):
  """Returns whether a vector grows with the inputs: a layer may have I = O."""
  params = {name: jax.ShapeDtypeStruct(parameter.shape, np.float32)
            for name, parameter in unit.parameters(length + 1).items()}
  return jax.eval_shape(unit.weights, params)[key].shape != (length,)
