"""What all pictures share: the figure, the legend, file formats."""

import os
import pathlib
import textwrap
from typing import TYPE_CHECKING, Any

from launch.configs.config import UsageError

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

DPI = 120


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


def of_seeds(label: str, count: int) -> str:
  """Returns a label with the number of seeds, if there are several."""
  return f"{label} ({count} seeds)" if count > 1 else label
