"""Acts in environments, side by side, and hands on what happened.

Everything runs on the device: environments are mapped, steps are scanned. The
states of environments and of the core are a `SourceState`, so they are carried
from one update to the next, split over the devices, and part of a checkpoint.

Letters: T steps of an unroll, B environments on one device, F inputs.
"""

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

import tasks
from launch.learning import layout, sources
from launch.learning.agents import acting
from launch.learning.agents.acting import Trajectory
from launch.learning.agents.actor_critic import ActorCritic
from rmc_nalu_sam import Model
from tasks.environments import resetting


class ActorState(NamedTuple):
  """Holds each environment and what its agent knows, before its next action.

  Attributes:
    world: state of the environment.
    inputs: `[B, F]`, the network's next ones.
    is_first: `[B]` bool, whether that begins an episode.
    is_last: `[B]` bool, whether that ends an episode.
    core: the core's state before `inputs`.
    total: `[B]`, sum of the episode's rewards up to now.
    length: `[B]` int32, actions of the episode up to now.
  """

  world: Any
  inputs: jax.Array
  is_first: jax.Array
  is_last: jax.Array
  core: Any
  total: jax.Array
  length: jax.Array


class ActorSource:
  """Draws unrolls: some steps of each environment under the present policy.

  The core's state is carried from unroll to unroll, and new at the first step
  of an episode. Environment i sees the same on any number of devices. What
  happens in it follows from the key of the update and its number alone.
  """

  IS_ALWAYS_SAVED = True

  def __init__(self, model: Model, task: tasks.Environment, agent: ActorCritic):
    """Constructs a source.

    Args:
      model: the network.
      task: the environment.
      agent: how it acts.
    """
    self._model = model
    self._task = task
    self._agent = agent

  def with_agent(self, agent: ActorCritic) -> Self:
    """Returns this source with another agent."""
    return type(self)(self._model, self._task, agent)

  def model(self, task: tasks.Task) -> Model:
    del task
    return self._model

  def initial_state(self, params: Any, batch_size: int) -> ActorState:
    """Returns environments that all are to begin an episode."""
    task, zeros = self._task, jnp.zeros(batch_size)
    of_one = jax.eval_shape(task.reset, jax.random.key(0))
    return ActorState(
        jax.tree.map(lambda x: jnp.zeros((batch_size, *x.shape), x.dtype),
                     of_one),
        jnp.zeros((batch_size, task.input_size)), zeros > 0, zeros == 0,
        self._model.initial_state(params, batch_size), zeros,
        zeros.astype(jnp.int32))

  def next(self, state: ActorState, params: Any, key: jax.Array,
           task: tasks.Environment, level: None, data: Any, batch_size: int,
           share: layout.Share) -> tuple[Trajectory, ActorState]:
    """Takes the steps of an unroll; see `sources.Source`."""
    del level, data
    keys = sources.split_share(key, batch_size, share)
    ready = None
    if not task.has_cheap_reset:
      ready = jax.vmap(lambda key: resetting.ready_levels(
          task, jax.random.fold_in(key, 0), self._agent.num_ready_levels))(keys)
    step_keys = jax.vmap(lambda key: jax.random.split(
        jax.random.fold_in(key, 1), self._agent.unroll_length), out_axes=1)(
            keys)

    def one(carry, keys):
      return self._step(params, task, ready, carry, keys)

    used = jnp.zeros(state.length.shape, jnp.int32)
    (last, _), (steps, finished) = jax.lax.scan(one, (state, used), step_keys)
    # The last observation is the first one of the next unroll as well.
    seen = {name: jnp.concatenate([steps.pop(name), getattr(last, name)[None]])
            for name in ("inputs", "is_first", "is_last")}
    return Trajectory(
        **seen, **steps, start=state.core,
        episodes=jax.tree.map(lambda x: x.sum(0), finished)), last

  def _step(self, params, task, ready, carry, keys):
    """Takes one step of all environments."""
    state, used = carry
    keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    unrolled = self._model.unroll(
        params, None, state.inputs[None], state.core,
        resets=state.is_first[None])
    action, log_prob = acting.choose(keys[0], unrolled.outputs[0])
    world, timestep, used = jax.vmap(
        lambda *args: resetting.step(task, *args),
        in_axes=(0, 0, 0, 0, None if ready is None else 0, 0))(
            state.world, state.is_last, action, keys[1], ready, used)
    inputs = acting.see(task, timestep, action, self._agent.clip)
    total = jnp.where(timestep.is_first, 0., state.total + timestep.reward)
    length = jnp.where(timestep.is_first, 0, state.length + ~state.is_last)
    ended = timestep.is_last & ~state.is_last
    finished = acting.count(task, ended, total, length, world)
    new = ActorState(world, inputs, timestep.is_first, timestep.is_last,
                     unrolled.state, total, length)
    steps = dict(inputs=state.inputs, is_first=state.is_first,
                 is_last=state.is_last, actions=action, log_probs=log_prob,
                 rewards=timestep.reward, terminated=timestep.terminated)
    return (new, used), (steps, finished)

  def start(self, state: ActorState, params: Any, task: tasks.Task,
            batch_size: int) -> None:
    """Returns nothing: a trajectory holds the core state that it starts in."""
    del state, params, task, batch_size

  def finish(self, state: ActorState, params: Any,
             core_state: Any) -> ActorState:
    """Returns the state as it is: the core's was carried while acting."""
    del params, core_state
    return state

  def is_spent(self, state: ActorState, task: tasks.Environment,
               num_updates: int) -> bool:
    del state, task, num_updates
    return False

  def carried(self, state: ActorState) -> Any:
    return state.core

  def check(self, state: ActorState) -> None:
    del state
