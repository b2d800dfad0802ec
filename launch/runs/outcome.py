"""Describes the results of a run: success rates, scores, learned formula."""

from collections.abc import Collection
from typing import Any

import numpy as np

from launch.configs import members
from launch.configs.config import UsageError
from launch.runs import statistics, tables
from launch.runs.run import TRAINED, Run
from rmc_nalu_sam import Model
from rmc_nalu_sam.registry import attribute
from rmc_nalu_sam.units import formula

FORMULA_FILE = "formula.txt"


def thresholds(reference: Run, left_out: Collection[int] = ()
               ) -> dict[str, float]:
  """Returns the upper bound of a success's error on each variant.

  Args:
    reference: a run that solved the task; evaluated.
    left_out: seeds of it that do not count.

  Returns:
    Name of the variant -> threshold.

  Raises:
    UsageError: an error is not finite; or a seed to leave out does not exist,
      or fewer than two remain.
  """
  errors = reference.errors()
  best = statistics.best_evaluations(errors[TRAINED])
  valid = reference.seeds
  for seed in left_out:
    if seed not in valid:
      raise UsageError(f"--leave_out: {reference.workdir} has the seeds "
                       f"{valid[0]} to {valid[-1]}, not {seed}")
  seeds = np.array([i for i, seed in enumerate(valid) if seed not in left_out])
  if len(seeds) < 2:
    raise UsageError("--leave_out: at least two seeds of "
                     f"{reference.workdir} must remain")
  found = {name: statistics.upper_bound(values[best[seeds], seeds])
           for name, values in errors.items()}
  for name, limit in found.items():
    if not np.isfinite(limit):
      raise UsageError(
          f"{reference.workdir} has errors that are not finite ({name}), so it "
          "is no reference; train it again, with other seeds or a lower "
          "--learning_rate")
  return found


def warnings(reference: Run, left_out: Collection[int] = ()) -> list[str]:
  """Returns a line if a reference has learned nothing, which spoils thresholds.

  Args:
    reference: a run of many seeds; evaluated.
    left_out: seeds of it that do not count.
  """
  errors = reference.errors()[TRAINED]
  best = statistics.best_evaluations(errors)
  seeds = np.array([i for i, seed in enumerate(reference.seeds)
                    if seed not in left_out])
  value, guess = float(np.mean(errors[best[seeds], seeds])), (
      reference.task.trivial_score)
  is_better = (value < guess if reference.task.score.lower_is_better
               else value > guess)
  judged = reference.outcomes().get(TRAINED)
  if is_better and (judged is None or judged.solved[seeds].any()):
    return []
  what = "has learned nothing" if not is_better else "solves no seed"
  return [f"warning: the reference {reference.workdir} {what}: its "
          f"{reference.main_metric} is {tables.format_value(value)}, that of "
          f"guessing {tables.format_value(guess)}"]


def describe(run: Run) -> str:
  """Returns lines for people: success rates, scores, diverged seeds.

  Args:
    run: of many seeds; or a sweep, whose values are described one by one.
  """
  if run.sweep:
    return "\n".join([
        *(f"{view.value}:\n{describe(view)}" for view in run.by_value()
          if len(run.seeds) > 1), describe_best(run)])
  rows = {name: statistics.summarise(outcome)
          for name, outcome in run.outcomes().items()}
  lines = [tables.success_table(rows)] if rows else []
  scores = run.scores()
  if scores:
    lines.append(
        "error in per cent of the error before training, mean (median) of the "
        "seeds: " + ", ".join(
            "{} {} ({})".format(name, *map(tables.format_score, both))
            for name, both in scores.items()))
  lost, count = run.diverged(), len(run.seeds)
  if lost:
    lines.append(f"diverged: {len(lost)} of {count} seeds: "
                 f"{', '.join(map(str, lost))}")
  return "\n".join([*lines, f"over {count} seeds"])


def describe_best(run: Run) -> str:
  """Returns a line that names the best value of a sweep by validation."""
  best = run.best()
  found = best.records("eval")
  if not found:
    return "no value is the best one: the run was not evaluated"
  mean, count = float(np.mean(found[-1][run.main_metric])), len(run.seeds)
  if not np.isfinite(mean):
    return f"no value is the best one: each has a {run.main_metric} of {mean}"
  over = f", mean of {count} seeds" if count > 1 else ""
  return (f"best by validation: {best.value} ({run.main_metric} "
          f"{tables.format_value(mean)}{over})")


def has_formula(run: Run, model: Model) -> bool:
  """Returns whether the network has arithmetic units that make a formula."""
  has_values = any(unit.VALUES for unit in model.units.values())
  return has_values and (_core(run, "OF_UNITS") or run.config.unit != "linear")


def learned_formula(run: Run, model: Model, params: Any
                    ) -> formula.Formula:
  """Returns the formula that the units of a network have learned.

  Args:
    run: of the network.
    model: the network.
    params: of one seed.

  Returns:
    The formula of the whole network if its core is made of units. Otherwise the
    formula of the read-out, from the outputs h1, h2, ... of the core.
  """
  names = None
  if not _core(run, "OF_UNITS"):
    name, unit = next(iter(model.units.items()))
    names = [f"h{i + 1}" for i in range(unit.input_size(params[name]))]
  return formula.extract(model.units, params, names,
                         is_recurrent=_core(run, "FEEDS_BACK"))


def describe_formula(run: Run, found: formula.Formula) -> str:
  """Returns the formula that the best seed has learned, or that it has none.

  The best seed must be a success where the task tells what that is, and its
  weights must be near those of the formula.

  Args:
    run: evaluated, if it is to have learned anything.
    found: of the best seed.
  """
  best = run.best()
  records = best.records("eval")
  solved = records[-1].get("solved") if records else None
  if not records or (solved is not None and not solved[best.best_seed()]):
    return "no formula was learned: the task is not solved"
  if not found.is_learned:
    return ("no formula was learned: weights are up to "
            f"{found.distance:.2g} from those of the nearest one")
  return str(found)


def _core(run: Run, name: str) -> bool:
  """Returns a class attribute of the run's core."""
  return attribute(members.REGISTRIES["core"].get(run.config.core), name, False)
