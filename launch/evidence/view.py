"""Shows the progress of an experiment's runs: done, running, time left."""

import sys
from collections.abc import Sequence
from typing import Any

import tqdm

from launch.evidence import collect
from launch.evidence.runner import Failure, Job, Running


class View:
  """Shows one bar for all runs; names those that run, and their updates.

  Without a terminal it prints a line at the end of each run instead.
  """

  def __init__(self, total: int):
    """Opens the bar.

    Args:
      total: number of runs.
    """
    self._bar = tqdm.tqdm(
        total=total, unit="run", file=sys.stderr, dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
        bar_format="{n:.1f}/{total} runs |{bar:12}| {elapsed}<{remaining} "
        "{postfix}")
    self._ended = 0

  def show(self, waiting: Sequence[Job], running: Sequence[Running]) -> None:
    """Updates the bar."""
    del waiting
    shares = [_share(each) for each in running]
    self._bar.n = self._ended + sum(share or 0 for share in shares)
    self._bar.set_postfix_str(", ".join(
        each.job.label + ("" if share is None else f" {share:.0%}")
        for each, share in zip(running, shares, strict=True)), refresh=True)

  def ended(self, job: Job) -> None:
    """Tells that a run has ended."""
    self._end(f"done: {job.label}")

  def failed(self, failure: Failure) -> None:
    """Tells that a run has failed."""
    self._end(f"FAILED: {failure.job.label}: {failure.reason}")

  def close(self) -> None:
    """Closes the bar."""
    self._bar.close()

  def _end(self, line: str) -> None:
    self._ended += 1
    self._bar.n = self._ended
    tqdm.tqdm.write(line, file=sys.stderr)


def _share(running: Running) -> float | None:
  """Returns the share of its updates that a training has done."""
  found: Any = collect.progress(running.job.piece, running.workdir)
  if found is None or not found[1]:
    return None
  return found[0] / found[1]
