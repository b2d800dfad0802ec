"""Tests pictures of the weights of arithmetic units."""

import haiku as hk
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from matplotlib import figure

from launch.pictures import weights
from rmc_nalu_sam import UNITS, find_units


def pixels(path, colour):
  image = matplotlib.image.imread(path)[:, :, :3]
  assert min(image.shape[:2]) > 100
  return int((np.abs(image - np.array(colour)).max(-1) < .02).sum())


def draw(tmp_path, w, **kwargs):
  units = find_units(lambda x: UNITS.get("nau")(w.shape[1])(x), w[:, 0])
  path = tmp_path / "weights.png"
  weights.draw(units, {"nau": {"w": w}}, path, **kwargs)
  return path


def test_colours_are_the_weights(tmp_path):
  red, blue = (.706, .016, .15), (.23, .299, .754)  # The ends of the scale.
  ones = draw(tmp_path, jnp.ones([5, 3]))
  assert pixels(ones, red) > 10_000 > pixels(ones, blue)
  minus = draw(tmp_path, -jnp.ones([5, 3]))
  assert pixels(minus, blue) > 10_000 > pixels(minus, red)


def test_of_several_units_with_vectors_and_a_formula(tmp_path, monkeypatch):
  titles = []
  suptitle = figure.Figure.suptitle
  monkeypatch.setattr(
      figure.Figure, "suptitle",
      lambda self, text, **kwargs: titles.append(text) or suptitle(
          self, text, **kwargs))

  def f(x):
    return UNITS.get("npu")(1)(UNITS.get("nau")(2)(x))

  params = {"nau": {"w": jnp.eye(3, 2)},
            "npu": {"w_real": jnp.array([[2.], [.5]]),
                    "w_imag": jnp.zeros([2, 1]), "gate": jnp.ones(2)}}
  path = tmp_path / "weights.png"
  weights.draw(find_units(f, jnp.zeros(3)), params, path,
                            title="mine")
  assert titles == ["mine\ny = x1^2 * sqrt(x2) (weights within 0)"]
  assert matplotlib.image.imread(path).std() > .01
  # Weights that are far from those of a formula have none.
  params["npu"]["w_real"] = jnp.array([[1.7], [.5]])
  weights.draw(find_units(f, jnp.zeros(3)), params, path, title="mine")
  assert titles[1:] == ["mine"]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
  """Returns a function that draws a unit and returns title -> axes."""
  figures = []
  monkeypatch.setattr(figure.Figure, "savefig",
                      lambda self, *_, **__: figures.append(self))

  def draw_unit(name, inputs, outputs):
    def f(x):
      return UNITS.get(name)(outputs)(x)

    x = jnp.zeros(inputs)
    params = hk.transform(f).init(jax.random.key(0), x)
    weights.draw(find_units(f, x), params, tmp_path / "x.png")
    fig = figures.pop()
    fig.draw_without_rendering()
    return {axis.get_title().split(": ")[1]: axis for axis in fig.axes
            if axis.get_title()}

  return draw_unit


def ticks(axis):
  """Returns the ticks in view, of the x-axis and of the y-axis."""
  return [[tick for tick in ticks if low <= tick <= high]
          for ticks, (low, high) in (
              (axis.get_xticks(), axis.get_xlim()),
              (axis.get_yticks(), sorted(axis.get_ylim())))]


@pytest.mark.parametrize("inputs, outputs", [(3, 2), (3, 3)])
@pytest.mark.parametrize("unit, key, of_inputs", [
    ("npu", "gate", True), ("inalu", "gate", False), ("mcfc", "gate", False),
    ("mul_mcfc", "b", False), ("linear", "b", False)])
def test_a_vector_is_of_the_inputs_or_the_outputs(drawn, unit, key, of_inputs,
                                                  inputs, outputs):
  axes = drawn(unit, inputs, outputs)
  of_all = [list(range(1, size + 1)) for size in (inputs, outputs)]
  matrix = axes["w_real" if unit == "npu" else "w"]
  assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("input", "output")
  assert ticks(matrix) == of_all
  vector = axes[key]
  assert (vector.get_xlabel(), vector.get_ylabel()) == (
      ("input", "") if of_inputs else ("", "output"))
  assert ticks(vector) == (
      [of_all[0], []] if of_inputs else [[], of_all[1]])
  # Every entry of the vector has a number.
  assert sorted(max(text.get_position()) for text in vector.texts) == (
      of_all[0] if of_inputs else of_all[1])


@pytest.mark.parametrize("inputs", [2, 9])
def test_numbers_can_be_read(drawn, inputs):
  axis = drawn("nau", inputs, 2)["w"]
  (image,) = axis.images
  values = np.asarray(image.get_array())
  assert len(axis.texts) == values.size == 2 * inputs
  assert len(axis.figure.axes) == 2  # The colour bar has no numbers.
  for text, value in zip(axis.texts, values.ravel(), strict=True):
    assert float(text.get_text()) == pytest.approx(value, abs=.005)
    column, row = text.get_position()
    cell = axis.transData.transform([(column - .5, row + .5),
                                     (column + .5, row - .5)])
    box = text.get_window_extent()
    assert (cell[0] < box.p0).all() and (box.p1 < cell[1]).all()
    assert text.get_fontsize() >= 5


def test_numbers_are_white_on_dark_cells(drawn, monkeypatch):
  monkeypatch.setattr(UNITS.get("nau"), "weights", lambda *_: {
      "w": np.array([[1., -1., .1, 0., 1.5]], np.float32).T})
  axis = drawn("nau", 5, 1)["w"]
  assert [text.get_color() for text in axis.texts] == [
      "white", "white", "black", "black", "white"]
  (bar,) = [each for each in axis.figure.axes if each is not axis]
  assert bar._colorbar.extend == "both"  # For the weight of 1.5.


def test_many_inputs_are_not_overwritten_with_numbers(drawn):
  axis = drawn("nau", 100, 1)["w"]
  assert not axis.texts
  assert axis.get_window_extent().width > 4 * 100  # Pixels.
  of_inputs, of_outputs = ticks(axis)
  assert 3 < len(of_inputs) < 20
  assert of_outputs == [1]


def test_a_long_formula_is_cut(tmp_path):
  w = jnp.where(jnp.arange(100) % 2, 1., -1.)[:, None]
  assert draw(tmp_path, w).stat().st_size > 0


def test_nothing_to_draw(tmp_path):
  with pytest.raises(ValueError, match="no units"):
    weights.draw({}, {}, tmp_path / "weights.png")
