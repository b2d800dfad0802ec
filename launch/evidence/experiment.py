"""Describes one table or figure of a paper, and the runs that repeat it."""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# From the smallest to the largest. `tiny` is for rehearsals and tests.
SCALES = ("tiny", "small", "paper")


class Cell(NamedTuple):
  """Names a cell of a table."""

  row: str
  column: str


@dataclasses.dataclass(frozen=True)
class Piece:
  """Represents one run of an experiment: it fills some cells of its table.

  Attributes:
    name: unique within the experiment; also the name of its folder.
    flags: of the program, without the folder. `{data}` stands for --data_dir's
      value, `{runs}` for the folder of the experiment's runs at this scale.
    cells: cell of the table -> name of a metric. A metric is one of the last
      evaluation (`extrapolation/mean_squared_error`); `solved`, `solved_at`,
      `score` and `VARIANT/score` as in `collect`; `level N/METRIC` of
      `launch.evaluate`; or `ROW/COLUMN` of a benchmark.
    scales: scale -> more flags. A piece has no run at a scale that is missing.
    program: 'train' or 'benchmark'.
    evaluate: flags of a `launch.evaluate` after the training; '' for none.
    reference: name of the piece that defines a success, as in
      `launch.compare`; '' if the task does. It is run first.
  """

  name: str
  flags: str
  cells: Mapping[Cell, str]
  scales: Mapping[str, str] = dataclasses.field(
      default_factory=lambda: {"small": "", "paper": ""})
  program: str = "train"
  evaluate: str = ""
  reference: str = ""

  @property
  def needs_data(self) -> bool:
    """Whether the run reads real data, from --data_dir."""
    return "{data}" in self.flags + self.evaluate

  def commands(self, scale: str, workdir: str, data: str = "$data"
               ) -> list[str]:
    """Returns the command lines of the run, one after the other.

    Args:
      scale: one of `scales`.
      workdir: folder of the run.
      data: folder of real data.
    """
    folder = "--workdir" if self.program == "train" else "--output"
    runs = shlex.quote(str(pathlib.PurePath(workdir).parent))
    flags = f"{self.flags} {self.scales[scale]}".replace(
        "{data}", data).replace("{runs}", runs)
    lines = [f"python -m launch.{self.program} {flags.strip()} "
             f"{folder}={shlex.quote(workdir)}"]
    if self.evaluate:
      lines.append(
          f"python -m launch.evaluate --workdir={shlex.quote(workdir)} "
          f"{self.evaluate.replace('{data}', data)}")
    return [" ".join(line.split()) for line in lines]


@dataclasses.dataclass(frozen=True)
class Figure:
  """Represents a picture of some runs of an experiment.

  Attributes:
    file: its name in the folder of results.
    caption: one line.
    flags: of `launch.plot`, or of `launch.compare` with a `reference`.
    picture: of the first piece's own pictures, such as `memory.png`, in place
      of one by `launch.plot`; '' for none.
    pieces: names of the pieces that it shows; all if empty.
    reference: the piece that defines a success; '' for none.
  """

  file: str
  caption: str
  flags: str = ""
  picture: str = ""
  pieces: Sequence[str] = ()
  reference: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Represents one table or figure of a paper.

  Attributes:
    name: its name on the command line, and that of its results' file.
    title: of its section in RESULTS.md.
    source: the paper's table or figure, and where its numbers are from.
    measures: what the numbers of the table are, in a few words.
    published: cell -> the number that the paper reports.
    pieces: its runs.
    headline: the cells in the first table of RESULTS.md; the first if empty.
    paper_episodes: episodes of training in the paper, or steps of an
      environment; None if it does not tell.
    missing: why there is no run yet; '' if there are runs.
    note: markdown below the table: what the numbers show, and what was tried.
    figures: pictures of its runs.
  """

  name: str
  title: str
  source: str
  measures: str
  published: Mapping[Cell, float | str] = dataclasses.field(
      default_factory=dict)
  pieces: Sequence[Piece] = ()
  headline: Sequence[Cell] = ()
  paper_episodes: int | None = None
  missing: str = ""
  note: str = ""
  figures: Sequence[Figure] = ()

  def __post_init__(self):
    names = [piece.name for piece in self.pieces]
    if len(set(names)) < len(names):
      raise ValueError(f"{self.name}: two pieces have the same name: {names}")
    for piece in self.pieces:
      if piece.reference and piece.reference not in names:
        raise ValueError(f"{self.name}: {piece.name} has no reference "
                         f"{piece.reference!r}")
    if bool(self.missing) == bool(self.pieces):
      raise ValueError(f"{self.name}: need either pieces, or why there are "
                       "none yet")

  def at(self, scale: str) -> list[Piece]:
    """Returns the pieces that have a run at a scale."""
    return [piece for piece in self.pieces if scale in piece.scales]

  def piece(self, name: str) -> Piece:
    """Returns a piece by its name."""
    return next(piece for piece in self.pieces if piece.name == name)

  def cells(self) -> list[Cell]:
    """Returns all cells of the table, in order; published ones included."""
    ours = [cell for piece in self.pieces for cell in piece.cells]
    return list(dict.fromkeys([*ours, *self.published]))
