"""How a run tells of itself: metrics.jsonl, TensorBoard, a progress bar."""

import contextlib
import json
import logging as stdlib_logging
import pathlib
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tqdm
from absl import logging
from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2

METRICS_FILE = "metrics.jsonl"

Metric = float | list[float]  # A number, or one for each seed.


def quiet_libraries() -> None:
  """Drops what the libraries log of their inner workings, below a warning."""
  here = str(pathlib.Path(__file__).parent)
  logging.get_absl_handler().addFilter(
      lambda record: record.levelno >= stdlib_logging.WARNING
      or record.pathname.startswith(here))


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The records of `metrics.jsonl`, oldest first; a torn last line is left out.

  Each has `step`, `split` ('train' or 'eval'), `seconds` (that the run has
  taken so far, while it ran, to the state with these updates) and the metrics'
  means; those of 'train' are over the updates since the last record. In a run
  of many seeds a metric is a list, one number a seed; that of a seed that has
  diverged is not finite.
  """
  path = workdir / METRICS_FILE
  records = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      records.append(json.loads(line))
    except ValueError:
      break
  return records


def format_value(value: float) -> str:
  """A metric for people; a whole number, such as a level, in full."""
  return f"{value}" if isinstance(value, int) else f"{value:.4g}"


def over_seeds(name: str, value: Metric) -> float:
  """One number for a metric of many seeds.

  Args:
    name: of the metric.
    value: a number, which is returned, or a list of one for each seed.

  Returns:
    The share of the seeds for what is or is not (`solved`), else the median,
    in which numbers that are none count as the worst.
  """
  if not isinstance(value, list):
    return value
  if name.split("/")[-1] == "solved":
    return float(np.mean(value))
  return float(np.median(np.nan_to_num(value, nan=np.inf)))


class Reporter:
  """Writes the metrics of a run to files, and shows its progress.

  Attributes:
    seconds: that the run had taken at the last record.
  """

  def __init__(self, workdir: pathlib.Path, first_step: int, last_step: int,
               main_metric: str):
    """Starts to report; records after `first_step` are of a lost past, and cut.

    Args:
      workdir: of the run.
      first_step: updates already done.
      last_step: updates in the whole run.
      main_metric: the metric to show beside the loss.
    """
    # Of a run that starts anew, what was measured before its first update, too.
    kept = [record for record in read_metrics(workdir)
            if record["step"] <= first_step] if first_step else []
    temporary = workdir / (METRICS_FILE + ".tmp")
    temporary.write_text("".join(json.dumps(r) + "\n" for r in kept))
    temporary.replace(workdir / METRICS_FILE)
    self._file = (workdir / METRICS_FILE).open("a", buffering=1)
    self.seconds = kept[-1].get("seconds", 0.) if kept else 0.
    self._start = time.monotonic() - self.seconds
    # No `SummaryWriter`: its thread dies of a full disk, and the run waits for
    # it for ever.
    (workdir / "tensorboard").mkdir(exist_ok=True)
    self._tensorboard = event_file_writer.EventsWriter(
        str(workdir / "tensorboard" / "events"))
    if first_step:  # What TensorBoard is to forget.
      self._tensorboard.write_event(event_pb2.Event(
          wall_time=time.time(), step=first_step + 1,
          session_log=event_pb2.SessionLog(
              status=event_pb2.SessionLog.START)))
    self._bar = tqdm.tqdm(
        total=last_step, initial=first_step, unit="step", file=sys.stderr,
        dynamic_ncols=True, disable=None, smoothing=0.1)
    self._main_metric = main_metric
    self._shown: dict[str, str] = {}
    self._last = (first_step, time.monotonic())

  def train(self, step: int, metrics: Mapping[str, Metric]) -> None:
    """Reports the means over the updates since the last call.

    Of many seeds, TensorBoard and the bar show `over_seeds`.
    """
    now = time.monotonic()
    last_step, last_time = self._last
    self._last = (step, now)
    rate = (step - last_step) / (now - last_time)
    self._write(step, "train", {**metrics, "steps_per_second": rate})
    self._show(metrics, ("level", "loss", self._main_metric))
    self._bar.update(step - self._bar.n)

  def evaluation(self, step: int, metrics: Mapping[str, Metric]) -> None:
    """Reports an evaluation."""
    self._write(step, "eval", metrics)
    self._tensorboard.flush()  # To be looked at while it runs.
    solved = [name for name in metrics if name.split("/")[-1] == "solved"]
    # Of the task, and of the first variant; there is no room for all.
    self._show(metrics, (self._main_metric, *solved[:2]), "eval_")
    # So that the evaluation's time is not counted as training.
    self._last = (step, time.monotonic())
    if self._bar.disable:
      shown = " ".join(f"{k}={v}" for k, v in self._shown.items())
      print(f"step {step}/{self._bar.total} {shown}", file=sys.stderr,
            flush=True)

  def close(self) -> None:
    """Closes files and bar, also those after one that cannot be closed."""
    with contextlib.ExitStack() as stack:
      for each in (self._bar, self._tensorboard, self._file):
        stack.callback(each.close)

  def _write(self, step: int, split: str,
             metrics: Mapping[str, Metric]) -> None:
    self.seconds = time.monotonic() - self._start
    record = {"step": step, "split": split, "seconds": self.seconds, **metrics}
    self._file.write(json.dumps(record) + "\n")
    for name, value in metrics.items():
      self._tensorboard.write_event(event_pb2.Event(
          wall_time=time.time(), step=step, summary=summary.scalar(
              f"{split}/{name}", over_seeds(name, value))))

  def _show(self, metrics: Mapping[str, Metric], names: Iterable[str],
            prefix: str = "") -> None:
    for name in names:
      if name in metrics:
        self._shown[prefix + name] = format_value(
            over_seeds(name, metrics[name]))
    self._bar.set_postfix(self._shown, refresh=False)
