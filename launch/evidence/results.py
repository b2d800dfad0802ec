"""Reads and writes the results of an experiment: `results/NAME.json`.

A file holds the published numbers of an experiment and an entry for each run.
A metric is a list over the seeds. What was measured before this format, and is
known as a statistic only, is an object such as {"mean": 15.1, "median": 15.0}.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from launch.evidence.experiment import SCALES, Experiment
from launch.runs import strict_json
from tasks.data import replacing

VERSION = 1
WIDTH = 100  # Of a line of the file.
STATISTICS = ("value", "mean", "median", "low", "high")
MACHINE: Mapping[str, Any] = {
    "cpu": str, "cores": int, "accelerator": (str, type(None)), "load": str}
VERSIONS: Mapping[str, Any] = {"python": str, "jax": str, "rmc_nalu_sam": str}


@dataclasses.dataclass(frozen=True)
class Entry:
  """Represents what one run gave.

  Attributes:
    piece: name of the run.
    scale: one of `SCALES`.
    commands: its command lines, `$data` standing for the folder of data.
    commit: of the code, `+` behind it if there were changes.
    date: of its end, YYYY-MM-DD.
    machine: `cpu`, `cores`, `accelerator` (or None) and `load`, what else ran.
    versions: of `python`, `jax` and `rmc_nalu_sam`.
    seeds: its seeds.
    updates: updates of training; 0 without training.
    episodes: episodes of training; 0 without training.
    seconds: it took; None if not known.
    metrics: name -> values over the seeds, or statistics of them.
    sweep: flag -> values that were tried in the same run.
    chosen: the value of the sweep that the metrics are of; '' without one.
    note: what else to know, such as "stopped by --minutes".
  """

  piece: str
  scale: str
  commands: list[str]
  commit: str
  date: str
  machine: Mapping[str, Any]
  versions: Mapping[str, str]
  seeds: list[int]
  updates: int
  episodes: int
  seconds: float | None
  metrics: Mapping[str, list[float] | Mapping[str, float]]
  sweep: Mapping[str, list[float]] = dataclasses.field(default_factory=dict)
  chosen: str = ""
  note: str = ""

  def check(self) -> None:
    """Raises a ValueError if a field has another form than the schema."""
    for name, types in (("piece", str), ("scale", str), ("commands", list),
                        ("commit", str), ("date", str), ("seeds", list),
                        ("updates", int), ("episodes", int),
                        ("seconds", (int, float, type(None))),
                        ("metrics", dict), ("sweep", dict), ("chosen", str),
                        ("note", str)):
      _need(isinstance(getattr(self, name), types), self.piece, name,
            getattr(self, name))
    _need(self.scale in SCALES, self.piece, "scale", self.scale)
    _need(len(self.date.split("-")) == 3, self.piece, "date", self.date)
    for name, fields in (("machine", MACHINE), ("versions", VERSIONS)):
      value = getattr(self, name)
      _need(set(value) == set(fields) and all(
          isinstance(value[key], fields[key]) for key in fields),
            self.piece, name, value)
    for name, values in self.sweep.items():
      _need(isinstance(values, list) and bool(values)
            and all(map(_is_number, values)), self.piece,
            f"sweep[{name!r}]", values)
    _need(not self.chosen or bool(self.sweep), self.piece, "chosen",
          self.chosen)
    for name, metric in self.metrics.items():
      _need(_is_metric(metric, len(self.seeds)), self.piece,
          f"metrics[{name!r}]", metric)


def measured(folder: pathlib.Path, name: str) -> list[Entry]:
  """Returns the entries of an experiment without those of rehearsals."""
  return [entry for entry in load(folder, name) if entry.scale != "tiny"]


def load(folder: pathlib.Path, name: str) -> list[Entry]:
  """Returns the entries of an experiment, checked; [] without a file.

  Args:
    folder: of results.
    name: of the experiment.

  Raises:
    ValueError: the file has another form; names the file.
  """
  path = folder / f"{name}.json"
  if not path.exists():
    return []
  try:
    content = strict_json.loads(path.read_text())
    if content["version"] != VERSION:
      raise ValueError(f"version {content['version']}, valid: {VERSION}")
    entries = [Entry(**entry) for entry in content["runs"]]
    for entry in entries:
      entry.check()
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{path} is not a file of results: {error}") from None
  return entries


def save(folder: pathlib.Path, experiment: Experiment, entries: list[Entry]
         ) -> pathlib.Path:
  """Writes the file of an experiment, atomically; returns its path.

  Args:
    folder: of results; made if it is not there.
    experiment: whose published numbers are written, too.
    entries: all of them, in the order of the experiment's runs.
  """
  for entry in entries:
    entry.check()
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / f"{experiment.name}.json"
  content = {"version": VERSION, "experiment": experiment.name,
             "source": experiment.source, "published": published(experiment),
             "runs": [dataclasses.asdict(entry) for entry in entries]}
  replacing.replace_text(path, _text(content) + "\n")
  return path


def _text(tree: Any, indent: str = "\n") -> str:
  """Returns JSON in which short parts and lists of numbers are one line."""
  line = strict_json.dumps(tree)
  if len(indent + line) <= WIDTH or not isinstance(tree, dict | list) or (
      isinstance(tree, list) and all(map(_is_number, tree))):
    return line
  more = f"{indent} "
  parts = ([f"{strict_json.dumps(key)}: {_text(value, more)}"
            for key, value in tree.items()] if isinstance(tree, dict)
           else [_text(value, more) for value in tree])
  return f"{line[0]}{more}{f',{more}'.join(parts)}{indent}{line[-1]}"


def published(experiment: Experiment) -> list[dict[str, Any]]:
  """Returns the published numbers of an experiment as in its file."""
  return [{"row": cell.row, "column": cell.column, "value": value}
          for cell, value in experiment.published.items()]


def put(entries: list[Entry], new: Entry) -> list[Entry]:
  """Returns the entries with a new one in place of the same run's."""
  return [entry for entry in entries
          if (entry.piece, entry.scale) != (new.piece, new.scale)] + [new]


def best(entries: list[Entry], piece: str) -> Entry | None:
  """Returns the entry of a piece at the largest scale; None without one."""
  found = [entry for entry in entries if entry.piece == piece]
  return max(found, key=lambda entry: SCALES.index(entry.scale), default=None)


def _is_metric(metric: Any, num_seeds: int) -> bool:
  if isinstance(metric, dict):
    return bool(metric) and set(metric) <= set(STATISTICS) and all(
        map(_is_number, metric.values()))
  return isinstance(metric, list) and len(metric) == num_seeds and all(
      map(_is_number, metric))


def _is_number(value: Any) -> bool:
  return (isinstance(value, int | float) and not isinstance(value, bool)) or (
      value is None) or value in ("NaN", "Infinity", "-Infinity")


def _need(is_valid: bool, piece: str, name: str, value: Any) -> None:
  if not is_valid:
    raise ValueError(f"run {piece!r} has {name}={value!r}")


def number(value: Any) -> float:
  """Returns a number as read from a file; None is NaN."""
  return math.nan if value is None else float(value)
