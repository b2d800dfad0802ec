"""Draws the figures of an experiment from the runs that are there."""

import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable

from launch.configs import environment
from launch.evidence.experiment import Experiment, Figure
from launch.evidence.runner import Job, workdir_of


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
  def workdir(name):
    return workdir_of(Job(experiment, experiment.piece(name), scale), runs)

  lines = []
  for figure in experiment.figures:
    found = _runs(experiment, figure, scale, workdir)
    if not found:
      continue
    output = folder / figure.file
    if figure.picture:
      shutil.copy(found[0] / figure.picture, output)
      continue
    done = subprocess.run(
        [sys.executable, "-m", *_program(figure, workdir),
         f"--output={output}", *map(str, found)], cwd=environment.ROOT,
        capture_output=True, text=True, check=False)
    if done.returncode:
      why = (done.stderr.strip() or "no reason").splitlines()[-1]
      lines.append(f"no picture {figure.file}: {why}")
  return lines


def _runs(experiment: Experiment, figure: Figure, scale: str,
          workdir: Callable[[str], pathlib.Path]) -> list[pathlib.Path]:
  """Returns the folders of the runs that a figure shows, as far as they are."""
  names = figure.pieces or [piece.name for piece in experiment.at(scale)
                            if piece.program == "train"]
  return [workdir(name) for name in names
          if (workdir(name) / (figure.picture or "metrics.jsonl")).exists()]


def _program(figure, workdir) -> list[str]:
  flags = shlex.split(figure.flags)
  if not figure.reference:
    return ["launch.plot", *flags]
  return ["launch.compare", f"--reference={workdir(figure.reference)}", *flags]
