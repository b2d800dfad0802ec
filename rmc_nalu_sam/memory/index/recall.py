"""An index that measures how much of exact search another index finds."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.index.search import ExactIndex, Index, IsWritten


class MeasuredState(NamedTuple):
  """State of a `MeasuredIndex`.

  Attributes:
    index: state of the index that is measured.
    counts: `[2]` int32, since the start: how many of the rows that exact search
      finds were found, and how many exact search finds.
  """

  index: Any
  counts: jax.Array


@dataclasses.dataclass(frozen=True)
class MeasuredIndex:
  """Wraps an index, and counts how many rows of exact search it finds.

  Runs an exact search beside each search of the index. See `Index` for the
  methods.

  Attributes:
    index: the index to measure.
  """

  index: Index

  is_exact: ClassVar[bool] = False

  def initial_state(self) -> MeasuredState:
    return MeasuredState(self.index.initial_state(), jnp.zeros([2], jnp.int32))

  def update(self, state: MeasuredState, rows: jax.Array,
             words: jax.Array) -> MeasuredState:
    return state._replace(index=self.index.update(state.index, rows, words))

  def find(self, state: MeasuredState, memory: jax.Array, is_written: IsWritten,
           queries: jax.Array, k: int,
           recent: jax.Array) -> tuple[jax.Array, MeasuredState]:
    rows, index = self.index.find(
        state.index, memory, is_written, queries, k, recent)
    counts = compare_with_exact(rows, memory, is_written, queries)
    return rows, MeasuredState(index, state.counts + counts)

  def forget(self, state: MeasuredState) -> MeasuredState:
    """Returns the state of the index after it forgot, and counts of 0."""
    return MeasuredState(
        self.index.forget(state.index), jnp.zeros_like(state.counts))


def compare_with_exact(rows: jax.Array, memory: jax.Array,
                       is_written: IsWritten, queries: jax.Array) -> jax.Array:
  """Counts how many rows of exact search were found; without empty slots.

  Args:
    rows: `[H, K]` int32, those found, all different for one query.
    memory: `[N, W]`.
    is_written: see `Index.find`.
    queries: `[H, W]`.

  Returns:
    `[2]` int32: how many were found, and how many exact search finds.
  """
  squared_norms = jnp.square(memory.astype(jnp.float32)).sum(-1)
  wanted, _ = ExactIndex(*memory.shape).find(
      squared_norms, memory, is_written, queries, rows.shape[1], rows)
  exists = (squared_norms[wanted] > 0) & is_written(wanted)
  hit = (wanted[:, :, None] == rows[:, None, :]).any(-1)
  return jnp.stack([(hit & exists).sum(), exists.sum()]).astype(jnp.int32)
