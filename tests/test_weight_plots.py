"""Pictures of the weights of arithmetic units."""

import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from matplotlib import figure

from launch import weight_plots
from rmc_nalu_sam import UNITS, find_units


def pixels(path, colour):
  image = matplotlib.image.imread(path)[:, :, :3]
  assert min(image.shape[:2]) > 100
  return int((np.abs(image - np.array(colour)).max(-1) < .02).sum())


def draw(tmp_path, w, **kwargs):
  units = find_units(lambda x: UNITS["nau"](w.shape[1])(x), w[:, 0])
  path = tmp_path / "weights.png"
  weight_plots.unit_weights(units, {"nau": {"w": w}}, path, **kwargs)
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
    return UNITS["npu"](1)(UNITS["nau"](2)(x))

  params = {"nau": {"w": jnp.eye(3, 2)},
            "npu": {"w_real": jnp.array([[2.], [.5]]),
                    "w_imag": jnp.zeros([2, 1]), "gate": jnp.ones(2)}}
  path = tmp_path / "weights.png"
  weight_plots.unit_weights(find_units(f, jnp.zeros(3)), params, path,
                            title="mine")
  assert titles == ["mine\ny = x1^2 * sqrt(x2) (weights within 0)"]
  assert matplotlib.image.imread(path).std() > .01


def test_a_long_formula_is_cut(tmp_path):
  w = jnp.where(jnp.arange(100) % 2, 1., -1.)[:, None]
  assert draw(tmp_path, w).stat().st_size > 0


def test_nothing_to_draw(tmp_path):
  with pytest.raises(ValueError, match="no units"):
    weight_plots.unit_weights({}, {}, tmp_path / "weights.png")
