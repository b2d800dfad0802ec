"""launch.plot, and the pictures."""

import collections
import json
import pathlib

import matplotlib.image
import ml_collections
import numpy as np
import pytest
from launch_helpers import run, tiny_config
from matplotlib import figure

import tasks
from launch import config as config_lib
from launch import plot, plots, variant_plots


def make_run(workdir: pathlib.Path, steps=(2, 4, 6), task="copy", core="lstm",
             seed=0, minutes=None, core_args=None, fields=None,
             **metrics) -> pathlib.Path:
  """A workdir as a run leaves it, with invented numbers."""
  workdir.mkdir()
  config = tiny_config()
  config.update(task=task, core=core, seed=seed)
  config.update(fields or {})
  if "task_args" in (fields or {}):  # Not beside those of another task.
    config.task_args = ml_collections.ConfigDict(fields["task_args"])
  if core_args is not None:
    config.core_args = ml_collections.ConfigDict(core_args)
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
  """The picture; it must not be blank."""
  image = matplotlib.image.imread(path)
  assert image.ndim == 3
  assert min(image.shape[:2]) > 100
  assert image.std() > 0.01
  return image


def colourful(path: pathlib.Path, least: float = 0.1) -> int:
  """Pixels with a colour: curves, unlike axes and text; bands are paler."""
  image = ink(path)[:, :, :3]
  return int((image.max(-1) - image.min(-1) > least).sum())


def test_compare_draws_runs_and_tells_their_end(tmp_path, capsys):
  runs = [make_run(tmp_path / "a", seed=0),
          make_run(tmp_path / "b", seed=1, steps=(2, 4)),
          make_run(tmp_path / "c", core="sam", seed=0)]
  output = tmp_path / "curves.png"
  assert run(plot, f"--output={output}", *runs) == 0
  assert colourful(output, 0.4) > 1000
  assert capsys.readouterr().out.splitlines() == [
      "lstm  seed 0  step 6  bits_wrong 1  lowest 1 at 6  highest 5 at 2",
      "lstm  seed 1  step 4  bits_wrong 3  lowest 3 at 4  highest 5 at 2",
      "sam  seed 0  step 6  bits_wrong 1  lowest 1 at 6  highest 5 at 2"]
  # One run less is another picture.
  assert run(plot, f"--output={tmp_path / 'two.png'}", *runs[:2]) == 0
  two = ink(tmp_path / "two.png")
  assert two.shape != ink(output).shape or (two != ink(output)).any()


def curves_of(monkeypatch, *runs):
  """Label -> names of the workdirs that are drawn as one line."""
  drawn = []
  monkeypatch.setattr(plots, "learning_curves",
                      lambda groups, *_: drawn.append(groups))
  plot.compare(runs, pathlib.Path("curves.png"), None)
  return {label: [workdir.name for workdir in workdirs]
          for label, workdirs in drawn[0].items()}


def test_seeds_of_the_same_settings_are_one_line(tmp_path, monkeypatch):
  """Those of others are not; defaults count as if they were set."""
  runs = [
      make_run(tmp_path / name, core="rmc", seed=seed, core_args=core_args,
               fields=fields)
      for name, seed, core_args, fields in (
          ("default", 0, {}, {}),
          ("set", 1, {"num_slots": 8}, {}),
          ("many", 2, {}, {"num_seeds": 3, "eval_episodes": 7, "steps": 9,
                           "data_dir": "elsewhere"}),
          ("one", 0, {"num_slots": 1}, {}),
          ("fast", 0, {}, {"learning_rate": .5}))]
  lstm = make_run(tmp_path / "lstm")
  assert curves_of(monkeypatch, *runs, lstm) == {
      "rmc learning_rate=0.001 core.num_slots=8": ["default", "set", "many"],
      "rmc learning_rate=0.001 core.num_slots=1": ["one"],
      "rmc learning_rate=0.5 core.num_slots=8": ["fast"],
      "lstm": ["lstm"]}
  assert curves_of(monkeypatch, *runs[:3]) == {
      "rmc": ["default", "set", "many"]}


def test_what_is_only_computed_otherwise_is_the_same(tmp_path, monkeypatch):
  runs = [make_run(tmp_path / f"{seed}", core="sam", seed=seed, core_args=args)
          for seed, args in enumerate((
              {}, {"recompute": False}, {"measure_recall": True}))]
  assert curves_of(monkeypatch, *runs) == {"sam": ["0", "1", "2"]}


def test_steps_matter_under_a_schedule(tmp_path, monkeypatch):
  runs = [make_run(tmp_path / f"{schedule}{steps}", seed=seed,
                   fields={"lr_schedule": schedule, "steps": steps})
          for schedule in ("constant", "cosine")
          for seed, steps in enumerate((6, 8))]
  assert curves_of(monkeypatch, *runs[:2]) == {
      "lstm": ["constant6", "constant8"]}
  assert curves_of(monkeypatch, *runs[2:]) == {
      "lstm steps=6": ["cosine6"], "lstm steps=8": ["cosine8"]}


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
  for loss, ends in (([3., np.nan, 2.], "2  lowest 2 at 6  highest 3 at 2"),
                     ([np.nan] * 3, "nan")):
    for record in records:
      record["loss"] = loss[record["step"] // 2 - 1]
    (workdir / "metrics.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records))
    table = plot.compare([workdir], tmp_path / "loss.png", "loss")
    assert table == f"lstm  seed 0  step 6  loss {ends}"


def test_a_core_that_is_no_more(tmp_path, capsys):
  workdir = make_run(tmp_path / "old", core="abacus")
  assert run(plot, f"--output={tmp_path / 'x.png'}",
             workdir) == config_lib.EXIT_USAGE
  assert "unknown core 'abacus'" in error_of(capsys)


def test_compare_takes_another_metric(tmp_path):
  workdir = make_run(tmp_path / "a", speed=3.)
  for metric, value in (
      ("speed", "3  lowest 3 at 2  highest 3 at 2"),
      ("bits_wrong", "1  lowest 1 at 6  highest 5 at 2")):
    table = plot.compare([workdir], tmp_path / f"{metric}.png", metric)
    assert table == f"lstm  seed 0  step 6  {metric} {value}"
  assert (ink(tmp_path / "speed.png") != ink(tmp_path / "bits_wrong.png")).any()


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


def test_curves_are_of_the_steps_that_all_seeds_have(tmp_path):
  a = make_run(tmp_path / "a", steps=(2, 4, 6), seed=0)
  b = make_run(tmp_path / "b", steps=(2, 6, 8), seed=1)
  steps, values = plots._curves([a, b], "loss", "updates")
  np.testing.assert_array_equal(steps, [2, 6])
  np.testing.assert_allclose(values, [[1 / 2, 1 / 6], [3 / 2, 7 / 6]])
  plots.learning_curves({"lstm": [a, b]}, "bits_wrong", tmp_path / "ab.png")
  band = colourful(tmp_path / "ab.png")
  plots.learning_curves({"lstm": [a]}, "bits_wrong", tmp_path / "a.png")
  assert band > 2 * colourful(tmp_path / "a.png")  # Between the two seeds.


def test_curves_against_time_are_steps_where_all_seeds_have_begun(tmp_path):
  a = make_run(tmp_path / "a", minutes=[1.0, 3.0, 4.5])
  b = make_run(tmp_path / "b", minutes=[0.5, 2.0, 4.0])
  points, values = plots._curves([a, b], "level", "minutes")
  np.testing.assert_allclose(points, [1, 2, 3, 4])
  np.testing.assert_array_equal(values, [[4, 4, 16, 16], [4, 16, 16, 64]])


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
  assert "lstm  seed 1  step 14  level 16384" in capsys.readouterr().out
  old = make_run(tmp_path / "old")
  assert run(plot, "--x=minutes", old) == config_lib.EXIT_USAGE
  assert "noted no times" in error_of(capsys)


def identity_run(workdir, seed=0, num_seeds=2, **settings):
  """A run of many seeds, whose errors are invented: |number| / 10 + seed."""
  names = tasks.make_task("identity").extrapolations
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
  first, second = capsys.readouterr().out.splitlines()
  # All five seeds, 0 to 4, and then 0 and 1 alone; the mean (the median).
  assert first.startswith("stack/linear: as trained 0.5 (0.5), -20 4 (4), ")
  assert first.endswith(", 17.5 3.75 (3.75), 20 4 (4)")
  assert second.startswith("stack/nac: as trained 0.125 (0.125), -20 2.5 (2.5)")


def test_variants_side_by_side_with_numbers_that_are_none(tmp_path, capsys):
  """Their names are no numbers; a seed that diverged counts as the worst."""
  names = tasks.make_task("recurrent_arithmetic", train_range="1,2"
                          ).extrapolations
  bad = [1., float("nan"), 2.]
  workdir = make_run(
      tmp_path / "a", task="recurrent_arithmetic", core="unit_rnn",
      fields={"num_seeds": 3,
              "task_args": {"train_range": "1,2"}},
      mse=[1., 2., 6.], **{f"{name}/mse": bad for name in names})
  output = tmp_path / "variants.png"
  assert run(plot, "--x=variants", f"--output={output}", workdir) == 0
  assert colourful(output, 0.4) > 300
  line = capsys.readouterr().out
  assert ": as trained 3 (2), " in line
  assert line.endswith(f"{[*names][-1]} inf (2)\n")


def test_variants_of_which_no_number_is_finite(tmp_path):
  names = ["as trained", "length 10"]
  numbers = {"good": np.array([[1., 2.], [3., np.nan], [np.inf, 4.]])}
  bad = {"bad": np.full((2, 2), np.inf)}
  for i, groups in enumerate((numbers, numbers | bad, bad)):
    variant_plots.draw(groups, names, "mse", tmp_path / f"{i}.png")
    ink(tmp_path / f"{i}.png")
  assert colourful(tmp_path / "0.png", 0.4) > 300 > colourful(
      tmp_path / "2.png", 0.4)


def test_variants_that_are_not_there(tmp_path, capsys):
  copy = make_run(tmp_path / "copy")
  assert run(plot, "--x=variants", copy) == config_lib.EXIT_USAGE
  assert "copy has no variants to draw" in error_of(capsys)
  short = make_run(tmp_path / "short", task="identity", mae=1.,
                   fields={"task_args": {}})
  assert run(plot, "--x=variants", short) == config_lib.EXIT_USAGE
  assert "short has no -20/mae in its last evaluation" in error_of(capsys)


@pytest.mark.parametrize("x", ["updates", "minutes"])
def test_curves_of_a_run_that_was_not_evaluated(tmp_path, x):
  fresh = make_run(tmp_path / "fresh", steps=())
  plots.learning_curves({"lstm": [fresh]}, "bits_wrong", tmp_path / "x.png",
                        x=x)
  ink(tmp_path / "x.png")
  assert colourful(tmp_path / "x.png") == 0


def test_weights_of_rows_are_summed_over_heads_and_repeated_rows():
  # T = 2, J = 6, N = 5.
  indices = np.array([[0, 1, 1, 4, 0, 2], [3, 3, 3, 2, 1, 0]])
  weights = np.array([[1, 2, 4, 8, 16, 32], [64, 128, 256, 0, 0, 0]],
                     np.float32)
  image = [[17, 6, 32, 0, 8], [0, 0, 0, 448, 0]]
  np.testing.assert_array_equal(
      plots.weights_of(np.arange(5), indices, weights), image)
  # Some rows, in another order.
  rows = np.array([4, 0, 3])
  np.testing.assert_array_equal(
      plots.weights_of(rows, indices, weights), np.array(image)[:, rows])
  np.testing.assert_array_equal(
      plots.weights_of(np.array([7]), indices, weights), [[0], [0]])


def test_rows_in_the_order_of_their_first_access(monkeypatch):
  written = (np.array([[9, 4], [2, 2]]), np.array([[.5, .5], [.001, .5]]))
  read = np.array([[7, 4], [1, 9]]), np.array([[.001, .5], [.5, .5]])
  assert plots.first_accessed(written, read).tolist() == [9, 4, 2, 1]
  assert plots.first_accessed(read, written).tolist() == [4, 9, 1, 2]
  monkeypatch.setattr(plots, "MAX_ROWS", 3)
  assert plots.first_accessed(written, read).tolist() == [9, 4, 2]
  nothing = written[0], 0 * written[1]
  assert plots.first_accessed(nothing, nothing).tolist() == [0]


Sparse = collections.namedtuple(
    "Sparse", ["memory", "read_indices", "read_weights", "write_indices",
               "write_weights"])
Dense = collections.namedtuple(
    "Dense", ["memory", "read_weights", "write_weights"])
STEPS, HEADS = 5, 2


def sparse_access(rows, slots):
  """Both heads read and write the three rows `[T, 1, H, 3]` at every step."""
  weights = np.full((STEPS, 1, HEADS, 3), 0.25, np.float32)
  # Takes no memory, however many slots.
  memory = np.broadcast_to(np.float32(0), (STEPS, 1, slots, 2))
  return Sparse(memory, rows, weights, rows, weights)


def dense_access(rows, slots):
  """The same as a dense core has it."""
  sparse = sparse_access(rows, slots)
  weights = np.zeros((STEPS, 1, HEADS, slots), np.float32)
  index = np.ogrid[:STEPS, :1, :HEADS, :1][:3]
  np.add.at(weights, (*index, rows), sparse.read_weights)
  return Dense(sparse.memory, weights, weights)


@pytest.fixture
def draw_access(tmp_path):
  batch = tasks.Batch(np.ones((STEPS, 1, 3)), np.ones((STEPS, 1, 2)),
                      np.ones((STEPS, 1)))
  outputs = np.linspace(-1, 1, 2 * STEPS).reshape(STEPS, 1, 2)

  def draw(access, mask=None):
    path = tmp_path / "memory.png"
    shown = batch if mask is None else batch._replace(mask=mask)
    plots.memory_access(access, shown, outputs, path, "a title")
    assert colourful(path) > 100
    return ink(path)

  return draw


FIRST = np.tile(np.array([0, 1, 1], np.int32), (STEPS, 1, HEADS, 1))


def test_memory_access(draw_access):
  picture = draw_access(sparse_access(FIRST, 7))
  # Other rows are another picture.
  assert (picture != draw_access(sparse_access(FIRST + 4, 7))).any()
  # Nothing is asked for: no answer, and no complaint of it.
  draw_access(sparse_access(FIRST, 7), np.zeros((STEPS, 1)))


@pytest.mark.parametrize("slots", [7, plots.MAX_ROWS + 1])
def test_memory_access_of_a_dense_core_is_that_of_a_sparse_one(draw_access,
                                                               slots):
  np.testing.assert_array_equal(draw_access(dense_access(FIRST + 2, slots)),
                                draw_access(sparse_access(FIRST + 2, slots)))


def test_memory_access_in_a_large_memory_shows_the_rows_accessed(draw_access):
  """Any [T, N] of these would not fit anywhere."""
  slots = 2**40
  far = draw_access(sparse_access(FIRST.astype(np.int64) + slots - 2, slots))
  np.testing.assert_array_equal(far, draw_access(sparse_access(FIRST, slots)))


@pytest.mark.parametrize("count", [1, 3, 12])
@pytest.mark.parametrize("size", [5, 60, 200])
def test_names_of_lines_take_no_room_from_the_panels(count, size):
  fig = figure.Figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, 2)
  plots.name_lines(fig, axes[1])
  assert not fig.legends  # There is nothing to name.
  labels = [f"{number} {'word ' * (size // 5)}" for number in range(count)]
  for label in labels:
    axes[1].plot([0, 1], label=label)
  plots.name_lines(fig, axes[1])
  fig.draw_without_rendering()
  (legend,) = fig.legends
  box = legend.get_window_extent().transformed(fig.transFigure.inverted())
  assert -.001 < box.x0 < box.x1 < 1.001 and box.y0 > -.001
  assert [text.get_text().split() for text in legend.get_texts()] == [
      label.split() for label in labels]
  for axis in axes:
    place = axis.get_tightbbox().transformed(fig.transFigure.inverted())
    assert place.y0 > box.y1
    position = axis.get_position()
    assert position.width > .35
    assert position.height * fig.get_figheight() > 3
