"""The maze of Mini-Pacman, and tables of all moves in it.

A place is the index of one of the N = 138 free cells, row by row. A pose is a
place and a direction in one number, `4 * place + direction`. Directions are 0
right, 1 up, 2 left, 3 down; actions are 0 stay, then the directions.
"""

import functools

import numpy as np

MAP = """
###################
#...#.........#...#
#.#.#.#######.#.#.#
#.................#
#.#.#.#######.#.#.#
#.#.............#.#
#.####.#####.####.#
#......#####......#
#.####.#####.####.#
#.#.............#.#
#.#.#.#######.#.#.#
#.................#
#.#.#.#######.#.#.#
#...#.........#...#
###################
"""

WALLS = np.array([[cell == "#" for cell in row] for row in MAP.split()])
HEIGHT, WIDTH = WALLS.shape
CELLS = np.argwhere(~WALLS)  # [N, 2]: y, x.
NUM_PLACES = len(CELLS)
WALL = NUM_PLACES  # Stands for all walls where places are drawn.
PLACES = np.full(WALLS.shape, WALL, np.int32)
PLACES[~WALLS] = np.arange(NUM_PLACES)

VECTORS = np.array([(0, 1), (-1, 0), (0, -1), (1, 0)])
ACTION_VECTORS = np.concatenate([np.zeros((1, 2), int), VECTORS])
SAFE_DISTANCE = 5
# A ghost chooses at random between 1, 2 or 3 exits: all divide 6.
NUM_EXPLORED = 6


def _next_places() -> np.ndarray:
  """Returns `[N, 5]`, the place after an action; walls stop a move."""
  y, x = np.moveaxis(CELLS[:, None] + ACTION_VECTORS, -1, 0)
  places = PLACES[y, x]
  return np.where(places == WALL, np.arange(NUM_PLACES)[:, None], places)


NEXT = _next_places()


def _ghost_exits() -> np.ndarray:
  """Returns `[N, 4, 4]` bool, the exits open to a ghost of each direction.

  With two exits a ghost keeps its direction. If a wall is in front of it, it
  takes the first exit that does not lead back. With more exits it may take all
  but the one that leads back. The maze has no dead end.
  """
  exits = np.broadcast_to((NEXT[:, 1:] != NEXT[:, :1])[:, None],
                          (NUM_PLACES, 4, 4))
  ahead = np.eye(4, dtype=bool)
  onward = exits & ~np.roll(ahead, 2, axis=1)
  first = ahead[onward.argmax(-1)]
  corridor = np.where((exits & ahead).any(-1, keepdims=True), ahead, first)
  return np.where(is_junction()[:, None, None], onward, corridor)


def is_junction() -> np.ndarray:
  """Returns `[N]` bool, whether a place has three exits or four."""
  return (NEXT[:, 1:] != NEXT[:, :1]).sum(1) > 2


def _ghost_moves() -> np.ndarray:
  """Returns `[2, 4 N, N + 6]` int16, the pose of a ghost after a move.

  The first axis is 0 for a ghost that hunts and 1 for one that flees, the
  second its pose. The third is the place of the pacman, then the choices of a
  ghost that explores. A ghost at the junction where the pacman is keeps its
  direction.
  """
  exits = _ghost_exits()
  to_pacman = (CELLS - CELLS[:, None]) @ VECTORS.T  # [ghost, pacman, 4].
  far = HEIGHT + WIDTH
  toward, away = (
      np.where(exits[:, :, None], sign * to_pacman[:, None], -far).argmax(-1)
      for sign in (1, -1))  # [N, 4, N]: the first of equal ones.
  keeps = np.eye(NUM_PLACES, dtype=bool) & is_junction()
  order = np.argsort(~exits, axis=-1, kind="stable")  # Open exits first.
  number = exits.sum(-1, keepdims=True)
  choice = np.arange(NUM_EXPLORED) * number // NUM_EXPLORED
  explored = np.take_along_axis(order, choice, -1)
  turn = np.stack([
      np.concatenate([np.where(keeps[:, None], np.arange(4)[:, None], aimed),
                      explored], axis=-1) for aimed in (toward, away)])
  place = NEXT[np.arange(NUM_PLACES)[:, None, None], turn + 1]
  return (4 * place + turn).reshape(2, 4 * NUM_PLACES, -1).astype(np.int16)


GHOST_MOVES = _ghost_moves()


def _ghost_starts() -> tuple[np.ndarray, np.ndarray]:
  """Returns places far from each pacman `[N, S]`, and their numbers `[N]`.

  Near are rows y - 5 to y + 4 and columns x - 5 to x + 4: the original's upper
  bound is exclusive. Rows of the table are padded with 0.
  """
  offset = CELLS - CELLS[:, None]  # [pacman, ghost, 2].
  far = ((offset < -SAFE_DISTANCE) | (offset >= SAFE_DISTANCE)).any(-1)
  number = far.sum(1)
  places = np.argsort(~far, axis=1, kind="stable")[:, :number.max()]
  return np.where(np.arange(number.max()) < number[:, None], places, 0), number


GHOST_STARTS, NUM_GHOST_STARTS = _ghost_starts()


@functools.cache
def views(size: int) -> np.ndarray:
  """Returns `[N, size, size]`, the places around each; `WALL` outside.

  Args:
    size: an odd number.
  """
  padded = np.pad(PLACES, size // 2, constant_values=WALL)
  windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
  return windows[CELLS[:, 0], CELLS[:, 1]]
