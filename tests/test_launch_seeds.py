"""Runs of many seeds, from end to end."""

import json
import shutil
import signal

import numpy as np
import pytest
from launch_helpers import assert_same, records, run, saved_state, saved_steps

from launch import evaluate, plot, train
from launch.configs import endings
from launch.pictures import curves
from launch.runs import Run, reporting, tables
from tasks.arithmetic import arithmetic


@pytest.fixture(autouse=True, scope="module")
def one_variant():
  """Leaves one variant of the task instead of four."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(arithmetic, "FACTORS", ())
    yield


FLAGS = ["--task=arithmetic", "--core=stack", "--unit=nmu", "--operation=mul",
         "--task.input_size=12", "--core.hidden_unit=nau", "--num_seeds=8",
         "--seed=3", "--batch_size=8", "--eval_episodes=16", "--log_every=2",
         "--eval_every=4", "--checkpoint_every=4", "--penalty=discrete",
         "--penalty.weight=1"]


@pytest.fixture(scope="module")
def trained(one_variant, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("trained")
  assert run(train, *FLAGS, "--steps=8", f"--workdir={workdir}") == 0
  return workdir


def test_run_leaves_lists_and_pictures(trained):
  train_records, eval_records = (
      records(trained, split) for split in ("train", "eval"))
  assert [record["step"] for record in train_records] == [2, 4, 6, 8]
  assert [record["step"] for record in eval_records] == [0, 4, 8]
  for record in train_records + eval_records:
    values = {name: value for name, value in record.items()
              if name not in ("step", "split")}
    assert {len(value) for value in values.values()} == {8}
  assert {"mse", "solved", "sparsity_error", "extrapolation/mse",
          "extrapolation/solved"} <= set(eval_records[0])
  assert {"penalty", "penalty_weight"} <= set(train_records[0])
  assert saved_steps(trained) == [4, 8]
  for name in ("learning_curve.png", "success.png", "formula.txt",
               "weights.png"):
    assert (trained / name).stat().st_size
  assert not (trained / "memory.png").exists()


def test_continued_equals_uninterrupted(trained, tmp_path, capsys):
  assert run(train, *FLAGS, "--steps=4", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=8", f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(trained)
  state = saved_state(tmp_path)
  assert_same(state, saved_state(trained))
  assert state.train.step.shape == (8,)
  assert set(state.train.step) == {8}
  out = capsys.readouterr().out
  assert "extrapolation" in out
  assert "0/8 = 0%" in out
  errors = [np.mean(record["extrapolation/mse"])
            for record in records(trained, "eval")]
  score = tables.format_score(100 * errors[-1] / errors[0])
  median = tables.format_score(100 / errors[0] * np.median(
      records(trained, "eval")[-1]["extrapolation/mse"]))
  assert "before training, mean (median) of the seeds: as trained " in out
  assert f", extrapolation {score} ({median})\n" in out
  assert ": no formula was learned: the task is not solved\n" in out
  assert "y = " not in out


def test_interrupted_says_how_far_it_came(tmp_path, capsys, monkeypatch):
  evaluation = reporting.Reporter.evaluation

  def evaluate_and_signal(self, step, metrics):
    evaluation(self, step, metrics)
    if step == 4:
      signal.raise_signal(signal.SIGINT)

  monkeypatch.setattr(reporting.Reporter, "evaluation", evaluate_and_signal)
  assert run(train, *FLAGS, "--steps=8",
             f"--workdir={tmp_path}") == endings.EXIT_INTERRUPTED
  out, err = capsys.readouterr()
  assert "0/8 = 0%" in out
  assert "interrupted and saved" in err


def test_killed_before_the_first_checkpoint_starts_again(trained, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(trained, workdir)
  shutil.rmtree(workdir / "checkpoints")
  assert run(train, f"--workdir={workdir}") == 0
  assert records(workdir) == records(trained)


def test_evaluate(trained, capsys):
  assert run(evaluate, f"--workdir={trained}", "--episodes=16") == 0
  out = capsys.readouterr().out
  assert "stack on arithmetic after 8 updates, seed 3 and the 7 after it" in out
  result = json.loads((trained / "evaluation.json").read_text())
  rows = {row["level"]: row for row in result["levels"]}
  assert list(rows)[:2] == ["as trained", "extrapolation"]
  assert [row["trained"] for row in rows.values()][:2] == [True, None]
  last = records(trained, "eval")[-1]
  assert rows["as trained"]["mse"] == last["mse"]
  assert rows["extrapolation"]["mse"] == last["extrapolation/mse"]


def test_plot_draws_every_seed(trained, tmp_path, capsys):
  output = tmp_path / "curves.png"
  assert run(plot, f"--output={output}", trained) == 0
  evaluations = records(trained, "eval")
  medians = [float(np.median(record["mse"])) for record in evaluations]
  (low, first), (high, second) = (
      choose((median, record["step"]) for median, record in zip(
          medians, evaluations, strict=True)) for choose in (min, max))
  header, row = capsys.readouterr().out.splitlines()
  assert header.split() == ["run", "seeds", "step", "mse", "lowest", "at",
                            "highest", "at"]
  assert row.split() == [
      "stack/nmu", "3", "to", "10", "8", f"{medians[-1]:.4g}", f"{low:.4g}",
      str(first), f"{high:.4g}", str(second)]
  values = curves.of_runs([Run(trained), Run(trained)], "mse").values
  assert values.shape == (16, 3)
  assert output.stat().st_size


def test_all_diverged_is_told(tmp_path, capsys):
  flags = [flag for flag in FLAGS if not flag.startswith("--penalty")]
  status = run(train, *flags, "--learning_rate=1e38", "--steps=8",
               "--optimizer=sgd", "--unit=linear", "--core.hidden_unit=linear",
               f"--workdir={tmp_path}")
  assert status == train.EXIT_DIVERGED
  assert "diverged: loss" in capsys.readouterr().err
