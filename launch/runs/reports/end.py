"""The last lines of training: the numbers that matter, and where the rest is.

These are the main metric on the task and its variants, the level of a
curriculum, success rates, a formula if one was learned, and goodput.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from launch.configs import config as config_lib
from launch.runs import outcome, reporting, statistics, tables
from launch.runs.job import goodput
from launch.runs.progress import bar
from launch.runs.run import FACTS, TRAINED, Run, column_name


def describe(run: Run) -> str:
  """Returns lines for people: results, formula, goodput, files."""
  last = (run.records("eval") or run.records())[-1]
  lines = [_title(run, last),
           value_table(run) if run.sweep else table(run, last),
           outcome.describe(run) if run.num_entries > 1 else "",
           _formula(run), str(goodput.of(goodput.read(run.workdir)) or "")]
  return "\n".join([*filter(None, lines), _files(run)])


def _title(run: Run, last: Mapping[str, Any]) -> str:
  """Returns what was trained, and how far."""
  split = {"eval": "evaluation", "train": "training"}[last["split"]]
  seconds = run.records()[-1].get("seconds", 0.)
  level = (f", level {_text('level', last['level'])}" if "level" in last
           else "")
  return (f"step {last['step']}, {split}{level}: "
          f"{config_lib.label(run.config)} on {run.config.task}, "
          f"trained for {bar.clock(seconds)}")


def table(run: Run, last: Mapping[str, Any]) -> str:
  """Returns the main metric of an evaluation on the task and its variants.

  Args:
    run: without a sweep.
    last: a record of it.
  """
  metric, is_many = run.main_metric, len(run.seeds) > 1
  head = ["", metric, *["lowest", "highest"] * is_many]
  notes = _notes(run, last)
  lines = [[*head, *notes]]
  for variant in _variants(run, last):
    values = last[column_name(metric, variant)]
    spread = [_finite(np.fmin, values), _finite(np.fmax, values)] * is_many
    lines.append([variant, _text(metric, values), *spread,
                  *(note[variant] for note in notes.values())])
  empty = [""] * (len(lines[0]) - 2)
  lines += [[name, _text(name, last[name]), *empty]
            for name in _others(run, last)]
  return tables.align(lines, 1)


def value_table(run: Run) -> str:
  """Returns the last record of a sweep as a table: a column for each value.

  Of many seeds the values are `statistics.over_seeds`.
  """
  views = run.by_value()
  lasts = [(view.records("eval") or view.records())[-1] for view in views]
  names = [column_name(metric, variant) for metric in (
      run.main_metric, "solved") for variant in _variants(run, lasts[0])]
  lines = [[flag, *(str(view.point[flag]) for view in views)]
           for flag in run.sweep]
  lines += [[name, *(_text(name, last[name]) for last in lasts)]
            for name in [*names, *_others(run, lasts[0])] if name in lasts[0]]
  return tables.align(lines, 1)


def _text(name, values):
  return tables.format_value(statistics.over_seeds(name, values))


def _finite(choose, values):
  return tables.format_value(float(choose.reduce(values)))  # Passes over NaN.


def _variants(run, last):
  """Returns the names of the task and its variants that were evaluated."""
  return [name for name in (TRAINED, *run.task.extrapolations)
          if column_name(run.main_metric, name) in last]


def _notes(run, last) -> dict[str, dict[str, str]]:
  """Returns further columns: the score of guessing, and of one seed success."""
  notes = {}
  variants = {TRAINED: run.task, **run.task.extrapolations}
  if run.config.curriculum == "none":  # It depends on the level.
    notes["guessing"] = {name: tables.format_value(float(task.trivial_score))
                         for name, task in variants.items()}
  if len(run.seeds) == 1 and "solved" in last:
    notes["solved"] = {
        name: _yes_or_no(last.get(column_name("solved", name)))
        for name in variants}
  return notes


def _yes_or_no(solved):
  if solved is None:  # This variant has no criterion.
    return ""
  return "yes" if solved.all() else "no"


def _others(run, last) -> list[str]:
  """Returns further metrics: the task's summary, sparsity, skipped updates."""
  metrics = {name: value for name, value in last.items() if name not in FACTS}
  found = run.task.summary(metrics) if last["split"] == "eval" else {}
  return [name for name in (*found, "sparsity_error", "skipped")
          if name in last]


def _formula(run: Run) -> str:
  """Returns the formula that the best seed has learned, or that it has none."""
  path = run.workdir / outcome.FORMULA_FILE
  return path.read_text().strip() if path.exists() else ""


def _files(run: Run) -> str:
  """Returns where metrics are, and which pictures of this launch."""
  metrics = run.workdir / reporting.METRICS_FILE
  since = metrics.stat().st_mtime  # Pictures are drawn after the last record.
  drawn = sorted(path.name for path in run.workdir.iterdir()
                 if path.suffix in reporting.PICTURES
                 and path.stat().st_mtime >= since)
  found = f"metrics in {metrics}"
  return (f"{found}, pictures beside it: {', '.join(drawn)}" if drawn
          else f"{found}; no picture was drawn")
