"""Skips updates that are not finite, and counts them.

A skipped update leaves parameters, optimiser, curriculum and core states as
they were, and the step advances: the next update draws another batch. See
`optax.apply_if_finite`, which does so for parameters and optimiser alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from launch.learning.layout import Share


class Skips(NamedTuple):
  """Counts skipped updates.

  Attributes:
    total: `[]` int32, in the whole run.
    in_a_row: `[]` int32, up to the last update.
    longest: `[]` int32, highest value of `in_a_row` up to now.
  """

  total: Any
  in_a_row: Any
  longest: Any


def none() -> Skips:
  """Returns the counts before the first update."""
  return Skips(*np.zeros((3,), np.int32))


def kept_if_finite(carried: Callable[[Any], Any], before: Any, drawn: Any,
                   after: Any, of_update: Any, share: Share
                   ) -> tuple[Any, jax.Array]:
  """Returns the state after an update, or after skipping it, and which.

  Args:
    carried: source state -> the core states in it.
    before: the `RunState` before the update.
    drawn: the source state after drawing the batch.
    after: the `RunState` after the update, with the counts of before.
    of_update: what else must be finite, such as gradients; the same in all
      shares.
    share: of the batch.

  Returns:
    A `RunState`; and `[]` bool, whether the update was kept.
  """
  train = after.train
  is_kept = _are_finite((of_update, train.params, train.opt_state)) & (
      # Each share has core states of its own.
      share.mean(_are_finite(carried(after.source)).astype(jnp.float32)) == 1)
  # Drawing has moved on in a text, or in environments.
  source = _choose(_are_finite(carried(drawn)), drawn, before.source)
  train, source = _choose(
      is_kept, (train, after.source), (before.train, source))
  return after._replace(train=train._replace(
      step=after.train.step, skips=_counted(before.train.skips, is_kept)),
                        source=source), is_kept


def mean(metrics: dict[str, jax.Array], is_kept: jax.Array
         ) -> dict[str, jax.Array]:
  """Returns the means over the updates that were not skipped, NaN if all were.

  Args:
    metrics: `[U]` of each update.
    is_kept: `[U]` bool.
  """
  return {name: jnp.where(is_kept, x, 0).sum() / is_kept.sum()
          for name, x in metrics.items()}


def _counted(skips, is_kept):
  in_a_row = jnp.where(is_kept, 0, skips.in_a_row + 1)
  return Skips(skips.total + ~is_kept, in_a_row,
               jnp.maximum(skips.longest, in_a_row))


def _are_finite(tree):
  return jnp.all(jnp.stack([jnp.array(True), *(
      jnp.isfinite(x).all() for x in jax.tree.leaves(tree))]))


def _choose(is_first, first, second):
  return jax.tree.map(lambda x, y: jnp.where(is_first, x, y), first, second)
