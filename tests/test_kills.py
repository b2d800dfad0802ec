"""Runs that are killed again and again end as if nobody had touched them.

Each start of a run is a process of its own, and SIGKILL ends it: while it
trains, while it writes a checkpoint, or while it still starts. The variable
`RMC_NALU_SAM_KILLS` sets how often each kind of run is killed in each way.
"""

import multiprocessing
import os
import pathlib
import re
import signal
import sys
import time

import numpy as np
import pytest
import text_helpers
from launch_helpers import (
    assert_same,
    records,
    saved_state,
    saved_steps,
    tiny_flags,
)

from launch import train
from launch.runs import reporting

NUM_KILLS = int(os.environ.get("RMC_NALU_SAM_KILLS", "2"))
STEPS = 60
TEXT = "the cat saw the dog\nthe dog saw a cat <unk>\n"
KINDS = {
    "plain": tiny_flags(),
    "curriculum": [*tiny_flags(), "--curriculum=exponential",
                   "--curriculum.start=1", "--curriculum.threshold=10",
                   "--curriculum.patience=10", "--curriculum.max_level=6"],
    "many seeds": tiny_flags(num_seeds=4),
    "reused memory": [*tiny_flags("sam"), "--reuse_memory",
                      "--core.index=lsh"],
    "text": ["--task=text", "--task.num_steps=6", "--core=awd_lstm",
             "--core.hidden_size=5", "--core.weight_drop=.2",
             "--encoder.output_size=5", "--batch_size=4"],
    "environment": ["--task=small_environments:Cue", "--task.delay=2",
                    "--core=lstm", "--core.hidden_size=5",
                    "--agent.unroll_length=4", "--batch_size=8",
                    "--eval_episodes=8"]}
# In the first way a run is nearly always writing a checkpoint.
CHECKPOINT_EVERY = {"writing": 1, "training": 7}

pytestmark = pytest.mark.slow


def run_program(argv, log):
  """Runs launch.train in a process that was just forked."""
  with open(log, "w") as file:
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
  sys.argv = ["launch.train", *argv]
  train.run()


@pytest.fixture(name="context", scope="module")
def _context():
  """Returns what starts processes that have the imports behind them."""
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["launch.train"])
  return context


@pytest.fixture(name="argv")
def _argv(kind, tmp_path):
  own = []
  if kind == "text":
    folder = text_helpers.write(tmp_path / "text", {
        "train": TEXT * 12, "valid": TEXT * 3, "test": TEXT * 2})
    own = [f"--data_dir={folder}", f"--cache_dir={tmp_path / 'cache'}"]
  return [*KINDS[kind], *own, f"--steps={STEPS}", "--log_every=1",
          "--eval_every=30", "--cpu_devices=2"]


class Starts:
  """Starts a run, and kills it at random moments."""

  def __init__(self, context, argv, workdir, rng):
    self._context, self._rng = context, rng
    self._argv = [*argv, f"--workdir={workdir}"]
    self._workdir = workdir
    self.log = workdir.with_suffix(".log")

  def once(self, kills: bool) -> int | None:
    """Starts it once; returns its exit status, which is that of the kill."""
    before = newest(self._workdir)
    self.log.write_text("")  # The kill may come before the child opens it.
    process = self._context.Process(
        target=run_program, args=(self._argv, self.log))
    process.start()
    if kills:
      self._await_a_moment(process, before)
      process.kill()
    process.join(300)
    self._check(before)
    return process.exitcode

  def _await_a_moment(self, process, before):
    """Waits for an update of this start; or, seldom, only a moment."""
    if self._rng.random() < .2:
      process.join(self._rng.uniform(0, 4))
      return
    start, deadline = time.time(), time.monotonic() + 300
    while process.is_alive() and not self._has_trained(start, before):
      assert time.monotonic() < deadline
      time.sleep(.001)
    process.join(self._rng.exponential(.2))

  def _has_trained(self, start, before):
    """Returns whether there is a record that this start has written."""
    path = self._workdir / reporting.METRICS_FILE
    if not path.exists() or path.stat().st_mtime < start:
      return False
    found = reporting.read_records(self._workdir)
    return bool(found) and found[-1]["step"] > before

  def _check(self, before):
    """Checks that a start lost nothing of what was saved before it."""
    text = self.log.read_text()
    assert "Traceback" not in text, text
    assert "CANNOT BE READ" not in text, text
    found = re.search(r"(start|CONTINUE) at step (\d+) of", text)
    if found:
      assert int(found[2]) == before, text
    assert newest(self._workdir) >= before
    assert not list(self._workdir.glob("damaged-*"))


def newest(workdir: pathlib.Path) -> int:
  """Returns the step of the newest checkpoint; 0 without one."""
  if not (workdir / "checkpoints").exists():
    return 0
  return max(saved_steps(workdir), default=0)


@pytest.mark.parametrize("way", CHECKPOINT_EVERY)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_runs_equal_the_one_that_was_not(
    context, argv, kind, way, tmp_path, capsys):
  rng = np.random.default_rng([*map(ord, kind + way)])
  argv = [*argv, f"--checkpoint_every={CHECKPOINT_EVERY[way]}"]
  whole = tmp_path / "whole"
  assert Starts(context, argv, whole, rng).once(kills=False) == 0
  kills = runs = 0
  steps = []
  while kills < NUM_KILLS:
    runs += 1
    workdir = tmp_path / f"run-{runs}"
    starts = Starts(context, argv, workdir, rng)
    while status := starts.once(kills=kills < NUM_KILLS):
      assert status == -signal.SIGKILL, starts.log.read_text()
      kills += 1
      steps.append(newest(workdir))
    assert records(workdir) == records(whole)
    assert_same(saved_state(workdir), saved_state(whole))
  with capsys.disabled():
    print(f"\n{kind}, {way}: {kills} kills in {runs} runs, at the checkpoints "
          f"{steps}")
