"""Plays many games of BoxWorld at once."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base
from tasks.environments.boxworld import drawing, rules
from tasks.environments.boxworld.boxworld import BoxWorld


@functools.partial(jax.jit, static_argnums=(0, 1))
def _reset(env: BoxWorld, number: int, seed: int) -> rules.State:
  return jax.vmap(env.reset)(jax.random.split(jax.random.key(seed), number))


def reset(env: BoxWorld, number: int, seed: int = 0) -> rules.State:
  """Returns the beginnings of `number` games."""
  # Settings that do not matter here, so that fewer programs are compiled.
  return _reset(dataclasses.replace(env, view=0, max_steps=1), number, seed)


@functools.partial(jax.jit, static_argnums=0)
def _play(env, states, actions):
  def game(state, actions):
    def step(state, action):
      state, timestep = env.step(state, action, jax.random.key(0))
      return state, (state, timestep)

    return jax.lax.scan(step, state, actions)[1]

  return jax.vmap(game)(states, actions)


def play(env: BoxWorld, states: rules.State, actions: np.ndarray
         ) -> tuple[rules.State, base.TimeStep]:
  """Returns all states and time steps of games, also after their ends.

  Args:
    env: the environment.
    states: leaves `[B, ...]`.
    actions: `[B, T]`.
  """
  return _play(env, states, np.asarray(actions, np.int32))


@functools.partial(jax.jit, static_argnums=0)
def _returns(env: BoxWorld, states: rules.State, actions: Any):
  def game(state, actions):
    def step(carry, action):
      state, total, steps, ended = carry
      # Without the observation, which XLA leaves out.
      new, timestep = env.step(state, action, jax.random.key(0))
      state = jax.tree.map(
          lambda old, new: jnp.where(ended, old, new), state, new)
      total += jnp.where(ended, 0., timestep.reward)
      steps += 1 - ended.astype(steps.dtype)
      return (state, total, steps, ended | timestep.is_last), None

    first = (state, jnp.zeros(()), jnp.int32(0),
             jnp.zeros((), bool))
    state, total, steps, _ = jax.lax.scan(step, first, actions)[0]
    return total, steps, env.outcome(state)

  return jax.vmap(game)(states, actions)


def returns(env: BoxWorld, states: rules.State, actions: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
  """Returns returns, lengths and outcomes of games, each `[B]`."""
  return jax.tree.map(np.asarray, _returns(
      env, states, np.asarray(actions, np.int32)))


def characters(states: rules.State) -> np.ndarray:
  """Returns boards in pycolab's characters, `[B, n, n]` uint8."""
  return drawing.CHARACTERS[np.asarray(jax.vmap(drawing.whole)(states))]
