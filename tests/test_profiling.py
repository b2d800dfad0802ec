"""The flag --profile, and the trace that it gives."""

import gzip
import json

import pytest
from launch_helpers import run, tiny_flags

from launch import train
from launch.configs import config as config_lib
from launch.pictures import run as pictures
from launch.runs.job import profiling


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)


@pytest.mark.parametrize("value, words", [
    ("", "need START:STOP"), ("5", "need START:STOP"),
    ("a:b", "need START:STOP"), ("-1:3", "need START:STOP"),
    ("1:2:3", "need START:STOP"), ("1:2x", "need START:STOP"),
    ("4:4", "no step between 4 and 4"), ("5:4", "no step between 5 and 4"),
    ("2:7", "the run has --steps=6"),
])
def test_refused_by_name(tmp_path, capsys, value, words):
  workdir = tmp_path / "run"
  assert run(train, *tiny_flags(), "--steps=6", f"--profile={value}",
             f"--workdir={workdir}") == config_lib.EXIT_USAGE
  line, = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: --profile={value}: ")
  assert words in line
  assert not workdir.exists()


def test_traces_the_chunks_that_hold_the_steps(tmp_path, monkeypatch, caplog):
  caplog.set_level("INFO", logger="absl")
  calls = []
  start, stop = (profiling.jax.profiler.start_trace,
                 profiling.jax.profiler.stop_trace)
  monkeypatch.setattr(
      profiling.jax.profiler, "start_trace",
      lambda *args, **kwargs: calls.append("start") or start(*args, **kwargs))
  monkeypatch.setattr(profiling.jax.profiler, "stop_trace",
                      lambda: calls.append("stop") or stop())
  flags = [*tiny_flags(), "--steps=8", "--log_every=2", f"--workdir={tmp_path}"]
  assert run(train, *flags, "--profile=3:5") == 0
  assert calls == ["start", "stop"]
  line, = [each.getMessage() for each in caplog.records
           if each.getMessage().startswith("profile of ")]
  assert f"profile of steps 2 to 6 in {tmp_path}/profile: " in line
  path, = (tmp_path / "profile").rglob("perfetto_trace.json.gz")
  assert json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
  assert list((tmp_path / "profile").rglob("*.xplane.pb"))
  # These steps are done.
  assert run(train, *flags, "--profile=3:8") == config_lib.EXIT_USAGE


def traced(monkeypatch, start, stop, chunks):
  """Returns the steps at which a trace of a run of chunks began and ended."""
  found, step = [], 0
  monkeypatch.setattr(profiling.jax.profiler, "start_trace",
                      lambda *_, **__: found.append(step))
  monkeypatch.setattr(profiling.jax.profiler, "stop_trace",
                      lambda: found.append(step))
  profiler = profiling.Profiler(profiling.pathlib.Path("none"), start, stop)
  for chunk in chunks:
    profiler.before(step, chunk)
    step += chunk
    profiler.after(step)
  profiler.close()
  return found


@pytest.mark.parametrize("steps, chunks, expected", [
    ((0, 1), (3, 3), [0, 3]), ((3, 4), (3, 3, 3), [3, 6]),
    ((2, 4), (3, 3, 3), [0, 6]), ((0, 9), (3, 3, 3), [0, 9]),
    ((4, 9), (3, 3), [3, 6]),  # It was interrupted.
    ((7, 9), (3, 3), []),
])
def test_which_chunks(monkeypatch, caplog, steps, chunks, expected):
  assert traced(monkeypatch, *steps, chunks) == expected
  assert ("nothing was traced" in caplog.text) == (not expected)
