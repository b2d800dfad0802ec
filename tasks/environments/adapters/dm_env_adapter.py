"""Environments of this package as `dm_env.Environment`."""

from typing import Any

import numpy as np

from tasks import base
from tasks.environments.adapters import episode

try:
  import dm_env  # Optional.
  from dm_env import specs
except ImportError as error:
  raise ImportError(f"the adapter needs the package dm_env ({error}); pip "
                    "install -e '.[environments]'") from error


class DmEnvironment(dm_env.Environment):
  """Represents an environment as a `dm_env.Environment`.

  An observation is a dict of 'image' and 'features', as far as there are such.
  The discount is 0 where an episode ends by its rules, and 1 where it is cut
  off. The step after a last one begins a new episode.

  Example:
    >>> from tasks.environments.adapters.dm_env_adapter import DmEnvironment
    >>> world = DmEnvironment(tasks.BoxWorld(view=5), seed=1)
    >>> first, second = world.reset(), world.step(2)
    >>> first.first(), second.observation["image"].shape, second.discount
    (True, (5, 5, 6), 1.0)
  """

  def __init__(self, environment: base.Environment, seed: int = 0):
    """Constructs the environment.

    Args:
      environment: to represent.
      seed: of all episodes.

    Raises:
      ValueError: that is no environment of this package.
    """
    self._episode = episode.Episode(environment)
    self._num_actions = environment.num_actions
    self._seeds = np.random.default_rng(seed)
    self._is_over = True

  def reset(self) -> dm_env.TimeStep:
    self._is_over = False
    return dm_env.restart(self._episode.reset(int(self._seeds.integers(2**31))))

  def step(self, action: Any) -> dm_env.TimeStep:
    if self._is_over:
      return self.reset()
    step = self._episode.step(action)
    self._is_over = step.terminated or step.truncated
    make = (dm_env.termination if step.terminated else
            dm_env.truncation if step.truncated else dm_env.transition)
    return make(step.reward, step.observation)

  def observation_spec(self) -> dict[str, specs.Array]:
    return {name: specs.Array(shape, np.float32, name)
            for name, shape in self._episode.shapes.items()}

  def action_spec(self) -> specs.DiscreteArray:
    return specs.DiscreteArray(self._num_actions, name="action")
