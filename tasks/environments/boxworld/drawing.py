"""Shows a board of BoxWorld: to a network, and in pycolab's characters."""

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.boxworld import rules

# Red, green and blue from 0 to 999, as in the released game.
_HUES = np.array([
    (700, 350, 350), (700, 454, 350), (700, 559, 350), (700, 664, 350),
    (629, 700, 350), (524, 700, 350), (420, 700, 350), (350, 700, 384),
    (350, 700, 490), (350, 700, 595), (350, 700, 700), (350, 594, 700),
    (350, 490, 700), (350, 384, 700), (419, 350, 700), (524, 350, 700),
    (630, 350, 700), (700, 350, 665), (700, 350, 559), (700, 350, 455)])


def _colours() -> np.ndarray:
  """Returns the colour of each code, `[codes, 3]` from 0 to 999."""
  table = np.zeros((rules.NUM_CODES, 3), int)
  table[rules.BACKGROUND] = 800
  table[rules.GEM] = 999
  table[rules.BORDER] = 0
  table[rules.PLAYER] = 500
  for offset in (0, rules.LOCK, rules.DISTRACTOR):
    table[offset + 1:offset + 1 + rules.NUM_COLOURS] = _HUES
  return table


def _characters() -> np.ndarray:
  """Returns pycolab's character of each code, `[codes]` uint8."""
  table = np.full(rules.NUM_CODES, ord("?"), np.uint8)
  for code, character in ((rules.BACKGROUND, " "), (rules.GEM, "*"),
                          (rules.BORDER, "#"), (rules.PLAYER, ".")):
    table[code] = ord(character)
  letters = np.arange(rules.NUM_COLOURS, dtype=np.uint8)
  table[1:1 + rules.NUM_COLOURS] = ord("a") + letters
  for offset in (rules.LOCK, rules.DISTRACTOR):
    table[offset + 1:offset + 1 + rules.NUM_COLOURS] = ord("A") + letters
  return table


COLOURS = _colours()
CHARACTERS = _characters()


def whole(state: rules.State) -> jax.Array:
  """Returns the whole board with the player, codes `[n, n]` uint8.

  The top left cell of the border has the colour of the held key.
  """
  board = state.board
  # Comparing with all cells is faster than `.at[].set` under `jax.vmap`.
  index = jnp.arange(board.size, dtype=jnp.int32).reshape(board.shape)
  board = jnp.where(index == state.position, jnp.uint8(rules.PLAYER), board)
  return jnp.where(index == 0, _held(state), board)


def around(state: rules.State, view: int) -> jax.Array:
  """Returns the cells around the player, codes `[view, view]` uint8.

  Beyond the border there is more border. The held key is not shown.
  """
  size, centre = state.board.shape[0], view // 2
  offsets = jnp.arange(view, dtype=jnp.int32) - centre
  rows = jnp.clip(state.position // size + offsets, 0, size - 1)
  columns = jnp.clip(state.position % size + offsets, 0, size - 1)
  cells = state.board.ravel()[rows[:, None] * size + columns[None]]
  is_player = np.zeros((view, view), bool)
  is_player[centre, centre] = True
  return jnp.where(is_player, jnp.uint8(rules.PLAYER), cells)


def image(state: rules.State, view: int) -> jax.Array:
  """Returns what a network sees, `[H, W, C]` float32 from 0 to 1.

  Args:
    state: of the game.
    view: size of the part around the player; 0 for the whole board.

  Returns:
    RGB. With a part of the board, three more channels have the colour of the
    held key everywhere. They are 0 without one.
  """
  table = jnp.asarray(COLOURS / 999, jnp.float32)
  if not view:
    return table[whole(state)]
  cells = table[around(state, view)]
  key = jnp.broadcast_to(table[_held(state)], cells.shape)
  return jnp.concatenate([cells, key], axis=-1)


def _held(state: rules.State) -> jax.Array:
  return jnp.where(state.held > 0, state.held, jnp.uint8(rules.BORDER))


def text(state: rules.State) -> str:
  """Draws a state in pycolab's characters, a line for each row."""
  rows = CHARACTERS[np.asarray(whole(state))]
  return "\n".join(row.tobytes().decode() for row in rows)


def picture(state: rules.State, scale: int = 16) -> np.ndarray:
  """Draws a state in colours, `[n scale, n scale, 3]` uint8."""
  colours = np.rint(COLOURS * 255 / 999).astype(np.uint8)
  cells = colours[np.asarray(whole(state))]
  return cells.repeat(scale, axis=0).repeat(scale, axis=1)
