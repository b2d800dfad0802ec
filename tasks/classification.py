"""Tasks whose answers are classes: their loss and what they count."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import optax

from tasks import base


@dataclasses.dataclass(frozen=True)
class ClassificationTask(base.Task):
  """A task answered in classes, one logit each; targets are one-hot."""

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Mean cross-entropy (nats) of the classes that are asked for, `[B]`."""
    chex.assert_equal_shape([outputs, batch.targets])
    nats = optax.softmax_cross_entropy(outputs, batch.targets)
    return mean_over_steps(nats, batch.mask)


def is_wrong(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """1 where another class than the right one has the largest logit, `[T, B]`.

  Of equal logits the first counts.
  """
  chex.assert_equal_shape([outputs, batch.targets])
  wrong = outputs.argmax(2) != batch.targets.argmax(2)
  return wrong.astype(jnp.float32)


def mean_over_steps(values: jax.Array, mask: jax.Array) -> jax.Array:
  """The mean of an episode's values where it asks for an answer.

  Args:
    values: `[T, B]`.
    mask: `[T, B]`.

  Returns:
    `[B]`; 0 for an episode that asks for nothing.
  """
  return (values * mask).sum(0) / jnp.maximum(mask.sum(0), 1)


def classes_to_logits(classes: jax.Array, num_classes: int) -> jax.Array:
  """Logits of a solver that is sure; of no class where it says -1."""
  return 20 * jax.nn.one_hot(classes, num_classes)
