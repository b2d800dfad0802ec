"""Runs the pieces of an experiment, some of them side by side.

A piece is one process or two, `launch.train` and `launch.evaluate`, or
`launch.benchmark`. Training resumes by itself, and a piece that is done in the
folder of runs is not run again, so an experiment goes on where it stopped.
"""

import datetime
import os
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from launch.configs import environment
from launch.configs.config import UsageError
from launch.evidence import collect, machine, results
from launch.evidence.experiment import Experiment, Piece

DONE = "done"  # A file in the folder of a run, with its command lines.
UNFINISHED = "not all updates are done yet"


class Job(NamedTuple):
  """Represents a piece to run.

  Attributes:
    experiment: of the piece.
    piece: what to run.
    scale: at which size.
    minutes: training stops after these; None runs to its end.
  """

  experiment: Experiment
  piece: Piece
  scale: str
  minutes: float | None = None

  @property
  def label(self) -> str:
    """Names the job for people."""
    return f"{self.experiment.name}/{self.piece.name}"


class Failure(NamedTuple):
  """Represents a piece that failed: its job, and why, in one line."""

  job: Job
  reason: str


class Running:
  """Represents the processes of a job, one after the other."""

  def __init__(self, job: Job, workdir: pathlib.Path, data: str | None,
               more_flags: Sequence[str]):
    """Starts the first process.

    Args:
      job: what to run.
      workdir: folder of the run; made if it is not there.
      data: folder of real data.
      more_flags: flags of each process, such as `--cpu_devices=1`.
    """
    self.job, self.workdir = job, workdir
    self.start = time.monotonic()
    workdir.mkdir(parents=True, exist_ok=True)
    lines = job.piece.commands(job.scale, str(workdir), shlex.quote(data or ""))
    if job.piece.program == "train":
      lines[0] += _time_limit(lines[0], job.minutes, workdir)
    self._lines = [[sys.executable, *shlex.split(line)[1:], *more_flags]
                   for line in lines]
    self._log = (workdir / "log.txt").open("a")
    self._process = self._begin()

  def _begin(self):
    return subprocess.Popen(
        self._lines.pop(0), stdout=self._log, stderr=subprocess.STDOUT,
        cwd=environment.ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True)

  @property
  def seconds(self) -> float:
    """Seconds since its start."""
    return time.monotonic() - self.start

  def poll(self) -> int | None:
    """Returns the exit status of the last process; None while one runs."""
    status = self._process.poll()
    if status == 0 and self._lines:
      self._process = self._begin()
      return None
    return status

  def stop(self) -> None:
    """Ends the process as Ctrl-C does, and waits for its checkpoint."""
    self._process.send_signal(2)
    try:
      self._process.wait(60)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()

  def reason(self) -> str:
    """Returns the last line of its log."""
    self._log.flush()
    lines = (self.workdir / "log.txt").read_text(
        errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"

  def close(self) -> None:
    """Closes the log; the process has ended."""
    self._log.close()


def _time_limit(line: str, minutes: float | None, workdir: pathlib.Path
                ) -> str:
  """Returns a flag: a run that resumes has the limit of its last start."""
  if minutes is None:
    return "" if "--max_minutes=" in line else " --max_minutes=0"
  # The flag counts the minutes of all starts of a run.
  return f" --max_minutes={collect.seconds_so_far(workdir) / 60 + minutes:g}"


def entry_of(running: Running) -> results.Entry:
  """Returns the entry of a job that has ended.

  Raises:
    UsageError, OSError, ValueError: its files lack something.
  """
  job = running.job
  found = collect.of_piece(job.piece, running.workdir)
  facts = machine.facts()
  is_done = found.finished or (found.out_of_time and job.minutes is None)
  if is_done:
    (running.workdir / DONE).write_text(_commands(job))
  return results.Entry(
      piece=job.piece.name, scale=job.scale,
      commands=_commands(job).splitlines(),
      commit=environment.commit(), date=datetime.date.today().isoformat(),
      machine=facts["machine"] | {"load": machine.load()},
      versions=facts["versions"], seeds=found.seeds, updates=found.updates,
      episodes=found.episodes,
      seconds=round(running.seconds if found.seconds is None
                    else found.seconds, 1),
      metrics=found.metrics, sweep=found.sweep,
      chosen=found.chosen, note="" if is_done else UNFINISHED)


def workdir_of(job: Job, runs: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a job within that of all runs."""
  return runs / f"{job.experiment.name}-{job.scale}" / job.piece.name


def to_do(jobs: Sequence[Job], runs: pathlib.Path) -> list[Job]:
  """Returns the jobs that have not been done in a folder of runs.

  A run that was done with other flags, such as fewer steps, goes on.
  """
  return [job for job in jobs
          if not _is_done(job, workdir_of(job, runs) / DONE)]


def _is_done(job: Job, path: pathlib.Path) -> bool:
  # Files of older versions are empty.
  return path.exists() and path.read_text() in ("", _commands(job))


def _commands(job: Job) -> str:
  return "\n".join(job.piece.commands(
      job.scale, str(workdir_of(job, pathlib.Path("runs")))))


def run(jobs: Sequence[Job], runs: pathlib.Path, folder: pathlib.Path,
        view: Any, *, data: str | None = None, side_by_side: int = 1,
        more_flags: Sequence[str] = (), seconds: float | None = None,
        now: Callable[[], float] = time.monotonic) -> list[Failure]:
  """Runs jobs; writes the file of results after each.

  Args:
    jobs: what to run, in this order.
    runs: folder that the runs' folders lie in.
    folder: of results.
    view: shows the progress: `show(waiting, running)`, `ended(job)`,
      `failed(failure)`.
    data: folder of real data.
    side_by_side: number of jobs that run at the same time.
    more_flags: flags of each process.
    seconds: no job starts after these, and training ends then; None for no
      limit.
    now: the clock.

  Returns:
    The jobs that failed; the others are not affected.

  Raises:
    KeyboardInterrupt: after the running jobs have saved.
  """
  waiting, failures = list(jobs), []
  running: list[Running] = []
  end = None if seconds is None else now() + seconds
  try:
    while waiting or running:
      if end is not None and now() >= end:
        waiting = []
      while len(running) < side_by_side and (ready := [
          job for job in waiting if _is_ready(job, waiting, running)]):
        job = ready[0]
        waiting.remove(job)
        if end is not None:
          left = (end - now()) / 60
          job = job._replace(minutes=min(left, job.minutes or left))
        running.append(
            Running(job, workdir_of(job, runs), data, more_flags))
      view.show(waiting, running)
      time.sleep(.2)
      for each in [each for each in running if each.poll() is not None]:
        running.remove(each)
        failures += _finish(each, folder, view)
        each.close()
  finally:
    for each in running:
      each.stop()
      each.close()
  return failures


def _is_ready(job: Job, waiting: Sequence[Job], running: Sequence[Running]
              ) -> bool:
  """Returns whether nothing is left to do of the job's reference."""
  first = (job.experiment.name, job.piece.reference)
  return all((each.experiment.name, each.piece.name) != first for each in (
      *waiting, *(each.job for each in running)))


def _finish(running: Running, folder: pathlib.Path, view: Any
            ) -> list[Failure]:
  """Writes the entry of a job that has ended; returns its failure, if any."""
  job, status = running.job, running.poll()
  try:
    if status:
      raise UsageError(f"exit status {status}: {running.reason()}")
    entry = entry_of(running)
  except (OSError, ValueError, KeyError) as error:
    failure = Failure(job, str(error))
    view.failed(failure)
    return [failure]
  entries = results.put(results.load(folder, job.experiment.name), entry)
  order = [piece.name for piece in job.experiment.pieces]
  entries.sort(key=lambda entry: (order.index(entry.piece)
                                  if entry.piece in order else len(order)))
  results.save(folder, job.experiment, entries)
  view.ended(job)
  return []
