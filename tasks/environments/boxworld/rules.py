"""What is on a board of BoxWorld, and what an action does to it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Codes of cells. A key has the code of its colour, 1 to 20. A lock has the code
# of its colour plus `LOCK`, or plus `DISTRACTOR` if the box is a dead end.
BACKGROUND = 0
NUM_COLOURS = 20
GEM = 21
BORDER = 22
PLAYER = 23
LOCK = 32
DISTRACTOR = 64
NUM_CODES = 96

# Values of `State.ending`.
GOES_ON, GEM_REACHED, DEAD_END = range(3)

NORTH, SOUTH, WEST, EAST = range(4)


class State(NamedTuple):
  """Holds a game.

  Attributes:
    board: `[n, n]` uint8, codes of cells, with the border, without the player.
    position: `[]` int32, the player's cell: row times n plus column.
    held: `[]` uint8, colour of the held key; 0 without one.
    steps: `[]` int32, actions since the beginning.
    opened: `[]` int32, boxes of the solution that are open.
    ending: `[]` int32, `GOES_ON`, `GEM_REACHED` or `DEAD_END`.
  """

  board: jax.Array
  position: jax.Array
  held: jax.Array
  steps: jax.Array
  opened: jax.Array
  ending: jax.Array


def start(board: jax.Array, position: jax.Array) -> State:
  """Returns the state of a game that begins.

  Args:
    board: `[n, n]` uint8.
    position: `[]` int32.
  """
  zero = jnp.zeros((), jnp.int32)
  return State(board, position, jnp.zeros((), jnp.uint8), zero, zero, zero)


def act(state: State, action: jax.Array) -> tuple[State, jax.Array]:
  """Applies an action; returns the new state and the reward, `[]` float32."""
  size = state.board.shape[0]
  cells = state.board.ravel()
  target = state.position + jnp.asarray(
      np.array([-size, size, -1, 1], np.int32))[action]
  code, right = cells[target], cells[target + 1]

  opens = (code >= LOCK) & (code & (LOCK - 1) == state.held)
  dead_end = opens & (code >= DISTRACTOR)
  # The key of a box is taken when the lock on its right is gone.
  takes = (code > BACKGROUND) & (code <= GEM) & (right < LOCK)
  wins = takes & (code == GEM)
  enters = (code == BACKGROUND) | opens | takes

  held = jnp.where(opens, jnp.uint8(0), state.held)
  new = State(
      board=cells.at[target].set(
          jnp.where(enters, jnp.uint8(BACKGROUND), code)).reshape(size, size),
      position=jnp.where(enters, target, state.position),
      held=jnp.where(takes & ~wins, code, held),
      steps=state.steps + 1,
      opened=state.opened + (opens & ~dead_end).astype(jnp.int32),
      ending=jnp.where(wins, GEM_REACHED, jnp.where(
          dead_end, DEAD_END, GOES_ON)).astype(jnp.int32))
  reward = jnp.where(opens, jnp.where(dead_end, -1., 1.), 0.)
  return new, jnp.where(wins, 10., reward).astype(jnp.float32)
