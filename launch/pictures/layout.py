"""What all pictures share: the legend, file formats, saving."""

import pathlib
import textwrap

from matplotlib import axes as axes_lib
from matplotlib import figure

from launch.configs.config import UsageError

DPI = 120


def check_ending(output: pathlib.Path) -> None:
  """Refuses a file name whose format cannot be drawn.

  Raises:
    UsageError: the ending is unknown.
  """
  formats = figure.Figure().canvas.get_supported_filetypes()
  if output.suffix.removeprefix(".") not in formats:
    raise UsageError(
        f"cannot draw {output}: unknown ending; valid: {', '.join(formats)}")


def name_lines(fig: figure.Figure, axis: axes_lib.Axes) -> None:
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
