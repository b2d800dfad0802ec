"""Optimisers and learning-rate schedules by name."""

from collections.abc import Callable, Mapping

import optax

OPTIMIZERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.adam,
    "rmsprop": lambda learning_rate: optax.rmsprop(
        learning_rate, decay=0.9, momentum=0.9),
    "sgd": optax.sgd,
}

SCHEDULES: Mapping[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda learning_rate, steps: optax.constant_schedule(
        learning_rate),
    # To zero, so that the noise of the last updates dies down.
    "cosine": lambda learning_rate, steps: optax.cosine_decay_schedule(
        learning_rate, steps),
}


def check(optimizer: str, schedule: str) -> None:
  """Raises a ValueError, naming the valid ones, for an unknown name."""
  for kind, name, valid in (("optimizer", optimizer, OPTIMIZERS),
                            ("lr_schedule", schedule, SCHEDULES)):
    if name not in valid:
      raise ValueError(
          f"unknown {kind} {name!r}; valid: {', '.join(sorted(valid))}")


def make_optimizer(optimizer: str, schedule: str, learning_rate: float,
                   steps: int, max_grad_norm: float,
                   max_grad_value: float = 0.
                   ) -> optax.GradientTransformation:
  """Clipping of each number, then by the global norm, then the optimiser.

  Args:
    optimizer: a name in `OPTIMIZERS`.
    schedule: a name in `SCHEDULES`.
    learning_rate: its first value.
    steps: updates in the whole run.
    max_grad_norm: gradients with a larger global norm are scaled down to it;
      0: they are not.
    max_grad_value: what is larger in magnitude in a gradient is cut to it; 0:
      nothing is.
  """
  check(optimizer, schedule)
  clips = []
  if max_grad_value:
    clips.append(optax.clip(max_grad_value))
  if max_grad_norm:
    clips.append(optax.clip_by_global_norm(max_grad_norm))
  return optax.chain(
      *clips, OPTIMIZERS[optimizer](SCHEDULES[schedule](learning_rate, steps)))
