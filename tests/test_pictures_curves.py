"""Tests learning curves, legends, and pictures of a task's variants."""

import itertools
import json

import numpy as np
import pytest
from launch_helpers import run
from matplotlib import figure
from test_launch_plot import colourful, ink, make_run

from launch import plot
from launch.configs import config as config_lib
from launch.pictures import curves, layout, scaling, success, variants
from launch.runs import Run


def draw(runs, metric, path, x="updates", **kwargs):
  """Draws runs as one line; returns the curve of the metric."""
  runs = [Run(workdir) for workdir in runs]
  panels = [(name, {"lstm": curves.of_runs(runs, name, x)})
            for name in ("loss", metric)]
  curves.draw(panels, path, x=x, **kwargs)
  return panels[1][1]["lstm"]


def test_curves_are_of_the_steps_that_all_seeds_have(tmp_path):
  a = make_run(tmp_path / "a", steps=(2, 4, 6), seed=0)
  b = make_run(tmp_path / "b", steps=(2, 6, 8), seed=1)
  steps, values = curves.of_runs([Run(a), Run(b)], "loss")
  np.testing.assert_array_equal(steps, [2, 6])
  np.testing.assert_allclose(values, [[1 / 2, 1 / 6], [3 / 2, 7 / 6]])
  draw([a, b], "bits_wrong", tmp_path / "ab.png")
  band = colourful(tmp_path / "ab.png")
  draw([a], "bits_wrong", tmp_path / "a.png")
  assert band > 2 * colourful(tmp_path / "a.png")  # The band between the seeds.


def test_curves_of_the_batches_of_training(tmp_path):
  workdir = make_run(tmp_path / "a", steps=(2, 4))
  with open(workdir / "metrics.jsonl", "a") as file:
    file.write(json.dumps({"step": 5, "split": "train", "loss": 9.,
                           "bits_wrong": 9.}) + "\n")
  steps, values = curves.of_runs([Run(workdir)], "loss", split="train")
  np.testing.assert_array_equal(steps, [2, 4, 5])
  np.testing.assert_allclose(values, [[1 / 2, 1 / 4, 9]])
  assert run(plot, f"--output={tmp_path / 'eval.png'}", workdir) == 0
  assert run(plot, "--split=train", f"--output={tmp_path / 'train.png'}",
             workdir) == 0
  assert (ink(tmp_path / "train.png") != ink(tmp_path / "eval.png")).any()


@pytest.mark.parametrize("flag, words", [
    ("--x=levels", "--split=train has no levels: leave out --x=levels"),
    ("--metric=other",
     "--split=train has no metric 'other'; valid: bits_wrong, loss")])
def test_batches_of_training_have_no_levels_and_few_metrics(
    tmp_path, capsys, flag, words):
  workdir = make_run(tmp_path / "a")
  line = json.dumps({"step": 7, "split": "eval", "loss": 1., "bits_wrong": 1.,
                     "other": 1.})
  with open(workdir / "metrics.jsonl", "a") as file:
    file.write(line + "\n")
  assert run(plot, "--split=train", flag, f"--output={tmp_path / 'x.png'}",
             workdir) == config_lib.EXIT_USAGE
  assert capsys.readouterr().err == f"error: {words}\n"
  assert not (tmp_path / "x.png").exists()


def test_curves_against_time_are_steps_where_all_seeds_have_begun(tmp_path):
  a = make_run(tmp_path / "a", minutes=[1.0, 3.0, 4.5])
  b = make_run(tmp_path / "b", minutes=[0.5, 2.0, 4.0])
  points, values = draw([a, b], "level", tmp_path / "x.png", "minutes")
  np.testing.assert_allclose(points, [1, 2, 3, 4])
  np.testing.assert_array_equal(values, [[4, 4, 16, 16], [4, 16, 16, 64]])


@pytest.mark.parametrize("x", ["updates", "minutes"])
def test_curves_of_a_run_that_was_not_evaluated(tmp_path, x):
  fresh = make_run(tmp_path / "fresh", steps=())
  draw([fresh], "bits_wrong", tmp_path / "x.png", x, guesses=[2.])
  ink(tmp_path / "x.png")
  assert colourful(tmp_path / "x.png") == 0


@pytest.fixture
def figures(monkeypatch):
  """Returns the figures that are saved, laid out."""
  found = []
  monkeypatch.setattr(figure.Figure, "savefig", lambda self, *_, **__: (
      found.append(self), self.draw_without_rendering()))
  return found


def test_an_evaluation_without_neighbours_has_a_marker(tmp_path, figures):
  draw([make_run(tmp_path / "a", steps=(2,)),
        make_run(tmp_path / "b", steps=(2,), seed=1)], "bits_wrong", "x.png")
  for axis in figures[0].axes:
    (line,), (bar,) = axis.lines, axis.collections[-1:]
    assert line.get_marker() == "o" and line.get_markevery() == [0]
    (point,) = line.get_xydata()
    low, high = axis.get_ylim()
    assert low < point[1] < high
    (range_of_seeds,) = bar.get_segments()
    assert (range_of_seeds[:, 0] == 2).all()
  assert np.ptp(figures[0].axes[0].collections[-1].get_segments()[0][:, 1]) == 1
  # So has one between gaps. Others need none, unless there are more lines.
  values = np.array([[1., np.nan, 3., np.inf, 5., 6., 7.]])
  curve = curves.Curve(np.arange(7), values)
  for mine, expected in (({"a": curve}, [0, 2]),
                         ({"a": curve, "b": curve}, [0, 1, 2, 3, 4, 5, 6])):
    curves.draw([("loss", mine), ("mse", mine)], tmp_path / "x.png")
    assert figures[-1].axes[0].lines[0].get_markevery() == expected


def test_many_lines_differ_without_colours():
  styles = [layout.style(number) for number in range(20)]
  assert len({(each["marker"], each["linestyle"]) for each in styles}) == 20
  assert len({each["color"] for each in styles}) == 7
  marked = layout.marks(np.ones(1000), is_alone=False)
  assert 5 < len(marked) < 15
  assert layout.marks(np.ones(1000), is_alone=True) == []


def legend_cases(path):
  names = [f"core {number} with a name" for number in range(5)]
  values = np.linspace(0, 1, 6).reshape(2, 3)
  curve = curves.Curve(np.arange(3), values)
  yield lambda: curves.draw([(metric, dict.fromkeys(names, curve)) for metric
                             in ("loss", "mse")], path, guesses=[.3])
  yield lambda: variants.draw(dict.fromkeys(names, values), ["a", "b", "c"],
                              "mse", path)
  rates = {f"[{low}, {low + 4}] or [30, 40]": (3, 7) for low in range(9)}
  yield lambda: success.draw(dict.fromkeys(names, rates), path)
  yield lambda: scaling.draw({
      "memory_key": "bytes", "title": "sizes", "rows": [
          {"model": name, "num_slots": slots, "time": {"median": slots},
           "memory": {"bytes": slots}} for name in names
          for slots in (8, 64)]}, path)


@pytest.mark.parametrize("case", range(4))
def test_legends_cover_nothing(tmp_path, figures, case):
  list(legend_cases(tmp_path / "x.png"))[case]()
  (fig,) = figures
  legend, = fig.legends
  assert all(axis.get_legend() is None for axis in fig.axes)
  box = legend.get_window_extent()
  assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1
  for axis in fig.axes:
    assert axis.lines
    assert not box.overlaps(axis.get_tightbbox())  # With names of ticks.
    for line in axis.lines:
      assert not box.overlaps(line.get_window_extent())
  # Names of places do not cover each other.
  if fig.axes[0].get_xticklabels()[0].get_rotation() == 0:
    boxes = [text.get_window_extent() for text in
             fig.axes[0].get_xticklabels() if text.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_guessing_is_a_grey_line(tmp_path, figures):
  workdir = make_run(tmp_path / "a")
  draw([workdir], "bits_wrong", tmp_path / "a.png", guesses=[3., 3., 4.5])
  (fig,) = figures
  loss, metric = fig.axes
  assert len(loss.lines) == 1
  grey = [line for line in metric.lines if line.get_color() == "grey"]
  assert [line.get_ydata()[0] for line in grey] == [3, 4.5]
  assert [text.get_text() for text in fig.legends[0].get_texts()] == [
      "lstm", "guessing"]


def test_variants_of_which_no_number_is_finite(tmp_path):
  names = ["as trained", "length 10"]
  numbers = {"good": np.array([[1., 2.], [3., np.nan], [np.inf, 4.]])}
  bad = {"bad": np.full((2, 2), np.inf)}
  for i, groups in enumerate((numbers, numbers | bad, bad)):
    variants.draw(groups, names, "mse", tmp_path / f"{i}.png")
    ink(tmp_path / f"{i}.png")
  assert colourful(tmp_path / "0.png", 0.4) > 300 > colourful(
      tmp_path / "2.png", 0.4)


@pytest.mark.parametrize("count", [1, 3, 12])
@pytest.mark.parametrize("size", [5, 60, 200])
def test_names_of_lines_take_no_room_from_the_panels(count, size):
  fig = figure.Figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, 2)
  layout.name_lines(fig, axes[1])
  assert not fig.legends  # No line needs a name.
  labels = [f"{number} {'word ' * (size // 5)}" for number in range(count)]
  for label in labels:
    axes[1].plot([0, 1], label=label)
  layout.name_lines(fig, axes[1])
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
