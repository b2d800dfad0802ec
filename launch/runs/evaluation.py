"""Loads and evaluates the newest checkpoint of a run, also at other levels."""

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging

import tasks
from launch.configs import build, checks, devices, members
from launch.configs.config import UsageError
from launch.learning import evaluators
from launch.learning.learner import RunState
from launch.learning.text import evaluators as text_evaluators
from launch.learning.trainer import Trainer
from launch.runs import reporting, strict_json, text_evaluation
from launch.runs.run import TRAINED, Run, at_level
from launch.runs.trained import loading
from rmc_nalu_sam.registry import attribute
from tasks.data import replacing

EVALUATION_FILE = "evaluation.json"


def evaluate(workdir: pathlib.Path, levels: Sequence[int], episodes: int,
             changes: Mapping[str, Mapping[str, Any]],
             data_dir: str | None = None,
             show: int = 0, batch_size: int | None = None,
             recall: bool = False, cache_dir: str | None = None,
             of_text: text_evaluators.Options | None = None
             ) -> dict[str, Any]:
  """Evaluates the newest checkpoint of a run, on all local devices.

  Neither their number nor `batch_size` changes the episodes.

  Args:
    workdir: of the run.
    levels: levels to evaluate at. If empty: `default_levels`, and the task's
      `extrapolations`.
    episodes: number of episodes at each level.
    changes: 'core' and 'index' -> arguments that differ from training.
    data_dir: folder of real data, if not the one used in training.
    show: number of episodes of the last variant to transcribe.
    batch_size: episodes at once, over all devices; as in training if None.
    recall: measures `index_recall` of each row, see `evaluators`.
    cache_dir: folder of converted data, if not the one used in training.
    of_text: other ways to score a text, a row for each and every variant.

  Returns:
    The content of `evaluation.json`. `trained` of a row is whether its level is
    not above those of training; None for a variant, where this is unknown.
    `guess` is the main metric of guessing. For a sweep, metrics are lists
    over all seeds of the first value, then of the second, and so on; `values`
    names these, and `best` the best one by validation in training. `summary` is
    the task's, over all variants, and `remarks` those on its data; both are
    there only if there are any.

  Raises:
    UsageError: there is no run, no checkpoint, no such level, the task has no
      words to show, or the core no recall to measure.
  """
  stored = Run(workdir)
  run = Run(workdir, _config(stored.config, changes, data_dir=data_dir,
                             cache_dir=cache_dir))
  task = run.task
  if show and not isinstance(task, tasks.Transcribable):
    valid = sorted(name for name, cls in tasks.TASKS.items()
                   if issubclass(cls, tasks.Transcribable))
    raise UsageError(f"--show needs a task of text, not {run.config.task}; "
                     f"valid: {', '.join(valid)}")
  of_text = of_text or text_evaluators.Options()
  text_evaluation.check(task, of_text)
  data = run.load_data("test")
  trainer = build.make_trainer(
      run.config, task, devices.for_evaluation(run.config))
  if recall and isinstance(task, tasks.Environment):
    raise UsageError("--recall: it is not measured in environments; leave it "
                     "out")
  if recall and not trainer.model.searches_approximately:
    raise UsageError(_no_recall(run.config))
  state = loading.restore(
      run, trainer, _empty_state(stored, trainer, changes))
  if state.train.curriculum:
    task = at_level(task, int(state.train.curriculum.level))
  variants = _variants(task, levels)
  rows = _rows(trainer, state.train.params, data, task, variants, episodes,
               batch_size, recall)
  if of_text.ways():
    rows += [_row(name, variant, metrics, _counts(variant, data, 0), task)
             for name, variant, metrics in text_evaluation.rows(
                 run, trainer, state.train.params, variants, data, of_text)]
  result = {"task": run.config.task, "core": run.config.core,
            "core_args": run.config.core_args.to_dict(),
            "unit": run.config.unit, "step": int(np.min(state.train.step)),
            "seed": run.config.seed, "num_seeds": run.config.num_seeds,
            "level_name": getattr(task, "level_name", "task"),
            "main_metric": run.main_metric, "levels": rows}
  notes = {"summary": {} if levels else _summary(task, rows),
           "remarks": list(task.remarks(data))}
  result |= {name: note for name, note in notes.items() if note}
  if run.sweep:
    result |= {"sweep": run.sweep, "values": [*run.columns()],
               "best": run.best().value}
  if show:
    _, of_seed = run.best_params(state.train.params)
    result["examples"] = _transcribe(
        trainer, of_seed, [*variants.values()][-1], show)
  return result


def evaluate_network(config: ml_collections.ConfigDict, task: tasks.Trainable,
                     params: Any, data: Any, episodes: int,
                     only: Collection[Any] | None = None
                     ) -> list[dict[str, Any]]:
  """Evaluates one network, as `evaluate` does the run of it.

  Args:
    config: of a run of one seed.
    task: of the run.
    params: of the network, on the host.
    data: of the test split, on the host.
    episodes: number of episodes at each level.
    only: levels and names of variants; all that `evaluate` chooses if None.

  Returns:
    `levels` of `evaluate`.
  """
  trainer = build.make_trainer(
      _config(config, {}), task, devices.for_evaluation(config))
  variants = {name: variant for name, variant in _variants(task, ()).items()
              if only is None or name in only}
  return _rows(trainer, params, data, task, variants, episodes)


def write(workdir: pathlib.Path, result: Mapping[str, Any]) -> None:
  """Writes `evaluation.json` into the folder of the run."""
  replacing.replace_text(workdir / EVALUATION_FILE,
                         strict_json.dumps(result, indent=2) + "\n")


def default_levels(task: tasks.Levelled) -> list[int]:
  """Returns the task's highest level, twice and four times it, if valid."""
  levels = []
  for factor in (1, 2, 4):
    try:
      task.at_level(factor * task.max_level)
    except ValueError:
      break
    levels.append(factor * task.max_level)
  return levels


def _config(stored, changes, **folders) -> ml_collections.ConfigDict:
  """Returns the configuration to evaluate with, checked."""
  config = ml_collections.ConfigDict(stored.to_dict())
  with config.unlocked():
    config.core_args.update(changes.get("core", {}))
    if members.name_of(config, "index") != members.name_of(stored, "index"):
      config.index_args = {}  # They are of the index of the training.
    _check_index_arguments(config, changes.get("index", {}))
    config.index_args.update(changes.get("index", {}))
  config.reuse_memory = False  # Each evaluation starts in a new memory.
  # The regulariser of inputs is a metric of a batch, not of episodes.
  config.penalty = members.NONE
  with config.unlocked():
    config.penalty_args = {}
  config.update({name: folder for name, folder in folders.items()
                 if folder is not None})
  checks.check(config)
  return config


def _check_index_arguments(config, arguments) -> None:
  try:
    members.check_given(config, "index", arguments)
  except ValueError as error:
    raise UsageError(str(error)) from None


def _empty_state(stored: Run, trainer: Trainer,
                 changes: Mapping[str, Mapping[str, Any]]) -> RunState:
  """Returns zeros like the checkpoint, whose core has the stored arguments.

  A text's checkpoint holds the core's state, which the arguments may change.

  Raises:
    UsageError: they change the parameters.
  """
  now = trainer.empty_state()
  if not any(changes.values()):
    return now
  before = build.make_trainer(
      stored.config, trainer.learner.task, trainer.layout.devices).empty_state()
  if (jax.tree.map(jnp.shape, before.train) !=
      jax.tree.map(jnp.shape, now.train)):
    raise UsageError(f"the parameters in {stored.workdir} do not fit "
                     + ", ".join(f"{kind}.{name}={value}"
                                 for kind, arguments in changes.items()
                                 for name, value in arguments.items()))
  return now._replace(source=before.source if now.source else ())


def _variants(task: tasks.Trainable, levels: Sequence[int]) -> dict[Any, Any]:
  """Returns what to evaluate, by level (a number) or name."""
  is_environment = isinstance(task, tasks.Environment)
  if not isinstance(task, tasks.Levelled) or (is_environment and not levels):
    if levels:
      raise UsageError("--levels: this task has one level only")
    return {TRAINED: task, **task.extrapolations}
  variants: dict[Any, Any] = {}
  if not levels and task != task.at_level(task.max_level):
    variants[TRAINED] = task
  try:
    for level in levels or default_levels(task):
      variants[level] = task.at_level(level)
  except ValueError as error:
    raise UsageError(str(error)) from None
  return variants if levels else variants | dict(task.extrapolations)


def _rows(trainer: Trainer, params, data, task, variants, episodes,
          batch_size=None, recall=False) -> list[dict[str, Any]]:
  """Returns a row for each variant; parameters and data are on the host."""
  params, on_devices = trainer.put_params(params), trainer.put_data(data)
  rows = []
  for name, variant in variants.items():
    counts = _counts(variant, data, episodes)
    logging.info("evaluating %s at %s", ", ".join(
        f"{count} {what}" for what, count in counts.items()), name)
    metrics = trainer.evaluate(params, on_devices, variant, episodes,
                               batch_size)
    if recall:
      metrics["index_recall"] = evaluators.index_recall(
          trainer, params, on_devices, variant)
    rows.append(_row(name, variant, metrics, counts, task))
  return rows


def _counts(variant, data, episodes) -> dict[str, int]:
  """Returns of what, and how many, a variant's metrics are means."""
  if isinstance(variant, tasks.Stream):
    return {"targets": len(variant.corpus(data).tokens) - 1}
  # All examples of a finite task count once each.
  return {"episodes": variant.num_examples if isinstance(
      variant, tasks.Countable) else episodes}


def _row(name, variant, metrics, counts, task):
  """Returns the row of one variant."""
  trained = name == TRAINED or (
      None if isinstance(name, str) else name <= task.max_level)
  found = {key: reporting.stored(value) for key, value in metrics.items()}
  row = {"level": name, "trained": trained, **counts}
  # A metric may not replace what the row is of.
  return row | found | row | {"guess": float(variant.trivial_score)}


def _summary(task, rows):
  """Returns the task's summary of all variants."""
  metrics = {f"{row['level']}/{name}": np.array(value)
             for row in rows for name, value in row.items()}
  return {name: reporting.stored(value)
          for name, value in task.summary(metrics).items()}


def _no_recall(config):
  """Returns why there is no recall to measure, and where there is."""
  cores, indices = members.REGISTRIES["core"], members.REGISTRIES["index"]
  index = members.name_of(config, "index")
  found = f"with the index {index!r} searches exactly" if index else (
      "has no index")
  measured = [name for name in cores
              if attribute(cores.get(name), "MEASURES_RECALL", False)]
  valid = [name for name in indices
           if not attribute(indices.get(name), "is_exact", True)]
  return (f"--recall: core {config.core!r} {found}; valid cores: "
          f"{', '.join(measured)}, with --core.index={'|'.join(valid)}; leave "
          "out --recall")


def _transcribe(trainer: Trainer, params, task, count):
  """Returns episodes in words, with the answers of one network."""
  model = trainer.model

  @jax.jit
  def answer(params, key):
    batch = task.sample(key, count)
    unrolled = model.unroll(params, None, batch.inputs,
                            model.initial_state(params, count))
    return batch, unrolled.outputs

  return task.transcribe(*jax.tree.map(
      np.asarray, answer(params, jax.random.key(trainer.seeds[0]))))
