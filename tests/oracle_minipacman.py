"""Policies for Mini-Pacman, and how to play many games with one."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.minipacman import maze
from tasks.environments.minipacman.minipacman import MiniPacman


@functools.cache
def distances() -> np.ndarray:
  """Returns `[N, N]`, the number of moves from place to place."""
  near = np.eye(maze.NUM_PLACES, dtype=bool)
  found = np.where(near, 0, maze.NUM_PLACES)
  for moves in range(1, maze.NUM_PLACES):
    near = near[:, maze.NEXT].any(-1)
    found = np.where(near, np.minimum(found, moves), found)
  return found


def random_policy(state: Any, last: jax.Array, key: jax.Array) -> jax.Array:
  """Draws any action."""
  del state, last
  return jax.random.randint(key, (), 0, 5)


@functools.cache
def greedy(view: int, avoid: bool = True):
  """Returns a policy that walks to the nearest food that it sees.

  With power it hunts the nearest ghost that it sees, if it can reach it in
  time. Without, it does not step to places within 2 moves of a ghost that it
  sees. If it must, it goes as far from the ghosts as it can. If it sees nothing
  to eat, it walks on, and turns at random where there is a wall.

  Args:
    view: what the policy sees, as of the environment.
    avoid: whether it keeps away from ghosts.
  """
  far = maze.NUM_PLACES
  seen = np.ones((far, far + 1), bool)
  if view:
    seen = np.zeros((far, far + 1), bool)
    np.put_along_axis(seen, maze.views(view).reshape(far, -1), True, axis=1)
  seen[:, maze.WALL] = False

  def policy(state: Any, last: jax.Array, key: jax.Array) -> jax.Array:
    nexts = jnp.asarray(maze.NEXT)[state.pacman]
    visible = jnp.asarray(seen)[state.pacman]
    places = jnp.where(state.ghosts < 0, maze.WALL, state.ghosts >> 2)
    known = visible[places]
    away = jnp.where(known, jnp.asarray(distances())[
        nexts[:, None], jnp.minimum(places, far - 1)], far).min(1)
    food = jnp.where(state.food & visible[:-1],
                     jnp.asarray(distances())[nexts], far).min(1)
    # Walking on beats turning, and both beat going back and staying.
    turned = jnp.abs(jnp.arange(5) - last)
    blocked = nexts == state.pacman
    walk = jnp.where(turned == 2, 2, jnp.where(turned == 0, 0, 1))
    walk = jnp.where(blocked, 4, walk)
    # It must arrive while it still has power.
    hunt = away.min() < state.power
    cost = jnp.where(hunt, away, jnp.where(food.min() < far, food, walk))
    if avoid:
      danger = (state.power <= 1) & (away <= 2)
      cost = jnp.where(danger, 2 * far - away, cost)
    noise = jax.random.uniform(key, (5,))
    return jnp.argmin(cost.astype(jnp.float32) + 0.5 * noise)

  return policy


class Game(NamedTuple):
  """Holds a game that is played to its end."""

  state: Any
  last: jax.Array
  total: jax.Array
  over: jax.Array


@functools.partial(jax.jit, static_argnums=(0, 1, 3))
def play(env: MiniPacman, policy: Any, key: jax.Array, number: int) -> Game:
  """Plays games to their ends.

  Args:
    env: the game.
    policy: `policy(state, last action, key)` returns an action.
    key: consumed.
    number: B, of games.
  """
  def one(game: Game, key: jax.Array) -> Game:
    act, move = jax.random.split(key)
    action = policy(game.state, game.last, act).astype(jnp.int32)
    state, ts = env.step(game.state, action, move)
    new = Game(state, action, game.total + ts.reward, ts.is_last)
    return jax.tree.map(lambda a, b: jnp.where(game.over, a, b), game, new)

  def many(carry):
    games, key = carry
    key, now = jax.random.split(key)
    return jax.vmap(one)(games, jax.random.split(now, number)), key

  key, first = jax.random.split(key)
  states = jax.vmap(env.reset)(jax.random.split(first, number))
  games = Game(states, jnp.ones(number, jnp.int32), jnp.zeros(number),
               jnp.zeros(number, bool))
  return jax.lax.while_loop(
      lambda carry: ~carry[0].over.all(), many, (games, key))[0]
