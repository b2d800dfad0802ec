"""Reads games that pycolab recorded."""

import jax.numpy as jnp
import numpy as np

from tasks.environments.boxworld import rules

_PLAYER = ord(".")


def from_record(board: np.ndarray, distractor_locks: np.ndarray) -> rules.State:
  """Returns the state at the beginning of a recorded game.

  Args:
    board: `[n, n]`, codes of pycolab's characters: '#' border, ' ' background,
      '.' player, '*' gem, 'a' to 't' keys, 'A' to 'T' locks of these colours.
    distractor_locks: `[M, 2]`, row and column of the locks that are dead ends,
      which cannot be seen on the board. Rows with negative numbers are padding.

  Raises:
    ValueError: the board is not square, has an unknown character, or has not
      exactly one player.
  """
  board = np.asarray(board)
  players = np.argwhere(board == _PLAYER)
  if board.ndim != 2 or board.shape[0] != board.shape[1] or len(players) != 1:
    raise ValueError(f"need a square board with one player, got shape "
                     f"{board.shape} with {len(players)} players")
  cells = np.vectorize(_code, otypes=[np.uint8])(board)
  for row, column in np.asarray(distractor_locks):
    if row >= 0:
      cells[row, column] += rules.DISTRACTOR - rules.LOCK
  row, column = players[0]
  return rules.start(jnp.asarray(cells),
                     jnp.int32(row * len(board) + column))


def _code(character: int) -> int:
  letter = chr(character)
  if "a" <= letter <= "t":
    return 1 + character - ord("a")
  if "A" <= letter <= "T":
    return rules.LOCK + 1 + character - ord("A")
  others = {"#": rules.BORDER, " ": rules.BACKGROUND, ".": rules.BACKGROUND,
            "*": rules.GEM}
  if letter not in others:
    raise ValueError(f"a board has no {letter!r}; valid: # . * a-t A-T, space")
  return others[letter]
