"""Finds experiments, and what to run of them, by name."""

import difflib
from collections.abc import Sequence

from launch.configs.config import UsageError
from launch.evidence import accelerator, runner
from launch.evidence.catalogue import EXPERIMENTS
from launch.evidence.experiment import SCALES, Experiment

_PLAN = "accelerator"


def jobs(name: str, scale: str, pieces: Sequence[str] = (),
         minutes: float | None = None) -> list[runner.Job]:
  """Returns what an experiment runs at a scale.

  Args:
    name: of the experiment, or 'accelerator'.
    scale: one of `SCALES`.
    pieces: names of pieces; all if empty.
    minutes: each training stops after these; None runs to its end.

  Raises:
    UsageError: there is no such experiment or piece, or nothing to run.
  """
  if name == _PLAN:
    return accelerator.jobs(EXPERIMENTS, tiny=scale == "tiny")
  experiment = find(name)
  if experiment.missing:
    raise UsageError(f"{name} cannot be run yet: {experiment.missing}")
  valid = [piece.name for piece in experiment.at(scale)]
  for piece in pieces:
    if piece not in valid:
      raise UsageError(f"--pieces: {name} has no run {piece!r} at --scale="
                       f"{scale}; valid: {', '.join(valid)}")
  found = [runner.Job(experiment, piece, scale, minutes)
           for piece in experiment.at(scale)
           if not pieces or piece.name in pieces]
  if not found:
    scales = [each for each in SCALES if experiment.at(each)]
    raise UsageError(f"{name} has no runs at --scale={scale}; valid: "
                     f"{', '.join(scales)}")
  return found


def listed(name: str | None) -> list[Experiment]:
  """Returns all experiments, the named one, or those of 'accelerator'.

  Raises:
    UsageError: there is no such experiment.
  """
  if name is None:
    return list(EXPERIMENTS.values())
  if name == _PLAN:
    return list({job.experiment.name: job.experiment
                 for job in accelerator.jobs(EXPERIMENTS)}.values())
  return [find(name)]


def find(name: str) -> Experiment:
  """Returns an experiment by its name; raises a UsageError if unknown."""
  if name == _PLAN:
    raise UsageError(f"{_PLAN} is several experiments; --list --experiment="
                     f"{_PLAN} shows them")
  if name not in EXPERIMENTS:
    near = difflib.get_close_matches(name, [*EXPERIMENTS, _PLAN], 1)
    raise UsageError(f"unknown experiment {name!r}; " + "".join(
        f"did you mean {each!r}? " for each in near) + "--list shows all")
  return EXPERIMENTS[name]
