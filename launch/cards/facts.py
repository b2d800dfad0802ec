"""Gathers what a card tells of a run: a tree of plain values, as JSON has it.

A card has the same fields whether it is of a run or of a pretrained network:
`name`, `about`, `task`, `data`, `network`, `training`, `figures`, `measured`,
`pictures` and `limits`.
"""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

import tasks
from launch.cards import command
from launch.configs import build, members
from launch.configs import config as config_lib
from launch.runs import evaluation, outcome, reporting, statistics, strict_json
from launch.runs.run import TRAINED, Run, column_name
from launch.texts import vocabulary

_PICTURES = (*reporting.PICTURES, ".svg", ".pdf")  # launch.plot's, too.


def of_run(run: Run) -> dict[str, Any]:
  """Returns the card of a run that was evaluated at least once.

  Of a text, only the vocabulary in the run's folder is read, and no data.

  Args:
    run: with one seed or many, or a sweep.

  Raises:
    UsageError: it was not evaluated yet, or its files cannot be read.
  """
  run.last()
  find_task(run)
  figures, measured = _figures(run)
  if run.sweep:
    measured += f"; {outcome.describe_best(run)}"
  return {
      "name": run.workdir.name,
      "about": _about(run.config),
      "task": {"name": run.config.task, "args": run.config.task_args.to_dict(),
               "about": members.REGISTRIES["task"].summary(run.config.task)},
      "data": data_of(run),
      "network": network_of(run.config, run.task),
      "training": training_of(run),
      "figures": figures,
      "measured": measured,
      "pictures": sorted(path.name for path in run.workdir.iterdir()
                         if path.suffix in _PICTURES),
      "limits": limits(run, figures)}


def find_task(run: Run) -> tasks.Trainable:
  """Returns the task of a run; that of a text has the folder's vocabulary."""
  task = build.make_task(run.config, is_prepared=False)
  if isinstance(task, tasks.Readable):
    run.task = vocabulary.readable_task(run)
  return run.task


def data_of(run: Run) -> str:
  """Returns which data a run was trained on."""
  if type(run.task).load is tasks.Task.load:
    return ("generated while it trains" if not isinstance(
        run.task, tasks.Environment) else "played while it trains")
  preset = run.config.preset
  text = members.PRESETS.get(preset).__doc__ if preset in (
      members.PRESETS) else None
  named = " ".join((text or "").partition("Data: ")[2].partition("\n\n")[
      0].split()).rstrip(".")
  return named or f"files for the task {run.config.task}"


def network_of(config: Any, task: tasks.Task) -> dict[str, Any]:
  """Returns what a network is made of, and how many parameters it has."""
  model = build.make_model(config, task)
  inputs = jax.ShapeDtypeStruct(
      (1, 1, *task.input_spec.shape), task.input_spec.dtype)
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  parts = {kind: config[kind] for kind in ("core", "encoder", "head", "unit")}
  return {
      "label": config_lib.label(config),
      "about": members.REGISTRIES["core"].summary(config.core),
      **{kind: {"name": name, "args": config[f"{kind}_args"].to_dict()}
         for kind, name in parts.items()},
      "precision": config.precision,
      "num_parameters": sum(x.size for x in jax.tree.leaves(params))}


def training_of(run: Run) -> dict[str, Any]:
  """Returns what a run cost, and how to do it again."""
  written = _written_by(run)
  records, path = run.records(), run.workdir / reporting.METRICS_FILE
  ended = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
  config = ml_collections.ConfigDict(run.config)
  if records[-1]["step"] >= config.steps:
    config.max_minutes = 0.  # A bound that was not reached.
  return {
      "command": command.of(config),
      "seeds": list(run.seeds),
      "sweep": {name: list(values) for name, values in run.sweep.items()},
      "updates": records[-1]["step"], "batch_size": run.config.batch_size,
      "seconds": records[-1].get("seconds"),
      "date": ended.date().isoformat(),
      "machine": written.pop("machine", None),
      "commit": written.pop("commit", None),
      "versions": written}


def _written_by(run: Run) -> dict[str, str]:
  """Returns versions, commit and machine; older runs have fewer of them."""
  stored = json.loads((run.workdir / config_lib.CONFIG_FILE).read_text())
  found = stored.get("written_by")
  return {str(name): str(value) for name, value in found.items()
          } if isinstance(found, dict) else {}


def figure(on: Any, metric: str, values: Any, guess: float,
           trained: bool | None) -> dict[str, Any]:
  """Returns a row of the figures: one metric over seeds.

  Args:
    on: what was evaluated: a level or the name of a variant.
    metric: its name.
    values: `[S]`, or one number; NaN is as bad as infinity.
    guess: the metric of guessing.
    trained: False above the levels of training; None for a variant.
  """
  values = np.nan_to_num(np.atleast_1d(np.asarray(values, float)), nan=np.inf)
  return {"on": on, "metric": metric, "trained": trained,
          "value": statistics.over_seeds(metric, values),
          "low": float(values.min()) if values.size > 1 else None,
          "high": float(values.max()) if values.size > 1 else None,
          "guess": guess}


def of_rows(rows: Iterable[Mapping[str, Any]], metric: str,
            columns: Mapping[str, slice]) -> list[dict[str, Any]]:
  """Returns the figures of an evaluation.

  Args:
    rows: `levels` of `evaluation.json`.
    metric: its main metric.
    columns: of `Run.columns`.
  """
  return [figure(_on(row["level"], value), metric,
                 np.atleast_1d(row[metric])[place], row["guess"],
                 row["trained"])
          for value, place in (columns or {"": slice(None)}).items()
          for row in rows if metric in row]


def _on(level: Any, value: str) -> Any:
  """Returns what a row is of: as it is, or with the value of a sweep."""
  return f"{value}: {describe_level(level)}" if value else level


def describe_level(level: Any) -> str:
  """Returns a level, a number, or the name of a variant, for people."""
  return f"level {level}" if isinstance(level, int) else str(level)


def _figures(run: Run) -> tuple[list[dict[str, Any]], str]:
  """Returns the newest figures, and how they were measured."""
  path, step = run.workdir / evaluation.EVALUATION_FILE, run.last()["step"]
  if path.exists():
    found = _read(path)
    if found.get("step") == run.records()[-1]["step"]:
      return (of_rows(found["levels"], run.main_metric, run.columns()),
              f"by `python -m launch.evaluate`, after update {step:,}")
  variants: Mapping[str, tasks.Task] = {
      TRAINED: run.task, **run.task.extrapolations}
  figures = [
      figure(_on(name, view.value), run.main_metric,
             view.last()[column_name(run.main_metric, name)],
             float(task.trivial_score), name == TRAINED or None)
      for view in run.by_value() for name, task in variants.items()
      if column_name(run.main_metric, name) in view.last()]
  return figures, f"by `python -m launch.train`, after update {step:,}"


def _read(path) -> dict[str, Any]:
  try:
    found = strict_json.loads(path.read_text())
    if isinstance(found["levels"], list):
      return found
    raise ValueError("it has no levels")
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise config_lib.UsageError(
        f"cannot read {path}: {error}; run launch.evaluate again") from None


def _about(config) -> str:
  """Returns what a run does: its preset's sentence, or its task's."""
  if config.preset in members.PRESETS:
    return members.PRESETS.summary(config.preset)
  return members.REGISTRIES["task"].summary(config.task)


def limits(run: Run, figures: Sequence[Mapping[str, Any]],
           is_chosen: bool = False) -> list[str]:
  """Returns what the figures of a run do not tell.

  Args:
    run: that was evaluated.
    figures: of its card.
    is_chosen: whether they are of the best seed only.
  """
  count, config, step = len(run.seeds), run.config, run.last()["step"]
  found = ["Tested on the rows above only." if len(figures) > 1 else
           "Tested on the task as trained only: no longer or other inputs."]
  if count == 1:
    found.append("One seed was trained; another may be better or worse.")
  elif is_chosen:
    found.append(f"Chosen as the best of {count} seeds; a single training may "
                 "do worse.")
  else:
    found.append(f"{count} seeds were trained; a row has their median, lowest "
                 "and highest value.")
  if step < config.steps:
    found.append(f"The run ended after {step:,} of {config.steps:,} updates.")
  if config.curriculum != members.NONE:
    found.append("A curriculum set the levels of training.")
  if isinstance(run.task, tasks.Stream):
    found.append("Each row of the text begins without a context; published "
                 "numbers are those of --batch_size=1.")
  if lost := sum(len(view.diverged()) for view in run.by_value()):
    found.append(f"Networks that diverged: {lost}.")
  return found
