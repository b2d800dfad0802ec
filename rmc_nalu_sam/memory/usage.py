"""The least recently accessed slots (equation 6, usage U^(2)), in O(1).

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes" (Rae et
al., 2016, arXiv 1610.09027), supplement A.3: a circular, doubly linked list of
all rows in the order of their last access. Rows that are accessed are unlinked
and pushed to the end of the list. So its first row is always the least recently
accessed one. No function here costs more with more slots.

The notes of `cores.sam.SAM` say where this differs from the paper.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Usage(NamedTuple):
  """The ring of N rows. Entry N is not a row: it joins the last to the first.

  Attributes:
    after: `[N + 1]` int32, the next row in the order of last access;
      `after[N]` is the least recently accessed one.
    before: `[N + 1]` int32, the previous row in this order; `before[N]` is the
      most recently accessed one.
  """

  after: jax.Array
  before: jax.Array


def initial_usage(num_slots: int) -> Usage:
  """Returns the ring of slots that were never accessed, in ascending order."""
  rows = jnp.arange(num_slots + 1, dtype=jnp.int32)
  return Usage(jnp.roll(rows, -1), jnp.roll(rows, 1))


def least_recently_accessed(usage: Usage, count: int) -> jax.Array:
  """Returns the `count` rows whose last access is oldest, oldest first.

  Among rows last accessed in the same step, and among rows never accessed, the
  lowest comes first.

  Args:
    usage: of N slots.
    count: how many, at most N.

  Returns:
    `[count]` int32, all different.
  """
  # XLA would read these entries again wherever it needs the rows, even after
  # they were written, and would copy the whole array for that. It does not if
  # there are at least two, behind one barrier.
  found, row = [], jnp.int32(usage.after.shape[0] - 1)
  for _ in range(max(count, 2)):
    row = usage.after[row]
    found.append(row)
  return jax.lax.optimization_barrier(jnp.stack(found))[:count]


def touch(usage: Usage, rows: jax.Array, weights: jax.Array,
          delta: float) -> Usage:
  """Makes rows accessed with more than `delta` the most recent ones.

  Args:
    usage: before the step.
    rows: `[J]` int32; may repeat.
    weights: `[J]`; those of the same row are added up.
    delta: a row accessed with this weight or less does not become recent.

  Returns:
    The usage after the step.
  """
  end = usage.after.shape[0] - 1
  # J is small: comparing all pairs costs less than an array over rows.
  same = rows[:, None] == rows[None, :]
  first = ~jnp.tril(same, -1).any(1)
  moved = first & (jnp.where(same, weights[None, :], 0).sum(1) > delta)

  # Unlink. Neighbors may move, too: look past whole runs of such rows. The
  # entries are read together: XLA would read a single entry wherever it needs
  # it, even after the write, and would copy the whole array for that.
  before = usage.before[jnp.append(rows, end)]
  before, last = before[:-1], before[-1]
  after = usage.after[rows]
  before = before[_end_of_run(before, rows, moved)]
  after = after[_end_of_run(after, rows, moved)]
  tail = jnp.where(moved & (rows == last), before, -1).max(initial=-1)
  tail = jnp.where(tail < 0, last, tail)

  # Push to the end, in ascending order.
  targets = jnp.where(moved, rows, -1)
  lowest = jnp.where(moved, rows, end).min()
  pushed_before = jnp.where(
      targets[None, :] < rows[:, None], targets[None, :], -1).max(1)
  pushed_before = jnp.where(pushed_before < 0, tail, pushed_before)
  pushed_after = jnp.where(
      targets[None, :] > rows[:, None], targets[None, :], end).min(1)

  # One write for each array; where two entries coincide, they agree. An entry
  # that does not change is sent beyond the end, where it is dropped.
  def where_moved(x):
    return jnp.where(moved, x, end + 1)

  any_moved = jnp.any(moved)
  new_after = usage.after.at[jnp.concatenate([
      where_moved(before), where_moved(rows),
      jnp.where(any_moved, tail, end + 1)[None]])].set(
          jnp.concatenate([jnp.where(after == end, lowest, after),
                           pushed_after, lowest[None]]), mode="drop")
  new_before = usage.before.at[jnp.concatenate([
      where_moved(jnp.where(after == end, end + 1, after)),
      where_moved(rows), jnp.where(any_moved, end, end + 1)[None]])].set(
          jnp.concatenate([before, pushed_before, targets.max()[None]]),
          mode="drop")
  return Usage(new_after, new_before)


def _end_of_run(neighbors: jax.Array, rows: jax.Array,
                moved: jax.Array) -> jax.Array:
  """Finds, for each row, the end of its chain of neighbors that move.

  Args:
    neighbors: `[J]`, the neighbor of each row.
    rows: `[J]`.
    moved: `[J]` bool, false for all but one of equal rows.

  Returns:
    `[J]` int32, positions in `rows`.
  """
  count = rows.shape[0]
  position = jnp.arange(count, dtype=jnp.int32)
  is_moved = moved[None, :] & (neighbors[:, None] == rows[None, :])
  jump = jnp.where(is_moved, position[None, :], -1).max(1)
  jump = jnp.where(jump < 0, position, jump)
  # A row whose neighbor stays points at itself; each round doubles the reach.
  for _ in range((count - 1).bit_length()):
    jump = jump[jump]
  return jump
