"""Both interfaces of gymnax, that of version 1.0 and that before it, as one."""

import functools
import importlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tasks import base


class Made(NamedTuple):
  """Holds an environment with the interface of gymnax.

  Attributes:
    environment: with `reset`, `step` and `action_space`.
    params: that its methods take.
    num_actions: A.
    limit: its own limit on the steps of an episode; 0 if it tells none.
  """

  environment: Any
  params: Any
  num_actions: int
  limit: int


class Seen(NamedTuple):
  """Holds what follows on an action.

  Attributes:
    observation: of the new state, of this episode.
    inner: the new state.
    reward: `[]` float32.
    terminated: `[]` bool, whether the episode ended by its rules.
    at_limit: `[]` bool, whether it reached its own limit on steps.
  """

  observation: base.Observation
  inner: Any
  reward: jax.Array
  terminated: jax.Array
  at_limit: jax.Array


def make(path: Any, env_name: str) -> Made:
  """Returns an environment.

  Args:
    path: 'package.module:attribute' of what makes it, or the environment.
    env_name: argument of what `path` names; '' for none.

  Raises:
    ValueError: the path cannot be imported, the environment cannot be made, or
      it has another interface or continuous actions.
  """
  pair = _called(path, env_name) if isinstance(path, str) else path
  if not isinstance(pair, tuple):
    pair = pair, getattr(pair, "default_params", None)
  environment, params = pair
  name = type(environment).__name__
  lacking = [method for method in ("reset", "step", "action_space")
             if not hasattr(environment, method)]
  if lacking:
    raise ValueError(f"{name} has no interface of gymnax: it lacks "
                     f"{', '.join(lacking)}")
  space = environment.action_space(params)
  if not hasattr(space, "n"):
    raise ValueError(f"need discrete actions; those of {name} are "
                     f"{type(space).__name__}")
  limits = [holder.max_steps_in_episode for holder in (params, environment)
            if hasattr(holder, "max_steps_in_episode")]
  return Made(environment, params, int(space.n), int((*limits, 0)[0]))


def begin(made: Made, key: jax.Array) -> tuple[base.Observation, Any]:
  """Returns the first observation and the first state of an episode."""
  environment = made.environment
  reset = getattr(environment, "reset_env", environment.reset)
  seen, inner = reset(key, made.params)
  return _observation(seen), _arrays(inner)


def advance(made: Made, inner: Any, action: jax.Array, key: jax.Array,
            steps: jax.Array) -> Seen:
  """Applies an action.

  Args:
    made: the environment.
    inner: the state.
    action: `[]` integer.
    key: consumed.
    steps: `[]` integer, the steps of the episode with this one.
  """
  environment, params, _, limit = made
  step = getattr(environment, "step_env", environment.step)
  seen, inner, reward, done, *cut, info = step(key, inner, action, params)
  done = jnp.asarray(done, bool)
  if cut:  # `step` of gymnax 1.0, where `inner` is of the next episode.
    seen, at_limit = info["final_observation"], cut[0]
  elif hasattr(environment, "is_truncated"):  # `step_env` of gymnax 1.0.
    at_limit = environment.is_truncated(inner, params)
  else:  # `done` stands for both.
    knows_time = limit > 0 and hasattr(inner, "time")
    at_limit = done & (steps >= limit) & knows_time
    done &= ~at_limit
  return Seen(_observation(seen), _arrays(inner),
              jnp.asarray(reward, jnp.float32).reshape(()), done,
              jnp.asarray(at_limit, bool))


def _observation(seen):
  leaves = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(seen)]
  if [leaf.ndim for leaf in leaves] == [3]:
    return base.Observation(leaves[0], jnp.zeros(0))
  return base.Observation(
      jnp.zeros((0, 0, 0)), jnp.concatenate([leaf.ravel() for leaf in leaves]))


def _arrays(inner):
  return jax.tree.map(jnp.asarray, inner)  # Some have Python's numbers.


@functools.cache  # So that equal tasks share one environment.
def _called(path: str, env_name: str) -> Any:
  module, colon, name = path.partition(":")
  if not (module and colon and name):
    raise ValueError(f"need path='package.module:attribute', got {path!r}")
  try:
    factory = getattr(importlib.import_module(module), name)
    return factory(env_name) if env_name else factory()
  except Exception as error:  # Whatever the other library raises.
    reason = " ".join(str(error).split())
    call = f"{path}({env_name!r})" if env_name else f"{path}()"
    raise ValueError(f"cannot make the environment {call}: "
                     f"{type(error).__name__}: {reason}") from error
