"""V-trace: targets and advantages of a policy from the steps of another one.

Equations: Espeholt et al. 2018, "IMPALA", arXiv 1802.01561, section 4.1. Values
equal those of rlax (`vtrace_td_error_and_advantage`).

Letters: T steps, B environments.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class VTrace(NamedTuple):
  """Holds what the loss of an actor-critic needs, all `[T, B]`.

  Attributes:
    targets: of the values.
    advantages: of the actions.
  """

  targets: jax.Array
  advantages: jax.Array


def vtrace(values: jax.Array, rewards: jax.Array, discounts: jax.Array,
           ratios: jax.Array, *, trace_decay: float | jax.Array = 1.,
           clip_ratio: float = 1., clip_advantage_ratio: float = 1.) -> VTrace:
  """Returns the targets of the values, and the advantages of the actions.

  Two episodes may lie in a row. The step from the last observation of one to
  the first of the next is no step of a policy: its ratio must be 0. A discount
  is 0 where an episode ended by its rules, and not where it was cut off: there
  the value of its last observation stands for what would have followed.

  Args:
    values: `[T + 1, B]`, of all observations.
    rewards: `[T, B]`, that followed on the actions.
    discounts: `[T, B]`, factors on what follows after the rewards.
    ratios: `[T, B]`, probability of each action under the policy that learns
      over that under the one that acted.
    trace_decay: lambda, the decay of later errors.
    clip_ratio: largest ratio in the errors.
    clip_advantage_ratio: largest ratio in the advantages.
  """
  before, after = values[:-1], values[1:]
  traces = trace_decay * jnp.minimum(1., ratios)
  errors = jnp.minimum(clip_ratio, ratios) * (
      rewards + discounts * after - before)

  def accumulate(later, step):
    error, discount, trace = step
    error = error + discount * trace * later
    return error, error

  _, errors = jax.lax.scan(accumulate, jnp.zeros_like(values[0]),
                           (errors, discounts, traces), reverse=True)
  targets = before + errors
  following = jnp.concatenate([
      trace_decay * targets[1:] + (1 - trace_decay) * after[:-1], values[-1:]])
  advantages = jnp.minimum(clip_advantage_ratio, ratios) * (
      rewards + discounts * following - before)
  return VTrace(targets, advantages)
