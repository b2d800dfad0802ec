"""The policy that draws any action with the same chance."""

import functools
from typing import Any

import jax
import jax.numpy as jnp


@functools.partial(jax.jit, static_argnums=(0, 2))
def returns(environment: Any, key: jax.Array, episodes: int
            ) -> jax.Array:
  """Plays episodes with uniformly random actions.

  Args:
    environment: a `tasks.Environment`, to play in.
    key: consumed.
    episodes: how many.

  Returns:
    The sums of rewards, `[episodes]`.
  """
  def go_on(carry):
    return ~carry[1]

  def step(carry):
    state, _, total, key = carry
    key, action_key, step_key = jax.random.split(key, 3)
    action = jax.random.randint(action_key, (), 0, environment.num_actions)
    state, time_step = environment.step(state, action, step_key)
    return state, time_step.is_last, total + time_step.reward, key

  def play(key):
    key, reset_key = jax.random.split(key)
    start = (environment.reset(reset_key), jnp.zeros((), bool),
             jnp.float32(0), key)
    return jax.lax.while_loop(go_on, step, start)[2]

  return jax.vmap(play)(jax.random.split(key, episodes))
