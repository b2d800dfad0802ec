"""Environments of this package as `gymnasium.Env`."""

from typing import Any

import jax
import numpy as np

from tasks import base, checks
from tasks.environments.adapters import episode

try:
  import gymnasium  # Optional.
except ImportError as error:
  raise ImportError(f"the adapter needs the package gymnasium ({error}); pip "
                    "install -e '.[environments]'") from error


class GymnasiumEnvironment(gymnasium.Env):
  """Represents an environment as a `gymnasium.Env`.

  An observation is a dict of 'image' and 'features', as far as there are such.
  The last step's info is the episode's `outcome`.

  Example:
    >>> from tasks.environments.adapters.gymnasium_adapter import (
    ...     GymnasiumEnvironment)
    >>> world = GymnasiumEnvironment(tasks.BoxWorld(view=5))
    >>> seen, _ = world.reset(seed=1)
    >>> seen, reward, terminated, truncated, info = world.step(2)
    >>> seen["image"].shape, terminated, truncated
    ((5, 5, 6), False, False)
  """

  metadata = dict(  # noqa: RUF012 (No class variable in the base class.)
      render_modes=["rgb_array", "ansi"], render_fps=4)

  def __init__(self, environment: base.Environment,
               render_mode: str | None = None):
    """Represents `environment`; draws 'rgb_array', 'ansi' (text) or None.

    Raises:
      ValueError: that is no environment of this package, or no such mode.
    """
    if render_mode is not None:
      checks.check_member("render mode", render_mode, ("rgb_array", "ansi"))
    self._environment, self.render_mode = environment, render_mode
    self._episode = episode.Episode(environment)
    self.action_space = gymnasium.spaces.Discrete(environment.num_actions)
    self.observation_space = gymnasium.spaces.Dict({
        name: gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        for name, shape in self._episode.shapes.items()})

  def reset(self, *, seed: int | None = None,
            options: dict[str, Any] | None = None):
    super().reset(seed=seed)
    return self._episode.reset(int(self.np_random.integers(2**31))), {}

  def step(self, action: Any):
    step = self._episode.step(action)
    is_last = step.terminated or step.truncated
    outcome = self._environment.outcome(self._episode.state) if is_last else {}
    return *step, {name: float(value) for name, value in outcome.items()}

  def render(self):
    state = jax.device_get(self._episode.state)
    if self.render_mode == "ansi":
      return self._environment.text(state)
    return self.render_mode and self._environment.picture(state)
