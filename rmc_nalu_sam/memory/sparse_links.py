"""SDNC's sparse temporal links: the order of writes, in O(1) per step.

DNC's link matrix is `L [N, N]`, with L(i, j) the degree to which slot i was
written right after slot j. Here only its K_L largest entries are kept, in each
line (`N` in the paper) and, for the other direction, in each column (`P`):
supplement D of "Scaling Memory-Augmented Neural Networks with Sparse Reads and
Writes" (Rae et al., 2016, arXiv 1610.09027), equations 19 to 22.

No gradient passes through the links. The truncated links are read by the
transposed equations; see the notes of `cores.sam.SDNC`. All functions are for
one memory and one head. Letters: N slots, L links per slot, J slots written, K
slots read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.store import kept


class SparseWeights(NamedTuple):
  """A few weights over the slots, largest first; all others are 0.

  Attributes:
    rows: `[..., L]` int32, all different; -1 where there is none.
    weights: `[..., L]`, 0 where there is none.
  """

  rows: jax.Array
  weights: jax.Array


class SparseLinks(NamedTuple):
  """Links between slots that were written one after the other.

  Attributes:
    before: `[N, L]` weights; for each slot, the slots written before it (L_t).
    after: `[N, L]` weights; for each slot, the slots written after it (L_t^T).
    precedence: `[L]` weights; the slots written last (p_t).
  """

  before: SparseWeights
  after: SparseWeights
  precedence: SparseWeights


def initial_links(num_slots: int, num_links: int) -> SparseLinks:
  """Returns the links of a memory that was never written."""
  def none(*shape):
    return SparseWeights(jnp.full(shape, -1, jnp.int32), jnp.zeros(shape))

  return SparseLinks(none(num_slots, num_links), none(num_slots, num_links),
                     none(num_links))


def merge(candidates: SparseWeights, count: int) -> SparseWeights:
  """Adds up the weights of equal rows, and keeps the largest sums.

  Args:
    candidates: `[C]` weights; rows may repeat.
    count: how many to keep, at most C.

  Returns:
    `[count]` weights; differentiable in the weights.
  """
  rows, weights = candidates
  same = rows[:, None] == rows[None, :]
  totals = jnp.where(same, weights[None, :], 0).sum(1)
  is_one = ~jnp.tril(same, -1).any(1) & (rows >= 0)
  totals = jnp.where(is_one, totals, 0)
  # XLA's fast top-k on the CPU takes float32 only.
  ranked = jax.lax.stop_gradient(totals).astype(jnp.float32)
  kept = jax.lax.top_k(ranked, count)[1]
  totals = totals[kept]
  return SparseWeights(jnp.where(totals > 0, rows[kept], -1), totals)


def cut(links: SparseLinks, rows: jax.Array) -> SparseLinks:
  """Drops the links of some slots.

  Args:
    links: before the cut.
    rows: `[J]` int32; may repeat; N where there is none.
  """
  def drop(links):
    return links._replace(weights=links.weights.at[rows].set(0, mode="drop"))

  return links._replace(before=drop(links.before), after=drop(links.after))


def update(links: SparseLinks, written: jax.Array,
           weights: jax.Array) -> SparseLinks:
  """Updates the links after a write.

  Args:
    links: before the write.
    written: `[J]` int32, rows; may repeat.
    weights: `[J]`, the weights of the writes; sum to at most 1.

  Returns:
    The new links.
  """
  weights = jax.lax.stop_gradient(weights)
  num_slots, num_links = links.before.rows.shape
  writes = merge(SparseWeights(written, weights), written.shape[0])
  # A row that is not written is sent beyond the end, where scatters drop it.
  rows = jnp.where(writes.weights > 0, writes.rows, num_slots)
  precedence = links.precedence

  # Equation 19, for the slots written; the diagonal stays 0.
  old = jax.tree.map(lambda x: x[writes.rows], links.before)

  def link_back(row, weight, old):
    new = jnp.where(precedence.rows == row, 0, weight * precedence.weights)
    return merge(SparseWeights(
        jnp.concatenate([old.rows, precedence.rows]),
        jnp.concatenate([(1 - weight) * old.weights, new])), num_links)

  back = jax.vmap(link_back)(writes.rows, writes.weights, old)
  before = jax.tree.map(
      lambda x, new: x.at[rows].set(new, mode="drop"), links.before, back)

  # Equation 20, the decay: of entry i in the lines of the slots i follows.
  after = links.after
  followed = jnp.where(old.weights > 0, old.rows, num_slots)
  is_entry = after.rows[jnp.minimum(followed, num_slots - 1)] == (
      writes.rows[:, None, None])
  place = jnp.where(is_entry.any(-1), jnp.argmax(is_entry, -1), num_links)
  decay = jnp.broadcast_to((1 - writes.weights)[:, None], place.shape)
  decayed = after.weights.at[followed, place].multiply(decay, mode="drop")
  after = SparseWeights(after.rows, decayed)
  # Equation 20, the addition to the slots written last.
  old = jax.tree.map(lambda x: x[precedence.rows], after)

  def link_forth(row, weight, old):
    new = jnp.where(writes.rows == row, 0, weight * writes.weights)
    return merge(SparseWeights(
        jnp.concatenate([old.rows, writes.rows]),
        jnp.concatenate([old.weights, new])), num_links)

  forth = jax.vmap(link_forth)(precedence.rows, precedence.weights, old)
  last = jnp.where(precedence.weights > 0, precedence.rows, num_slots)
  after = jax.tree.map(
      lambda x, new: x.at[last].set(new, mode="drop"), after, forth)

  precedence = merge(SparseWeights(
      jnp.concatenate([precedence.rows, writes.rows]),
      jnp.concatenate([(1 - writes.weights.sum()) * precedence.weights,
                       writes.weights])), num_links)
  return SparseLinks(before, after, precedence)


def follow(links: SparseWeights, read: SparseWeights) -> SparseWeights:
  """Moves read weights along the links.

  With `after`, P, this is f = P^T w; with `before`, N, it is b = N^T w. Without
  truncation, these are equations 21 and 22: f = N w and b = P w.

  Args:
    links: `[N, L]` weights: `after` to go on, `before` to go back.
    read: `[K]` weights of the last read; differentiable.

  Returns:
    `[K]` weights, the largest.
  """
  rows, weights = kept(jax.tree.map(lambda x: x[read.rows], links))
  weights = jax.lax.stop_gradient(weights) * read.weights[:, None]
  return merge(SparseWeights(rows.reshape(-1), weights.reshape(-1)),
               read.rows.shape[0])
