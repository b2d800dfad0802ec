"""A score that counts the matching digits of two numbers."""

import dataclasses

import chex
import jax
import jax.numpy as jnp

from tasks import scores
from tasks.batch import Batch

_NUM_DIGITS = 9  # As many as fit into int32.


@dataclasses.dataclass(frozen=True)
class DigitScore(scores.Regression):
  """Scores numbers by their digits; the loss is a root mean squared error."""

  main_metric: str = "digit_error"

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the root of an episode's mean squared error, `[B]`."""
    square = super().loss(outputs, batch)
    # The root has no gradient at 0. Use 0 there.
    exact = square == 0
    return jnp.where(exact, 0, jnp.sqrt(jnp.where(exact, 1, square)))

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the errors, and how much of the rounded answer is right.

    `digit_accuracy` is the share of `matching_digits` and `digit_error` is 1
    minus that; `exact_accuracy` is 1 if the whole answer is right.
    """
    matching = jnp.where(batch.mask[:, :, None] > 0, matching_digits(
        outputs, batch.targets), 0)
    matching = scores.mean_over_numbers(matching, batch.mask)
    return super().metrics(outputs, batch) | {
        "digit_error": 1 - matching,
        "digit_accuracy": matching,
        "exact_accuracy": (matching == 1).astype(jnp.float32),
    }


def matching_digits(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes the share of digits that two numbers have in common.

  Both are rounded to whole numbers and written without leading zeros, one below
  the other, aligned at the units. The share is the number of columns with twice
  the same digit, divided by the number of columns of the longer. It is 0 if one
  number is positive and the other negative, and if the prediction is not
  finite.

  Args:
    predictions: any shape; numbers of more than nine digits are clipped.
    targets: the same shape.

  Returns:
    The same shape, float32 in [0, 1].
  """
  chex.assert_equal_shape([predictions, targets])
  finite = jnp.isfinite(predictions)
  ours, our_length = _write(jnp.where(finite, predictions, 0))
  theirs, their_length = _write(targets)
  shortest = jnp.minimum(our_length, their_length)[..., None]
  written = _align(jnp.arange(_NUM_DIGITS), shortest) < shortest
  share = ((ours == theirs) & written).sum(-1) / jnp.maximum(
      our_length, their_length)
  signs = jnp.sign(targets).astype(predictions.dtype)
  opposed = jnp.sign(jnp.round(predictions)) * signs < 0
  return jnp.where(finite & ~opposed, share, 0).astype(jnp.float32)


def _align(x: jax.Array, like: jax.Array) -> jax.Array:
  """Adds axes of size 1 in front of `x`, until it has as many as `like`."""
  return jnp.expand_dims(x, tuple(range(like.ndim - x.ndim)))


def _write(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the digits `[..., 9]`, units first, and how many count `[...]`."""
  limit = 10**_NUM_DIGITS - 1
  places = _align(10**jnp.arange(_NUM_DIGITS), numbers[..., None])
  # The limit is not a float32, so clip in integers.
  size = jnp.abs(jnp.round(numbers))
  size = jnp.where(size < limit, size, 0).astype(jnp.int32) + jnp.where(
      size < limit, 0, limit)
  length = jnp.maximum((size[..., None] >= places).sum(-1), 1)
  return size[..., None] // places % 10, length
