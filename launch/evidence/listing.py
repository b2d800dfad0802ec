"""Tells people what experiments there are, and what has been done of them."""

import pathlib
import re
import textwrap
from collections.abc import Iterable, Sequence

from launch.evidence import page, results, runner, tables
from launch.evidence.experiment import SCALES, Experiment, Piece
from launch.runs import tables as run_tables

# Longer cells of the list are cut.
MAX_WIDTH = 44


def overview(experiments: Iterable[Experiment], folder: pathlib.Path) -> str:
  """Returns a table of all experiments.

  Args:
    experiments: of the catalogue.
    folder: of results.
  """
  lines = [["experiment", "what", "published", "here", "runs done",
            "minutes"]]
  for experiment in experiments:
    entries = results.measured(folder, experiment.name)
    done = {entry.piece for entry in entries
            if entry.note != runner.UNFINISHED}
    lines.append([
        experiment.name,
        *map(_cut, (experiment.title, *page.headline(experiment, entries))),
        f"{len(done)} of {len(experiment.pieces)}",
        _minutes(experiment, entries)])
  return run_tables.align(lines, left=True)


def _cut(text: str) -> str:
  return textwrap.shorten(text, MAX_WIDTH, placeholder=" ...")


def describe(experiment: Experiment, folder: pathlib.Path, scale: str) -> str:
  """Returns what an experiment is, its table, and its commands.

  Args:
    experiment: to describe.
    folder: of results.
    scale: whose commands to show.
  """
  entries = results.measured(folder, experiment.name)
  lines = [f"{experiment.name}: {experiment.title}", experiment.source,
           experiment.measures]
  if experiment.cells():
    lines += ["", tables.table(experiment, entries)]
  if experiment.missing:
    return "\n".join([*lines, "", f"not yet: {experiment.missing}"])
  lines += ["", f"runs at --scale={scale}:"]
  for piece in experiment.at(scale):
    lines += piece.commands(scale, f"runs/{experiment.name}-{scale}/"
                            f"{piece.name}")
  return "\n".join(lines)


def seconds_of(experiment: Experiment, entries: Sequence[results.Entry],
               scale: str) -> float | None:
  """Returns what the runs at a scale take; None if it is not known of one.

  If a run was measured with another number of updates only, its time is that
  of as many updates as it has at this scale.

  Args:
    experiment: of the runs.
    entries: of its file.
    scale: one of `SCALES`.
  """
  known = [_seconds(piece, entries, scale) for piece in experiment.at(scale)]
  if not known or any(each is None for each in known):
    return None
  return sum(each for each in known if each is not None)


def _seconds(piece: Piece, entries: Sequence[results.Entry], scale: str
             ) -> float | None:
  found = {entry.scale: entry for entry in entries
           if entry.piece == piece.name and entry.seconds is not None}
  if scale in found:
    return found[scale].seconds
  steps = re.findall(r"--steps=(\d+)", piece.commands(scale, "")[0])
  for entry in found.values():
    if steps and entry.updates and entry.seconds:
      return entry.seconds * int(steps[-1]) / entry.updates
  return None


def _minutes(experiment, entries) -> str:
  found = {scale: seconds_of(experiment, entries, scale)
           for scale in SCALES[1:] if experiment.at(scale)}
  return ", ".join(
      f"{scale} {'?' if seconds is None else f'{seconds / 60:,.0f}'}"
      for scale, seconds in found.items())
