"""The rules of Mini-Pacman on one state, as pure functions.

Letters: N free cells, G ghosts at most. Places and poses: see `maze`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.minipacman import maze

NUM_PILLS = 2
POWER_STEPS = 20
EXPLORES = 0.05  # Probability of a random choice at a junction.
GONE = -1


class Mode(NamedTuple):
  """Holds what one of the five games pays, and when a level ends.

  Attributes:
    step: reward of each step.
    food: reward of food.
    pill: reward of a pill.
    ghost: reward of eating a ghost.
    death: reward of being caught.
    ends_with: what a level has none of at its end: 'food', 'pills' or 'ghosts'.
    time: number of steps after which a level ends; 0 for no such end.
  """

  step: float
  food: float
  pill: float
  ghost: float
  death: float
  ends_with: str
  time: int = 0


MODES = {
    "regular": Mode(0, 1, 2, 5, 0, "food"),
    "avoid": Mode(0.1, -0.1, -5, -10, -20, "food", 128),
    "hunt": Mode(0, 0, 1, 10, -20, "ghosts"),
    "ambush": Mode(0, -0.1, 0, 10, -20, "ghosts"),
    "rush": Mode(0, -0.1, 10, 0, 0, "pills"),
}


class State(NamedTuple):
  """Holds one game.

  Attributes:
    level: `[]` int32, from 1 on.
    frame: `[]` int32, steps of the episode so far.
    timer: `[]` int32, steps of the level so far.
    power: `[]` int32, steps that the last pill still works.
    pacman: `[]` int32, a place.
    food: `[N]` bool.
    pills: `[2]` int32, places, or -1 if eaten.
    ghosts: `[G]` int32, poses, or -1 where there is none. They move in this
      order.
  """

  level: jax.Array
  frame: jax.Array
  timer: jax.Array
  power: jax.Array
  pacman: jax.Array
  food: jax.Array
  pills: jax.Array
  ghosts: jax.Array


class Draws(NamedTuple):
  """Holds the uniform numbers in [0, 1) of a step, one for each draw.

  Attributes:
    moves: `[G]`, by which a ghost moves or rests.
    turns: `[G]`, by which a ghost explores at a junction, and where.
    places: `[3]`, of the pacman and the pills of a new level.
    starts: `[G]`, of the ghosts of a new level.
  """

  moves: jax.Array
  turns: jax.Array
  places: jax.Array
  starts: jax.Array


def draw(key: jax.Array, max_ghosts: int) -> Draws:
  """Draws the numbers of a step in one block."""
  sizes = np.array([max_ghosts, max_ghosts, 1 + NUM_PILLS, max_ghosts])
  uniform = jax.random.uniform(key, (sizes.sum(),))
  return Draws(*jnp.split(uniform, sizes.cumsum()[:-1]))


def new_level(level: jax.Array, frame: jax.Array, draws: Draws) -> State:
  """Returns a level with all its food.

  Args:
    level: `[]` int32.
    frame: `[]` int32, steps of the episode so far.
    draws: of which `places` and `starts` are used.
  """
  places = _index(draws.places, maze.NUM_PLACES)
  pacman = places[0]
  start = _index(draws.starts,
                 4 * jnp.asarray(maze.NUM_GHOST_STARTS, jnp.int32)[pacman])
  place = jnp.asarray(maze.GHOST_STARTS, jnp.int32)[pacman, start // 4]
  present = jnp.arange(start.size) <= (level - 1) // 2
  zero = jnp.zeros((), jnp.int32)
  return State(level, frame, zero, zero, pacman,
               jnp.ones(maze.NUM_PLACES, bool), places[1:],
               jnp.where(present, 4 * place + start % 4, GONE))


def _index(uniform: jax.Array, size: Any) -> jax.Array:
  """Returns integers below a size; float32 may round a product up to it."""
  size = jnp.asarray(size, jnp.int32)
  return jnp.minimum((uniform * size.astype(jnp.float32)).astype(jnp.int32),
                     size - 1)


def step(mode: Mode, state: State, action: jax.Array, draws: Draws
         ) -> tuple[State, jax.Array, jax.Array]:
  """Applies an action, without any limit on the steps of an episode.

  At most one level can end in a step, so that one new level is drawn.

  Returns:
    The new state, the reward, and whether a ghost caught the pacman.
  """
  state = state._replace(
      frame=state.frame + 1, timer=state.timer + 1,
      power=jnp.maximum(state.power - 1, 0),
      pacman=jnp.asarray(maze.NEXT)[state.pacman, action])
  fresh = new_level(state.level + 1, state.frame, draws)

  def end(name: str, ended: jax.Array, state: State) -> State:
    return select(ended, fresh, state) if mode.ends_with == name else state

  state, fed = eat_food(state)
  state = end("food", fed & ~state.food.any(), state)
  state, powered = eat_pill(state)
  state = end("pills", powered & (state.pills == GONE).all(), state)
  state, hunted, deaths = move_ghosts(state, draws)
  state = end("ghosts", hunted & (state.ghosts == GONE).all(), state)
  if mode.time:
    state = select(state.timer == mode.time, fresh, state)
  events = jnp.stack([
      event.astype(jnp.float32) for event in (fed, powered, hunted, deaths)])
  pays = jnp.array([mode.food, mode.pill, mode.ghost, mode.death], jnp.float32)
  return state, mode.step + jnp.sum(events * pays), deaths > 0


def select(which: jax.Array, new: State, old: State) -> State:
  """Returns one of two states."""
  return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)


def eat_food(state: State) -> tuple[State, jax.Array]:
  """Takes the food where the pacman is; returns whether there was any."""
  here = jnp.arange(maze.NUM_PLACES) == state.pacman
  return state._replace(food=state.food & ~here), (state.food & here).any()


def eat_pill(state: State) -> tuple[State, jax.Array]:
  """Takes one pill where the pacman is; returns whether there was any."""
  here = state.pills == state.pacman
  first = here & (jnp.cumsum(here) == 1)
  return state._replace(
      pills=jnp.where(first, GONE, state.pills),
      power=jnp.where(here.any(), POWER_STEPS, state.power)), here.any()


def move_ghosts(state: State, draws: Draws
                ) -> tuple[State, jax.Array, jax.Array]:
  """Moves the ghosts in turn, each between two checks for a collision.

  With power, the first ghost that collides is eaten, and those after it do not
  move. Without, each collision is a death, and the ghosts go on.

  Args:
    state: after the move of the pacman.
    draws: of which `moves` and `turns` are used.

  Returns:
    The new state, whether a ghost was eaten, and the number of deaths.
  """
  ghosts, powered = state.ghosts, state.power > 0
  met = ghosts >> 2 == state.pacman
  moved = (ghosts != GONE) & (draws.moves < _speed(state.level, powered))
  goals = jnp.where(
      (draws.turns < EXPLORES) & ~powered & ~met,
      maze.NUM_PLACES + _index(draws.turns / EXPLORES, maze.NUM_EXPLORED),
      state.pacman)
  aims = jnp.asarray(maze.GHOST_MOVES)[powered.astype(jnp.int32), ghosts, goals]
  new = jnp.where(moved, aims.astype(jnp.int32), ghosts)
  met_again = moved & (new >> 2 == state.pacman)
  eaten = (met | met_again) & powered
  so_far = jnp.cumsum(eaten)
  first = eaten & (so_far == 1)
  after = (so_far > 0) & ~first
  new = jnp.where(first, GONE, jnp.where(after, ghosts, new))
  deaths = jnp.where(powered, 0, jnp.sum(met) + jnp.sum(met_again))
  return state._replace(ghosts=new), eaten.any(), deaths


def _speed(level: jax.Array, powered: jax.Array) -> jax.Array:
  """Returns the probability that a ghost moves in a step."""
  return (4 + level).astype(jnp.float32) / jnp.where(powered, 20., 10.)
