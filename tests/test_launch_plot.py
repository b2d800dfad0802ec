"""Tests launch.plot."""

import json
import pathlib

import matplotlib.image
import ml_collections
import numpy as np
import pytest
from launch_helpers import run, tiny_config

import tasks
from launch import plot
from launch.configs import config as config_lib
from launch.pictures import curves
from launch.runs import Run, comparison, evaluation


def make_run(workdir: pathlib.Path, steps=(2, 4, 6), task="copy", core="lstm",
             seed=0, minutes=None, core_args=None, fields=None,
             **metrics) -> pathlib.Path:
  """Makes a workdir as a run leaves it, with invented numbers."""
  workdir.mkdir()
  config = tiny_config()
  config.update(task=task, core=core, seed=seed)
  if task != "copy":  # Other tasks have other arguments.
    config.task_args = ml_collections.ConfigDict()
  for name, value in (fields or {}).items():
    config[name] = (ml_collections.ConfigDict(value)
                    if isinstance(value, dict) else value)
  if core_args is not None or core != "lstm":
    config.core_args = ml_collections.ConfigDict(core_args or {})
  config_lib.save(config, workdir)
  lines = []
  for step in steps:
    values = {"loss": 1 / step + seed, "bits_wrong": 7. - step, **metrics}
    if minutes:
      values |= {"seconds": 60 * minutes[steps.index(step)],
                 "level": 2 ** int(step)}
    lines += [{"step": step, "split": split} | values
              for split in ("train", "eval")]
  (workdir / "metrics.jsonl").write_text(
      "".join(json.dumps(line) + "\n" for line in lines))
  return workdir


def ink(path: pathlib.Path) -> np.ndarray:
  """Returns the picture; checks that it is not blank."""
  image = matplotlib.image.imread(path)
  assert image.ndim == 3
  assert min(image.shape[:2]) > 100
  assert image.std() > 0.01
  return image


def colourful(path: pathlib.Path, least: float = 0.1) -> int:
  """Counts the coloured pixels: curves, and their paler bands."""
  image = ink(path)[:, :, :3]
  return int((image.max(-1) - image.min(-1) > least).sum())


def test_runs_are_drawn_and_their_last_evaluation_is_printed(tmp_path, capsys):
  runs = [make_run(tmp_path / "a", seed=0),
          make_run(tmp_path / "b", seed=1, steps=(2, 4)),
          make_run(tmp_path / "c", core="sam", seed=0)]
  output = tmp_path / "curves.png"
  assert run(plot, f"--output={output}", *runs) == 0
  assert colourful(output, 0.4) > 1000
  assert table_of(capsys.readouterr().out) == [
      "run seeds step bits_wrong lowest at highest at",
      "lstm 0 6 1 1 6 5 2", "lstm 1 4 3 3 4 5 2", "sam 0 6 1 1 6 5 2"]
  # With one run less, the picture differs.
  assert run(plot, f"--output={tmp_path / 'two.png'}", *runs[:2]) == 0
  two = ink(tmp_path / "two.png")
  assert two.shape != ink(output).shape or (two != ink(output)).any()


def curves_of(monkeypatch, *runs):
  """Returns label -> names of the workdirs that are drawn as one line."""
  monkeypatch.setattr(curves, "draw", lambda *_: None)
  plot.compare(runs, pathlib.Path("curves.png"), None)
  found = comparison.compare([Run(workdir) for workdir in runs])
  return {label: [each.workdir.name for each in group]
          for label, group in found.groups.items()}


def test_seeds_of_the_same_settings_are_one_line(tmp_path, monkeypatch):
  """A default is the same setting as that value set explicitly."""
  runs = [
      make_run(tmp_path / name, core="rmc", seed=seed, core_args=core_args,
               fields=fields)
      for name, seed, core_args, fields in (
          ("default", 0, {}, {}),
          ("set", 1, {"num_slots": 8}, {}),
          ("many", 2, {}, {"num_seeds": 3, "eval_episodes": 7, "steps": 9,
                           "data_dir": "elsewhere"}),
          ("one", 0, {"num_slots": 1}, {}),
          ("fast", 0, {}, {"optimizer_args": {"learning_rate": .5}}))]
  lstm = make_run(tmp_path / "lstm")
  assert curves_of(monkeypatch, *runs, lstm) == {
      "rmc core.num_slots=8 optimizer.learning_rate=0.001": [
          "default", "set", "many"],
      "rmc core.num_slots=1 optimizer.learning_rate=0.001": ["one"],
      "rmc core.num_slots=8 optimizer.learning_rate=0.5": ["fast"],
      "lstm": ["lstm"]}
  assert curves_of(monkeypatch, *runs[:3]) == {
      "rmc": ["default", "set", "many"]}


def test_arguments_that_are_not_learnt_are_not_compared(tmp_path, monkeypatch):
  runs = [make_run(tmp_path / f"{seed}", core="sam", seed=seed, core_args=args)
          for seed, args in enumerate((
              {}, {"recompute": False}, {"measure_recall": True}))]
  assert curves_of(monkeypatch, *runs) == {"sam": ["0", "1", "2"]}


def test_steps_matter_under_a_schedule(tmp_path, monkeypatch):
  runs = [make_run(tmp_path / f"{schedule}{steps}", seed=seed,
                   fields={"schedule": schedule, "steps": steps})
          for schedule in ("constant", "cosine")
          for seed, steps in enumerate((6, 8))]
  assert curves_of(monkeypatch, *runs[:2]) == {
      "lstm": ["constant6", "constant8"]}
  assert curves_of(monkeypatch, *runs[2:]) == {
      "lstm steps=6": ["cosine6"], "lstm steps=8": ["cosine8"]}


def test_a_run_is_named_by_the_name_of_the_folder_it_started_from(
    tmp_path, monkeypatch):
  runs = [make_run(tmp_path / name, fields={"init_from": start})
          for name, start in (("a", "/home/me/runs/low"), ("b", "sam_copy"))]
  assert curves_of(monkeypatch, *runs) == {
      "lstm init_from=low": ["a"], "lstm init_from=sam_copy": ["b"]}
  runs.append(make_run(tmp_path / "c", fields={"init_from": "elsewhere/low"}))
  assert curves_of(monkeypatch, *runs) == {
      "lstm init_from=/home/me/runs/low": ["a"],
      "lstm init_from=sam_copy": ["b"], "lstm init_from=elsewhere/low": ["c"]}


def test_a_seed_counts_once(tmp_path, capsys):
  runs = [make_run(tmp_path / "a", seed=2),
          make_run(tmp_path / "b", seed=2),
          make_run(tmp_path / "many", fields={"num_seeds": 3})]
  for pair in (runs[:2], runs[1:]):
    assert run(plot, f"--output={tmp_path / 'x.png'}",
               *pair) == config_lib.EXIT_USAGE
    assert error_of(capsys) == (
        f"error: {pair[0]} and {pair[1]} are both of lstm with seed 2, which "
        "would count twice: leave one out\n")


def test_the_lowest_and_the_highest_are_of_numbers(tmp_path):
  workdir = make_run(tmp_path / "a")
  records = [json.loads(line)
             for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  for loss, ends in (([3., np.nan, 2.], "2 2 6 3 2"),
                     ([np.nan] * 3, "nan - - - -")):
    for record in records:
      record["loss"] = loss[record["step"] // 2 - 1]
    (workdir / "metrics.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records))
    table = plot.compare([workdir], tmp_path / "loss.png", "loss")
    assert table_of(table)[1] == f"lstm 0 6 {ends}"


def test_a_core_that_no_longer_exists(tmp_path, capsys):
  workdir = make_run(tmp_path / "old", core="abacus")
  assert run(plot, f"--output={tmp_path / 'x.png'}",
             workdir) == config_lib.EXIT_USAGE
  assert "unknown core 'abacus'" in error_of(capsys)


def test_another_metric(tmp_path):
  workdir = make_run(tmp_path / "a", speed=3.)
  for metric, value in (
      ("speed", "3 3 2 3 2"), ("bits_wrong", "1 1 6 5 2")):
    table = plot.compare([workdir], tmp_path / f"{metric}.png", metric)
    assert table_of(table)[1] == f"lstm 0 6 {value}"
  assert (ink(tmp_path / "speed.png") != ink(tmp_path / "bits_wrong.png")).any()


def table_of(out: str) -> list[str]:
  """Returns the lines of a table, one space between cells."""
  return [" ".join(line.split()) for line in out.splitlines()]


def error_of(capsys) -> str:
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  return err


def test_errors(tmp_path, capsys):
  copy = make_run(tmp_path / "copy")
  sort = make_run(tmp_path / "sort", task="priority_sort")
  fresh = make_run(tmp_path / "fresh", steps=())
  output = tmp_path / "curves.png"
  for argv, words in (
      ([copy, sort], "one task, got copy, priority_sort"),
      ([copy, "--metric=speed"],
       "unknown metric 'speed'; valid: bits_wrong, loss"),
      ([copy, fresh], "fresh was not evaluated yet"),
      ([tmp_path / "nowhere"], "no run was started"),
      ([], "got none"),
  ):
    assert run(plot, f"--output={output}", *argv) == config_lib.EXIT_USAGE
    assert words in error_of(capsys)
    assert not output.exists()


@pytest.mark.parametrize("output", ["nowhere/curves.png", "curves.sopy"])
def test_output_that_cannot_be_written(tmp_path, capsys, output):
  workdir = make_run(tmp_path / "copy")
  assert run(plot, f"--output={tmp_path / output}",
             workdir) == config_lib.EXIT_USAGE
  error_of(capsys)


def test_levels_against_minutes(tmp_path, capsys):
  runs = [make_run(tmp_path / str(seed), seed=seed, steps=(2, 4, 14),
                   minutes=[seed + 1.0, seed + 3.0, seed + 4.5])
          for seed in (0, 1)]
  pictures = []
  for i, flags in enumerate([["--metric=level", "--x=minutes"],
                             ["--metric=level"], ["--x=minutes"]]):
    assert run(plot, f"--output={tmp_path / f'{i}.png'}", *flags, *runs) == 0
    assert colourful(tmp_path / f"{i}.png") > 1000
    pictures.append(ink(tmp_path / f"{i}.png"))
  assert not np.array_equal(pictures[0], pictures[1])
  assert not np.array_equal(pictures[0], pictures[2])
  assert "lstm 1 14 16384 4 2 16384 14" in table_of(capsys.readouterr().out)
  old = make_run(tmp_path / "old")
  assert run(plot, "--x=minutes", old) == config_lib.EXIT_USAGE
  assert "recorded no times" in error_of(capsys)


def identity_run(workdir, seed=0, num_seeds=2, **settings):
  """Makes a run of many seeds with the errors |number| / 10 + seed."""
  names = tasks.Identity().extrapolations
  seeds = np.arange(seed, seed + num_seeds)
  return make_run(
      workdir, task="identity", core="stack", seed=seed,
      fields={"num_seeds": num_seeds, "task_args": {}, **settings},
      mae=list(seeds / 4),
      **{f"{name}/mae": list(abs(float(name)) / 10 + seeds) for name in names})


def test_variants(tmp_path, capsys):
  a = identity_run(tmp_path / "a")
  b = identity_run(tmp_path / "b", seed=2, num_seeds=3)
  c = identity_run(tmp_path / "c", unit="nac")
  output = tmp_path / "variants.png"
  assert run(plot, "--x=variants", f"--output={output}", a, b, c) == 0
  assert colourful(output, 0.4) > 1000
  lines = table_of(capsys.readouterr().out)
  # Mean (median) of all five seeds, 0 to 4, and of seeds 0 and 1 alone.
  assert lines[:3] == ["stack/linear stack/nac",
                       "as trained 0.5 (0.5) 0.125 (0.125)",
                       "-20 4 (4) 2.5 (2.5)"]
  assert lines[-1] == "20 4 (4) 2.5 (2.5)"


def test_variants_side_by_side_with_numbers_that_are_none(tmp_path, capsys):
  """The names are not numbers here; a diverged seed counts as the worst."""
  names = tasks.RecurrentArithmetic(train_range="1,2").extrapolations
  bad = [1., float("nan"), 2.]
  workdir = make_run(
      tmp_path / "a", task="recurrent_arithmetic", core="unit_rnn",
      fields={"num_seeds": 3,
              "task_args": {"train_range": "1,2"}},
      mse=[1., 2., 6.], **{f"{name}/mse": bad for name in names})
  output = tmp_path / "variants.png"
  assert run(plot, "--x=variants", f"--output={output}", workdir) == 0
  assert colourful(output, 0.4) > 300
  lines = table_of(capsys.readouterr().out)
  assert lines[1] == "as trained 3 (2)"
  assert lines[-1] == f"{[*names][-1]} inf (2)"


def evaluated(workdir, **levels):
  """Writes what `launch.evaluate` found, as level -> bits wrong."""
  rows = [{"level": "as trained", "bits_wrong": 9.}] + [
      {"level": int(level[1:]), "bits_wrong": value}
      for level, value in levels.items()]
  (workdir / evaluation.EVALUATION_FILE).write_text(
      json.dumps({"levels": rows}))
  return workdir


def test_levels(tmp_path, capsys):
  """Seeds are one line, also those of one run; so is a value of a sweep."""
  a = evaluated(make_run(tmp_path / "a"), _5=1., _20=4.)
  many = evaluated(make_run(tmp_path / "b", seed=1, fields={"num_seeds": 2}),
                   _5=[2., 6.], _20=[5., 9.])
  output = tmp_path / "levels.png"
  assert run(plot, "--x=levels", f"--output={output}", a, many) == 0
  assert colourful(output, 0.4) > 300
  assert table_of(capsys.readouterr().out) == ["lstm", "5 3 (2)", "20 6 (5)"]
  other = evaluated(make_run(tmp_path / "c", core="sam"), _20=3., _5=2., _7=1.)
  assert run(plot, "--x=levels", f"--output={output}", a, other) == 0
  assert table_of(capsys.readouterr().out) == [
      "lstm sam", "5 1 (1) 2 (2)", "20 4 (4) 3 (3)"]


def test_levels_of_a_sweep(tmp_path, capsys):
  workdir = make_run(
      tmp_path / "a", loss=[1., 2., 3., 4.], bits_wrong=[1., 2., 3., 4.],
      fields={"num_seeds": 2,
              "sweep": (("optimizer.learning_rate", (.1, .2)),)})
  evaluated(workdir, _5=[1., 2., 3., 4.])
  output = tmp_path / "levels.png"
  assert run(plot, "--x=levels", f"--output={output}", workdir) == 0
  assert table_of(capsys.readouterr().out)[-1] == "5 1.5 (1.5) 3.5 (3.5)"


def test_levels_that_are_not_there(tmp_path, capsys):
  a, b, c = (make_run(tmp_path / name, seed=seed)
             for seed, name in enumerate("abc"))
  assert run(plot, "--x=levels", a) == config_lib.EXIT_USAGE
  assert ("a/evaluation.json does not exist: run launch.evaluate"
          in error_of(capsys))
  evaluated(a)
  assert run(plot, "--x=levels", a) == config_lib.EXIT_USAGE
  assert "a was evaluated at no levels" in error_of(capsys)
  evaluated(b, _5=1., _7=1.)
  evaluated(c, _5=1.)
  assert run(plot, "--x=levels", b, c) == config_lib.EXIT_USAGE
  assert "c has no bits_wrong at level 7; run launch.evaluate with " \
      "--levels=5,7 for every run" in error_of(capsys)


def test_variants_that_are_not_there(tmp_path, capsys):
  copy = make_run(tmp_path / "copy")
  assert run(plot, "--x=variants", copy) == config_lib.EXIT_USAGE
  assert "copy has no variants to draw" in error_of(capsys)
  short = make_run(tmp_path / "short", task="identity", mae=1.,
                   fields={"task_args": {}})
  assert run(plot, "--x=variants", short) == config_lib.EXIT_USAGE
  assert "short has no -20/mae in its last evaluation" in error_of(capsys)
