"""Optimisers and learning-rate schedules by name.

All raise a ValueError for a number with which no update can be finite. A traced
number of a sweep is not checked: each of its values was checked before.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
import optax

from launch.learning.varied import Number, is_on, is_traced

Rate: TypeAlias = float | optax.Schedule


def adam(learning_rate: Rate = 1e-3, b1: float = 0.9, b2: float = 0.999,
         eps: float = 1e-8) -> optax.GradientTransformation:
  """Returns Adam (Kingma and Ba, 2014, arXiv 1412.6980).

  Args:
    learning_rate: Learning rate, or its first value under a schedule.
    b1: Decay of the mean of the gradients.
    b2: Decay of the mean of their squares.
    eps: Added to the denominator.
  """
  _check_decays(b1=b1, b2=b2)
  _check_eps(eps)
  return optax.adam(learning_rate, b1, b2, eps)


def rmsprop(learning_rate: Rate = 1e-3, decay: float = 0.9,
            momentum: float = 0.9, eps: float = 1e-8
            ) -> optax.GradientTransformation:
  """Returns RMSProp with momentum (Graves, 2013, arXiv 1308.0850).

  Args:
    learning_rate: Learning rate, or its first value under a schedule.
    decay: Decay of the mean of the squared gradients.
    momentum: Decay of the accumulated updates; 0 for none, as in IMPALA.
    eps: Added to the mean of the squares; IMPALA has 0.1.
  """
  _check_decays(decay=decay, momentum=momentum)
  _check_eps(eps)
  return optax.rmsprop(learning_rate, decay=decay, eps=eps, momentum=momentum)


def sgd(learning_rate: Rate = 1e-3,
        momentum: float | None = None) -> optax.GradientTransformation:
  """Returns stochastic gradient descent.

  Args:
    learning_rate: Learning rate, or its first value under a schedule.
    momentum: Decay of the accumulated gradients; None for no momentum.
  """
  _check_decays(momentum=0. if momentum is None else momentum)
  return optax.sgd(learning_rate, momentum)


def constant(learning_rate: float, steps: int) -> optax.Schedule:
  """Keeps the learning rate."""
  del steps
  return optax.constant_schedule(learning_rate)


def cosine(learning_rate: float, steps: int,
           final_fraction: float = 0.) -> optax.Schedule:
  """Lowers the learning rate along half a cosine.

  The noise of the last updates dies down with it.

  Args:
    learning_rate: First value.
    steps: Updates in the whole run.
    final_fraction: Last value, as a fraction of the first one.
  """
  if not is_traced(final_fraction) and not 0 <= final_fraction <= 1:
    raise ValueError(f"final_fraction must be from 0 to 1, got "
                     f"{final_fraction}")
  return optax.cosine_decay_schedule(learning_rate, steps, final_fraction)


def staircase(learning_rate: float, steps: int, every: int = 1000,
              factor: float = 0.5) -> optax.Schedule:
  """Multiplies the learning rate by a factor after so many updates.

  It does not depend on the length of the run, so it suits a run that ends by
  its minutes.

  Args:
    learning_rate: First value.
    steps: Updates in the whole run; not used.
    every: Updates between two changes of the rate.
    factor: By which it is multiplied.
  """
  del steps
  if not is_traced(every) and every < 1:
    raise ValueError(f"every must be at least 1, got {every}")
  if not is_traced(factor) and not 0 < factor <= 1:
    raise ValueError(f"factor must be above 0, and at most 1, got {factor}")
  return lambda count: learning_rate * factor ** jnp.asarray(
      count // every, jnp.float32)


OPTIMIZERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam, "rmsprop": rmsprop, "sgd": sgd}

# (learning_rate, steps, ...) -> schedule.
SCHEDULES: Mapping[str, Callable[..., optax.Schedule]] = {
    "constant": constant, "cosine": cosine, "staircase": staircase}


def clipped(optimizer: optax.GradientTransformation,
            max_grad_norm: Number = 0., max_grad_value: Number = 0.
            ) -> optax.GradientTransformation:
  """Clips each number of a gradient, then the global norm, then optimises.

  Args:
    optimizer: receives the clipped gradients.
    max_grad_norm: gradients of a larger global norm are scaled down to this
      norm; 0 switches it off.
    max_grad_value: larger magnitudes in a gradient are cut to this value; 0
      switches it off.
  """
  clips = []
  if is_on(max_grad_value):
    clips.append(optax.clip(_limit(max_grad_value)))
  if is_on(max_grad_norm):
    clips.append(optax.clip_by_global_norm(_limit(max_grad_norm)))
  return optax.chain(*clips, optimizer)


def _check_decays(**decays: Number) -> None:
  """Refuses a decay that is 1 in float32: a mean would never forget."""
  for name, decay in decays.items():
    if not is_traced(decay) and not 0 <= np.float32(decay) < 1:
      raise ValueError(f"{name} must be in [0, 1), got {decay}")


def _check_eps(eps: Number) -> None:
  """Refuses 0, with which a gradient of 0 makes an update of 0 / 0."""
  if not is_traced(eps) and not eps > 0:
    raise ValueError(f"eps must be above 0, got {eps}")


def _limit(number: Number) -> Number:
  """Returns a limit that nothing exceeds for a traced 0."""
  return jnp.where(number > 0, number, jnp.inf) if is_traced(number) else number
