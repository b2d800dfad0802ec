"""Places the boxes of a level of BoxWorld and the player on a board.

A box takes two cells: the key at (x, y), its lock at (x + 1, y). Boxes touch
neither each other nor the border, also not at corners. So the background stays
connected, and each box can be reached from everywhere: every level can be
solved.

The released generator draws a place until it finds a valid one. This one draws
from the valid places. Both are uniform over these.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.boxworld import rules
from tasks.environments.boxworld.graph import Boxes, integer, ranks

# A place is a row and a column of the area of valid places. The area's corner
# is this cell of the board, in rows and columns alike.
_CORNER = 2
_TRIES = 16


class Places(NamedTuple):
  """Holds where boxes are.

  Attributes:
    rows: `[N]` int32, of the keys, in the area of valid places.
    columns: `[N]` int32.
    uniforms: `[N + 1]`, by which boxes and player are placed, from 0 to 1.
    failed: `[]` bool, whether there was no place left for a box.
    tries: `[]` int32.
  """

  rows: jax.Array
  columns: jax.Array
  uniforms: jax.Array
  failed: jax.Array
  tries: jax.Array


def capacity(grid_size: int) -> int:
  """Returns how many boxes always fit on a board."""
  rows, columns = _regular(grid_size)
  return rows * columns


def draw(key: jax.Array, boxes: Boxes, grid_size: int) -> rules.State:
  """Draws the layout of a level, and returns its first state.

  If a box finds no place, the layout is drawn again, up to 16 times. If these
  fail too, the boxes are in random order on a regular grid, where
  `capacity(grid_size)` of them fit.

  Args:
    key: consumed.
    boxes: at most `capacity(grid_size)`.
    grid_size: width and height without the border.
  """
  nowhere = jnp.zeros(boxes.keys.shape, jnp.int32)
  places = Places(nowhere, nowhere, jnp.zeros((len(nowhere) + 1,)),
                  jnp.ones((), bool), jnp.int32(0))
  places = jax.lax.while_loop(
      lambda places: places.failed & (places.tries < _TRIES),
      lambda places: _draw_places(
          jax.random.fold_in(key, places.tries), boxes.present, grid_size,
          places.tries + 1), places)
  # As a loop, this costs nothing under `jax.vmap` while no layout has failed.
  places = jax.lax.while_loop(
      lambda places: places.failed,
      lambda places: _on_regular_grid(places, grid_size), places)
  board = _paint(boxes, places, grid_size)
  return rules.start(board, _place_player(board, places.uniforms[-1]))


def _draw_places(key, present, grid_size, tries) -> Places:
  rows, columns = jnp.arange(grid_size - 2), jnp.arange(grid_size - 4)
  # The loose key, which is first, is narrower than a box by its lock.
  widths = jnp.full(present.shape, 2).at[0].set(1)

  def place(free, box):
    uniform, present, width = box
    row, column, found = pick(free, uniform)
    taken = (abs(rows - row) <= 1)[:, None] & (
        (columns >= column - 2) & (columns <= column + width))[None]
    return free & ~(taken & present), (row, column, present & ~found)

  uniforms = jax.random.uniform(key, (len(present) + 1,))
  free = jnp.ones((grid_size - 2, grid_size - 4), bool)
  _, (rows_drawn, columns_drawn, failed) = jax.lax.scan(
      place, free, (uniforms[:-1], present, widths))
  return Places(rows_drawn, columns_drawn, uniforms, failed.any(), tries)


def _regular(grid_size: int) -> tuple[int, int]:
  """Returns the rows and columns of boxes that stand as close as they may."""
  return (grid_size - 1) // 2, (grid_size - 2) // 3


def _on_regular_grid(places: Places, grid_size: int) -> Places:
  order = ranks(places.uniforms[:-1])
  columns = _regular(grid_size)[1]
  return places._replace(rows=2 * (order // columns),
                         columns=3 * (order % columns),
                         failed=jnp.zeros((), bool))


def pick(free: jax.Array, uniform: jax.Array
         ) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draws one of the true cells: the row by its share, then the column.

  Args:
    free: `[H, W]` bool.
    uniform: `[]`, uniform in [0, 1).

  Returns:
    The row and the column, int32, and whether there is a true cell.
  """
  counts = free.sum(1, dtype=jnp.int32)
  ends = jnp.cumsum(counts)
  number = integer(uniform, ends[-1])
  row = (ends <= number).sum(dtype=jnp.int32)
  number += counts[row] - ends[row]  # Counted from the row's first cell.
  until = jnp.cumsum(free[row].astype(jnp.int32))
  column = (until <= number).sum(dtype=jnp.int32)
  return row, column, ends[-1] > 0


def _paint(boxes: Boxes, places: Places, grid_size: int) -> jax.Array:
  """Returns the board, `[n, n]` uint8."""
  size = grid_size + 2
  empty = np.full((size, size), rules.BORDER, np.uint8)
  empty[1:-1, 1:-1] = rules.BACKGROUND
  cells = (_CORNER + places.rows) * size + _CORNER + places.columns
  outside = size * size  # Such an update is dropped.
  keys = jnp.where(boxes.present, cells, outside)
  locks = jnp.where(boxes.present & (boxes.locks > 0), cells + 1, outside)
  return jnp.asarray(empty.ravel()).at[jnp.concatenate([keys, locks])].set(
      jnp.concatenate([boxes.keys, boxes.locks]), mode="drop").reshape(
          size, size)


def _place_player(board: jax.Array, uniform: jax.Array) -> jax.Array:
  """Returns the player's cell, `[]` int32.

  The first row and the last row and column within the border are left out, as
  in the released generator.
  """
  size = board.shape[0]
  area = board[_CORNER:size - 2, 1:size - 2]
  row, column, _ = pick(area == rules.BACKGROUND, uniform)
  return (_CORNER + row) * size + 1 + column
