"""Tests launch.compare, and the threshold that a reference sets."""

import json
import pathlib

import numpy as np
import pytest
from launch_helpers import run, tiny_config
from scipy import stats

from launch import compare
from launch.configs import config as config_lib
from launch.runs import Run, outcome, statistics, tables
from launch.runs.run import TRAINED

TASK = dict(max_length=2, max_test_length=5)
# Errors of 4 seeds on the training range, at two evaluations. The second
# evaluation is the best one for all seeds except the last.
REFERENCE = [[9, 9, 9, 1], [1, 2, 3, 2]]


def make_run(workdir: pathlib.Path, errors, factor: float = 10.,
             num_seeds: int = 4, **task_args) -> pathlib.Path:
  """Makes a workdir as a run leaves it.

  Errors at length 5 are `factor` times those on the training range; errors at
  length 1 are 0.
  """
  workdir.mkdir(parents=True)
  config = tiny_config(task_args=TASK | task_args, num_seeds=num_seeds,
                       task="mnist_sequence_product")
  config_lib.save(config, workdir)
  lines = [{"step": step, "split": "eval", "mse": row,
            "length 1/mse": (np.zeros_like(row)).tolist(),
            "length 5/mse": (factor * np.array(row)).tolist()}
           for step, row in enumerate(errors)]
  (workdir / "metrics.jsonl").write_text(
      "".join(json.dumps(line) + "\n" for line in lines))
  return workdir


@pytest.fixture
def reference(tmp_path):
  return make_run(tmp_path / "solved", REFERENCE)


def test_upper_bound_of_a_mean():
  """A mean is below the bound in 99 of 100 cases."""
  errors = np.random.default_rng(0).normal(5, 2, size=[20_000, 4])
  bounds = np.array([statistics.upper_bound(each) for each in errors])
  assert np.mean(bounds > 5) == pytest.approx(.99, abs=.003)
  assert statistics.upper_bound([2., 2.]) == 2


def test_thresholds_are_of_the_best_evaluations(reference):
  found = outcome.thresholds(Run(reference))
  chosen = np.array([1, 2, 3, 1])
  bound = chosen.mean() + stats.t(3).ppf(.99) * chosen.std(ddof=1) / 2
  assert list(found) == [TRAINED, "length 1", "length 5"]
  assert found[TRAINED] == pytest.approx(bound)
  assert found["length 5"] == pytest.approx(10 * bound)
  assert found["length 1"] == 0


def test_a_reference_that_diverged_is_refused(tmp_path, capsys):
  run_of_nan = make_run(tmp_path / "solved", [[5, 5, np.nan, 5]])
  assert run(compare, f"--reference={run_of_nan}", run_of_nan) == 2
  assert "not finite (as trained)" in capsys.readouterr().err


def test_success_rates_are_printed_and_drawn(reference, tmp_path, capsys):
  first = make_run(tmp_path / "nau", [[5, 5, 5, 5], [3, 3, 3, 4]])
  second = make_run(tmp_path / "lstm", [[9, 9, 9, 9], [2, 9, 9, np.nan]], 30.)
  output = tmp_path / "success.png"
  assert run(compare, f"--reference={reference}", f"--output={output}",
             first, second) == 0
  threshold, *lines = capsys.readouterr().out.splitlines()
  assert threshold == ("a success is an error below 3.924 (as trained), "
                       "0 (length 1), 39.24 (length 5)")
  assert lines[1] == "nau" and lines[7] == "lstm"
  rows = {line.split("  ")[0]: line for line in lines[3:6]}
  assert "3/4 = 75%" in rows["as trained"]
  assert "3/4 = 75%" in rows["length 5"]
  assert "0/4 = 0%" in rows["length 1"]
  rows = {line.split("  ")[0]: line for line in lines[9:]}
  assert "1/4 = 25%" in rows["as trained"]
  assert "0/4 = 0%" in rows["length 5"]
  assert output.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("errors, left_out, warns", [
    ([2., 2., 2., 2.], "", False),
    ([1e6, 1e6, 1e6, 1e6], "", True),
    ([2., 2., 2., 1e6], "", True),
    ([2., 2., 2., 1e6], "3", False),  # Seeds left out do not count.
])
def test_a_reference_that_has_learned_nothing(tmp_path, capsys, errors,
                                              left_out, warns):
  reference = make_run(tmp_path / "solved", [errors])
  guess = Run(reference).task.trivial_score
  assert 2 < guess < 2e5  # The mean of the errors is on the side that is meant.
  assert run(compare, f"--reference={reference}", f"--leave_out={left_out}",
             f"--output={tmp_path / 'x.png'}", reference) == 0
  lines = capsys.readouterr().out.splitlines()
  assert [line for line in lines if "warning" in line] == [
      f"warning: the reference {reference} has learned nothing: its mse is "
      f"{tables.format_value(np.mean(errors))}, that of guessing "
      f"{tables.format_value(guess)}"] * warns


@pytest.mark.parametrize("error, warns", [(.01, False), (.6, True)])
def test_a_reference_that_solves_no_seed(tmp_path, error, warns):
  """It is better than guessing."""
  config = tiny_config(task="language_numbers", task_args={}, num_seeds=4)
  tmp_path.joinpath("solved").mkdir()
  config_lib.save(config, tmp_path / "solved")
  names = ["mae", "validation/mae", "test/mae"]
  (tmp_path / "solved" / "metrics.jsonl").write_text(json.dumps(
      {"step": 1, "split": "eval"} | {name: [error] * 4 for name in names}))
  found = outcome.warnings(Run(tmp_path / "solved"))
  assert len(found) == warns
  assert all("solved solves no seed: its mae is 0.6, that of guessing 2"
             in line for line in found)


def test_seeds_can_be_left_out(reference, capsys):
  """The reference's seeds are 0 to 3."""
  assert config_lib.load(reference).seed == 0
  assert run(compare, f"--reference={reference}", "--leave_out=2,0",
             f"--output={reference / 'x.png'}", reference) == 0
  first, second, threshold, *_ = capsys.readouterr().out.splitlines()
  assert [first, second] == ["without seed 2 of the reference",
                             "without seed 0 of the reference"]
  bound = 1.5 + stats.t(1).ppf(.99) * .5  # Errors 2 and 1.
  assert f"{bound:.4g} (as trained)" in threshold


@pytest.mark.parametrize("value, message", [
    ("4", "has the seeds 0 to 3, not 4"),
    ("-1", "at least 0 and at most 4294967295, got -1"),
    ("0,1,3", "at least two seeds"),
    ("x", "takes integers of at least 0 and at most 4294967295, got x"),
])
def test_seeds_that_cannot_be_left_out(reference, capsys, value, message):
  assert run(compare, f"--reference={reference}", f"--leave_out={value}",
             reference) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("make, message", [
    (lambda path: [], "name one workdir or more"),
    (lambda path: [path / "none"], "no run was started"),
    (lambda path: [make_run(path / "one", [[1.]], num_seeds=1)],
     "is of one seed; start it with --num_seeds=10"),
    (lambda path: [make_run(path / "new", [])], "was not evaluated yet"),
    (lambda path: [make_run(path / "short", [[1.] * 4], max_test_length=2)],
     "is not of the task of"),
    (lambda path: [make_run(path / name / "same", [[1.] * 4])
                   for name in ("a", "b")], "two runs are named 'same'"),
])
def test_refusals(reference, tmp_path, capsys, make, message):
  assert run(compare, f"--reference={reference}",
             f"--output={tmp_path / 'x.png'}", *make(tmp_path)) == 2
  error = capsys.readouterr().err
  assert error.startswith("error: ") and message in error
  assert error.count("\n") == 1
  assert not (tmp_path / "x.png").exists()


def test_a_picture_that_cannot_be_drawn(reference, tmp_path, capsys):
  assert run(compare, f"--reference={reference}",
             f"--output={tmp_path / 'x.gif2'}", reference) == 2
  assert "x.gif2: unknown ending; valid: " in capsys.readouterr().err
