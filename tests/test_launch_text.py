"""Language models from the command line: training, resuming, evaluation."""

import json

import pytest
import text_helpers
from launch_helpers import records, run

from launch import evaluate, train

WORDS = "the cat saw the dog\nthe dog saw a cat <unk>\n"


@pytest.fixture(name="argv", scope="module")
def _argv(tmp_path_factory):
  """Returns the flags of a tiny language model that draws dropouts."""
  folder = text_helpers.write(
      tmp_path_factory.mktemp("words"),
      {"train": WORDS * 12, "valid": WORDS * 3, "test": WORDS * 2})
  return ["--task=text", f"--data_dir={folder}", "--task.num_steps=6",
          f"--cache_dir={folder / 'cache'}", "--core=awd_lstm",
          "--core.hidden_size=5", "--core.weight_drop=.2",
          "--encoder.output_size=5", "--encoder.word_dropout=.1",
          "--head.tied", "--head.dropout=.1", "--batch_size=4",
          "--log_every=2", "--eval_every=4", "--checkpoint_every=4"]


@pytest.fixture(name="workdir", scope="module")
def _workdir(argv, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("run")
  assert run(train, *argv, "--steps=8", f"--workdir={workdir}") == 0
  return workdir


def test_a_resumed_run_equals_one_that_never_stopped(argv, workdir, tmp_path):
  assert run(train, *argv, "--steps=4", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=8", f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(workdir)
  last = records(workdir)[-1]
  assert {"perplexity", "bits_per_byte", "test/perplexity",
          "perplexity_under_1000"} <= last.keys()


def test_other_ways_have_rows(workdir, capsys):
  assert run(evaluate, f"--workdir={workdir}", "--dynamic", "--cache=5",
             "--dynamic_learning_rate=0", "--dynamic_decay=0",
             "--cache_weight=0", "--contexts=1,7", "--batch_size=1") == 0
  rows = {row["level"]: row for row in json.loads(
      (workdir / "evaluation.json").read_text())["levels"]}
  assert list(rows) == [
      "as trained", "test", *(
          f"{name}, {way}" for way in (
              "dynamic", "context 1", "context 7", "cache")
          for name in ("as trained", "test"))]
  for name, targets in (("as trained", 38), ("test", 25)):
    plain = rows[name]
    assert plain["targets"] == targets
    for way in ("dynamic", "cache"):  # Without a rate, or a weight.
      row = rows[f"{name}, {way}"]
      assert row["perplexity"] == pytest.approx(plain["perplexity"], rel=1e-4)
      assert row.keys() == plain.keys()
    assert rows[f"{name}, context 1"]["loss"] != plain["loss"]
  assert "test, context 7 +" in capsys.readouterr().out


@pytest.mark.parametrize("name, value, wanted", [
    ("dynamic_learning_rate", "nan", "a finite number, got nan"),
    ("dynamic_decay", "inf", "a finite number, got inf"),
    ("cache_sharpness", "1e39", "0 or of a magnitude from"),
    ("cache_weight", "nan", "a finite number, got nan")])
def test_bad_numbers_of_other_ways(workdir, capsys, name, value, wanted):
  capsys.readouterr()
  assert run(evaluate, f"--workdir={workdir}", f"--{name}={value}") == 2
  assert capsys.readouterr().err.splitlines()[-1].startswith(
      f"error: --{name} must be {wanted}")


@pytest.mark.parametrize("flag, message", [
    ("--task.num_steps=90", "num_steps=90 is longer than a row: 4 rows of 155 "
     "targets have 39 each; lower task.num_steps or batch_size"),
    ("--reuse_memory", "reuse_memory: task 'text' carries the core's state "
     "anyway; leave out --reuse_memory"),
    ("--encoder=none", "tokens need an encoder that embeds them"),
])
def test_what_does_not_suit_a_text(argv, tmp_path, capsys, flag, message):
  flags = [each for each in argv if not each.startswith((
      "--encoder", "--head.tied", flag.split("=")[0]))]
  assert run(train, *flags, flag, f"--workdir={tmp_path}") == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / "config.json").exists()


@pytest.mark.slow
def test_a_memory_of_another_size_or_index_can_be_evaluated(
    argv, tmp_path, capsys):
  """The checkpoint of a text holds the memory, which an evaluation drops."""
  flags = [each for each in argv if not each.startswith((
      "--core", "--head.tied"))]
  assert run(train, *flags, "--core=sam", "--core.hidden_size=5", "--steps=1",
             "--core.num_slots=16", f"--workdir={tmp_path}") == 0
  for flag in ("--core.num_slots=64", "--core.index=lsh"):
    assert run(evaluate, f"--workdir={tmp_path}", flag) == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={tmp_path}", "--core.word_size=7") == 2
  assert f"the parameters in {tmp_path} do not fit core.word_size=7" in (
      capsys.readouterr().err)


def test_other_ways_are_for_texts(tmp_path, capsys):
  assert run(train, "--task=copy", "--core=lstm", "--core.hidden_size=3",
             "--task.max_length=3", "--batch_size=4", "--eval_episodes=4",
             "--steps=1", f"--workdir={tmp_path}") == 0
  capsys.readouterr()
  assert run(evaluate, f"--workdir={tmp_path}", "--dynamic") == 2
  assert "--dynamic, --cache and --contexts are for tasks" in (
      capsys.readouterr().err)
