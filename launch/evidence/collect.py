"""Collects the metrics of a run that has ended."""

import itertools
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from launch.configs import build
from launch.evidence.experiment import Piece
from launch.runs import evaluation, outcome, reporting, statistics, strict_json
from launch.runs.run import FACTS, TRAINED, Run


class Collected(NamedTuple):
  """Holds what a run gave.

  Attributes:
    metrics: name -> values over the seeds, or statistics; see `results.Entry`.
    seeds: its seeds.
    updates: updates done.
    episodes: seen in training; of an environment, its steps.
    seconds: it took, as far as its files tell; None if they do not.
    sweep: flag -> values that were tried.
    chosen: the value of the sweep that the metrics are of; '' without one.
    finished: whether all updates are done.
    out_of_time: whether `--max_minutes` ended it.
  """

  metrics: dict[str, Any]
  seeds: list[int]
  updates: int
  episodes: int
  seconds: float | None
  sweep: dict[str, list[float]]
  chosen: str
  finished: bool
  out_of_time: bool = False


def of_piece(piece: Piece, workdir: pathlib.Path) -> Collected:
  """Returns what a run gave.

  Args:
    piece: of the run.
    workdir: its folder.

  Raises:
    UsageError: the run was not evaluated yet.
    OSError: a benchmark wrote nothing.
  """
  if piece.program == "benchmark":
    return _of_benchmark(workdir)
  below = (outcome.thresholds(Run(workdir.parent / piece.reference))
           if piece.reference else None)
  return _of_training(Run(workdir), below, bool(piece.evaluate))


def _of_training(whole: Run, below: Mapping[str, float] | None,
                 is_evaluated: bool) -> Collected:
  run = whole.best()  # Of a sweep, the best value by validation.
  last = run.last()
  metrics: dict[str, Any] = {name: _by_seed(value, len(run.seeds))
             for name, value in last.items() if name not in FACTS}
  metrics |= _best(run) | _outcomes(run, below) | _scores(run)
  metrics |= _speed(run) | _by_validation(run)
  if is_evaluated:
    metrics |= _of_evaluation(run.workdir)
  return Collected(
      metrics, list(run.seeds), last["step"],
      last["step"] * _per_update(run), last.get("seconds"),
      {flag: list(values) for flag, values in whole.sweep.items()}, run.value,
      last["step"] >= run.config.steps,
      0 < 60 * run.config.max_minutes <= last.get("seconds", 0))


def _per_update(run: Run) -> int:
  """Returns the episodes of an update, or steps of an environment."""
  agent = build.make_agent(run.config)
  return run.config.batch_size * (agent.unroll_length if agent else 1)


def _by_seed(value: Any, count: int) -> list[float]:
  """Returns one number a seed; what all seeds share is repeated."""
  return np.broadcast_to(value, [count]).tolist()


def _best(run: Run) -> dict[str, list[float]]:
  """Returns the best of all evaluations; some papers report that."""
  metrics = {}
  for name in run.last():
    if name in FACTS or name == "level":
      continue
    _, values = run.column(name)
    grows = statistics.grows(name) or (  # Else of a task of one's own.
        name.split("/")[-1] == run.main_metric
        and not run.task.score.lower_is_better)
    best = np.fmax if grows else np.fmin
    metrics[f"best/{name}"] = best.reduce(values, axis=0).tolist()
  return metrics


def _outcomes(run: Run, below: Mapping[str, float] | None
              ) -> dict[str, list[float]]:
  metrics = {}
  for name, found in run.outcomes(below).items():
    prefix = "" if name == TRAINED else f"{name}/"
    metrics[f"{prefix}solved"] = found.solved.astype(int).tolist()
    metrics[f"{prefix}solved_at"] = found.solved_at.tolist()
  return metrics


def _by_validation(run: Run) -> dict[str, Mapping[str, float]]:
  """Returns the errors of the seed that is best on the validation variant.

  The task's summary of them is included.
  """
  errors = run.errors()
  if "validation" not in errors or len(run.seeds) < 2:
    return {}
  seed = int(np.nanargmin(errors["validation"][-1]))
  chosen = {name: values[-1][seed] for name, values in errors.items()}
  summary = run.task.summary({f"{name}/{run.main_metric}": value
                              for name, value in chosen.items()})
  return {f"chosen/{name}": {"value": float(value)}
          for name, value in (chosen | summary).items()}


def _scores(run: Run) -> dict[str, Mapping[str, float]]:
  return {("" if name == TRAINED else f"{name}/") + "score":
          {"mean": mean, "median": median}
          for name, (mean, median) in run.scores().items()}


def _speed(run: Run) -> dict[str, list[float]]:
  found = [record["steps_per_second"] for record in run.records("train")
           if "steps_per_second" in record]
  if not found:
    return {}
  return {"updates_per_second": len(run.seeds) * [float(np.median(found))]}


def _of_evaluation(workdir: pathlib.Path) -> dict[str, list[float]]:
  content = strict_json.loads(
      (workdir / evaluation.EVALUATION_FILE).read_text())
  metrics: dict[str, list[float]] = {}
  count = content["num_seeds"]
  first = count * (content["values"].index(content["best"])
                   if "values" in content else 0)
  for row in content["levels"]:
    level = row["level"]
    name = level if isinstance(level, str) else f"level {level}"
    for metric, value in row.items():
      if isinstance(value, int | float | list) and metric not in (
          "level", "trained", "episodes"):
        mine = value[first:first + count] if isinstance(value, list) else value
        metrics[f"{name}/{metric}"] = _by_seed(mine, count)
  return metrics


def _of_benchmark(workdir: pathlib.Path) -> Collected:
  content = strict_json.loads((workdir / "benchmark.json").read_text())
  metrics = (_of_table(content["table"]) if "table" in content
             else _of_scaling(content))
  return Collected(metrics, [], 0, 0, None, {}, "", True)


def _of_table(table: list[list[str]]) -> dict[str, Mapping[str, float]]:
  """Returns the numbers of a printed table.

  The name of a row is its first cell, and those after it that are no numbers.
  """
  header, *rows = table
  metrics: dict[str, Mapping[str, float]] = {}
  for row in rows:
    labels = itertools.takewhile(lambda cell: _number(cell) is None, row[1:])
    name = " ".join([row[0], *labels]).strip()
    metrics |= {f"{name}/{column}": {"value": number}
                for column, cell in zip(header, row, strict=True)
                if (number := _number(cell)) is not None}
  return metrics


def _of_scaling(content: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
  metrics: dict[str, Mapping[str, float]] = {}
  for row in content["rows"]:
    name, time, memory = (f"{row['num_slots']} {row['model']}", row["time"],
                          row["memory"])
    if isinstance(time, dict):
      metrics[f"{name}/ms"] = {
          new: 1e3 * time[old] for new, old in (
              ("value", "median"), ("low", "low"), ("high", "high"))
          if old in time}
      if time.get("memory") is not None:
        metrics[f"{name}/in all, MiB"] = {"value": time["memory"] / 2**20}
    if isinstance(memory, dict):
      metrics[f"{name}/MiB"] = {
          "value": memory[content["memory_key"]] / 2**20}
    for fact in ("times_faster", "times_less_memory"):
      if fact in row:
        metrics[f"{name}/{fact}"] = {"value": row[fact]}
  return metrics


def _number(text: str) -> float | None:
  """Returns the number in a cell, `0.12%` as 0.0012; None if it is none."""
  try:
    number = float(text.rstrip("%").replace(",", ""))
    return number / 100 if text.endswith("%") else number
  except (AttributeError, ValueError):
    return None


def seconds_so_far(workdir: pathlib.Path) -> float:
  """Returns what a training has taken up to now, over all its starts."""
  try:
    return max(record.get("seconds", 0.)
               for record in reporting.read_records(workdir))
  except (OSError, ValueError):
    return 0.


def progress(piece: Piece, workdir: pathlib.Path) -> tuple[int, int] | None:
  """Returns updates done and to do of a training; None if not known."""
  if piece.program != "train":
    return None
  try:
    config = json.loads((workdir / "config.json").read_text())
    last = (workdir / "metrics.jsonl").read_text().strip().splitlines()[-1]
    return json.loads(last)["step"], config["steps"]
  except (OSError, ValueError, IndexError, KeyError):
    return None
