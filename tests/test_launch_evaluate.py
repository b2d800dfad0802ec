"""Tests launch.evaluate: levels beyond training, more memory, errors."""

import errno
import json
import math
import os
import pathlib
import shutil

import jax
import launch_helpers
import numpy as np
import pytest
from launch_helpers import (
  records,
  run,
  saved_steps,
  small_core,
  start,
  tiny_flags,
)

import tasks
from launch import evaluate, runs, train
from launch.configs import config as config_lib
from launch.learning import evaluators, scoring
from launch.pictures import run as pictures
from launch.runs import evaluation, evaluation_table
from launch.runs.trained import loading
from tasks.data import replacing
from tasks.language import number_words


@pytest.fixture
def no_pictures(monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp("trained")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pictures, "draw", lambda *_: None)
    assert run(train, *tiny_flags("sam"), "--steps=4", "--checkpoint_every=2",
               f"--workdir={workdir}") == 0
  assert saved_steps(workdir) == [2, 4]
  return workdir


@pytest.fixture
def workdir(trained, tmp_path) -> pathlib.Path:
  """Returns a copy of the run that the test may change."""
  shutil.copytree(trained, tmp_path / "run")
  return tmp_path / "run"


def test_default_levels():
  assert evaluation.default_levels(tasks.Copy()) == [20, 40, 80]

  class Bounded(tasks.Copy):

    def at_level(self, level):
      if level > 40:
        raise ValueError("too long")
      return super().at_level(level)

  assert evaluation.default_levels(Bounded()) == [20, 40]


def test_evaluation(workdir, capsys):
  status = run(evaluate, f"--workdir={workdir}", "--levels=2,5",
               "--episodes=24")
  assert status == 0
  result = json.loads((workdir / "evaluation.json").read_text())
  first, beyond = result.pop("levels")
  assert result == {
      "task": "copy", "core": "sam", "core_args": small_core("sam"), "step": 4,
      "unit": "linear", "seed": 0, "num_seeds": 1, "level_name": "length",
      "main_metric": "bits_wrong"}
  # The tiny task has this level only, so training evaluated it on the same
  # episodes.
  last = records(workdir, "eval")[-1]
  assert last.pop("step") == 4
  assert last.pop("split") == "eval"
  assert (first.pop("level"), first.pop("trained")) == (2, True)
  assert first.pop("episodes") == beyond["episodes"] == 24
  # Half of 2 * 3 bits, and half of 5 * 3 bits.
  assert (first["guess"], beyond["guess"]) == (3, 7.5)
  assert first == pytest.approx(last | {"guess": 3}, rel=1e-5)
  assert (beyond["level"], beyond["trained"]) == (5, False)
  assert beyond["bits_wrong"] == pytest.approx(
      15 * (1 - beyond["bit_accuracy"]), rel=1e-4)
  assert beyond["bits_wrong"] > first["bits_wrong"]
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "sam on copy after 4 updates, seed 0"
  names = ["bits_wrong", "guess", "episodes", *(
      name for name in first if name not in ("bits_wrong", "guess"))]
  assert lines[1].split() == ["length", *names]
  assert lines[2].split()[0] == "2"
  assert lines[3].split()[:2] == ["5", "*"]
  assert lines[2].split()[1:] == [
      f"{value:.4g}" for value in map((first | {"episodes": 24}).get, names)]
  assert lines[4] == "* above the levels of training"
  assert lines[5] == "guess: bits_wrong of guessing"
  assert len(lines) == 6
  assert len(set(map(len, lines[1:4]))) == 1  # The columns are aligned.


def test_a_trained_network_is_loaded_ready_to_be_called(trained, monkeypatch):
  monkeypatch.chdir(trained.parent)
  found = runs.load(trained.name)  # A relative path, and a string.
  assert (found.seed, found.step, found.config.core) == (0, 4, "sam")
  assert found.task == tasks.Copy(**launch_helpers.TINY_TASK)
  batch = found.task.sample(jax.random.key(0), 3)
  unrolled = found.model.unroll(
      found.params, None, batch.inputs, found.model.initial_state(
          found.params, 3))
  assert unrolled.outputs.shape == batch.targets.shape
  run_ = runs.Run(trained)
  trainer = launch_helpers.make_trainer(run_.config, 1)
  state = loading.restore(run_, trainer)
  jax.tree.map(np.testing.assert_array_equal, found.params, state.train.params)


def test_what_is_no_trained_run_is_not_loaded(trained, tmp_path):
  with pytest.raises(config_lib.UsageError, match="no run was started"):
    runs.load(tmp_path / "none")
  shutil.copy(trained / "config.json", tmp_path)
  with pytest.raises(config_lib.UsageError, match="holds no checkpoint yet"):
    runs.load(tmp_path)


def test_defaults_and_a_larger_memory(workdir):
  assert run(evaluate, f"--workdir={workdir}", "--core.num_slots=23",
             "--episodes=9", "--batch_size=5") == 0
  result = json.loads((workdir / "evaluation.json").read_text())
  assert result["core_args"] == dict(small_core("sam"), num_slots=23)
  assert [row["episodes"] for row in result["levels"]] == [9, 9, 9]
  assert [row["level"] for row in result["levels"]] == [2, 4, 8]
  assert [row["trained"] for row in result["levels"]] == [True, False, False]
  assert all(math.isfinite(value) for row in result["levels"]
             for value in row.values())
  # The run's own configuration is unchanged.
  assert config_lib.load(workdir).core_args.num_slots == 11


def evaluated(workdir, *argv, num_devices: int):
  """Returns the rows of an evaluation by a process of its own."""
  process = start(["-m", "launch.evaluate", f"--workdir={workdir}",
                   f"--cpu_devices={num_devices}", *argv])
  _, err = process.communicate(timeout=300)
  assert process.returncode == 0, err
  return json.loads((workdir / "evaluation.json").read_text())["levels"]


def test_neither_devices_nor_batch_change_the_numbers(workdir):
  """The run has a batch of 8. The order of float32 sums changes."""
  flags = ("--levels=2,5", "--episodes=19")
  assert run(evaluate, f"--workdir={workdir}", *flags) == 0  # 4 devices.
  expected = json.loads((workdir / "evaluation.json").read_text())["levels"]
  found = evaluated(workdir, *flags, "--batch_size=5", num_devices=3)
  assert [row["episodes"] for row in found] == [19, 19]
  assert found == [pytest.approx(row, rel=1e-5) for row in expected]


def test_many_seeds_take_any_batch_and_devices(
    no_pictures, tmp_path, monkeypatch):
  assert run(train, *tiny_flags(), "--num_seeds=4", "--steps=2",
             f"--workdir={tmp_path}") == 0
  flags = (f"--workdir={tmp_path}", "--levels=2", "--episodes=19")
  rows, sizes, share_size = [], [], scoring.share_size
  monkeypatch.setattr(scoring, "share_size", lambda size, share: (
      sizes.append(size) or share_size(size, share)))
  for number, size in ((4, 8), (3, 5)):  # Two of three devices.
    local = jax.local_devices()[:number]
    with monkeypatch.context() as patch:
      patch.setattr(jax, "local_devices", lambda local=local: local)
      assert run(evaluate, *flags, f"--batch_size={size}") == 0
    (row,) = json.loads((tmp_path / "evaluation.json").read_text())["levels"]
    rows.append(row)
  assert sizes == [8, 5]
  assert len(set(rows[0]["loss"])) == 4
  assert rows[0].keys() == rows[1].keys()
  for name, values in rows[0].items():
    assert rows[1][name] == pytest.approx(values, rel=1e-5)


def test_the_regulariser_of_a_batch_is_no_column(no_pictures, tmp_path):
  """It would depend on the batch."""
  assert run(train, *tiny_flags(), "--unit=nau", "--penalty=discrete",
             "--penalty.input_weight=1", "--steps=2", "--eval_every=2",
             f"--workdir={tmp_path}") == 0
  (record,) = records(tmp_path, "eval")
  assert record["input_penalty"] > 0
  assert run(evaluate, f"--workdir={tmp_path}", "--levels=2",
             "--episodes=24") == 0
  (row,) = json.loads((tmp_path / "evaluation.json").read_text())["levels"]
  assert record.keys() - row.keys() == {"input_penalty", "step", "split"}
  assert row["loss"] == pytest.approx(record["loss"], rel=1e-5)


@pytest.mark.slow
def test_recall_of_each_seed(no_pictures, tmp_path, capsys):
  assert run(train, *tiny_flags("sam"), "--core.index=lsh", "--num_seeds=2",
             "--index.num_recent=1", "--index.num_tables=1", "--core.top_k=5",
             "--index.bucket_size=1", "--steps=2", f"--workdir={tmp_path}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={tmp_path}", "--levels=5", "--episodes=8",
             "--recall") == 0
  (row,) = json.loads((tmp_path / "evaluation.json").read_text())["levels"]
  assert len(set(row["index_recall"])) == 2
  assert 0 < min(row["index_recall"]) < 1
  assert "index_recall" in capsys.readouterr().out.splitlines()[1].split()
  # The arguments of the index of training are not those of another one.
  assert run(evaluate, f"--workdir={tmp_path}", "--levels=5", "--episodes=8",
             "--core.index=exact") == 0


def test_recall_when_asked_for(workdir, monkeypatch, capsys):
  """The limit on an exact search is for trainings, which do not ask for it."""
  assert run(evaluate, f"--workdir={workdir}",
             "--recall") == config_lib.EXIT_USAGE
  assert stderr_of(capsys) == (
      "error: --recall: core 'sam' with the index 'exact' searches exactly; "
      "valid cores: sam, sdnc, with --core.index=approx|lsh; leave out "
      "--recall\n")
  monkeypatch.setattr(evaluators, "MAX_RECALL_WORK", 0)
  # The index is no parameter, so it may change.
  assert run(evaluate, f"--workdir={workdir}", "--recall", "--levels=2",
             "--core.index=lsh", "--episodes=8") == 0
  (row,) = json.loads((workdir / "evaluation.json").read_text())["levels"]
  assert row["index_recall"] == 1  # The lists of recent rows hold all rows.


def test_the_sizes_of_the_index_may_change(workdir, capsys):
  smallest = [f"--index.{name}=1" for name in (
      "num_recent", "num_tables", "bucket_size", "min_bits", "max_bits")]
  flags = [f"--workdir={workdir}", "--recall", "--levels=4", "--episodes=8",
           "--core.index=lsh", "--index.num_turned=0", *smallest]
  assert run(evaluate, *flags) == 0
  (row,) = json.loads((workdir / "evaluation.json").read_text())["levels"]
  assert row["index_recall"] < 1
  capsys.readouterr()
  assert run(evaluate, *flags, "--index.num_turned=2") == config_lib.EXIT_USAGE
  assert "num_turned must be from 0 to min_bits=1, got 2" in stderr_of(capsys)
  assert run(evaluate, f"--workdir={workdir}",
             "--index.num_turned=2") == config_lib.EXIT_USAGE
  assert stderr_of(capsys) == (
      "error: --index.num_turned: index 'exact' has no argument 'num_turned'; "
      "valid arguments: none; it is an argument of --core.index=lsh\n")


def test_episodes_as_in_training_have_a_row(no_pictures, tmp_path, capsys):
  """Without --levels, the row exists if training has several levels."""
  workdir = tmp_path / "run"
  assert run(train, *tiny_flags("lstm"), "--steps=2", "--task.max_length=3",
             f"--workdir={workdir}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={workdir}", "--episodes=64") == 0
  rows = json.loads((workdir / "evaluation.json").read_text())["levels"]
  assert [(row["level"], row["trained"]) for row in rows] == [
      ("as trained", True), (3, True), (6, False), (12, False)]
  assert rows[0]["loss"] != rows[1]["loss"]
  lines = capsys.readouterr().out.splitlines()
  assert lines[1].split()[3] == "episodes"
  assert lines[2].split()[:2] == ["as", "trained"]
  assert lines[2].split()[4] == "64"
  assert run(evaluate, f"--workdir={workdir}", "--levels=3") == 0
  rows = json.loads((workdir / "evaluation.json").read_text())["levels"]
  assert [row["level"] for row in rows] == [3]


def test_table_without_levels_beyond_training():
  table = evaluation_table.format_table({"level_name": "keys", "levels": [
      {"level": 3, "trained": True, "loss": 0.125}]})
  assert table.split() == ["keys", "loss", "3", "0.125"]


def test_variants_are_marked():
  """A variant, such as the hardest episodes, may occur in training."""
  table = evaluation_table.format_table({"level_name": "length", "levels": [
      {"level": 3, "trained": True, "loss": 1.},
      {"level": "hardest", "trained": None, "loss": 2.}]})
  assert [line.split() for line in table.splitlines()[:3]] == [
      ["length", "loss"], ["3", "1"], ["hardest", "+", "2"]]
  assert table.splitlines()[3:] == [
      "+ a variant of the task"]


def test_episodes_that_are_counted(no_pictures, tmp_path, capsys):
  """Each episode of a finite split is evaluated once for any --episodes."""
  assert run(train, "--task=language_numbers", "--preset=none", "--core=lstm",
             "--core.hidden_size=7", "--batch_size=8", "--steps=2",
             f"--workdir={tmp_path}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={tmp_path}", "--episodes=8") == 0
  rows = json.loads((tmp_path / "evaluation.json").read_text())["levels"]
  assert [(row["level"], row["trained"], row["episodes"]) for row in rows] == [
      ("as trained", True, 169), ("validation", None, 200), ("test", None, 631)]
  lines = capsys.readouterr().out.splitlines()
  column = lines[1].split().index("episodes") + 1  # After the mark.
  assert [(line.split()[0], line.split()[column]) for line in lines[3:5]] == [
      ("validation", "200"), ("test", "631")]


@pytest.mark.parametrize("seeds", [1, 4])
def test_show_transcribes_episodes(no_pictures, tmp_path, capsys, seeds):
  assert run(train, "--task=language_numbers", "--preset=none", "--core=lstm",
             "--core.hidden_size=7", "--batch_size=8", "--steps=2",
             f"--num_seeds={seeds}", f"--workdir={tmp_path}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={tmp_path}", "--show=3") == 0
  lines = capsys.readouterr().out.splitlines()[-3:]
  assert json.loads((tmp_path / "evaluation.json").read_text())[
      "examples"] == lines
  numbers = tasks.LanguageNumbers(split="test").numbers
  for line in lines:  # 'seven 6.98  hundred 699.9  (700)', split test.
    *words, number = line.split("  ")
    assert int(number.strip("()")) in numbers
    assert tuple(word.split()[0] for word in words) == (
        number_words.number_words(int(number.strip("()"))))
    assert all(math.isfinite(float(word.split()[1])) for word in words)


def test_show_of_a_task_without_text(workdir, capsys):
  assert run(evaluate, f"--workdir={workdir}",
             "--show=1") == config_lib.EXIT_USAGE
  assert ("not copy; valid: language_numbers, learning_to_execute"
          in capsys.readouterr().err)


def test_a_full_disk_does_not_cost_the_table(workdir, capsys, monkeypatch):
  def is_full(path, text):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(replacing, "replace_text", is_full)
  assert run(evaluate, f"--workdir={workdir}", "--levels=2",
             "--episodes=8") == config_lib.EXIT_USAGE
  out, err = capsys.readouterr()
  assert out.splitlines()[1].split()[3] == "episodes"
  assert out.splitlines()[2].split()[0::3][:2] == ["2", "8"]
  assert err.splitlines()[-1] == "error: [Errno 28] No space left on device"


def stderr_of(capsys) -> str:
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  return err


@pytest.mark.parametrize("argv, words", [
    ("--levels=two", "--levels takes integers of at least 1"),
    ("--levels=2,0", "at most 2147483647, got 2,0"),
    ("--levels=-3", "at least 1 and at most 2147483647, got -3"),
    ("--core.num_slots=2", "num_slots=2"),
])
def test_usage_errors(trained, capsys, argv, words):
  assert run(evaluate, f"--workdir={trained}", argv) == config_lib.EXIT_USAGE
  assert words in stderr_of(capsys)
  assert not (trained / "evaluation.json").exists()


def test_argument_of_another_core(workdir, capsys):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pictures, "draw", lambda *_: None)
    lstm = workdir.parent / "lstm"
    assert run(train, *tiny_flags(), "--steps=2", f"--workdir={lstm}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={lstm}",
             "--core.num_slots=5") == config_lib.EXIT_USAGE
  assert "'lstm' has no argument 'num_slots'" in stderr_of(capsys)


def test_no_run_and_no_checkpoint(workdir, capsys):
  nowhere = workdir.parent / "nowhere"
  assert run(evaluate, f"--workdir={nowhere}") == config_lib.EXIT_USAGE
  assert "no run was started" in stderr_of(capsys)
  assert not nowhere.exists()
  shutil.rmtree(workdir / "checkpoints")
  assert run(evaluate, f"--workdir={workdir}",
             "--levels=2") == config_lib.EXIT_USAGE
  assert "no checkpoint yet" in stderr_of(capsys)


def test_parameters_of_another_shape_leave_the_checkpoints_alone(
    workdir, capsys):
  status = run(evaluate, f"--workdir={workdir}", "--core.hidden_size=13",
               "--levels=2")
  assert status == config_lib.EXIT_USAGE
  err = capsys.readouterr().err
  assert "hidden_size" in err.splitlines()[-1]
  # The flag is wrong, not the checkpoints.
  assert saved_steps(workdir) == [2, 4]
  assert not list(workdir.glob("damaged-*"))
  assert run(evaluate, f"--workdir={workdir}", "--levels=2",
             "--episodes=8") == 0


def test_a_damaged_checkpoint_is_left_where_it_is(workdir, caplog):
  """The run may still be going on, so a reader does not move it."""
  shutil.rmtree(workdir / "checkpoints" / "4" / "train")
  assert run(evaluate, f"--workdir={workdir}", "--levels=2",
             "--episodes=8") == 0
  assert "checkpoints/4 CANNOT BE READ" in caplog.text
  assert json.loads((workdir / "evaluation.json").read_text())["step"] == 2
  assert saved_steps(workdir) == [2, 4]
  assert not list(workdir.glob("damaged-*"))
