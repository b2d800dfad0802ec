"""Environments with the interface of gymnax as environments of this package."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tasks import base
from tasks.environments import random_policy
from tasks.environments.adapters import gymnax_interface


class State(NamedTuple):
  """Holds the other library's state, what is seen in it, and steps so far.

  Attributes:
    inner: the other library's state.
    seen: an image `[H, W, C]` or features `[K]`. A checkpoint cannot hold the
      empty one of the two.
    steps: `[]` int32.
  """

  inner: Any
  seen: jax.Array
  steps: jax.Array


@dataclasses.dataclass(frozen=True)
class GymnaxTask(base.Environment):
  """Represents an environment with the interface of gymnax.

  Takes both interfaces: gymnax 1.0, and that before it (and of popjym), where
  one `done` stands for ends by the rules and for cuts by the limit on steps.
  Actions are discrete. An observation `[H, W, C]` becomes the image; of any
  other, all numbers in a row become the features.

  Notes:
    Before gymnax 1.0, an episode that is done at `max_steps_in_episode` counts
    as cut off, even if it ended by its rules just then. An environment without
    `step_env` begins the next episode by itself; then the last observation is
    the next episode's first one.

  Attributes:
    path: 'package.module:attribute', a function or class that makes the
      environment or, as gymnax:make does, (environment, parameters); in Python
      also either of them itself, if it is hashable.
    env_name: argument of what path names; '' for none.
    max_steps: steps after which an episode is cut off, at least 1; 0 for the
      environment's own limit.
  """

  path: str | object = ""
  env_name: str = ""
  max_steps: int = 0

  def __post_init__(self):
    own = self._made.limit
    if self.max_steps < (0 if own else 1):
      name = type(self._made.environment).__name__
      raise ValueError(
          f"need max_steps >= 0, got max_steps={self.max_steps}" if own else
          f"{name} tells no limit on the steps of an episode; need max_steps "
          f">= 1, got max_steps={self.max_steps}")

  @functools.cached_property
  def _made(self) -> gymnax_interface.Made:
    return gymnax_interface.make(self.path, self.env_name)

  @functools.cached_property
  def _spec(self) -> base.Observation:
    return jax.eval_shape(
        lambda key: self.observe(self.reset(key)), jax.random.key(0))

  @property
  def action_names(self) -> tuple[str, ...]:  # type: ignore[override]
    return tuple(f"action {i}" for i in range(self._made.num_actions))

  @property
  def image_shape(self) -> tuple[int, int, int]:
    height, width, channels = self._spec.image.shape
    return height, width, channels

  @property
  def num_features(self) -> int:
    return self._spec.features.size

  @property
  def episode_limit(self) -> int:
    return self.max_steps or self._made.limit

  @functools.cached_property
  def trivial_score(self) -> float:
    """The mean return of the uniform random policy in 1,000 episodes."""
    return float(random_policy.returns(self, jax.random.key(0), 1000).mean())

  def reset(self, key: jax.Array) -> State:
    seen, inner = gymnax_interface.begin(self._made, key)
    return State(inner, _not_empty(seen), jnp.int32(0))

  def observe(self, state: State) -> base.Observation:
    if state.seen.ndim == 3:
      return base.Observation(state.seen, jnp.zeros(0))
    return base.Observation(jnp.zeros((0, 0, 0)), state.seen)

  def step(self, state: State, action: jax.Array, key: jax.Array
           ) -> tuple[State, base.TimeStep]:
    steps = state.steps + 1
    seen, inner, reward, terminated, at_limit = gymnax_interface.advance(
        self._made, state.inner, self.check_action(action), key, steps)
    truncated = ~terminated & (at_limit | (steps >= self.episode_limit))
    return State(inner, _not_empty(seen), steps), base.TimeStep(
        seen, reward, terminated, truncated, jnp.zeros((), bool))


def _not_empty(seen: base.Observation) -> jax.Array:
  return seen.image if seen.image.size else seen.features
