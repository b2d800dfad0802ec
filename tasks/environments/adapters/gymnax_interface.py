"""Both interfaces of gymnax, that of version 1.0 and that before it, as one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tasks import base


class State(NamedTuple):
  """Holds the other library's state, what is seen in it, and steps so far.

  Attributes:
    inner: the other library's state.
    seen: an image `[H, W, C]` or features `[K]`.
    steps: `[]` int32.
  """

  inner: Any
  seen: jax.Array
  steps: jax.Array


class Inner:
  """Represents an environment of the other library.

  Notes:
    Calls `reset_env` and `step_env`, which begin no new episode; those of a
    wrapper with them alone are the wrapped environment's. Before gymnax 1.0,
    an episode that is done at `max_steps_in_episode` counts as cut off, even if
    it ended by its rules just then.

  Attributes:
    num_actions: A.
    limit: its own limit on the steps of an episode; 0 if it tells none.
  """

  def __init__(self, made: Any):
    """Takes an environment or (environment, parameters); raises ValueError."""
    self._env, self._params = made if isinstance(made, tuple) else (
        made, getattr(made, "default_params", None))
    self._name = type(self._env).__name__
    lacking = [name for name in ("reset_env", "step_env", "action_space")
               if not hasattr(self._env, name)]
    if lacking:
      raise ValueError(f"{self._name} has no interface of gymnax: it lacks "
                       f"{', '.join(lacking)}")
    space = self._env.action_space(self._params)
    if not hasattr(space, "n"):
      raise ValueError(f"need discrete actions; those of {self._name} are "
                       f"{type(space).__name__}")
    self.num_actions = int(space.n)
    limits = [getattr(holder, "max_steps_in_episode", 0)
              for holder in (self._params, self._env)]
    self.limit = int(limits[0] or limits[1])

  def check_limit(self, max_steps: int) -> None:
    """Raises a ValueError if neither this number nor a limit of its own is."""
    if max_steps < (0 if self.limit else 1):
      raise ValueError(
          f"need max_steps >= 0, got max_steps={max_steps}" if self.limit else
          f"{self._name} tells no limit on the steps of an episode; need "
          f"max_steps >= 1, got max_steps={max_steps}")

  def reset(self, key: jax.Array) -> State:
    """Returns the first state of an episode."""
    seen, inner = self._env.reset_env(key, self._params)
    return _state(inner, seen, jnp.int32(0))

  def step(self, state: State, action: jax.Array, key: jax.Array,
           episode_limit: int) -> tuple[State, base.TimeStep]:
    """Applies an action; cuts the episode off at its limit on steps."""
    seen, inner, reward, done, _ = self._env.step_env(
        key, state.inner, action, self._params)
    new = _state(inner, seen, state.steps + 1)
    done, is_cut = jnp.asarray(done, bool), new.steps >= episode_limit
    if hasattr(self._env, "is_truncated"):  # Since gymnax 1.0.
      is_cut |= self._env.is_truncated(inner, self._params)
    elif self.limit and hasattr(inner, "time"):  # `done` stands for both.
      at_limit = done & (new.steps >= self.limit)
      done, is_cut = done & ~at_limit, is_cut | at_limit
    return new, base.TimeStep(
        observe(new), jnp.asarray(reward, jnp.float32).reshape(()), done,
        ~done & is_cut, jnp.zeros((), bool))


def observe(state: State) -> base.Observation:
  """Returns what is seen in a state."""
  if state.seen.ndim == 3:
    return base.Observation(state.seen, jnp.zeros(0))
  return base.Observation(jnp.zeros((0, 0, 0)), state.seen)


def _state(inner, seen, steps):
  leaves = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(seen)]
  seen = (leaves[0] if [leaf.ndim for leaf in leaves] == [3] else
          jnp.concatenate([leaf.ravel() for leaf in leaves]))
  return State(jax.tree.map(jnp.asarray, inner), seen, steps)  # Some are ints.
