"""Draws the figures of an experiment from the runs that are there."""

import pathlib
import shlex
import shutil
import subprocess
import sys

from launch.evidence import machine
from launch.evidence.experiment import Experiment
from launch.evidence.runner import Job, folder_of


def draw(experiment: Experiment, scale: str, runs: pathlib.Path,
         folder: pathlib.Path) -> list[str]:
  """Draws the figures, each in a process of its own, or copies a run's own.

  Args:
    experiment: whose figures to draw.
    scale: of the runs.
    runs: folder that the runs' folders lie in.
    folder: of results; the pictures go there.

  Returns:
    A line for each figure that could not be drawn.
  """
  lines = []
  for figure in experiment.figures:
    names = figure.pieces or [
        piece.name for piece in experiment.at(scale)
        if piece.program == "train"]
    workdirs = [runs / pathlib.Path(folder_of(Job(
        experiment, experiment.piece(name), scale))).relative_to("runs")
                for name in names]
    found = [str(path) for path in workdirs
             if (path / (figure.picture or "metrics.jsonl")).exists()]
    if not found:
      continue
    if figure.picture:
      shutil.copy(pathlib.Path(found[0]) / figure.picture,
                  folder / figure.file)
      continue
    done = subprocess.run(
        [sys.executable, "-m", "launch.plot", *shlex.split(figure.flags),
         f"--output={folder / figure.file}", *found], cwd=machine.ROOT,
        capture_output=True, text=True, check=False)
    if done.returncode:
      why = (done.stderr.strip() or "no reason").splitlines()[-1]
      lines.append(f"no picture {figure.file}: {why}")
  return lines
