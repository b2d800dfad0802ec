"""Puts runs on one task side by side: groups of seeds, labels, tables."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launch.configs import config as config_lib
from launch.configs.config import UsageError
from launch.runs import evaluation, statistics, strict_json, tables
from launch.runs.run import FACTS, TRAINED, Run, column_name


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Represents evaluated runs on one task.

  Attributes:
    metric: by which they are compared.
    groups: label -> runs that differ in their seed only.
  """

  metric: str
  groups: Mapping[str, Sequence[Run]]

  @property
  def runs(self) -> list[Run]:
    """All runs, in the order of the groups."""
    return [run for runs in self.groups.values() for run in runs]


def compare(runs: Sequence[Run], metric: str | None = None) -> Comparison:
  """Groups runs that differ in their seed only.

  Each value of a sweep is a run of its own here.

  Args:
    runs: on one task.
    metric: by which to compare; the task's main one if None.

  Raises:
    UsageError: there is no run, they are of several tasks, a run has no such
      metric, or two are of the same seed.
  """
  runs = [view for run in runs for view in run.by_value()]
  names = sorted({run.config.task for run in runs})
  if len(names) != 1:
    raise UsageError(f"need runs on one task, got {', '.join(names) or 'none'}")
  metric = metric or runs[0].main_metric
  groups: dict[str, list[Run]] = {}
  owners: dict[tuple[str, int], Run] = {}
  for run, label in zip(runs, _labels(runs), strict=True):
    last = run.last()
    if metric not in last:
      valid = ", ".join(sorted(set(last) - set(FACTS)))
      raise UsageError(f"unknown metric {metric!r}; valid: {valid}")
    for seed in run.seeds:
      other = owners.setdefault((label, seed), run)
      if other is not run:
        raise UsageError(
            f"{other.workdir} and {run.workdir} are both of {label} with seed "
            f"{seed}, which would count twice: leave one out")
    groups.setdefault(label, []).append(run)
  return Comparison(metric, groups)


def check_times(runs: Sequence[Run]) -> None:
  """Refuses runs without times.

  Raises:
    UsageError: a record has no `seconds`.
  """
  for run in runs:
    if any("seconds" not in record for record in run.records()):
      raise UsageError(f"{run.workdir} is of a version that recorded no times: "
                       "draw it with --x=updates")


def table(found: Comparison) -> str:
  """Returns each run's last, lowest and highest evaluation as a table.

  Of many seeds the values are `statistics.over_seeds`.
  """
  metric = found.metric
  lines = [["run", "seeds", "step", metric, "lowest", "at", "highest", "at"]]
  for label, runs in found.groups.items():
    for run in runs:
      steps, values = run.column(metric)
      series = [statistics.over_seeds(metric, each) for each in values]
      first, last = run.seeds[0], run.seeds[-1]
      lines.append([
          label, str(first) if first == last else f"{first} to {last}",
          str(steps[-1]), tables.format_value(series[-1]),
          *_extremes(steps, series)])
  return tables.align(lines)


def last_values(runs: Sequence[Run], metric: str, variants: Sequence[str]
                ) -> np.ndarray:
  """Returns a metric of the last evaluations, on V variants: `[S, V]`.

  Args:
    runs: of S seeds in all.
    metric: its name.
    variants: names; `TRAINED` for the task itself.

  Raises:
    UsageError: a variant was not evaluated.
  """
  columns = [column_name(metric, variant) for variant in variants]
  for run in runs:
    for column in columns:
      if column not in run.last():
        raise UsageError(f"{run.workdir} has no {column} in its last "
                         "evaluation: leave it out, or train it further")
  return np.concatenate([
      np.array([run.last()[column] for column in columns], float).T
      for run in runs])


def variants_of(found: Comparison) -> list[str]:
  """Returns the names of the task's variants, `TRAINED` first.

  Raises:
    UsageError: the task has none.
  """
  run = found.runs[0]
  if not run.task.extrapolations:
    raise UsageError(
        f"{run.config.task} has no variants to draw --x=variants of")
  return [TRAINED, *run.task.extrapolations]


def levels_of(found: Comparison) -> list[str]:
  """Returns the levels that `launch.evaluate` last evaluated the first run at.

  Raises:
    UsageError: there are none.
  """
  names = [str(level) for level in _at_levels(found.runs[0], found.metric)]
  if not names:
    raise UsageError(f"{found.runs[0].workdir} was evaluated at no levels; run "
                     "launch.evaluate with --levels=5,10 and so on")
  return names


def values_at(runs: Sequence[Run], metric: str, levels: Sequence[str]
              ) -> np.ndarray:
  """Returns a metric at the V levels of `launch.evaluate`: `[S, V]`.

  Args:
    runs: of S seeds in all.
    metric: its name.
    levels: from `levels_of`.

  Raises:
    UsageError: a run was not evaluated at one of them.
  """
  values = []
  for run in runs:
    found = _at_levels(run, metric)
    missing = [level for level in levels if int(level) not in found]
    if missing:
      raise UsageError(
          f"{run.workdir} has no {metric} at level {missing[0]}; run "
          f"launch.evaluate with --levels={','.join(levels)} for every run")
    values.append(np.stack([found[int(level)] for level in levels], axis=1))
  return np.concatenate(values)


def _at_levels(run: Run, metric: str) -> dict[int, np.ndarray]:
  """Returns level -> values `[S]` of the run's `evaluation.json`."""
  path = run.workdir / evaluation.EVALUATION_FILE
  try:
    rows = strict_json.loads(path.read_text())["levels"]
  except FileNotFoundError:
    raise UsageError(f"{path} does not exist: run launch.evaluate with "
                     "--levels=5,10 and so on") from None
  mine = Run(run.workdir).columns().get(run.value, slice(None))
  return {row["level"]: np.atleast_1d(row[metric]).astype(float)[mine]
          for row in rows if isinstance(row["level"], int) and metric in row}


def variants_table(values: Mapping[str, np.ndarray], variants: Sequence[str]
                   ) -> str:
  """Returns each variant's mean over seeds, and in parentheses its median.

  Args:
    values: label -> `[S, V]`.
    variants: the V names.
  """
  lines = [["", *values]]
  for variant, columns in zip(variants, zip(
      *(rows.T for rows in values.values()), strict=True), strict=True):
    lines.append([variant, *(
        "{} ({})".format(*map(tables.format_value,
                              statistics.mean_and_median(column)))
        for column in columns)])
  return tables.align(lines)


def _extremes(steps, series) -> list[str]:
  """Returns the lowest and highest finite value, and their steps."""
  finite = [(value, step) for value, step in zip(series, steps, strict=True)
            if np.isfinite(value)]
  if not finite:
    return ["-"] * 4
  low, high = (choose(finite, key=lambda pair: pair[0])
               for choose in (min, max))
  return [tables.format_value(low[0]), str(low[1]),
          tables.format_value(high[0]), str(high[1])]


def _labels(runs: Sequence[Run]) -> list[str]:
  """Returns core, unit and the settings that differ among runs of these."""
  names = [config_lib.label(run.config) for run in runs]
  settings = _with_short_starts(
      [config_lib.settings(run.config) for run in runs])
  labels = []
  for name, own in zip(names, settings, strict=True):
    alike = [other for other_name, other in zip(names, settings, strict=True)
             if other_name == name]
    labels.append(" ".join([name, *(
        f"{key}={value}" for key, value in own.items()
        if any(other.get(key) != value for other in alike))]))
  return labels


def _with_short_starts(settings: Sequence[Mapping[str, Any]]
                       ) -> list[dict[str, Any]]:
  """Returns settings in which a folder to start from has only its name.

  Two folders of the same name stay whole: their runs are not alike.
  """
  key = "init_from"
  names = {start: pathlib.PurePath(start).name
           for start in {own[key] for own in settings if key in own}}
  count = collections.Counter(names.values())
  short = {start: name for start, name in names.items() if count[name] == 1}
  return [{name: short.get(value, value) if name == key else value
           for name, value in own.items()} for own in settings]
