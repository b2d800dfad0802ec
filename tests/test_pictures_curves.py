"""Tests learning curves, legends, and pictures of a task's variants."""

import numpy as np
import pytest
from matplotlib import figure
from test_launch_plot import colourful, ink, make_run

from launch.pictures import curves, layout, variants
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




def test_guessing_is_a_grey_line(tmp_path, monkeypatch):
  figures = []
  save = figure.Figure.savefig
  monkeypatch.setattr(figure.Figure, "savefig", lambda self, *args, **kwargs: (
      figures.append(self), save(self, *args, **kwargs)))
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
