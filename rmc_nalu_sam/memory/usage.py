"""Which rows were accessed least recently (equation 6, usage U^(2)).

The paper's usage of a row is the number of steps since its last access with a
weight above delta. Keeping the step of the last access instead says the same,
and only the accessed rows change.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.search import top_k_indices


class Usage(NamedTuple):
  """When each row was last accessed.

  Attributes:
    last_access: `[N]` int32, the step of the last access, 0 for never.
    step: `[]` int32, the number of steps so far.
  """

  last_access: jax.Array
  step: jax.Array


def initial_usage(num_slots: int) -> Usage:
  """No row was ever accessed."""
  return Usage(jnp.zeros(num_slots, jnp.int32), jnp.zeros((), jnp.int32))


def least_recently_accessed(usage: Usage, count: int) -> jax.Array:
  """The `count` rows whose last access is oldest, oldest first.

  Ties go to the lowest index. One pass over `last_access`; no array of N
  elements is written.

  Args:
    usage: of N rows, after fewer than 2^24 steps.
    count: how many, at most N.

  Returns:
    `[count]` int32, all different.
  """
  return top_k_indices(usage.last_access, count, smallest=True)


def touch(usage: Usage, indices: jax.Array, weights: jax.Array,
          delta: float) -> Usage:
  """One step further: rows accessed with more than `delta` become recent.

  Args:
    usage: before the step.
    indices: `[J]` int32; may repeat.
    weights: `[J]`; those of the same row are added up.
    delta: a row accessed by this much or less does not become recent.

  Returns:
    The usage after the step.
  """
  step = usage.step + 1
  # J is small: comparing all pairs costs less than a sum for each row.
  same_row = indices[:, None] == indices[None, :]
  totals = jnp.where(same_row, weights[None, :], 0).sum(1)
  when = jnp.where(totals > delta, step, 0)
  return Usage(usage.last_access.at[indices].max(when), step)
