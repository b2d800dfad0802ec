"""Draws an episode as panels of rows and steps: inputs, targets, answers.

Letters: T time steps, R rows.
"""

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import tasks

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

UNSIGNED, SIGNED = "Greys", "RdBu_r"  # Both are white at 0.
# Of more symbols, only those that occur in the episode have a row.
MAX_SYMBOLS = 24
_NOTHING = "#fff3d6"  # Where no answer is asked for; no colour of a number.
_ROW, _LEAST, _MOST = 0.13, 0.8, 3.2  # Inches: a row's height, a panel's.
_SMALL, _LARGE = 5., 8.  # Points: of letters that can be read.
_LETTER = 0.62  # Width of a letter, in heights.
_STEP = 0.11  # Inches that a symbol needs, written upwards.
_BESIDE = 2.5  # Inches beside a panel: names, a colour bar.


class Panel(NamedTuple):
  """Represents rows of numbers over time.

  Attributes:
    name: of the panel.
    image: `[R, T]`; NaN where there is nothing.
    colours: name of the colour map; `SIGNED` has its middle at 0.
    rows: what the rows are; () to number them from 0.
    symbols: what each step shows, below the panel; () for nothing.
    limit: the number with the last colour; the largest magnitude if None.
  """

  name: str
  image: np.ndarray
  colours: str = UNSIGNED
  rows: Sequence[str] = ()
  symbols: Sequence[str] = ()
  limit: float | None = None


def of_episode(task: tasks.Episodes, batch: tasks.Batch, outputs: Any,
               steps: slice = slice(None)) -> list[Panel]:
  """Returns the panels of inputs, targets and answers.

  Args:
    task: of the episode.
    batch: the episode, of batch size 1.
    outputs: `[T, 1, O]`.
    steps: which steps to show.
  """
  inputs, targets, outputs, mask = (
      np.asarray(x, np.float32)[steps, 0]
      for x in (batch.inputs, batch.targets, outputs, batch.mask))
  asked = mask > 0
  shown, used = np.arange(inputs.shape[1]), np.arange(targets.shape[1])
  if isinstance(task, tasks.Symbolic):
    shown = _used(inputs)
    used = _used(targets[asked], np.eye(len(used))[outputs[asked].argmax(1)])
  first = Panel("input", inputs.T[shown],
                SIGNED if _is_signed(inputs) else UNSIGNED,
                [task.input_names[int(row)] for row in shown])
  names = [task.output_names[int(row)] for row in used]
  answers = [np.where(asked[:, None], x, np.nan).T[used]
             for x in (targets, outputs)]
  others = _answers(task, answers[0], answers[1], names)
  if not isinstance(task, tasks.Symbolic):
    return [first, *others]
  return [first._replace(symbols=task.spell_inputs(inputs)), *(
      panel._replace(symbols=[
          text if is_asked else "" for text, is_asked in zip(
              task.spell_answers(numbers), asked, strict=True)])
      for panel, numbers in zip(others, (targets, outputs), strict=True))]


def _answers(task, targets, answers, names) -> list[Panel]:
  """Returns the panels of targets and answers, both `[R, T]`."""
  if isinstance(task.score, tasks.Bits | tasks.Classes):
    return [Panel("target", targets, UNSIGNED, names),
            Panel("answer (logit)", answers, SIGNED, names)]
  # Numbers are compared with their targets, on one scale.
  limit = max(map(_limit, (targets, answers)))
  colours = SIGNED if any(map(_is_signed, (targets, answers))) else UNSIGNED
  return [Panel(name, image, colours, names, limit=limit)
          for name, image in (("target", targets), ("answer", answers))]


def _used(*images: np.ndarray) -> np.ndarray:
  """Returns the columns to show: all, or those of many that are not 0."""
  size = images[0].shape[1]
  used = np.flatnonzero(np.concatenate(images).any(0))
  return used if size > MAX_SYMBOLS and used.size else np.arange(size)


def _is_signed(image: np.ndarray) -> bool:
  return bool(np.nanmin(image, initial=0) < 0)


def _limit(image: np.ndarray) -> float:
  """Returns the largest finite magnitude."""
  return float(np.abs(image[np.isfinite(image)]).max(initial=1e-6))


def height(panel: Panel) -> float:
  """Returns the inches that a panel's rows need."""
  return float(np.clip(_ROW * len(panel.image), _LEAST, _MOST))


def width(episode: Sequence[Panel], num_steps: int) -> float:
  """Returns the inches of a figure in which the symbols can be read."""
  symbols = any(panel.symbols for panel in episode)
  return float(np.clip(_BESIDE + _STEP * num_steps, 10, 30 if symbols else 10))


def draw(fig: "Figure", axis: "Axes", panel: Panel, num_steps: int,
         first: int = 0) -> None:
  """Draws a panel and its colour bar.

  Args:
    fig: of the axis, of its final size.
    axis: where to draw.
    panel: its image may have several columns for each step.
    num_steps: T.
    first: number of the first step.
  """
  limit = _limit(panel.image) if panel.limit is None else panel.limit
  shown = axis.imshow(
      panel.image, aspect="auto", interpolation="nearest", cmap=panel.colours,
      vmin=-limit if panel.colours == SIGNED else 0, vmax=limit,
      extent=(first - .5, first + num_steps - .5, len(panel.image) - .5, -.5))
  axis.set_facecolor(_NOTHING)
  axis.set_ylabel(panel.name)
  axis.locator_params("both", integer=True, min_n_ticks=1)
  if panel.rows:
    _name_rows(axis, panel)
  if panel.symbols:
    room = 72 * (fig.get_figwidth() - _BESIDE) / num_steps
    _name_steps(axis, panel.symbols, room, first)
  fig.colorbar(shown, ax=axis)


def _name_rows(axis: "Axes", panel: Panel) -> None:
  """Names each row; groups of rows if there are too many."""
  room = 72 * height(panel) / len(panel.rows)
  if room >= _SMALL:
    axis.set_yticks(range(len(panel.rows)), panel.rows,
                    fontsize=min(room, _LARGE))
    return
  groups = groups_of(panel.rows)
  axis.set_yticks([(first + last) / 2 for _, first, last in groups],
                  [name for name, _, _ in groups], fontsize=_LARGE)
  for _, first, _ in groups[1:]:
    axis.axhline(first - .5, color="grey", linewidth=.5)


def groups_of(rows: Sequence[str]) -> list[tuple[str, int, int]]:
  """Returns (name, first row, last row) of rows that differ in a number only.
  """
  found, first = [], 0
  for name, group in itertools.groupby(
      rows, lambda row: re.sub(r" ?\d+$", "", row)):
    last = first + len(list(group)) - 1
    found.append((name, first, last))
    first = last + 1
  return found


def _name_steps(axis: "Axes", symbols: Sequence[str], room: float,
                first: int) -> None:
  """Writes the symbols below the steps, upwards if they are long.

  Args:
    axis: of the panel.
    symbols: of the steps.
    room: width of a step in points.
    first: number of the first step.
  """
  longest = max(map(len, symbols))
  size = min(room / (_LETTER * max(longest, 1)), _LARGE)
  rotation = 0
  if size < _SMALL:
    size, rotation = min(room, _LARGE), 90
  if size >= _SMALL:  # Else nobody could read them.
    axis.set_xticks(range(first, first + len(symbols)), symbols, fontsize=size,
                    rotation=rotation)
