"""Tells people what experiments there are, and what has been done of them."""

import pathlib
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

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


class Cost(NamedTuple):
  """Tells what the runs of an experiment take.

  Attributes:
    seconds: of the runs whose time is known.
    is_whole: whether those are all runs.
  """

  seconds: float
  is_whole: bool


def cost_of(experiment: Experiment, entries: Sequence[results.Entry],
            scale: str) -> Cost:
  """Returns what the runs at a scale take.

  If a run was measured with another number of updates only, its time is that
  of as many updates as it has at this scale. A run that was not measured takes
  its --max_minutes.

  Args:
    experiment: of the runs.
    entries: of its file.
    scale: one of `SCALES`.
  """
  times = [_seconds(piece, entries, scale) for piece in experiment.at(scale)]
  known = [each for each in times if each is not None]
  return Cost(sum(known), len(known) == len(times))


def _seconds(piece: Piece, entries: Sequence[results.Entry], scale: str
             ) -> float | None:
  found = {entry.scale: entry for entry in entries
           if entry.piece == piece.name and entry.seconds is not None}
  if scale in found:
    return found[scale].seconds
  line = piece.commands(scale, "")[0]
  limits = re.findall(r"--max_minutes=(\d+)", line)
  steps = re.findall(r"--steps=(\d+)", line)
  for entry in found.values():
    if steps and entry.updates and entry.seconds:
      return entry.seconds * int(steps[-1]) / entry.updates
  return 60. * int(limits[-1]) if limits else None


def _minutes(experiment, entries) -> str:
  costs = {scale: cost_of(experiment, entries, scale)
           for scale in SCALES[1:] if experiment.at(scale)}
  return ", ".join(f"{scale} {_in_minutes(cost)}"
                   for scale, cost in costs.items())


def _in_minutes(cost: Cost) -> str:
  if not cost.seconds:
    return "?"
  return f"{'' if cost.is_whole else '> '}{cost.seconds / 60:,.0f}"
