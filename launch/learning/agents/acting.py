"""Builds inputs, chooses actions, and counts the episodes that ended.

Letters: T steps of an unroll, B environments, F inputs, A actions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import tasks
from tasks.environment import EPISODE

Clip = Callable[[jax.Array], jax.Array]


class Trajectory(NamedTuple):
  """Holds an unroll: some steps of environments side by side.

  Step t has an observation `inputs[t]` and an action, on which `rewards[t]` and
  observation t + 1 follow. The last observation of an episode is in it as well.
  The action there has no effect: the next observation is the first of a new
  episode.

  Attributes:
    inputs: `[T + 1, B, F]`, of the network.
    is_first: `[T + 1, B]` bool, which observations begin an episode.
    is_last: `[T + 1, B]` bool, which end one.
    actions: `[T, B]` int32.
    log_probs: `[T, B]`, of the actions under the policy that acted.
    rewards: `[T, B]`.
    terminated: `[T, B]` bool, whether observation t + 1 ended an episode by its
      rules.
    start: the core's state before `inputs[0]`.
    episodes: name -> `[B]`, sums over the episodes that ended.
  """

  inputs: jax.Array
  is_first: jax.Array
  is_last: jax.Array
  actions: jax.Array
  log_probs: jax.Array
  rewards: jax.Array
  terminated: jax.Array
  start: Any
  episodes: dict[str, jax.Array]

  @property
  def mask(self) -> jax.Array:
    """`[T, B]` float32, 1 where the action had an effect."""
    return 1. - self.is_last[:-1]


def see(task: tasks.Environment, timestep: tasks.TimeStep, action: jax.Array,
        clip: Clip) -> jax.Array:
  """Returns the network's next inputs, `[B, F]`.

  Args:
    task: the environment.
    timestep: of all environments.
    action: `[B]`, the last ones.
    clip: changes the rewards in the inputs.
  """
  action = jnp.where(timestep.is_first, -1, action)
  return jax.vmap(task.input_of)(
      timestep.observation, action, clip(timestep.reward))


def log_policy(outputs: jax.Array) -> jax.Array:
  """Returns the log-probabilities of all actions, from `[..., A + 1]`."""
  return jax.nn.log_softmax(outputs[..., :-1].astype(jnp.float32))


def choose(keys: jax.Array, outputs: jax.Array, is_greedy: bool = False
           ) -> tuple[jax.Array, jax.Array]:
  """Chooses actions.

  Args:
    keys: `[B]`, consumed.
    outputs: `[B, A + 1]`, of the network.
    is_greedy: whether to take the likeliest action in place of a drawn one.

  Returns:
    Actions `[B]` int32 and their log-probabilities `[B]`.
  """
  logs = log_policy(outputs)
  actions = logs.argmax(-1) if is_greedy else jax.vmap(
      jax.random.categorical)(keys, logs)
  actions = actions.astype(jnp.int32)
  return actions, log_prob_of(logs, actions)


def log_prob_of(logs: jax.Array, actions: jax.Array) -> jax.Array:
  """Returns the log-probabilities of actions, from those of all."""
  return jnp.take_along_axis(logs, actions[..., None], -1)[..., 0]


def count(task: tasks.Environment, ended: jax.Array, total: jax.Array,
          length: jax.Array, world: Any) -> dict[str, jax.Array]:
  """Returns what is reported of episodes, `[B]`; 0 where none ended.

  Args:
    task: the environment.
    ended: `[B]` bool, where an episode ended.
    total: `[B]`, sum of its rewards.
    length: `[B]`, number of its actions.
    world: states of the environments.
  """
  found = {"count": jnp.ones_like(total), "return": total, "length": length,
           **jax.vmap(task.outcome)(world)}
  return {EPISODE + name: jnp.where(ended, value, 0).astype(jnp.float32)
          for name, value in found.items()}
