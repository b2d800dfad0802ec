"""Tests pictures of the rows that a memory core wrote and read."""

import collections

import numpy as np
import pytest
from test_launch_plot import colourful, ink

import tasks
from launch.pictures import memory


def test_weights_of_rows_are_summed_over_heads_and_repeated_rows():
  # T = 2, J = 6, N = 5.
  indices = np.array([[0, 1, 1, 4, 0, 2], [3, 3, 3, 2, 1, 0]])
  weights = np.array([[1, 2, 4, 8, 16, 32], [64, 128, 256, 0, 0, 0]],
                     np.float32)
  image = [[17, 6, 32, 0, 8], [0, 0, 0, 448, 0]]
  np.testing.assert_array_equal(
      memory.weights_of(np.arange(5), indices, weights), image)
  # Some rows, in another order.
  rows = np.array([4, 0, 3])
  np.testing.assert_array_equal(
      memory.weights_of(rows, indices, weights), np.array(image)[:, rows])
  np.testing.assert_array_equal(
      memory.weights_of(np.array([7]), indices, weights), [[0], [0]])


def test_rows_in_the_order_of_their_first_access(monkeypatch):
  written = (np.array([[9, 4], [2, 2]]), np.array([[.5, .5], [.001, .5]]))
  read = np.array([[7, 4], [1, 9]]), np.array([[.001, .5], [.5, .5]])
  assert memory.first_accessed(written, read).tolist() == [9, 4, 2, 1]
  assert memory.first_accessed(read, written).tolist() == [4, 9, 1, 2]
  monkeypatch.setattr(memory, "MAX_ROWS", 3)
  assert memory.first_accessed(written, read).tolist() == [9, 4, 2]
  nothing = written[0], 0 * written[1]
  assert memory.first_accessed(nothing, nothing).tolist() == [0]


Sparse = collections.namedtuple(
    "Sparse", ["memory", "read_rows", "read_weights", "write_rows",
               "write_weights"])
Dense = collections.namedtuple(
    "Dense", ["memory", "read_weights", "write_weights"])
STEPS, HEADS = 5, 2


def sparse_access(rows, slots):
  """Returns accesses: each head reads and writes the rows `[T, 1, H, 3]`."""
  weights = np.full((STEPS, 1, HEADS, 3), 0.25, np.float32)
  # Broadcasting takes no memory for any number of slots.
  memory = np.broadcast_to(np.float32(0), (STEPS, 1, slots, 2))
  return Sparse(memory, rows, weights, rows, weights)


def dense_access(rows, slots):
  """Returns the same accesses in the form of a dense core."""
  sparse = sparse_access(rows, slots)
  weights = np.zeros((STEPS, 1, HEADS, slots), np.float32)
  index = np.ogrid[:STEPS, :1, :HEADS, :1][:3]
  np.add.at(weights, (*index, rows), sparse.read_weights)
  return Dense(sparse.memory, weights, weights)


@pytest.fixture
def draw_access(tmp_path):
  batch = tasks.Batch(np.ones((STEPS, 1, 4)), np.ones((STEPS, 1, 2)),
                      np.ones((STEPS, 1)))
  outputs = np.linspace(-1, 1, 2 * STEPS).reshape(STEPS, 1, 2)

  def draw(access, mask=None):
    path = tmp_path / "memory.png"
    shown = batch if mask is None else batch._replace(mask=mask)
    memory.draw(access, tasks.Copy(num_bits=2), shown, outputs, path,
                "a title")
    assert colourful(path) > 100
    return ink(path)

  return draw


FIRST = np.tile(np.array([0, 1, 1], np.int32), (STEPS, 1, HEADS, 1))


def test_memory_access(draw_access):
  picture = draw_access(sparse_access(FIRST, 7))
  # Other rows give another picture.
  assert (picture != draw_access(sparse_access(FIRST + 4, 7))).any()
  # With mask = 0 everywhere, there is no answer to draw, and no warning.
  draw_access(sparse_access(FIRST, 7), np.zeros((STEPS, 1)))


@pytest.mark.parametrize("slots", [7, memory.MAX_ROWS + 1])
def test_memory_access_of_a_dense_core_is_that_of_a_sparse_one(draw_access,
                                                               slots):
  np.testing.assert_array_equal(draw_access(dense_access(FIRST + 2, slots)),
                                draw_access(sparse_access(FIRST + 2, slots)))


def test_memory_access_in_a_large_memory_shows_the_rows_accessed(draw_access):
  """An array [T, N] would not fit into memory."""
  slots = 2**40
  far = draw_access(sparse_access(FIRST.astype(np.int64) + slots - 2, slots))
  np.testing.assert_array_equal(far, draw_access(sparse_access(FIRST, slots)))
