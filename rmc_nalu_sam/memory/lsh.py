"""Nearest rows by locality-sensitive hashing, at the same cost for any N.

A row's code in a table are the signs of its products with random directions;
rows of one code share a bucket, which holds those entered last. A search looks
only at the rows in the buckets of the query's codes, and compares the query
with these rows as they are now, so that an entry of a row that has changed
since does no harm.

"Similarity estimation techniques from rounding algorithms", Charikar, 2002, as
used in Rae et al., 2016, arXiv 1610.09027, section 3.5. The paper gives none of
the sizes.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import search


class LSHState(NamedTuple):
  """Tables and recent rows; all integers.

  Attributes:
    buckets: `[total buckets, bucket_size]` int32, rows; -1 where there is none.
    cursors: `[total buckets]` int32, how many rows were ever entered.
    recent: `[num_recent]` int32, the rows last taken into use; -1 likewise.
  """

  buckets: jax.Array
  cursors: jax.Array
  recent: jax.Array


@dataclasses.dataclass(frozen=True)
class LSHIndex:
  """An index whose updates and searches cost the same for any N.

  The tables differ in the number of their bits: those with few hold the rows
  written last, whatever they are, and find a row even where the query is far
  from it; those with many have room for all N rows, and find what is near.

  Of the defaults, only the bits depend on N. With them and W = 32, of 1,000
  random rows (250 for N = 256) a query finds the one it is nearest to, as exact
  search always does, in at least so many cases, as
  `pytest tests/test_lsh.py -k near_rows` checks:

  =========  ===========  ===========
  N          cosine 0.9   cosine 0.8
  =========  ===========  ===========
  256        0.97         0.91
  1,024      0.70         0.58
  65,536     0.82         0.62
  1,048,576  0.76         0.52
  =========  ===========  ===========

  Attributes:
    num_slots: N.
    word_size: W.
    num_tables: more find more, and cost more.
    min_bits: of the first table.
    max_bits: of the last table; None for as many as give each of the N rows a
      place in it.
    bucket_size: rows in a bucket.
    num_recent: how many of the rows last taken into use are always looked at.
    seed: of the random directions.
  """

  num_slots: int
  word_size: int
  num_tables: int = 8
  min_bits: int = 4
  max_bits: int | None = None
  bucket_size: int = 16
  num_recent: int = 32
  seed: int = 0

  def __post_init__(self):
    check_positive(num_tables=self.num_tables, min_bits=self.min_bits,
                   bucket_size=self.bucket_size, num_recent=self.num_recent)
    if self.min_bits > 24:
      raise ValueError(f"min_bits must be at most 24, got {self.min_bits}")
    if self.max_bits is not None and not self.min_bits <= self.max_bits <= 24:
      raise ValueError(f"max_bits must be from min_bits={self.min_bits} to 24, "
                       f"got {self.max_bits}")

  @property
  def bits(self) -> np.ndarray:
    """Of each table, `[num_tables]`."""
    room = (-(-self.num_slots // self.bucket_size) - 1).bit_length()
    last = self.max_bits or max(self.min_bits, room)
    return np.linspace(self.min_bits, last, self.num_tables).round().astype(int)

  def initial_state(self) -> LSHState:
    """Empty tables; see `search.Index`."""
    total = int((1 << self.bits).sum())
    return LSHState(jnp.full([total, self.bucket_size], -1, jnp.int32),
                    jnp.zeros([total], jnp.int32),
                    jnp.full([self.num_recent], -1, jnp.int32))

  def update(self, state: LSHState, indices: jax.Array, rows: jax.Array,
             fresh: jax.Array) -> LSHState:
    """Enters rows where they are not yet; see `search.Index`."""
    buckets = self._buckets(rows)
    is_first = ~jnp.tril(indices[:, None] == indices[None, :], -1).any(1)
    is_there = (state.buckets[buckets] == indices[:, None, None]).any(-1)
    enters = is_first[:, None] & ~is_there
    # Rows that enter the same bucket in one step take places in turn.
    same = (buckets[:, None] == buckets[None, :]) & enters[None, :]
    turn = jnp.where(np.tri(len(indices), k=-1, dtype=bool)[:, :, None],
                     same, False).sum(1, dtype=jnp.int32)
    entry = state.cursors[buckets] + turn
    # What does not enter is sent beyond the end, and dropped there; so is what
    # would be overwritten in this very step, in an order that nobody knows.
    buckets = jnp.where(enters, buckets, state.cursors.shape[0])
    stays = turn >= same.sum(1, dtype=jnp.int32) - self.bucket_size
    entered = jnp.broadcast_to(indices[:, None], buckets.shape)
    return LSHState(
        state.buckets.at[jnp.where(stays, buckets, state.cursors.shape[0]),
                         entry % self.bucket_size].set(entered, mode="drop"),
        # Not by `.add(1)`, which XLA would not know to come after the read.
        state.cursors.at[buckets].max(entry + 1, mode="drop"),
        jnp.concatenate([fresh, state.recent])[:self.num_recent])

  def find(self, state: LSHState, memory: jax.Array,
           is_written: search.IsWritten, queries: jax.Array, k: int,
           recent: jax.Array) -> jax.Array:
    """Rows for each query; see `search.Index`."""
    num_heads = queries.shape[0]
    near = state.buckets[self._buckets(queries)].reshape(num_heads, -1)
    # The first k rows, so that there are k different ones in any case.
    shared = jnp.concatenate(
        [state.recent, recent, jnp.arange(k, dtype=jnp.int32)])

    def score(candidates, product):
      rows = memory[jnp.maximum(candidates, 0)].astype(jnp.float32)
      squared_norms = jnp.square(rows).sum(-1)
      similarity = jnp.einsum(product, queries.astype(jnp.float32), rows)
      similarity *= jax.lax.rsqrt(squared_norms + search.EPSILON)
      written = squared_norms > 0
      if is_written is not None:
        written &= is_written(jnp.maximum(candidates, 0))
      # Empty rows last, and never what is no row.
      similarity = jnp.where(written, similarity, jnp.finfo(jnp.float32).min)
      return jnp.where(candidates >= 0, similarity, -jnp.inf)

    scores = jnp.concatenate(
        [score(near, "hw,hcw->hc"), score(shared, "hw,cw->hc")], axis=1)
    candidates = jnp.concatenate(
        [near, jnp.broadcast_to(shared, (num_heads, *shared.shape))], axis=1)
    found = []
    for _ in range(k):
      best = scores.max(1, keepdims=True)
      row = jnp.where(scores == best, candidates, self.num_slots).min(1)
      found.append(row)
      # It may be in several tables.
      scores = jnp.where(candidates == row[:, None], -jnp.inf, scores)
    return jnp.stack(found, axis=1)

  def _buckets(self, vectors: jax.Array) -> jax.Array:
    """The bucket of each vector `[..., W]` in each table, `[..., tables]`."""
    bits = self.bits
    directions = np.random.default_rng(self.seed).normal(
        size=(self.word_size, bits.sum())).astype(np.float32)
    signs = vectors.astype(jnp.float32) @ directions > 0
    offsets = np.cumsum(1 << bits) - (1 << bits)
    # [bits of all tables, tables]: what a bit counts for.
    table = np.repeat(np.arange(len(bits)), bits)
    place = np.arange(bits.sum()) - np.repeat(np.cumsum(bits) - bits, bits)
    counts = np.zeros([bits.sum(), len(bits)], np.float32)
    counts[np.arange(bits.sum()), table] = 2.0**place
    codes = signs.astype(jnp.float32) @ counts  # Exact: below 2^24.
    return codes.astype(jnp.int32) + offsets.astype(np.int32)
