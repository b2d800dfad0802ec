"""Runs that reuse their memory, and the recall of the memory's index."""

import pytest
from launch_helpers import assert_same, records, run, saved_state, tiny_flags

from launch import train
from launch.configs import config as config_lib
from launch.pictures import run as pictures


def test_resumed_equals_uninterrupted(tmp_path, monkeypatch):
  """The checkpoint contains the memory, exact to the last bit."""
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  flags = [*tiny_flags("sam"), "--reuse_memory", "--core.index=lsh",
           "--log_every=2", "--eval_every=6", "--learning_rate=0.01"]
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  assert run(train, *flags, "--steps=6", f"--workdir={whole}") == 0
  assert run(train, *flags, "--steps=4", f"--workdir={parts}") == 0
  before = saved_state(parts)
  assert before.source.access.memory.shape[0] == 8  # The whole batch.
  assert before.source.access.memory.any()
  assert run(train, "--steps=6", f"--workdir={parts}") == 0
  assert records(parts, "train") == records(whole, "train")
  assert_same(saved_state(parts), saved_state(whole))


@pytest.mark.parametrize("core", ["ntm", "lstm"])
def test_cores_that_cannot_forget_are_refused(tmp_path, capsys, core):
  workdir = tmp_path / "run"
  status = run(train, *tiny_flags(core), "--reuse_memory",
               f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  (line,) = capsys.readouterr().err.splitlines()
  assert f"reuse_memory: core {core!r} cannot forget its memory" in line
  assert not workdir.exists()


@pytest.mark.parametrize("index", [
    "lsh", pytest.param("exact", marks=pytest.mark.slow)])
def test_evaluations_say_how_much_the_index_finds(tmp_path, index):
  workdir = tmp_path / "run"
  assert run(train, *tiny_flags("sam"), f"--core.index={index}", "--steps=2",
             "--log_every=2", "--eval_every=2", f"--workdir={workdir}") == 0
  (record,) = records(workdir, "eval")
  if index == "exact":
    assert "index_recall" not in record
  else:  # The index's lists of recent rows hold all rows.
    assert record["index_recall"] == 1
  assert "index_recall" not in records(workdir, "train")[0]
