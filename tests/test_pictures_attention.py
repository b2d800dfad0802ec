"""Tests pictures of attention."""

import matplotlib.image
import numpy as np
import pytest

import tasks
from launch.pictures import attention

HEADS, SLOTS, ROWS = 2, 3, 4


def draw(path, weights, mask=1.):
  num_steps = len(weights)
  shape = num_steps, 1
  batch = tasks.Batch(
      np.linspace(-1, 1, 4 * num_steps).reshape(*shape, 4),
      np.ones((*shape, 2)), np.full(shape, mask))
  outputs = np.linspace(-1, 1, 2 * num_steps).reshape(*shape, 2)
  attention.draw(weights, tasks.Copy(num_bits=2), batch, outputs, path,
                 "a title")
  image = matplotlib.image.imread(path)
  assert image.std() > .01
  return image


def weights_of(num_steps, num_blocks=1, row=0):
  weights = np.zeros((num_steps, 1, num_blocks, HEADS, SLOTS, ROWS))
  weights[..., row] = 1
  return weights


def test_squares():
  weights = np.arange(2 * SLOTS * ROWS, dtype=float).reshape(2, SLOTS, ROWS)
  image = attention.squares(weights)
  assert image.shape == (SLOTS, 2 * (ROWS + 1))
  np.testing.assert_array_equal(image[:, :ROWS], weights[0])
  np.testing.assert_array_equal(image[:, ROWS + 1:-1], weights[1])
  assert np.isnan(image[:, [ROWS, -1]]).all()


@pytest.mark.parametrize("num_steps", [1, 4])
def test_picture_shows_the_weights(tmp_path, num_steps):
  path = tmp_path / "attention.png"
  picture = draw(path, weights_of(num_steps))
  assert (picture != draw(path, weights_of(num_steps, row=1))).any()
  # With mask = 0 everywhere, there is no answer to draw, and no warning.
  assert (picture != draw(path, weights_of(num_steps), mask=0.)).any()


def test_a_panel_for_each_block_and_head(tmp_path):
  heights = [len(draw(tmp_path / "a.png", weights_of(4, blocks)))
             for blocks in (1, 2)]
  assert heights[1] - heights[0] == pytest.approx(1.4 * 120 * HEADS, abs=2)


def test_of_a_long_episode_the_last_steps_are_drawn(tmp_path):
  steps = attention.MAX_STEPS + 5
  weights = weights_of(steps)
  picture = draw(tmp_path / "a.png", weights)
  weights[:5] = weights_of(5, row=2)
  np.testing.assert_array_equal(picture, draw(tmp_path / "a.png", weights))
  weights[5:] = weights_of(steps - 5, row=2)
  assert (picture != draw(tmp_path / "a.png", weights)).any()


def test_what_comes_after_the_last_answer_is_not_drawn(tmp_path):
  limit = attention.MAX_STEPS
  last = limit + 5  # The last step with mask = 1.
  weights = weights_of(last + 8)
  mask = (np.arange(len(weights)) == last).astype(float)[:, None]
  picture = draw(tmp_path / "a.png", weights, mask)
  first = last + 1 - limit
  for steps, is_drawn in ((slice(last + 1, None), False),
                          (slice(last, last + 1), True),
                          (slice(first, first + 1), True),
                          (slice(0, first), False)):
    other = weights.copy()
    other[steps] = weights_of(len(other[steps]), row=2)
    changed = draw(tmp_path / "a.png", other, mask)
    assert (picture.shape == changed.shape
            and (picture != changed).any()) == is_drawn
