"""What all pictures share: the figure, the legend, file formats."""

import os
import pathlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.configs.config import UsageError

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

DPI = 120
# Of Okabe and Ito, told apart by the colour-blind; without its light yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
            "#000000")
_MARKERS = "os^DvPX"  # So that lines differ in black and white, too.
_LINES = ("-", "--", ":", "-.")
_MARKS = 8  # Markers on a line among others.


def new_figure(**arguments: Any) -> "Figure":
  """Returns a new figure; imports matplotlib at the first call.

  So programs start without matplotlib, and a broken one costs a picture only.
  A figure that is only saved needs no backend. The import does not see the
  variable `MPLBACKEND`, which notebook kernels export to the programs that they
  start: matplotlib refuses a backend that is not installed.

  Args:
    **arguments: of `matplotlib.figure.Figure`.

  Raises:
    UsageError: matplotlib cannot be imported.
  """
  backend = os.environ.pop("MPLBACKEND", None)
  try:
    from matplotlib.figure import Figure
  except Exception as error:  # pylint: disable=broad-except
    raise UsageError(
        f"matplotlib cannot be imported ({type(error).__name__}: {error}); "
        "to draw pictures, install it again") from None
  finally:
    if backend is not None:
      os.environ["MPLBACKEND"] = backend
  return Figure(**arguments)


def check_ending(output: pathlib.Path) -> None:
  """Refuses a file name whose format cannot be drawn.

  Raises:
    UsageError: the ending is unknown.
  """
  formats = new_figure().canvas.get_supported_filetypes()
  if output.suffix.removeprefix(".") not in formats:
    raise UsageError(
        f"cannot draw {output}: unknown ending; valid: {', '.join(formats)}")


def style(number: int) -> dict[str, Any]:
  """Returns colour, marker and dashes of a line, by its number from 0 on."""
  repeat, place = divmod(number, len(_COLOURS))
  # Another marker for a colour that comes again.
  return dict(color=_COLOURS[place], marker=_MARKERS[
      (place + repeat) % len(_MARKERS)], linestyle=_LINES[repeat % len(_LINES)])


def marks(values: np.ndarray, is_alone: bool) -> list[int]:
  """Returns the points of a line that get a marker.

  Args:
    values: `[E]`; a line is broken where they are not finite.
    is_alone: whether there are no other lines to tell it from.

  Returns:
    The points between gaps, which would not be visible; and, among other lines,
    some more.
  """
  known = np.pad(np.isfinite(np.ma.filled(values, np.nan)), 1)
  found = known[1:-1] & ~known[:-2] & ~known[2:]
  if not is_alone:
    found[::-(-len(values) // _MARKS) or 1] = True
  return [int(i) for i in np.flatnonzero(found)]


def name_lines(fig: "Figure", axis: "Axes") -> None:
  """Adds a legend below all panels, so that long names do not cover them.

  Args:
    fig: with a constrained layout; it grows by the height of the legend.
    axis: the panel whose lines are named.
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


def name_ticks(axis: "Axes", names: Sequence[str]) -> None:
  """Names the places 0, 1, 2, ... of the x-axis; at a slant if names are long.
  """
  labels = [name.replace("_", "\n") for name in names]
  longest = max(len(line) for label in labels for line in label.split("\n"))
  if longest * len(labels) <= 70:  # What fits into a line.
    axis.set_xticks(range(len(labels)), labels)
  else:
    axis.set_xticks(range(len(names)), list(names), rotation=30, ha="right",
                    rotation_mode="anchor")


def of_seeds(label: str, count: int) -> str:
  """Returns a label with the number of seeds, if there are several."""
  return f"{label} ({count} seeds)" if count > 1 else label
