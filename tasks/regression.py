"""Tasks whose answers are numbers: their losses, metrics and predictors."""

import abc
import dataclasses
from typing import ClassVar

import chex
import jax
import jax.numpy as jnp

from tasks import base


@dataclasses.dataclass(frozen=True)
class RegressionTask(base.Task):
  """A task answered in numbers; losses and metrics are of the steps asked."""

  main_metric: ClassVar[str] = "mse"

  @property
  @abc.abstractmethod
  def trivial_answer(self) -> float:
    """The one number that answers best where the input is not seen.

    For the squared error it is the mean of all targets, for the absolute error
    their median. `trivial_score` is what it scores.
    """

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Mean squared error of the numbers that an episode asks for, `[B]`."""
    return masked_mean(jnp.square(errors(outputs, batch)), batch.mask)

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Mean squared and mean absolute error of the numbers asked for."""
    error = errors(outputs, batch)
    return {
        "mse": masked_mean(jnp.square(error), batch.mask),
        "mae": masked_mean(jnp.abs(error), batch.mask),
    }

  def trivial(self, batch: base.Batch) -> jax.Array:
    """`trivial_answer` everywhere."""
    return jnp.full_like(batch.targets, self.trivial_answer)


def errors(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """`outputs - targets`, 0 where nothing is asked, `[T, B, O]`.

  An output that nobody asked for may be infinite, and has no gradient.
  """
  chex.assert_equal_shape([outputs, batch.targets])
  return jnp.where(batch.mask[:, :, None] > 0, outputs - batch.targets, 0)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
  """The mean of an episode's values where it asks for an answer.

  Args:
    values: `[T, B, O]`, 0 where nothing is asked.
    mask: `[T, B]`.

  Returns:
    `[B]`; 0 for an episode that asks for nothing.
  """
  return values.sum((0, 2)) / (jnp.maximum(mask.sum(0), 1) * values.shape[2])
