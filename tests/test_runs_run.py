"""Tests reading a run: records, columns, outcomes, the best seed, its lock."""

import json
import os

import ml_collections
import numpy as np
import pytest
from launch_helpers import assert_same, tiny_config

from launch.configs import config as config_lib
from launch.pictures import run as pictures
from launch.runs import Run, outcome
from launch.runs.reports import end
from launch.runs.run import TRAINED
from rmc_nalu_sam.units import Formula

SEED = 3
GOOD, NAN = 1e-12, float("nan")


def write(workdir, steps, **metrics):
  """Writes records of 4 seeds; a metric is `[E][S]`, `__` stands for `/`."""
  task = Run(workdir).task
  lines = []
  for i, step in enumerate(steps):
    lines.append({"step": step, "split": "train", "loss": [1., 1., NAN, 1.],
                  "steps_per_second": 2.})
    values = {name.replace("__", "/"): value[i]
              for name, value in metrics.items()}
    for name in task.extrapolations:
      values.setdefault(f"{name}/mse", values["mse"])
    lines.append({"step": step, "split": "eval", **values})
  (workdir / "metrics.jsonl").write_text(
      "".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def workdir(tmp_path):
  config = tiny_config(
      "stack", dict(hidden_size=2, hidden_unit="nau"),
      dict(operation="mul", input_size=4), task="arithmetic", unit="nmu",
      seed=SEED, num_seeds=4)
  config_lib.save(config, tmp_path)
  write(tmp_path, [10, 20, 30],
        mse=[[1., 1., NAN, 1.], [GOOD, 1., NAN, 1.], [GOOD, GOOD, NAN, 1.]],
        extrapolation__mse=[[1., 1., NAN, 1.], [GOOD, 1., NAN, 1.],
                            [GOOD, 1., NAN, 1.]],
        sparsity_error=[[.5] * 4, [.25, .5, NAN, .5], [.125, .5, NAN, .5]])
  return tmp_path


def test_a_formula_only_if_it_was_learned(workdir):
  for error, distance, words in (
      (GOOD, .01, "y = x1 * x2 (weights within 0.01)"),
      (GOOD, .2, "no formula was learned: weights are up to 0.2 from those of "
       "the nearest one"),
      (1., .01, "no formula was learned: the task is not solved")):
    write(workdir, [10], mse=[[error, 2., 2., 2.]],
          extrapolation__mse=[[error, 2., 2., 2.]],
          solved=[[float(error < .1), 0., 0., 0.]])
    assert outcome.describe_formula(
        Run(workdir), Formula(("y = x1 * x2",), distance)) == words


def test_records_and_columns(workdir):
  run = Run(workdir)
  assert list(run.seeds) == [3, 4, 5, 6]
  assert len(run.records()) == 6
  first = run.records("train")[0]
  assert (first["step"], first["split"], first["steps_per_second"]) == (
      10, "train", 2)
  assert first["loss"].shape == (4,)
  steps, values = run.column("mse", "extrapolation")
  np.testing.assert_array_equal(steps, [10, 20, 30])
  np.testing.assert_array_equal(values[1], [GOOD, 1, NAN, 1])
  np.testing.assert_array_equal(run.column("mse", TRAINED)[1],
                                run.column("mse")[1])
  assert run.column("loss", split="train")[1].shape == (3, 4)
  assert run.column("speed")[1].shape == (0, 4)
  assert run.last()["step"] == 30


def test_a_run_of_one_seed_has_arrays_too(tmp_path):
  config_lib.save(tiny_config(), tmp_path)
  (tmp_path / "metrics.jsonl").write_text(json.dumps(
      {"step": 2, "split": "eval", "seconds": 1., "loss": .5, "level": 4}))
  run = Run(tmp_path)
  (record,) = run.records()
  assert record["loss"].shape == record["level"].shape == (1,)
  assert record["seconds"] == 1
  assert run.best_seed() == 0
  with pytest.raises(config_lib.UsageError,
                     match="has no records of split 'train' yet"):
    run.last("train")


def test_outcomes(workdir):
  found = Run(workdir).outcomes()
  assert list(found)[:2] == [TRAINED, "extrapolation"]
  np.testing.assert_array_equal(found[TRAINED].solved, [1, 1, 0, 0])
  np.testing.assert_array_equal(found[TRAINED].solved_at,
                                [20, 30, np.nan, np.nan])
  np.testing.assert_array_equal(found["extrapolation"].solved, [1, 0, 0, 0])
  assert Run(workdir).outcomes({TRAINED: .5}).keys() == {TRAINED}


def test_description_and_picture(workdir):
  run = Run(workdir)
  lines = outcome.describe(run).splitlines()
  (row,) = [line for line in lines if line.startswith("extrapolation ")]
  assert "1/4 = 25%" in row
  assert "5% to 70%" in row  # The Wilson interval.
  assert "diverged: 1 of 4 seeds: 5" in lines
  assert not run.scores()  # There is no evaluation before training.
  pictures._draw_success(run, "a title")
  assert (workdir / "success.png").stat().st_size


def test_end_has_the_numbers_that_matter(workdir):
  run = Run(workdir)
  (workdir / "formula.txt").write_text("seed 3: y = x1 x2\n")
  first, head, *rows, formula, files = end.describe(run).splitlines()
  assert first == ("step 30, evaluation: stack/nmu on arithmetic, trained for "
                   "0:00")
  assert head.split() == ["mse", "lowest", "highest", "guessing"]
  median, low, high = rows[0].split()[2:5]
  assert rows[0].startswith(f"{TRAINED}  ")
  assert (median, low, high) == ("0.5", "1e-12", "1")
  assert [row.split()[0] for row in rows[1:6]] == [
      *run.task.extrapolations, "sparsity_error"]
  assert formula == "seed 3: y = x1 x2"
  assert files == (f"metrics in {workdir / 'metrics.jsonl'}; no picture was "
                   "drawn")


def test_end_names_the_pictures_of_this_launch(workdir):
  (workdir / "old.png").touch()
  os.utime(workdir / "old.png", (1e9, 1e9))
  (workdir / "new.png").touch()
  assert end.describe(Run(workdir)).endswith(
      "metrics.jsonl, pictures beside it: new.png")


def test_scores_are_relative_to_the_start(workdir):
  write(workdir, [0, 10], mse=[[2., 4., 6., 8.], [1., 1., 1., 7.]])
  run = Run(workdir)
  assert run.scores()[TRAINED] == (50, 20)
  assert f"{TRAINED} 50.0 (20.0)" in outcome.describe(run)


def test_parameters_of_the_best_seed(workdir):
  write(workdir, [10], mse=[[1., 1e-12, NAN, 1.]])
  params = {"nmu": {"w": np.arange(8.).reshape(4, 2)}}
  run = Run(workdir)
  seed, found = run.best_params(params)
  assert seed == SEED + 1 == run.seeds[run.best_seed()]
  assert_same(found, {"nmu": {"w": np.array([2., 3.])}})
  one = ml_collections.ConfigDict(run.config.to_dict() | {"num_seeds": 1})
  seed, found = Run(workdir, one).best_params(params)
  assert seed == SEED
  assert found is params


@pytest.mark.parametrize("task, metric, best", [
    ("nth_farthest", "accuracy", 2), ("copy", "bits_wrong", 0)])
def test_the_best_seed_has_the_best_metric(tmp_path, task, metric, best):
  config_lib.save(tiny_config(task=task, task_args={}, num_seeds=4), tmp_path)
  (tmp_path / "metrics.jsonl").write_text(json.dumps(
      {"step": 2, "split": "eval", metric: [.2, "NaN", .8, .5]}))
  assert Run(tmp_path).best_seed() == best


def test_no_run(tmp_path):
  with pytest.raises(config_lib.UsageError, match="no run was started"):
    Run(tmp_path)


def test_one_writing_process(workdir):
  config = config_lib.load(workdir)
  with Run.writing(workdir, config) as run:
    assert list(run.seeds) == [3, 4, 5, 6]
    with (pytest.raises(config_lib.UsageError, match="another process trains"),
          Run.writing(workdir, config)):
      pass
  with Run.writing(workdir / "new", config):
    assert (workdir / "new").is_dir()
  with (pytest.raises(config_lib.UsageError, match="cannot write to --workdir"),
        Run.writing(workdir / "metrics.jsonl", config)):
    pass
