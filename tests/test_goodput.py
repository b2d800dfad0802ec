"""Goodput over several launches, by a clock that is set."""

import json

import jax
import numpy as np
import pytest
from launch_helpers import run, tiny_flags

from launch import train
from launch.learning.watching import timing
from launch.pictures import run as pictures
from launch.runs import Run, reporting
from launch.runs.job import goodput
from launch.runs.job import watch as watch_lib


class Clock:
  """Is asked for the time, and told how it passes."""

  now = 1000.

  def __call__(self):
    return self.now

  def wait(self, seconds):
    self.now += seconds


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def workdir(tmp_path):
  (tmp_path / "run").mkdir()
  return tmp_path / "run"


def launch(workdir, clock, step, chunks, loading=3., saving=1.):
  """Does chunks of 10 updates of 2 seconds each; then the process is killed."""
  watch = watch_lib.Watch(workdir, clock)
  clock.wait(loading)
  watch.begin(step)
  found = []
  for _ in range(chunks):
    found.append({})
    with watch.updates(10, found[-1]):
      clock.wait(20)
    with watch.event(watch_lib.SAVING):
      clock.wait(saving)
  watch._journal.close()  # As a kill does.
  return found


def test_one_launch(workdir, clock):
  found = launch(workdir, clock, 0, chunks=2)
  assert goodput.of(goodput.read(workdir)) == (40, 3 + 2 * 21)
  assert [each["step_seconds"].item() for each in found] == [2, 2]
  assert str(goodput.of(goodput.read(workdir))) == (
      "goodput 89 %: updates took 40 s of 45 s since the first launch")


def test_updates_lost_by_a_kill_do_not_count(workdir, clock):
  launch(workdir, clock, 0, chunks=3)
  with (workdir / goodput.FILE).open("a") as file:
    file.write('{"time": 1066, "event": "upda')  # The process was killed.
  clock.wait(100)
  launch(workdir, clock, 20, chunks=2)  # The third chunk is done again.
  events = goodput.read(workdir)
  assert sum(each["event"] == "updates" for each in events) == 5
  assert goodput.of(events) == (80, 66 + 100 + 45)
  # A third launch that is killed before its first update still costs.
  clock.wait(50)
  launch(workdir, clock, 40, chunks=0)
  assert goodput.of(goodput.read(workdir)) == (80, 66 + 100 + 45 + 50)


def test_begun_anew_loses_all(workdir, clock):
  launch(workdir, clock, 0, chunks=3)
  launch(workdir, clock, 0, chunks=1)
  assert goodput.of(goodput.read(workdir)) == (20, 66 + 24)


def test_not_launched(workdir):
  assert goodput.of(goodput.read(workdir)) is None
  assert goodput.of([{"time": 1., "event": "launch", "step": 0}]) is None


def test_compilation_and_data_are_not_productive(workdir, clock):
  watch = watch_lib.Watch(workdir, clock)
  watch._meter = timing.Meter(clock)
  report = jax.monitoring.record_event_duration_secs
  with watch:
    clock.wait(4)
    report(timing._DATA, 4.)
    watch.begin(0)
    first, second = {}, {}
    with watch.updates(10, first):
      clock.wait(7)
      report("/jax/core/compile/backend_compile_duration", 5.)
      clock.wait(20)
    with watch.event(watch_lib.EVALUATION):
      clock.wait(6)
      report("/jax/core/compile/backend_compile_duration", 5.)
    with watch.updates(10, second):
      clock.wait(20)
  events = [(each["event"], each.get("seconds"))
            for each in goodput.read(workdir)]
  assert events == [
      ("launch", None), ("data", 4), ("compilation", 5), ("updates", 22),
      ("compilation", 5), ("evaluation", 1), ("updates", 20)]
  assert goodput.of(goodput.read(workdir)) == (42, 57)
  assert {name: value.item() for name, value in first.items()} == {
      "step_seconds": 2.2, "compile_seconds": 5, "data_seconds": 4}
  # The second record has the compilation of the evaluation before it.
  assert {name: value.item() for name, value in second.items()} == {
      "step_seconds": 2, "compile_seconds": 5, "data_seconds": 0}


class Device:
  def __init__(self, stats):
    self.memory_stats = lambda: stats
    self.process_index = 0


def test_memory_of_devices():
  assert watch_lib.memory([Device(None), Device({})]) == {}
  found = watch_lib.memory(
      [Device({"peak_bytes_in_use": 7}), Device({"peak_bytes_in_use": 11})])
  assert reporting.stored(found["device_memory_bytes"]) == 11


def test_records_and_the_end_of_a_run(workdir, monkeypatch, capsys):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  monkeypatch.setattr(watch_lib, "memory",
                      lambda _: {"device_memory_bytes": np.array([11])})
  flags = [*tiny_flags(), "--log_every=2", f"--workdir={workdir}"]
  assert run(train, *flags, "--steps=4") == 0
  shown = capsys.readouterr().out.splitlines()
  assert shown[-2].startswith("goodput ")
  first, second = Run(workdir).records("train")
  assert first["compile_seconds"] > 0 == second["compile_seconds"]
  assert first["data_seconds"] > 0  # It was put on the devices.
  for record in (first, second):
    assert 0 < record["step_seconds"] < record["seconds"]
    assert record["device_memory_bytes"] == 11
    # None of them is taken for a metric, `[S]`.
    assert all(isinstance(record[name], (int, float))
               for name in reporting.JOB)
  assert not set(reporting.JOB) & set(Run(workdir).last())
  events = (workdir / goodput.FILE).read_text()
  assert {json.loads(line)["event"] for line in events.splitlines()} == {
      "launch", "data", "compilation", "updates", "evaluation", "saving"}
  # A launch of a finished run adds nothing.
  assert run(train, f"--workdir={workdir}") == 0
  assert (workdir / goodput.FILE).read_text() == events
  assert capsys.readouterr().out.splitlines()[-2] == shown[-2]
