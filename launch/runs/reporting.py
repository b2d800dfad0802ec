"""Reports the progress of a run: metrics.jsonl, TensorBoard, stderr."""

import contextlib
import logging as stdlib_logging
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from absl import logging

from launch.runs import statistics, strict_json, tables
from launch.runs.board.events import Events
from launch.runs.progress import bar
from tasks.data import replacing

PICTURES = (".png", ".gif")  # How the names of a run's pictures end.
METRICS_FILE = "metrics.jsonl"
# What a training record says of the machine, not of the network. TensorBoard
# has it apart from the metrics.
JOB = ("step_seconds", "compile_seconds", "data_seconds", "device_memory_bytes")
# All of a record that differs between two equal runs.
MEASURED = ("seconds", "steps_per_second", "frames_per_second", *JOB)


def quiet_libraries() -> None:
  """Drops log lines of libraries below a warning, and Orbax's errors.

  Orbax raises its errors, too. After one file has failed, each of the others
  prints a traceback that its event loop is closed, or that nobody waits for it.
  """
  here = str(pathlib.Path(__file__).parent.parent)

  def is_kept(record):
    if record.levelno < stdlib_logging.WARNING:
      return record.pathname.startswith(here)
    return (record.levelno < stdlib_logging.ERROR
            or not {"orbax", "asyncio"} & set(pathlib.Path(
                record.pathname).parts))

  logging.get_absl_handler().addFilter(is_kept)
  show = sys.unraisablehook
  if show.__module__ != __name__:  # Else it was set before.
    sys.unraisablehook = lambda each: None if _is_of_orbax(each) else show(each)


def _is_of_orbax(unraisable: Any) -> bool:
  return "Event loop is closed" in str(unraisable.exc_value)


def read_records(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Reads the records of `metrics.jsonl`, oldest first, as they are stored.

  A torn last line is left out. A record has `step`, `split` ('train' or
  'eval'), `seconds` (run time up to these updates, pauses not counted) and the
  metrics; those of 'train' are means over the updates since the last record. A
  metric is a number, or, in a run of many seeds, a list of one number a seed.
  Records of 'train' also have, as numbers:

  - `steps_per_second`: updates over all time since the last record but that of
    an evaluation, so with compilation, waiting and saving; in an environment
    also `frames_per_second`;
  - `step_seconds`: the time of an update alone;
  - `compile_seconds` and `data_seconds`: time of compilation, and of waiting
    for data on the host, since the last record or the launch;
  - `device_memory_bytes`: the peak of a device; not on CPUs.

  In a sweep the list has the seeds of the first value, then those of the
  second, and so on; config.json has the values in order.
  In the file, numbers that are not finite are strings; see `strict_json`.

  Args:
    workdir: of the run.
  """
  path = workdir / METRICS_FILE
  records = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      records.append(strict_json.loads(line))
    except ValueError:
      break
  return records


class Reporter:
  """Writes the metrics of a run to files, and shows its progress.

  Attributes:
    seconds: run time up to the last record.
  """

  def __init__(self, workdir: pathlib.Path, first_step: int, last_step: int,
               main_metric: str,
               columns: Mapping[str, slice] | None = None, frames: int = 0,
               max_seconds: float = 0.,
               settings: Mapping[str, Any] | None = None,
               rates: Callable[[np.ndarray], np.ndarray | None] | None = None):
    """Opens the files, and cuts the records after `first_step`.

    Args:
      workdir: of the run.
      first_step: updates already done, and saved. With 0 all records are cut,
        the evaluation before the first update included.
      last_step: updates in the whole run.
      main_metric: the metric to show.
      columns: value of a sweep -> its place on the axis S; see `Run.columns`.
      frames: steps of environments in an update, over all networks, also those
        that begin an episode; 0 for a task without.
      max_seconds: run time after which training ends; 0 for no limit.
      settings: flag -> value, for TensorBoard.
      rates: updates done `[S]` -> learning rates `[S]`, for TensorBoard.
    """
    kept = [record for record in read_records(workdir)
            if record["step"] <= first_step] if first_step else []
    _rewrite(workdir, kept)
    self._file = (workdir / METRICS_FILE).open("a", buffering=1)
    self.seconds = kept[-1].get("seconds", 0.) if kept else 0.
    self._start = time.monotonic() - self.seconds
    self._tensorboard = Events(workdir, first_step)
    self._tensorboard.hparams(settings or {}, [
        f"eval/{main_metric}{_end_of_tag(label) if label else ''}"
        for label in columns or ("",)])
    self._rates = rates
    self._bar = bar.Bar(last_step, first_step)
    self._state = bar.State(first_step, last_step, elapsed=self.seconds,
                            frames=frames)
    self._pace, self._max_seconds = bar.Pace(), max_seconds
    self._begun = time.monotonic()  # Of what is in `_pace`.
    self._main_metric = main_metric
    self._columns = columns or {}
    self._frames = frames
    self._evaluated: Mapping[str, np.ndarray] = {}
    self._last = (first_step, time.monotonic())

  def train(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
    """Reports the means over the updates since the last call.

    TensorBoard and the bar show `statistics.over_seeds`; in a sweep,
    TensorBoard shows it of each value, and the bar over all of them.

    Args:
      step: updates done.
      metrics: name -> `[S]`.
    """
    now = time.monotonic()
    last_step, last_time = self._last
    self._last = (step, now)
    rate = (step - last_step) / (now - last_time)
    rates = {"steps_per_second": np.array([rate])}
    if self._frames:
      rates["frames_per_second"] = np.array([rate * self._frames])
    self._write(step, "train", {**metrics, **rates})
    self._write_rates(step, metrics)
    self._pace.add(step - self._state.step, _without_compilation(
        now - self._begun, step - self._state.step, metrics))
    self._begun = now
    shown = (self._main_metric, *(
        ("length",) if self._frames else ("level", "loss")))
    self._state = self._state._replace(
        step=step, elapsed=self.seconds, doing="", rate=self._pace.rate,
        left=self._left(step),
        metrics=self._shown({**self._evaluated, **metrics}, shown))
    self._bar.show(self._state)

  def doing(self, what: str) -> None:
    """Tells what the run does when it does not train, such as compiling."""
    state = self._state._replace(doing=what)
    if what == bar.COMPILING:
      self._bar.show(state)
    else:
      self._bar.redraw(state)

  def evaluation(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
    """Reports an evaluation.

    Args:
      step: updates done.
      metrics: name -> `[S]`.
    """
    self._write(step, "eval", metrics)
    self._tensorboard.flush()  # So that it can be looked at during the run.
    # The time of the evaluation is not counted as training.
    self._last = (step, time.monotonic())
    solved = [name for name in metrics if name.split("/")[-1] == "solved"]
    # Of an evaluation without updates before it, such as the first one.
    self._evaluated = {name: metrics[name] for name in metrics
                       if name == self._main_metric}
    shown = self._shown(metrics, (self._main_metric, *solved[:2]))
    self._bar.note(self._state._replace(
        step=step, elapsed=self.seconds, metrics={
            f"eval_{name}": text for name, text in shown.items()}))

  def close(self) -> None:
    """Closes all files and the bar, even if one of them fails to close."""
    with contextlib.ExitStack() as stack:
      for each in (self._bar, self._tensorboard, self._file):
        stack.callback(each.close)

  def _write(self, step: int, split: str,
             metrics: Mapping[str, np.ndarray]) -> None:
    self.seconds = time.monotonic() - self._start
    record = {"step": step, "split": split, "seconds": self.seconds} | {
        name: stored(values) for name, values in metrics.items()}
    self._file.write(strict_json.dumps(record) + "\n")
    for name, values in metrics.items():
      self._write_scalars(step, "job" if name in JOB else split, name, values)

  def _write_scalars(self, step, group, name, values):
    for label, part in self._parts(values):
      self._tensorboard.scalar(f"{group}/{name}{label}",
                               statistics.over_seeds(name, part), step)

  def _write_rates(self, step, metrics):
    """Writes the learning rate of the last update; to TensorBoard only."""
    if self._rates is None:
      return
    done = step - 1 - np.asarray(metrics.get("skipped", 0), int)
    rates = self._rates(np.broadcast_to(done, np.shape(metrics["loss"])))
    if rates is not None:
      self._write_scalars(step, "train", "learning_rate", rates)

  def _parts(self, values):
    """Returns (end of the name in TensorBoard, values) for each value."""
    if not self._columns or np.size(values) == 1:  # A rate is of the whole run.
      return [("", values)]
    return [(_end_of_tag(label), np.asarray(values)[columns])
            for label, columns in self._columns.items()]

  def _left(self, step: int) -> float | None:
    """Returns the seconds to the end of the run, by steps or by minutes."""
    left = self._pace.left(self._state.total - step)
    if not self._max_seconds:
      return left
    rest = max(self._max_seconds - self.seconds, 0.)
    return rest if left is None else min(left, rest)

  def _shown(self, metrics: Mapping[str, np.ndarray], names: Iterable[str]
             ) -> dict[str, str]:
    return {name: tables.format_value(statistics.over_seeds(
        name, metrics[name])) for name in names if name in metrics}


class Silent:
  """Stands for a `Reporter` in a process that reports nothing.

  Attributes:
    seconds: 0: the run time is that of process 0.
  """

  seconds = 0.

  def train(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
    """Reports nothing."""

  def evaluation(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
    """Reports nothing."""

  def doing(self, what: str) -> None:
    """Reports nothing."""

  def close(self) -> None:
    """Closes nothing."""


def _without_compilation(seconds: float, updates: int,
                         metrics: Mapping[str, np.ndarray]) -> float:
  """Returns the time of a record as if its programs had been there before."""
  compilation, update = (float(np.sum(metrics.get(name, 0.))) for name in (
      "compile_seconds", "step_seconds"))
  # The first record's compilation began before its updates.
  return max(seconds - compilation, updates * update)


def stored(values: np.ndarray) -> Any:
  """Returns a metric as JSON has it: a list, or a number for one seed."""
  values = np.asarray(values)
  return values.item() if values.size == 1 else values.tolist()


def _end_of_tag(label: str) -> str:
  """Returns the values of a sweep with the characters of TensorBoard's names.
  """
  return "/" + label.replace(", ", "/").replace("=", "_")


def _rewrite(workdir: pathlib.Path, records: Iterable[Any]) -> None:
  """Replaces `metrics.jsonl`; an interrupted call leaves the old file."""
  replacing.replace_text(workdir / METRICS_FILE, "".join(
      strict_json.dumps(r) + "\n" for r in records))
