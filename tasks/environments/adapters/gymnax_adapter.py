"""Environments with the interface of gymnax as environments of this package."""

import dataclasses
import functools

import jax

from tasks import base
from tasks.environments.adapters import foreign, gymnax_interface


@dataclasses.dataclass(frozen=True)
class GymnaxTask(base.Environment):
  """Represents an environment with the interface of gymnax, old or 1.0.

  Actions are discrete. An observation `[H, W, C]` becomes the image; of any
  other, all numbers in a row become the features.

  Attributes:
    path: 'package.module:attribute', a function or class that makes the
      environment or, as gymnax:make does, (environment, parameters); in Python
      also either of them itself, if it is hashable.
    env_name: argument of what path names; '' for none.
    max_steps: steps after which an episode is cut off, at least 1; 0 for the
      environment's own limit.

  Example:
    >>> import types
    >>> class Env:  # The least that the interface asks for.
    ...   def action_space(self, params): return types.SimpleNamespace(n=2)
    ...   def reset_env(self, key, params):
    ...     return jnp.zeros([3]), jnp.int32(0)
    ...   def step_env(self, key, state, action, params):
    ...     return jnp.ones([3]), state + 1, 1., state > 8, {}
    >>> task = tasks.GymnaxTask(Env(), max_steps=5)
    >>> task.num_actions, task.num_features
    (2, 3)
  """

  path: str | object = ""
  env_name: str = ""
  max_steps: int = 0

  def __post_init__(self):
    self._inner.check_limit(self.max_steps)

  @functools.cached_property
  def _inner(self) -> gymnax_interface.Inner:
    return gymnax_interface.Inner(foreign.make(self.path, self.env_name))

  @property
  def action_names(self) -> tuple[str, ...]:  # type: ignore[override]
    return tuple(f"action {i}" for i in range(self._inner.num_actions))

  @property
  def episode_limit(self) -> int:
    return self.max_steps or self._inner.limit

  def reset(self, key: jax.Array) -> gymnax_interface.State:
    return self._inner.reset(key)

  def observe(self, state: gymnax_interface.State) -> base.Observation:
    return gymnax_interface.observe(state)

  def step(self, state: gymnax_interface.State, action: jax.Array,
           key: jax.Array) -> tuple[gymnax_interface.State, base.TimeStep]:
    return self._inner.step(
        state, self.check_action(action), key, self.episode_limit)
