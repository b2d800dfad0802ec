"""Runs with a curriculum, from end to end."""

import json

import pytest
from launch_helpers import (
  assert_same,
  records,
  run,
  saved_state,
  saved_steps,
  tiny_flags,
)

from launch import evaluate, train
from launch.configs import config as config_lib
from launch.pictures import run as pictures

# Every window doubles the level: no loss is as high as the threshold.
CURRICULUM = ["--curriculum=exponential", "--curriculum.start=1",
              "--curriculum.threshold=10", "--curriculum.patience=10",
              "--curriculum.max_level=6"]
FLAGS = [*tiny_flags(), "--learning_rate=0.01", *CURRICULUM, "--log_every=10",
         "--eval_every=30"]


def levels_of(workdir):
  return [record.get("level") for record in records(workdir, "train")]


@pytest.fixture
def no_pictures(monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
  """Returns the workdir of a run of 60 updates."""
  workdir = tmp_path_factory.mktemp("reference")
  assert run(train, *FLAGS, "--steps=60", f"--workdir={workdir}") == 0
  return workdir


def test_records_have_level_and_seconds(reference, capsys):
  assert levels_of(reference) == [2, 4, 6, 6, 6, 6]
  evaluations = records(reference, "eval")
  assert [(r["step"], r["level"]) for r in evaluations] == [(30, 6), (60, 6)]
  for record in evaluations:  # At exactly level 6.
    assert record["bits_wrong"] == pytest.approx(
        6 * 3 * (1 - record["bit_accuracy"]), rel=1e-4)
  seconds = [json.loads(line)["seconds"] for line in
             (reference / "metrics.jsonl").read_text().splitlines()]
  assert len(seconds) == 8
  assert seconds[0] > 0
  assert seconds == sorted(seconds)
  assert (reference / "learning_curve.png").exists()
  assert run(train, f"--workdir={reference}") == 0
  assert capsys.readouterr().out.splitlines()[0].startswith(
      "step 60, evaluation, level 6: ")


# With threshold 10, the checkpoint must keep the level. With 0.4, the level
# would double if the checkpoint lost the loss of the first half of a window.
@pytest.mark.parametrize("threshold, levels", [
    (10, [1, 2, 2, 4, 4, 6, 6]), (0.4, [1] * 7)])
def test_continued_equals_uninterrupted(
    no_pictures, tmp_path, threshold, levels):
  flags = [*FLAGS, f"--curriculum.threshold={threshold}",
           "--curriculum.patience=20", "--learning_rate=0.001"]
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  assert run(train, *flags, "--steps=70", f"--workdir={whole}") == 0
  assert run(train, *flags, "--steps=30", f"--workdir={parts}") == 0
  assert saved_state(parts).train.curriculum.loss_sum > 1
  assert run(train, "--steps=70", f"--workdir={parts}") == 0
  assert levels_of(whole) == levels
  assert records(parts) == records(whole)
  assert_same(saved_state(parts), saved_state(whole))


def test_max_minutes_ends_a_run_that_can_go_on(reference, tmp_path, capsys):
  argv = [*FLAGS, f"--workdir={tmp_path}"]
  # The time limit is checked after each record. The first record is already
  # over the limit.
  assert run(train, *argv, "--steps=60", "--max_minutes=1e-9") == 0
  assert "step 10, evaluation, level 2: " in capsys.readouterr().out
  assert saved_steps(tmp_path) == [10]
  assert (tmp_path / "learning_curve.png").exists()
  assert [r["step"] for r in records(tmp_path, "eval")] == [10]
  before = records(tmp_path)
  assert run(train, f"--workdir={tmp_path}") == 0  # No time is left.
  assert records(tmp_path) == before
  assert run(train, f"--workdir={tmp_path}", "--max_minutes=0") == 0
  assert records(tmp_path, "train") == records(reference, "train")
  assert_same(saved_state(tmp_path), saved_state(reference))


def test_enough_minutes_change_nothing(no_pictures, reference, tmp_path):
  assert run(train, *FLAGS, "--steps=60", "--max_minutes=100",
             f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(reference)


def test_evaluation_is_at_the_level_reached_and_beyond(reference, capsys):
  assert run(evaluate, f"--workdir={reference}", "--episodes=8") == 0
  result = json.loads((reference / "evaluation.json").read_text())
  assert [(row["level"], row["trained"]) for row in result["levels"]] == [
      (6, True), (12, False), (24, False)]
  capsys.readouterr()
  assert run(evaluate, f"--workdir={reference}",
             "--levels=0") == config_lib.EXIT_USAGE
  assert "--levels takes integers of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("flag, levels", [
    ("--curriculum.start=3", [6, 6, 6]),
    ("--curriculum.threshold=1e-9", [1, 1, 1]),
    ("--curriculum.patience=20", [1, 2, 2]),
    ("--curriculum.max_level=3", [2, 3, 3]),
    ("--curriculum=none", [None, None, None]),
])
def test_flag_has_an_effect(no_pictures, tmp_path, flag, levels):
  argv = [f for f in FLAGS if not (
      f.startswith("--curriculum.") and flag == "--curriculum=none")]
  assert run(train, *argv, "--steps=30", "--eval_every=100", flag,
             f"--workdir={tmp_path}") == 0
  assert levels_of(tmp_path) == levels
