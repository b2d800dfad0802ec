"""Begins a new episode after each that ended, from levels made beforehand.

To make a level may cost more than many steps, and under `jax.vmap` a step that
might make one always does. So levels are made before a number of steps, a few
for each environment, and no two episodes ever get the same one. An environment
that has used up its levels stays in its last step until there are new ones.
"""

from typing import Any

import jax
import jax.numpy as jnp

from tasks.environment import Environment, TimeStep


def ready_levels(task: Environment, key: jax.Array, number: int) -> Any:
  """Returns the first states of some episodes, with a leading axis.

  Args:
    task: the environment.
    key: consumed.
    number: how many.
  """
  return jax.vmap(task.reset)(jax.random.split(key, number))


def step(task: Environment, state: Any, is_last: jax.Array, action: jax.Array,
         key: jax.Array, ready: Any, used: jax.Array
         ) -> tuple[Any, TimeStep, jax.Array]:
  """Applies an action, or begins a new episode after a last step.

  Args:
    task: the environment.
    state: of the environment.
    is_last: `[]` bool, whether `state` is the last one of an episode. The
      action then has no effect.
    action: `[]` integer.
    key: consumed.
    ready: from `ready_levels`; None to make a level in each step.
    used: `[]` int32, how many of the levels were used.

  Returns:
    The new state, its `TimeStep`, and `used` afterwards. If no level is left,
    the step is a last one again, `truncated` and without a reward.
  """
  step_key, reset_key = jax.random.split(key)
  if ready is None:
    fresh, has_level = task.reset(reset_key), jnp.ones((), bool)
  else:
    number = jax.tree.leaves(ready)[0].shape[0]
    fresh = jax.tree.map(lambda x: x[jnp.minimum(used, number - 1)], ready)
    has_level = used < number
  begins = is_last & has_level
  moved, timestep = task.step(state, action, step_key)
  new = jax.tree.map(
      lambda fresh, old, moved: jnp.where(
          begins, fresh, jnp.where(is_last, old, moved)), fresh, state, moved)
  return new, TimeStep(
      task.observe(new), jnp.where(is_last, 0., timestep.reward),
      timestep.terminated & ~is_last,
      jnp.where(is_last, ~has_level, timestep.truncated), begins,
  ), used + begins
