"""Runs an environment step by step on the host, for libraries that do so."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from tasks import base


class Step(NamedTuple):
  """Holds what follows on an action, in NumPy and Python."""

  observation: dict[str, np.ndarray]
  reward: float
  terminated: bool
  truncated: bool


class Episode:
  """Holds the present state of one environment.

  Attributes:
    shapes: maps the parts of an observation, 'image' and 'features', to their
      shapes; without parts that the environment does not have.
    state: as the environment's functions take it; None before `reset`.
  """

  def __init__(self, environment: base.Environment):
    if not isinstance(environment, base.Environment):
      raise ValueError("need a tasks.Environment, got an object of type "
                       f"{type(environment).__name__}")
    self._environment = environment
    shapes = {"image": environment.image_shape,
              "features": (environment.num_features,)}
    self.shapes = {name: shape for name, shape in shapes.items() if all(shape)}
    self.state: Any = None

  def reset(self, seed: int) -> dict[str, np.ndarray]:
    """Begins an episode, and returns the first observation."""
    self._key, self.state, observation = _reset(
        self._environment, jax.random.key(seed))
    return self._in_numpy(observation)

  def step(self, action: Any) -> Step:
    """Applies an action.

    Raises:
      ValueError: there is no such action, or no episode has begun.
    """
    if self.state is None:
      raise ValueError("no episode has begun; call reset before step")
    self._key, self.state, step = _step(
        self._environment, self._key, self.state,
        self._environment.check_action(action))
    return Step(self._in_numpy(step.observation), float(step.reward),
                bool(step.terminated), bool(step.truncated))

  def _in_numpy(self, observation):
    # Copies, which a user may change.
    return {name: np.array(getattr(observation, name)) for name in self.shapes}


@functools.partial(jax.jit, static_argnums=0)
def _reset(environment, key):
  key, reset_key = jax.random.split(key)
  state = environment.reset(reset_key)
  return key, state, environment.observe(state)


@functools.partial(jax.jit, static_argnums=0)
def _step(environment, key, state, action):
  key, step_key = jax.random.split(key)
  return key, *environment.step(state, action, step_key)
