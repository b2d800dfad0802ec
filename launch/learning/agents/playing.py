"""Plays whole episodes with a network that does not learn.

Letters: B episodes, L steps of an episode, F inputs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import tasks
from launch.learning.agents import acting
from rmc_nalu_sam import Model


class _Play(NamedTuple):
  """Holds episodes while they are played."""

  time: jax.Array
  world: Any
  inputs: jax.Array
  core: Any
  total: jax.Array
  length: jax.Array
  is_over: jax.Array


class Recording(NamedTuple):
  """Holds one played episode; what comes after its end repeats its last step.

  Attributes:
    worlds: states of the environment, with a leading axis L + 1.
    cores: states of the core after each of them, `[L + 1, 1, ...]`.
    actions: `[L + 1]` int32, chosen in each state.
    probabilities: `[L + 1, A]`, of all actions.
    values: `[L + 1]`.
    rewards: `[L + 1]`, that followed.
    is_over: `[L + 1]` bool, whether the episode has ended there.
    length: `[]` int32, L of the episode itself.
  """

  worlds: Any
  cores: Any
  actions: jax.Array
  probabilities: jax.Array
  values: jax.Array
  rewards: jax.Array
  is_over: jax.Array
  length: jax.Array


def play(model: Model, params: Any, keys: jax.Array, task: tasks.Environment,
         clip: acting.Clip, is_greedy: bool = False) -> dict[str, jax.Array]:
  """Plays an episode for each key, to its end.

  Args:
    model: the network.
    params: of the network.
    keys: `[B]`, consumed.
    task: the environment.
    clip: changes the rewards in the network's inputs.
    is_greedy: whether to take the likeliest actions.

  Returns:
    What `acting.count` reports, `[B]`.
  """
  def goes_on(play):
    return (play.time < task.episode_limit) & ~play.is_over.all()

  def one(play):
    return _step(model, params, keys, task, clip, is_greedy, play)[0]

  last = jax.lax.while_loop(goes_on, one, _begin(
      model, params, keys, task, clip))
  # An episode that is not over in time counts as it stands.
  return acting.count(task, jnp.ones_like(last.is_over), last.total,
                      last.length, last.world)


def record(model: Model, params: Any, key: jax.Array, task: tasks.Environment,
           clip: acting.Clip, num_steps: int, is_greedy: bool = False
           ) -> Recording:
  """Plays one episode and keeps all of its steps.

  Args:
    model: the network.
    params: of the network.
    key: consumed; the episode is the one that `play` plays with it.
    task: the environment.
    clip: changes the rewards in the network's inputs.
    num_steps: L, how many steps to keep at most.
    is_greedy: whether to take the likeliest actions.
  """
  keys = key[None]

  def one(play, _):
    new, (action, outputs, reward, core) = _step(
        model, params, keys, task, clip, is_greedy, play)
    return new, (play.world, core, action, outputs, reward, play.is_over)

  last, (worlds, cores, actions, outputs, rewards, is_over) = jax.lax.scan(
      one, _begin(model, params, keys, task, clip), length=num_steps + 1)
  of_first = lambda tree: jax.tree.map(lambda x: x[:, 0], tree)  # noqa: E731
  return Recording(
      of_first(worlds), cores, actions[:, 0],
      jnp.exp(acting.log_policy(outputs[:, 0])), outputs[:, 0, -1],
      rewards[:, 0], is_over[:, 0], jnp.minimum(last.length[0], num_steps))


def _begin(model, params, keys, task, clip) -> _Play:
  """Returns the beginnings of episodes."""
  size = len(keys)
  world = jax.vmap(lambda key: task.reset(jax.random.fold_in(key, 0)))(keys)
  inputs = acting.see(task, jax.vmap(task.first)(world),
                      jnp.zeros(size, jnp.int32), clip)
  zeros = jnp.zeros(size)
  return _Play(jnp.zeros((), jnp.int32), world, inputs,
               model.initial_state(params, size), zeros,
               zeros.astype(jnp.int32), zeros > 0)


def _step(model, params, keys, task, clip, is_greedy, play: _Play):
  """Takes a step of all episodes; those that are over stay as they are."""
  keys = jax.vmap(lambda key: jax.random.split(
      jax.random.fold_in(key, play.time + 1)), out_axes=1)(keys)
  unrolled = model.unroll(params, None, play.inputs[None], play.core)
  outputs = unrolled.outputs[0]
  action, _ = acting.choose(keys[0], outputs, is_greedy)
  world, timestep = jax.vmap(task.step)(play.world, action, keys[1])
  stay = lambda old, new: jnp.where(  # noqa: E731
      play.is_over.reshape(-1, *[1] * (old.ndim - 1)), old, new)
  reward = stay(jnp.zeros_like(timestep.reward), timestep.reward)
  new = _Play(
      play.time + 1, jax.tree.map(stay, play.world, world),
      stay(play.inputs, acting.see(task, timestep, action, clip)),
      jax.tree.map(stay, play.core, unrolled.state), play.total + reward,
      play.length + ~play.is_over, play.is_over | timestep.is_last)
  return new, (action, outputs, reward, unrolled.state)
