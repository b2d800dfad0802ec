"""Agents from the command line: training, resuming, evaluation, films."""

import json

import numpy as np
import pytest
from launch_helpers import records, run
from PIL import Image
from small_environments import Cue

from launch import benchmark, evaluate, plot, train
from launch.benchmarks import environments
from launch.pictures import film
from launch.runs import evaluation

ARGV = ["--task=small_environments:Cue", "--task.delay=2", "--core=lstm",
        "--core.hidden_size=5", "--agent.unroll_length=4", "--batch_size=8",
        "--log_every=2", "--eval_every=4", "--eval_episodes=8",
        "--checkpoint_every=4"]


@pytest.fixture(name="workdir", scope="module")
def _workdir(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("run")
  assert run(train, *ARGV, "--steps=8", f"--workdir={workdir}") == 0
  return workdir


def test_records_hold_returns_lengths_and_frames(workdir):
  lines = [json.loads(line) for line in
           (workdir / "metrics.jsonl").read_text().splitlines()]
  of_train = [line for line in lines if line["split"] == "train"]
  assert all(line["frames_per_second"] == pytest.approx(
      32 * line["steps_per_second"]) for line in of_train)
  assert {"return", "length", "cue", "loss", "policy_loss", "value_loss",
          "entropy", "acting", "grad_norm"} <= of_train[-1].keys()
  of_eval = [line for line in lines if line["split"] == "eval"]
  assert all(line["length"] == 3 for line in of_eval)


def test_a_resumed_run_equals_one_that_never_stopped(workdir, tmp_path):
  assert run(train, *ARGV, "--steps=4", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=8", f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(workdir)


def test_an_evaluation_plays_episodes_and_films_one(workdir, capsys):
  for name in (film.GIF, film.STRIP):
    (workdir / name).unlink()
  assert run(evaluate, f"--workdir={workdir}", "--episodes=20") == 0
  printed = capsys.readouterr().out
  assert "return" in printed
  (row,) = json.loads((workdir / "evaluation.json").read_text())["levels"]
  assert row["episodes"] == 20
  assert row["guess"] == .5
  assert 20 * row["return"] == pytest.approx(round(20 * row["return"]))
  with Image.open(workdir / film.GIF) as found:
    assert found.n_frames == 4  # Three actions, and the last state.
  with Image.open(workdir / film.STRIP) as strip, Image.open(
      workdir / film.GIF) as found:
    assert strip.width == 4 * found.width


@pytest.mark.parametrize("core, flags", [
    pytest.param("rmc", ["--core.num_slots=2", "--core.head_size=4"],
                 marks=pytest.mark.slow),
    ("sam", ["--core.num_slots=9", "--core.word_size=4", "--core.top_k=2"])])
def test_a_film_shows_what_the_memory_attended_to(tmp_path, core, flags):
  argv = [each for each in ARGV if not each.startswith("--core")]
  assert run(train, *argv, f"--core={core}", *flags, "--steps=1",
             f"--workdir={tmp_path}") == 0
  with Image.open(tmp_path / film.STRIP) as strip:
    pixels = np.asarray(strip)
  # Without attention it is white there.
  frame = pixels[-40:, -148:]
  assert (frame < 250).any()


def test_learning_curves_and_seeds(workdir, tmp_path):
  assert run(train, *ARGV, "--steps=4", "--num_seeds=2",
             "--agent.entropy_cost=0.,.1", f"--workdir={tmp_path}") == 0
  assert len(records(tmp_path, "eval")[-1]["return"]) == 4
  assert (tmp_path / "learning_curve.png").exists()
  assert (tmp_path / film.GIF).exists()
  assert run(evaluate, f"--workdir={tmp_path}", "--episodes=8") == 0
  assert run(plot, str(workdir), f"--output={tmp_path / 'curves.png'}") == 0


@pytest.mark.parametrize("flags, message", [
    (["--agent.unroll_length=0"], "need unroll_length >= 1"),
    (["--agent=none"], "is an environment, which an agent learns; valid: "
     "actor_critic"),
    (["--agent=dqn"], "unknown agent 'dqn'"),
    (["--curriculum=exponential"], "an agent has none; leave out"),
    (["--reuse_memory", "--core=sam"], "carries the core's state anyway"),
    (["--task=copy", "--agent=actor_critic"], "has targets to learn from"),
])
def test_what_does_not_suit_an_agent(tmp_path, capsys, flags, message):
  argv = [each for each in ARGV if each.split("=")[0] not in {
      flag.split("=")[0] for flag in flags}]
  if flags[0] in ("--task=copy", "--agent=none", "--reuse_memory"):
    argv = [each for each in argv if not each.startswith("--agent.") and (
        flags[0] == "--agent=none" or "." not in each.split("=")[0])]
  assert run(train, *argv, *flags, f"--workdir={tmp_path}") == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / "config.json").exists()


def test_an_environment_without_pictures_is_evaluated(tmp_path):
  argv = ["--task=small_environments:Unseen", *ARGV[1:]]
  assert run(train, *argv, "--steps=1", f"--workdir={tmp_path}") == 0
  assert run(evaluate, f"--workdir={tmp_path}", "--episodes=8") == 0
  assert not (tmp_path / film.GIF).exists()


def test_a_gymnax_environment_is_trained_and_resumed(tmp_path):
  """Its image is empty, which neither devices nor checkpoints may mind."""
  argv = ["--task=gymnax", "--task.path=test_adapters:OldEnv",
          *(flag for flag in ARGV[2:])]
  assert run(train, *argv, "--steps=1", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=2", f"--workdir={tmp_path}") == 0
  assert run(evaluate, f"--workdir={tmp_path}", "--episodes=8") == 0


def test_a_metric_does_not_replace_what_a_row_is_of():
  task = Cue()
  row = evaluation._row("as trained", task, {
      "level": np.ones(1), "return": np.ones(1)}, {"episodes": 2}, task)
  assert row["level"] == "as trained"
  assert row["return"] == 1


def test_levels_of_an_environment(tmp_path):
  flags = ["--task=minipacman", "--task.view=3", "--task.max_steps=5",
           "--encoder.kernel=2", "--encoder.channels=2",
           "--encoder.output_size=4", *(
               flag for flag in ARGV[2:] if flag != "--task.delay=2")]
  assert run(train, *flags, "--steps=1", f"--workdir={tmp_path}") == 0
  assert run(evaluate, f"--workdir={tmp_path}", "--levels=1,3",
             "--episodes=8") == 0
  rows = json.loads((tmp_path / "evaluation.json").read_text())["levels"]
  assert [row["level"] for row in rows] == [1, 3]
  assert [row["last_level"] for row in rows] == [1, 3]
  assert run(plot, "--x=levels", f"--output={tmp_path / 'levels.png'}",
             str(tmp_path)) == 0


def test_a_task_of_no_kind_is_refused(tmp_path, capsys):
  assert run(train, "--task=small_environments:NoKind",
             f"--workdir={tmp_path}") == 2
  assert ("'small_environments:NoKind' is of no kind that can be trained on"
          in capsys.readouterr().err)


def test_the_benchmark_counts_steps_that_did_something(
    monkeypatch, tmp_path, capsys):
  monkeypatch.setattr(environments, "WORLDS", (environments.World(
      "time", "time_tracking", 1e9, num_worlds=8, cores=("lstm",)),))
  monkeypatch.setattr(environments, "UPDATES", 1)
  assert run(benchmark, "--suite=environments", "--repeats=1",
             "--time_limit=0", f"--output={tmp_path}") == 0
  assert "times the original" in capsys.readouterr().out
  acting, learning = json.loads(
      (tmp_path / "benchmark.json").read_text())["rows"]
  assert (acting["model"], learning["model"]) == ("acting at random", "lstm")
  for row in (acting, learning):
    # The first step of each episode does nothing.
    all_steps = 1 / row["time"]["median"]
    assert .5 * all_steps < row["steps_per_second"] < all_steps
  assert acting["times_original"] == pytest.approx(
      acting["steps_per_second"] / 1e9)


def test_a_benchmark_refuses_unknown_models(tmp_path, capsys):
  assert run(benchmark, "--suite=environments", "--models=dqn",
             f"--output={tmp_path}") == 2
  assert "unknown models dqn; valid: acting at random" in (
      capsys.readouterr().err)
