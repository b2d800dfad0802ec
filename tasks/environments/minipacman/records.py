"""States of Mini-Pacman from positions, as the original's recordings are."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.minipacman import maze, rules

FIRST_DIRECTION = 2  # The original's number of 'right'.


def from_record(record: Mapping[str, Any], max_ghosts: int) -> rules.State:
  """Makes a state; see `MiniPacman.from_record`."""
  pills, ghosts = (_rows(record[name], width)
                   for name, width in (("pills", 2), ("ghosts", 3)))
  level, frame, timer, power = (
      jnp.asarray(record[name], jnp.int32)
      for name in ("level", "frame", "timer", "power"))
  return rules.State(
      level, frame, timer, power,
      jnp.asarray(_places(np.asarray(record["pillman"])), jnp.int32),
      jnp.asarray(np.asarray(record["food"], bool)[~maze.WALLS]),
      _padded(_places(pills), rules.NUM_PILLS, "pills"),
      _padded(4 * _places(ghosts[:, :2]) + _directions(ghosts[:, 2]),
              max_ghosts, "ghosts (max_ghosts)"))


def _rows(values: Any, width: int) -> np.ndarray:
  """Returns integers `[number, width]`, without the rows of -1."""
  rows = np.asarray(values, int).reshape(-1, width)
  return rows[rows[:, 0] >= 0]


def _places(cells: np.ndarray) -> np.ndarray:
  """Returns the places of free cells `[..., 2]`."""
  inside = np.all((cells >= 0) & (cells < maze.WALLS.shape), axis=-1,
                  keepdims=True)
  y, x = np.moveaxis(np.where(inside, cells, 0), -1, 0)  # [0, 0] is a wall.
  places = maze.PLACES[y, x]
  if (places == maze.WALL).any():
    raise ValueError(f"not all of the cells {cells.tolist()} (y, x) are free; "
                     "valid: the blanks of `maze.MAP`")
  return places


def _directions(numbers: np.ndarray) -> np.ndarray:
  """Returns our directions of the original's."""
  directions = numbers - FIRST_DIRECTION
  if ((directions < 0) | (directions > 3)).any():
    raise ValueError(f"ghosts have the directions {numbers.tolist()}; valid: "
                     "2 right, 3 up, 4 left, 5 down")
  return directions


def _padded(values: np.ndarray, size: int, what: str) -> jax.Array:
  """Returns `[size]` int32, filled up with -1."""
  if len(values) > size:
    raise ValueError(f"need at most {size} {what}, got {len(values)}")
  return jnp.asarray(np.append(
      values, np.full(size - len(values), rules.GONE)), jnp.int32)
