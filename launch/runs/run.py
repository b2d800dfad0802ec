"""Represents the folder of a run: config, records, columns, checkpoints.

A run may train several values of some numbers, each with all seeds (a sweep).
`Run.by_value` gives a view of each value, which is like a run of that value
alone.

Letters: E evaluations (or other records), S seeds. In a sweep S is values times
seeds: the seeds of the first value, then those of the second, and so on.
"""

import contextlib
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Self

import filelock
import jax
import ml_collections
import numpy as np

import tasks
from launch.configs import build, sweeps, waiting
from launch.configs import config as config_lib
from launch.runs import checkpoints as checkpoints_lib
from launch.runs import reporting, statistics, store
from tasks.data import cache

# Stands for the task as it was trained, among the names of its variants.
TRAINED = "as trained"
# Facts of a record that are no metrics.
FACTS = ("step", "split", *reporting.MEASURED)


class Run:
  """Represents a run on disk; reads its files.

  Attributes:
    workdir: its folder.
    config: its configuration.
    seeds: its seeds, in the order of the axis S of metrics.
    point: flag -> value, if this is the view of one value of a sweep; else {}.
  """

  def __init__(self, workdir: pathlib.Path,
               config: ml_collections.ConfigDict | None = None):
    """Opens a run for reading; writes nothing.

    Args:
      workdir: its folder.
      config: its configuration; by default read from the folder.

    Raises:
      UsageError: the folder holds no run.
    """
    self.workdir = workdir
    self.config = config_lib.load(workdir) if config is None else config
    self.seeds = range(self.config.seed,
                       self.config.seed + self.config.num_seeds)
    self.point: sweeps.Point = {}
    self._columns = slice(None)

  @classmethod
  @contextlib.contextmanager
  def writing(cls, workdir: pathlib.Path,
              config: ml_collections.ConfigDict) -> Iterator[Self]:
    """Opens a run for the one process that trains it; makes the folder.

    Two processes would mix their metrics and delete each other's checkpoints.
    The lock ends with the process, even after a crash.

    Args:
      workdir: its folder.
      config: its configuration, not yet stored; see `save_config`.

    Raises:
      UsageError: the folder cannot be written, or another process trains in it.
    """
    _check_writable(workdir)
    try:
      with filelock.FileLock(workdir / ".lock", blocking=False):
        yield cls(workdir, config)
    except filelock.Timeout:
      raise config_lib.UsageError(
          f"another process trains in --workdir={workdir}: wait for its end, "
          "or choose another --workdir") from None

  @property
  def num_entries(self) -> int:
    """S: the number of networks, values times seeds."""
    return sweeps.num_entries(self.config)

  @property
  def sweep(self) -> dict[str, tuple[float, ...]]:
    """The flags that have several values; {} without a sweep."""
    return dict(self.config.sweep)

  @property
  def value(self) -> str:
    """The value that this is the view of, for people; '' for a whole run."""
    return sweeps.label(self.point)

  def by_value(self) -> list["Run"]:
    """Returns a view of each value of the sweep; the run itself without one.

    A view has the config, the seeds and the records of a run of its value
    alone. The checkpoints are those of the whole run.
    """
    if not self.config.sweep:
      return [self]
    views = []
    for i, point in enumerate(sweeps.points(self.config)):
      view = Run(self.workdir, sweeps.config_of(self.config, point))
      view.point, view._columns = point, self._columns_of(i)
      views.append(view)
    return views

  def columns(self) -> dict[str, slice]:
    """Returns the place of each value on the axis S; {} without a sweep."""
    return {view.value: self._columns_of(i)
            for i, view in enumerate(self.by_value()) if view.value}

  def _columns_of(self, index):
    return slice(index * len(self.seeds), (index + 1) * len(self.seeds))

  def best_value(self) -> int:
    """Returns the index of the sweep's best value by validation, from 0 on.

    The best value has the best mean over its seeds of the main metric, on the
    task as trained, in the last evaluation. A mean that is not finite loses;
    the first of equal means wins. The index is 0 without a sweep or
    evaluations.
    """
    evaluations = self.records("eval")
    if not evaluations or not self.config.sweep:
      return 0
    means = np.reshape(evaluations[-1][self.main_metric],
                       (-1, len(self.seeds))).mean(1)
    return self._best_of(means)

  def best(self) -> "Run":
    """Returns the view of the best value; the run itself without a sweep."""
    return self.by_value()[self.best_value()]

  @functools.cached_property
  def task(self) -> tasks.Trainable:
    """The task that the run trains on.

    Raises:
      UsageError: it has no targets to train on, or its data cannot be read.
    """
    try:
      task = build.make_task(self.config)
    except (OSError, ValueError) as error:
      raise config_lib.UsageError(str(error)) from None
    if not isinstance(task, tasks.Trainable):
      raise config_lib.UsageError(
          f"task {self.config.task!r} is of no kind that can be trained on; "
          "choose one that derives from tasks.Episodes, tasks.Stream or "
          "tasks.Environment")
    return task

  @property
  def main_metric(self) -> str:
    """The metric by which runs of this task are compared."""
    return self.task.score.main_metric

  def load_data(self, split: str) -> Any:
    """Loads the task's data, on the host; None if the task needs none.

    Args:
      split: 'train' or 'test'.

    Raises:
      UsageError: the data cannot be read, or take too long.
    """
    try:
      with cache.placed_in(self.config.cache_dir or None):
        data = waiting.within_timeout(
            self.config, f"split {split!r}", lambda: self.task.load(
                split, self.config.data_dir or None))
      if split == "train":
        self.task.check(data, self.config.batch_size)
      return data
    except (OSError, ValueError) as error:
      raise config_lib.UsageError(str(error)) from None

  def save_config(self) -> None:
    """Writes `config.json`, atomically."""
    config_lib.save(self.config, self.workdir)

  def checkpoints(self, writes: bool = False) -> checkpoints_lib.Checkpoints:
    """Opens the checkpoints; the caller closes them.

    Args:
      writes: whether the caller has opened the run by `writing`.
    """
    return checkpoints_lib.Checkpoints(
        self.workdir, are_finite=self.num_entries == 1, writes=writes)

  def records(self, split: str | None = None) -> list[dict[str, Any]]:
    """Returns the records, oldest first.

    Args:
      split: 'train' or 'eval'; None for both.

    Returns:
      Records with the facts `FACTS` as they are, and each metric as an array
      `[S]`.
    """
    return [_in_memory(record, self._columns)
            for record in reporting.read_records(self.workdir)
            if split in (None, record["split"])]

  def last(self, split: str = "eval") -> dict[str, Any]:
    """Returns the last record of a split.

    Raises:
      UsageError: there is none.
    """
    records = self.records(split)
    if not records:
      raise config_lib.UsageError(
          f"{self.workdir} was not evaluated yet" if split == "eval" else
          f"{self.workdir} has no records of split {split!r} yet")
    return records[-1]

  def column(self, metric: str, variant: str | None = None,
             split: str = "eval") -> tuple[np.ndarray, np.ndarray]:
    """Returns one metric over time.

    Args:
      metric: its name.
      variant: name of a variant in `task.extrapolations`; None or `TRAINED` for
        the task itself.
      split: 'train' or 'eval'.

    Returns:
      Steps `[E]` and values `[E, S]`, of the records that have the metric.
    """
    name = column_name(metric, variant)
    found = [record for record in self.records(split) if name in record]
    if not found:
      return np.zeros(0, int), np.zeros((0, self.num_entries))
    return (np.array([record["step"] for record in found]),
            np.stack([record[name] for record in found]))

  def errors(self) -> dict[str, np.ndarray]:
    """Returns the main metric at all evaluations, on the task and its variants.

    Returns:
      Name of the variant (`TRAINED` first) -> `[E, S]`; {} without evaluations.

    Raises:
      UsageError: a variant was not evaluated.
    """
    evaluations = self.records("eval")
    if not evaluations:
      return {}
    names = {variant: column_name(self.main_metric, variant)
             for variant in (TRAINED, *self.task.extrapolations)}
    for name in names.values():
      if any(name not in record for record in evaluations):
        raise config_lib.UsageError(f"{self.workdir} has evaluations without "
                                    f"{name}: train it with this version")
    return {variant: np.array([record[name] for record in evaluations])
            for variant, name in names.items()}

  def outcomes(self, thresholds: Mapping[str, float] | None = None
               ) -> dict[str, statistics.Outcomes]:
    """Judges each seed (and value) on the task and each of its variants.

    Args:
      thresholds: name of the variant -> upper bound of the error of a success.
        By default `solved_below` of each variant that has one.

    Returns:
      Name of the variant -> outcomes; {} without evaluations.
    """
    if thresholds is None:
      variants = {TRAINED: self.task, **self.task.extrapolations}
      thresholds = {name: variant.solved_below
                    for name, variant in variants.items()
                    if variant.solved_below is not None}
    errors = self.errors() if thresholds else {}
    if not errors:
      return {}
    evaluations = self.records("eval")
    steps = np.array([record["step"] for record in evaluations])
    unknown = np.full(self.num_entries, np.nan)
    sparsity = np.array([record.get("sparsity_error", unknown)
                         for record in evaluations])
    return {name: statistics.judge(steps, errors[TRAINED], errors[name],
                                   threshold, sparsity)
            for name, threshold in thresholds.items()}

  def scores(self) -> dict[str, tuple[float, float]]:
    """Returns the NALU paper's score on the task and each of its variants.

    In a sweep: of one value; see `by_value`.

    Returns:
      Name of the variant -> the score of the seeds' mean error, see
      `statistics.scaled_score`, and of their median error. {} unless the main
      metric is an error, and there is an evaluation before the first update
      and one after it.
    """
    if not self.task.score.lower_is_better:
      return {}  # The score is one of errors.
    errors = self.errors()
    evaluations = self.records("eval")
    if len(evaluations) < 2 or evaluations[0]["step"] != 0:
      return {}
    return {name: (
        statistics.scaled_score(values[-1], values[0]),
        statistics.scaled_score(
            statistics.over_seeds(self.main_metric, values[-1]), values[0]))
            for name, values in errors.items()}

  def diverged(self) -> list[int]:
    """Returns the seeds whose last recorded training loss is not finite.

    In a sweep: of one value; see `by_value`.
    """
    records = self.records("train")
    return [seed for i, seed in enumerate(self.seeds)
            if records and not np.isfinite(records[-1]["loss"][i])]

  def best_seed(self) -> int:
    """Returns the index of the best seed, from 0 on.

    In a sweep it is among the seeds of the best value.

    The best seed has the best main metric in the last evaluation, on the last
    variant on which any seed has a finite one. The index is 0 without
    evaluations.
    """
    evaluations = self.best().records("eval")
    for variant in (TRAINED, *self.task.extrapolations)[::-1]:
      name = column_name(self.main_metric, variant)
      values = evaluations[-1].get(name) if evaluations else None
      if values is not None and np.isfinite(values).any():
        return self._best_of(values)
    return 0

  def _best_of(self, values: np.ndarray) -> int:
    """Returns the index of the first best main metric; others lose to it."""
    errors = values if self.task.score.lower_is_better else -values
    return int(np.argmin(np.where(np.isfinite(errors), errors, np.inf)))

  def best_params(self, params: Any) -> tuple[int, Any]:
    """Returns the best seed (of the best value) and its parameters.

    Args:
      params: as `Trainer.get_params` returns them: with a leading axis S if the
        run has many seeds or values.
    """
    if self.num_entries == 1:
      return self.seeds[0], params
    seed = self.best_seed()
    index = self.best_value() * len(self.seeds) + seed
    return self.seeds[seed], jax.tree.map(lambda x: x[index], params)


def column_name(metric: str, variant: str | None = None) -> str:
  """Returns the name of a metric on a variant of the task, as in records."""
  return metric if variant in (None, TRAINED) else f"{variant}/{metric}"


def at_level(task: tasks.Trainable, level: int | None) -> tasks.Trainable:
  """Returns the task at the level that a curriculum has reached.

  Args:
    task: `Levelled`, if there is a level.
    level: None without a curriculum.
  """
  if level is None:
    return task
  assert isinstance(task, tasks.Levelled)
  return task.at_level(level)


def _in_memory(record: Mapping[str, Any], columns: slice) -> dict[str, Any]:
  return {name: value if name in FACTS else np.atleast_1d(value)[columns]
          for name, value in record.items()}


def _check_writable(workdir: pathlib.Path) -> None:
  store.check_path(workdir / checkpoints_lib.FOLDER)
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    probe = workdir / f".writable-{os.getpid()}"
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise config_lib.UsageError(
        f"cannot write to --workdir={workdir}: {error.strerror}") from None
