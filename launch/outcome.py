"""What has become of the seeds of a run, and what their units have learned."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

import tasks
from launch import config as config_lib
from launch import reporting, success
from rmc_nalu_sam.units import Unit, formula

# The task itself, among its variants.
TRAINED = "as trained"
FORMULA_FILE = "formula.txt"


def outcomes(workdir: pathlib.Path, task: tasks.Task,
             thresholds: Mapping[str, float] | None = None,
             ) -> dict[str, success.Outcomes]:
  """What became of each seed on the task and each of its variants.

  Args:
    workdir: of a run of many seeds.
    task: that it was trained on.
    thresholds: name of the variant -> what a success is below; if None, their
      own criterion, of those that have one.

  Returns:
    Name of the variant, in their order -> outcomes.
  """
  if thresholds is None:
    variants: Mapping[str, Any] = {TRAINED: task} | dict(task.extrapolations)
    thresholds = {name: variant.solved_below
                  for name, variant in variants.items()
                  if variant.solved_below is not None}
  evaluations = _evaluations(workdir)
  errors = errors_of_seeds(workdir, task)
  if not errors:
    return {}
  steps = np.array([record["step"] for record in evaluations])
  sparsity = np.array([record.get("sparsity_error", np.full(
      errors[TRAINED].shape[1], np.nan)) for record in evaluations])
  return {name: success.judge(steps, errors[TRAINED], errors[name], threshold,
                              sparsity)
          for name, threshold in thresholds.items()}


def errors_of_seeds(workdir: pathlib.Path,
                    task: tasks.Task) -> dict[str, np.ndarray]:
  """The task's main metric at all evaluations, on it and its variants.

  Args:
    workdir: of a run of many seeds.
    task: that it was trained on.

  Returns:
    Name of the variant, in their order -> `[E, S]`; nothing for a run of one
    seed, or without an evaluation.
  """
  evaluations = _evaluations(workdir)
  metric = task.main_metric
  columns = {TRAINED: metric} | {name: f"{name}/{metric}"
                                 for name in task.extrapolations}
  if not evaluations or not isinstance(evaluations[0].get(metric), list):
    return {}
  return {name: np.array([record[column] for record in evaluations])
          for name, column in columns.items()}


def scores(workdir: pathlib.Path,
           task: tasks.Task) -> dict[str, tuple[float, float]]:
  """The NALU paper's score on the task and each of its variants.

  Args:
    workdir: of a run of many seeds.
    task: that it was trained on.

  Returns:
    Name of the variant, in their order -> score of the seeds' mean error, see
    `success.scaled_score`, and of their median one; none before the first
    evaluation in training.
  """
  evaluations = _evaluations(workdir)
  if len(evaluations) < 2 or evaluations[0]["step"] != 0:
    return {}
  start, last = evaluations[0], evaluations[-1]
  names = {TRAINED: task.main_metric} | {
      name: f"{name}/{task.main_metric}" for name in task.extrapolations}
  return {label: (success.scaled_score(last[name], start[name]),
                  success.scaled_score(reporting.over_seeds(name, last[name]),
                                       start[name]))
          for label, name in names.items()
          if isinstance(last.get(name), list)}


def _evaluations(workdir):
  return [record for record in reporting.read_metrics(workdir)
          if record["split"] == "eval"]


def diverged(config: ml_collections.ConfigDict,
             workdir: pathlib.Path) -> list[int]:
  """The seeds whose loss was not finite when it was last recorded."""
  losses = [record["loss"] for record in reporting.read_metrics(workdir)
            if record["split"] == "train"]
  return [config.seed + i for i in range(config.num_seeds)
          if losses and not np.isfinite(losses[-1][i])]


def describe(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> str:
  """Lines for people: success rates, when, sparsity errors, who diverged.

  Args:
    config: of a run of many seeds.
    workdir: of the run.
  """
  task = tasks.make_task(config.task, **config.task_args)
  rows = {name: success.summarise(outcome)
          for name, outcome in outcomes(workdir, task).items()}
  lines = [success.format_table(rows)] if rows else []
  found = scores(workdir, task)
  if found:
    lines.append(
        "error in per cent of that at the start, mean (median) of the seeds: "
        + ", ".join("{} {} ({})".format(name, *map(success.format_score, both))
                    for name, both in found.items()))
  lost = diverged(config, workdir)
  if lost:
    lines.append(f"diverged: {len(lost)} of {config.num_seeds} seeds: "
                 f"{', '.join(map(str, lost))}")
  return "\n".join([*lines, f"over {config.num_seeds} seeds"])


def draw(config: ml_collections.ConfigDict, workdir: pathlib.Path,
         task: tasks.Task, title: str) -> None:
  """Draws `success.png`, if the task has a criterion, into the workdir.

  Args:
    config: of a run of many seeds.
    workdir: of the run.
    task: that it was trained on.
    title: above the picture.
  """
  counts = {name: (int(outcome.solved.sum()), outcome.solved.size)
            for name, outcome in outcomes(workdir, task).items()}
  if counts:
    success.success_curve({config_lib.label(config): counts},
                          workdir / "success.png", title)


def params_of_best(config: ml_collections.ConfigDict, workdir: pathlib.Path,
                   task: tasks.Task, params: Any) -> tuple[int, Any]:
  """The best seed of a run, or its only one, and its parameters.

  Args:
    config: of a run.
    workdir: of the run.
    task: that it was trained on.
    params: of all seeds, if there are many.
  """
  if config.num_seeds == 1:
    return config.seed, params
  index = best_seed(workdir, task)
  return config.seed + index, jax.tree.map(lambda x: x[index], params)


def learned_formula(config: ml_collections.ConfigDict,
                    units: Mapping[str, Unit], params: Any) -> formula.Formula:
  """What the units of a network have learned.

  Args:
    config: of the run.
    units: of its network.
    params: of one seed.

  Returns:
    Of a core of units the formula of the network; of a unit that reads another
    core out, that of what this gives out, h1, h2, ...
  """
  names = None
  if config.core not in config_lib.OF_UNITS:
    name, unit = next(iter(units.items()))
    names = [f"h{i + 1}" for i in range(unit.input_size(params[name]))]
  return formula.extract(units, params, names,
                         is_recurrent=config.core == "unit_rnn")


def best_seed(workdir: pathlib.Path, task: tasks.Task) -> int:
  """The seed, from 0 on, with the lowest last error furthest from training.

  Args:
    workdir: of a run of many seeds.
    task: that it was trained on.
  """
  last = _evaluations(workdir)[-1]
  metric = task.main_metric
  for name in ("", *task.extrapolations)[::-1]:
    errors = last.get(f"{name}/{metric}" if name else metric)
    if errors is not None and np.isfinite(errors).any():
      return int(np.argmin(np.nan_to_num(errors, nan=np.inf)))
  return 0
