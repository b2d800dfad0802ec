"""An index by locality-sensitive hashing, at the same cost for any N.

The code of a word in a table is made of the signs of its products with random
directions. Rows whose words have the same code share a bucket, which keeps the
rows entered last. A search looks only into the buckets of the query's codes. It
compares the query with the current words of these rows, so an old entry of a
word that has changed since does no harm.

"Similarity estimation techniques from rounding algorithms", Charikar, 2002, as
used in Rae et al., 2016, arXiv 1610.09027, section 3.5. The paper gives none of
the sizes.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import content
from rmc_nalu_sam.memory.index import search


class LSHState(NamedTuple):
  """State of `LSHIndex`: tables and recent rows; all integers.

  Attributes:
    buckets: `[total buckets, bucket_size]` int32, rows; -1 where there is none.
    cursors: `[total buckets]` int32, how many rows were ever entered.
    recent: `[num_recent]` int32, the rows last taken into use; -1 where there
      is none.
  """

  buckets: jax.Array
  cursors: jax.Array
  recent: jax.Array


@dataclasses.dataclass(frozen=True)
class LSHIndex:
  """Finds similar words by hashing; updates and searches cost O(1) in N.

  The tables differ in the number of their bits. Tables with few bits keep the
  rows written last, and find a word even if the query is far from it. Tables
  with many bits have room for all N rows, and find words near the query.

  Of the defaults, only the bits depend on N. The table below is for these
  defaults, W = 32 and 1,000 random words (250 for N = 256). It gives a lower
  bound on the fraction of queries that find the word nearest to them, at a
  given cosine between the two. Exact search finds all. The test
  `pytest tests/test_lsh.py -k near_words` checks the bounds.

  =========  ===========  ===========
  N          cosine 0.9   cosine 0.8
  =========  ===========  ===========
  256        0.97         0.91
  1,024      0.70         0.58
  65,536     0.82         0.62
  1,048,576  0.76         0.52
  =========  ===========  ===========

  See `search.Index` for the methods.

  Attributes:
    num_slots: N.
    word_size: W.
    num_tables: number of hash tables; more tables find more, and cost more.
    min_bits: bits of a code in the first table.
    max_bits: bits of a code in the last table. None takes as many as give each
      of the N rows a place in it.
    bucket_size: rows per bucket.
    num_recent: how many of the rows last taken into use every search looks at.
    seed: seed of the random directions.

  Raises:
    ValueError: a size is not positive, `min_bits` exceeds 24, or `max_bits` is
      not from `min_bits` to 24.
  """

  num_slots: int
  word_size: int
  num_tables: int = 8
  min_bits: int = 4
  max_bits: int | None = None
  bucket_size: int = 16
  num_recent: int = 32
  seed: int = 0

  is_exact: ClassVar[bool] = False

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
    """The bits of a code in each table, `[num_tables]`."""
    room = (-(-self.num_slots // self.bucket_size) - 1).bit_length()
    last = self.max_bits or max(self.min_bits, room)
    return np.linspace(self.min_bits, last, self.num_tables).round().astype(int)

  def initial_state(self) -> LSHState:
    total = int((1 << self.bits).sum())
    return LSHState(jnp.full([total, self.bucket_size], -1, jnp.int32),
                    jnp.zeros([total], jnp.int32),
                    jnp.full([self.num_recent], -1, jnp.int32))

  def update(self, state: LSHState, rows: jax.Array, words: jax.Array,
             fresh: jax.Array) -> LSHState:
    buckets = self._buckets(words)
    is_first = ~jnp.tril(rows[:, None] == rows[None, :], -1).any(1)
    is_there = (state.buckets[buckets] == rows[:, None, None]).any(-1)
    enters = is_first[:, None] & ~is_there
    # Rows that enter the same bucket in one step take turns.
    same = (buckets[:, None] == buckets[None, :]) & enters[None, :]
    turn = jnp.where(np.tri(len(rows), k=-1, dtype=bool)[:, :, None],
                     same, False).sum(1, dtype=jnp.int32)
    entry = state.cursors[buckets] + turn
    # A row that does not enter is sent beyond the end, where it is dropped. So
    # is a row that would be overwritten in this very step, since the order of
    # such writes is not defined.
    buckets = jnp.where(enters, buckets, state.cursors.shape[0])
    stays = turn >= same.sum(1, dtype=jnp.int32) - self.bucket_size
    entered = jnp.broadcast_to(rows[:, None], buckets.shape)
    return LSHState(
        state.buckets.at[jnp.where(stays, buckets, state.cursors.shape[0]),
                         entry % self.bucket_size].set(entered, mode="drop"),
        # Not by `.add(1)`, which XLA would not know to come after the read.
        state.cursors.at[buckets].max(entry + 1, mode="drop"),
        jnp.concatenate([fresh, state.recent])[:self.num_recent])

  def find(self, state: LSHState, memory: jax.Array,
           is_written: search.IsWritten, queries: jax.Array, k: int,
           recent: jax.Array) -> tuple[jax.Array, LSHState]:
    num_heads = queries.shape[0]
    near = state.buckets[self._buckets(queries)].reshape(num_heads, -1)
    # With the first k rows, there are k different ones in any case.
    shared = jnp.concatenate(
        [state.recent, recent, jnp.arange(k, dtype=jnp.int32)])

    def score(candidates, product):
      rows = jnp.maximum(candidates, 0)
      words = memory[rows].astype(jnp.float32)
      squared_norms = jnp.square(words).sum(-1)
      similarity = jnp.einsum(product, queries.astype(jnp.float32), words)
      similarity *= align(
          jax.lax.rsqrt(squared_norms + content.EPSILON), similarity)
      written = (squared_norms > 0) & is_written(rows)
      # Empty slots come last; a candidate of -1 is never found.
      similarity = jnp.where(align(written, similarity), similarity,
                             jnp.finfo(jnp.float32).min)
      return jnp.where(
          align(candidates >= 0, similarity), similarity, -jnp.inf)

    scores = jnp.concatenate(
        [score(near, "hw,hcw->hc"), score(shared, "hw,cw->hc")], axis=1)
    candidates = jnp.concatenate(
        [near, jnp.broadcast_to(shared, (num_heads, *shared.shape))], axis=1)
    found = []
    for _ in range(k):
      best = scores.max(1, keepdims=True)
      row = jnp.where(scores == best, candidates, self.num_slots).min(1)
      found.append(row)
      # The row may be in several tables.
      scores = jnp.where(candidates == row[:, None], -jnp.inf, scores)
    return jnp.stack(found, axis=1), state

  def forget(self, state: LSHState) -> LSHState:
    return state

  def _buckets(self, vectors: jax.Array) -> jax.Array:
    """Returns the buckets of vectors `[..., W]`, `[..., num_tables]`."""
    bits = self.bits
    directions = np.random.default_rng(self.seed).normal(
        size=(self.word_size, bits.sum())).astype(np.float32)
    signs = vectors.astype(jnp.float32) @ directions > 0
    offsets = np.cumsum(1 << bits) - (1 << bits)
    # [bits of all tables, tables]: the value of a bit in its table's code.
    table = np.repeat(np.arange(len(bits)), bits)
    place = np.arange(bits.sum()) - np.repeat(np.cumsum(bits) - bits, bits)
    counts = np.zeros([bits.sum(), len(bits)], np.float32)
    counts[np.arange(bits.sum()), table] = 2.0**place
    codes = signs.astype(jnp.float32) @ counts  # Exact: below 2^24.
    return codes.astype(jnp.int32) + align(offsets.astype(np.int32), codes)
