"""Sparse temporal links: in which order rows were written, in O(1) a step.

The DNC's link matrix `L [N, N]`, with L(i, j) the degree to which row i was
written right after row j, kept as its K_L largest entries in each row (`N` in
the paper) and, for the other direction, in each column (`P`): supplement D of
"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes" (Rae et
al., 2016, arXiv 1610.09027), equations 19 to 22.

No gradient passes through the links. All is for one memory and one head.
Letters: N slots, L links a row, J rows written, K rows read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from rmc_nalu_sam.memory.history import KEPT


class SparseWeights(NamedTuple):
  """A few weights over the rows, the largest first; the others are 0.

  Attributes:
    rows: `[..., L]` int32, all different; -1 where there is none.
    weights: `[..., L]`, 0 where there is none.
  """

  rows: jax.Array
  weights: jax.Array


class SparseLinks(NamedTuple):
  """Links between rows that were written one after the other.

  Attributes:
    before: `[N, L]` weights, of each row the rows written before it (L_t).
    after: `[N, L]` weights, of each row the rows written after it (L_t^T).
    precedence: `[L]` weights, the rows written last (p_t).
  """

  before: SparseWeights
  after: SparseWeights
  precedence: SparseWeights


def initial_links(num_slots: int, num_links: int) -> SparseLinks:
  """No row was ever written."""
  def none(*shape):
    return SparseWeights(jnp.full(shape, -1, jnp.int32), jnp.zeros(shape))

  return SparseLinks(none(num_slots, num_links), none(num_slots, num_links),
                     none(num_links))


def merge(candidates: SparseWeights, count: int) -> SparseWeights:
  """Adds up the weights of equal rows, and keeps the largest.

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
  # XLA has a fast top-k on the CPU for float32 alone.
  ranked = jax.lax.stop_gradient(totals).astype(jnp.float32)
  kept = jax.lax.top_k(ranked, count)[1]
  totals = totals[kept]
  return SparseWeights(jnp.where(totals > 0, rows[kept], -1), totals)


def cut(links: SparseLinks, rows: jax.Array) -> SparseLinks:
  """Drops the links of some rows.

  Args:
    links: before it.
    rows: `[J]` int32; may repeat; N where there is none.
  """
  def drop(links):
    return links._replace(weights=links.weights.at[rows].set(0, mode="drop"))

  return links._replace(before=drop(links.before), after=drop(links.after))


def update(links: SparseLinks, written: jax.Array,
           weights: jax.Array) -> SparseLinks:
  """The links after a write.

  Args:
    links: before it.
    written: `[J]` int32, rows; may repeat.
    weights: `[J]`, by how much, of sum at most 1.

  Returns:
    The new links.
  """
  weights = jax.lax.stop_gradient(weights)
  num_slots, num_links = links.before.rows.shape
  writes = merge(SparseWeights(written, weights), written.shape[0])
  # Beyond the end, where scatters drop it, what is not written.
  rows = jnp.where(writes.weights > 0, writes.rows, num_slots)
  precedence = links.precedence

  # Equation 19, for the rows written; the diagonal stays 0.
  old = jax.tree.map(lambda x: x[writes.rows], links.before)

  def link_back(row, weight, old):
    new = jnp.where(precedence.rows == row, 0, weight * precedence.weights)
    return merge(SparseWeights(
        jnp.concatenate([old.rows, precedence.rows]),
        jnp.concatenate([(1 - weight) * old.weights, new])), num_links)

  back = jax.vmap(link_back)(writes.rows, writes.weights, old)
  before = jax.tree.map(
      lambda x, new: x.at[rows].set(new, mode="drop"), links.before, back)

  # Equation 20, the decay: of each entry i in the rows that i follows.
  after = links.after
  followed = jnp.where(old.weights > 0, old.rows, num_slots)
  is_entry = after.rows[jnp.minimum(followed, num_slots - 1)] == (
      writes.rows[:, None, None])
  place = jnp.where(is_entry.any(-1), jnp.argmax(is_entry, -1), num_links)
  decay = jnp.broadcast_to((1 - writes.weights)[:, None], place.shape)
  decayed = after.weights.at[followed, place].multiply(decay, mode="drop")
  after = SparseWeights(after.rows, decayed)
  # And what is added to the rows written last.
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
  """Where the links of the rows read lead (equations 21 and 22).

  Args:
    links: `[N, L]` weights: `after` to go on, `before` to go back.
    read: `[K]` weights, of the last read; differentiable.

  Returns:
    `[K]` weights, the largest.
  """
  rows, weights = checkpoint_name(
      jax.tree.map(lambda x: x[read.rows], links), KEPT)
  weights = jax.lax.stop_gradient(weights) * read.weights[:, None]
  return merge(SparseWeights(rows.reshape(-1), weights.reshape(-1)),
               read.rows.shape[0])
