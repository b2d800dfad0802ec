"""What is seen of Mini-Pacman: planes, colours and characters.

Letters: H height, W width of a view.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.minipacman import maze, rules

PIXELS = {"rgb": 3, "planes": 6}  # Name -> number of channels.
CELL_SIZE = 16  # Of a picture.


def places(size: int, pacman: jax.Array) -> jax.Array:
  """Returns the places that are seen, `[H, W]` int32, `maze.WALL` at walls.

  Args:
    size: of the view around the pacman; 0 for the whole maze.
    pacman: `[]` int32.
  """
  if not size:
    return jnp.asarray(maze.PLACES, jnp.int32)
  return jnp.asarray(maze.views(size), jnp.int32)[pacman]


def planes(state: rules.State, seen: jax.Array) -> tuple[jax.Array, ...]:
  """Returns where there are walls, food, the pacman, ghosts and pills.

  Args:
    state: of one game.
    seen: `[H, W]` from `places`.

  Returns:
    Five arrays `[H, W]` bool.
  """
  def shown(what: jax.Array) -> jax.Array:
    return (seen[None] == what[:, None, None]).any(0)

  # Walls have no food: they are one more place.
  food = jnp.append(state.food, False)[seen]
  return (seen == maze.WALL, food, seen == state.pacman,
          shown(state.ghosts >> 2), shown(state.pills))


def image(pixels: str, state: rules.State, seen: jax.Array) -> jax.Array:
  """Returns `[H, W, C]` float32 from 0 to 1.

  Args:
    pixels: a name in `PIXELS`.
    state: of one game.
    seen: `[H, W]` from `places`.
  """
  wall, food, pacman, ghost, pill = planes(state, seen)
  edible = state.power.astype(jnp.float32) / rules.POWER_STEPS
  if pixels == "planes":
    channels = [wall, food, pacman, jnp.where(ghost, 1 - edible, 0),
                jnp.where(ghost, edible, 0), pill]
  else:
    ghost, eaten = ghost & ~pacman, (pill | food) & ~pacman
    green = (wall | pacman | pill).astype(jnp.float32)
    channels = [wall | ghost, jnp.where(ghost, edible, green),
                wall | (eaten & ~ghost)]
  return jnp.stack([x.astype(jnp.float32) for x in channels], axis=-1)


def text(state: rules.State) -> str:
  """Draws a state in characters, under a line of its numbers."""
  wall, food, pacman, ghost, pill = planes(
      state, places(0, state.pacman))
  ghost_sign = "g" if state.power > 0 else "G"
  signs = np.select([wall, pacman, ghost, pill, food],
                    ["#", "P", ghost_sign, "o", "."], " ")
  return "\n".join([
      f"level {state.level}, step {state.frame}, power {state.power}",
      *("".join(row) for row in signs)])


def picture(state: rules.State) -> np.ndarray:
  """Draws a state, `[height, width, 3]` uint8, with a square for each cell."""
  pixels = np.asarray(image("rgb", state, places(0, state.pacman)))
  return np.kron(np.round(255 * pixels).astype(np.uint8),
                 np.ones((CELL_SIZE, CELL_SIZE, 1), np.uint8))
