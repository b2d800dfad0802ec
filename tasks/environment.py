"""Environments: worlds that a network acts in, as pure functions.

All functions are of one environment; `jax.vmap` makes thousands of them.

Letters: H height, W width, C channels, K features, A actions.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks import random_policy, scores
from tasks.task import Task

EPISODE = "episode/"  # Begins the names of sums over episodes that ended.


class Observation(NamedTuple):
  """Holds what an agent sees.

  Attributes:
    image: `[H, W, C]` float32; H, W and C are 0 in an environment without one.
    features: `[K]` float32, what else there is, such as an instruction.

  Example:
    >>> task = tasks.TimeTracking()
    >>> observation = task.observe(task.reset(jax.random.key(0)))
    >>> observation.image.shape, observation.features.shape
    ((56, 56, 3), (1,))
  """

  image: jax.Array
  features: jax.Array


class TimeStep(NamedTuple):
  """Holds what an agent finds after an action, or after a reset.

  Attributes:
    observation: of the new state.
    reward: `[]` float32, of the action; 0 after a reset.
    terminated: `[]` bool, whether the episode ended by the rules: nothing can
      follow, and later rewards are 0.
    truncated: `[]` bool, whether it was cut off, by a limit on its steps for
      example. More could have followed. Never with `terminated`.
    is_first: `[]` bool, whether an episode begins here.

  Example:
    >>> task = tasks.TimeTracking()
    >>> first = task.first(task.reset(jax.random.key(0)))
    >>> bool(first.is_first), bool(first.is_last), float(first.reward)
    (True, False, 0.0)
  """

  observation: Observation
  reward: jax.Array
  terminated: jax.Array
  truncated: jax.Array
  is_first: jax.Array

  @property
  def is_last(self) -> jax.Array:
    """Whether the episode ended here, in either way."""
    return self.terminated | self.truncated


@dataclasses.dataclass(frozen=True)
class Environment(Task):
  """Represents a world that a network acts in.

  Nothing is reset by itself: after a last step, `step` may return anything. See
  `tasks.environments.resetting` for a wrapper that begins new episodes.

  A network gets the numbers of an observation, the last action and the last
  reward as one vector, see `input_of`. It answers with a logit for each action
  and the value of the state.

  Attributes:
    action_names: what the actions are, in their order.
    has_cheap_reset: whether a new episode costs little more than a step.

  Example:
    >>> task = tasks.TimeTracking(num_cells=3)
    >>> step = jax.jit(task.step)
    >>> state = task.reset(jax.random.key(0))
    >>> for action in (0, 1):
    ...   state, seen = step(state, action, jax.random.key(1))
    >>> int(state.steps), task.action_names[:2]
    (2, ('up', 'down'))
    >>> task.input_of(seen.observation, action, seen.reward).shape
    (3475,)
  """

  encoder: ClassVar[str] = "torso"
  agent: ClassVar[str] = "actor_critic"
  action_names: ClassVar[tuple[str, ...]]
  has_cheap_reset: ClassVar[bool] = True

  @functools.cached_property
  def _spec(self) -> Observation:
    return jax.eval_shape(
        lambda key: self.observe(self.reset(key)), jax.random.key(0))

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C) of an observation's image; (0, 0, 0) without one."""
    height, width, channels = self._spec.image.shape
    return height, width, channels

  @property
  def num_features(self) -> int:
    """K, the number of an observation's features."""
    return self._spec.features.size

  @functools.cached_property
  def trivial_score(self) -> float:
    """The mean return of the uniform random policy in 1,000 episodes."""
    return float(random_policy.returns(self, jax.random.key(0), 1000).mean())

  @property
  def num_actions(self) -> int:
    """A, the number of actions."""
    return len(self.action_names)

  @property
  @abc.abstractmethod
  def episode_limit(self) -> int:
    """The largest number of steps of an episode."""

  @property
  def input_size(self) -> int:
    return math.prod(self.image_shape) + self.num_features + (
        self.num_actions + 1)

  @property
  def output_size(self) -> int:
    return self.num_actions + 1

  @property
  def score(self) -> scores.Measure:
    return scores.Returns()

  def metrics_of(self, means: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Returns means over the episodes that ended; NaN if none did."""
    del data
    count = means[EPISODE + "count"]
    kept = {name: value for name, value in means.items()
            if not name.startswith(EPISODE)}
    return kept | {
        name.removeprefix(EPISODE): value / count
        for name, value in means.items()
        if name.startswith(EPISODE) and name != EPISODE + "count"}

  @abc.abstractmethod
  def reset(self, key: jax.Array) -> Any:
    """Returns the first state of a new episode, a tree of arrays.

    Args:
      key: consumed.
    """

  @abc.abstractmethod
  def observe(self, state: Any) -> Observation:
    """Returns what an agent sees in a state.

    Args:
      state: from `reset` or `step`.
    """

  @abc.abstractmethod
  def step(self, state: Any, action: jax.Array, key: jax.Array
           ) -> tuple[Any, TimeStep]:
    """Applies an action.

    Args:
      state: from `reset` or `step`.
      action: `[]` integer from 0 to A - 1.
      key: consumed.

    Returns:
      The new state and its `TimeStep`.

    Raises:
      ValueError: the action is a number, not a traced value, and outside the
        range. (A traced one is moved into the range.)
    """

  def first(self, state: Any) -> TimeStep:
    """Returns the `TimeStep` of a state from `reset`."""
    return TimeStep(self.observe(state), jnp.zeros(()), jnp.zeros((), bool),
                    jnp.zeros((), bool), jnp.ones((), bool))

  def outcome(self, state: Any) -> Mapping[str, jax.Array]:
    """Returns the measures of an episode that are reported beside the return.

    Args:
      state: at the end of the episode.

    Returns:
      Name -> `[]` float32. Means over episodes are reported.
    """
    del state
    return {}

  def input_of(self, observation: Observation, action: jax.Array,
               reward: jax.Array) -> jax.Array:
    """Returns a network's input, `[input_size]` float32.

    The numbers are: the image, row by row; the features; a one-hot vector of
    the last action, the reward.

    Args:
      observation: what is seen now.
      action: `[]` integer, the last action; -1 (zeros) if there is none.
      reward: `[]`, that followed on it.
    """
    return jnp.concatenate([
        observation.image.ravel(), observation.features,
        jax.nn.one_hot(action, self.num_actions), reward[None]])

  def check_action(self, action: Any) -> jax.Array:
    """Returns an action as an int32 within the range; raises as `step`."""
    if not isinstance(action, jax.core.Tracer) and not (
        0 <= int(np.asarray(action)) < self.num_actions):
      names = ", ".join(f"{i} {name}" for i, name in
                        enumerate(self.action_names))
      raise ValueError(f"{type(self).__name__} has no action {action}; valid: "
                       f"{names}")
    return jnp.clip(jnp.asarray(action, jnp.int32), 0, self.num_actions - 1)

  def text(self, state: Any) -> str:
    """Draws a state in characters, for the terminal.

    Args:
      state: of one environment, on the host.
    """
    raise NotImplementedError(f"{type(self).__name__} has no text")

  def picture(self, state: Any) -> np.ndarray:
    """Draws a whole state, even if an agent sees only a part of it.

    Args:
      state: of one environment, on the host.

    Returns:
      `[height, width, 3]` uint8.
    """
    raise NotImplementedError(f"{type(self).__name__} has no picture")
