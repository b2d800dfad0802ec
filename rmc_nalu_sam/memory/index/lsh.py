"""An index by locality-sensitive hashing, at the same cost for any N.

The code of a word in a table is made of the signs of its products with random
directions. Rows whose words have the same code share a bucket, which keeps the
rows entered last. A search looks only into the buckets of the query's codes,
and of codes that differ from them in the signs that are least certain, and at
the rows written last. It compares the query with the current words of these
rows, so an old entry of a word that has changed since does no harm.

"Similarity estimation techniques from rounding algorithms", Charikar, 2002, as
used in Rae et al., 2016, arXiv 1610.09027, section 3.5. The paper gives none of
the sizes. Several buckets a table: "Multi-probe LSH: efficient indexing for
high-dimensional similarity search", Lv et al., VLDB 2007.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.checks import check_natural, check_positive
from rmc_nalu_sam.memory import content
from rmc_nalu_sam.memory.index import search


class LSHState(NamedTuple):
  """State of `LSHIndex`: tables and recent rows; all integers.

  Attributes:
    buckets: `[total buckets, bucket_size]` int32, rows; -1 where there is none.
    cursors: `[total buckets]` int32, how many rows were ever entered.
    recent: `[1, num_recent]` int32, one more bucket, which all rows enter.
    recent_cursor: `[1]` int32, how many rows ever entered it.
  """

  buckets: jax.Array
  cursors: jax.Array
  recent: jax.Array
  recent_cursor: jax.Array


@dataclasses.dataclass(frozen=True)
class LSHIndex:
  """Finds similar words by hashing; updates and searches cost O(1) in N.

  The tables differ in the number of their bits. Tables with few bits keep the
  rows written last, and find a word even if the query is far from it. Tables
  with many bits have room for all N rows, and find words near the query. Most
  tables have few bits, since most memories hold far fewer words than N.

  The words of a trained memory are not random. On the records of a memory that
  was trained to recall 256 pairs, the defaults find more than 0.97 of exact
  search's four rows, for N from 4,096 to 16M; `pytest tests/test_lsh.py -k
  trained` checks it. RESULTS.md compares other sizes.

  Of the defaults, only the bits depend on N. The table below is for these
  defaults but `num_recent=1`, W = 32 and 1,000 random words (250 for N = 256).
  It gives a lower bound on the fraction of queries that find the word nearest
  to them, at a given cosine between the two. Exact search finds all. The test
  `pytest tests/test_lsh.py -k near_words` checks the bounds.

  =========  ===========  ===========
  N          cosine 0.9   cosine 0.8
  =========  ===========  ===========
  256        0.99         0.99
  1,024      0.99         0.98
  65,536     0.99         0.95
  1,048,576  0.99         0.94
  =========  ===========  ===========

  See `search.Index` for the methods.

  Notes:
    The paper builds its index anew after every N insertions. Here nothing is
    built anew: a new entry overwrites the oldest one of its bucket.

  Attributes:
    num_slots: N.
    word_size: W.
    num_tables: number of hash tables; more tables find more, and cost more.
    min_bits: bits of a code in the first table.
    max_bits: bits of a code in the last table. None takes as many as give each
      of the N rows a place in it.
    bucket_size: rows per bucket.
    num_recent: how many of the rows written last every search looks at. A row
      that is among them keeps its turn when it is written again.
    num_turned: how many signs a search also turns: it looks into
      2^`num_turned` buckets of each table.
    seed: seed of the random directions.

  Example:
    >>> index = rmc_nalu_sam.INDICES.get("lsh")(4096, 32)
    >>> index.is_exact, index.bits.tolist()  # Of its six tables.
    (False, [8, 8, 8, 8, 9, 9])

  Raises:
    ValueError: a size is not positive, `min_bits` exceeds 24, `max_bits` is not
      from `min_bits` to 24, or `num_turned` is not from 0 to `min_bits`.
  """

  num_slots: int
  word_size: int
  num_tables: int = 6
  min_bits: int = 8
  max_bits: int | None = None
  bucket_size: int = 8
  num_recent: int = 512
  num_turned: int = 3
  seed: int = 0

  is_exact: ClassVar[bool] = False

  def __post_init__(self):
    check_positive(num_tables=self.num_tables, min_bits=self.min_bits,
                   bucket_size=self.bucket_size, num_recent=self.num_recent)
    check_natural(seed=self.seed)
    if self.min_bits > 24:
      raise ValueError(f"min_bits must be at most 24, got {self.min_bits}")
    if self.max_bits is not None and not self.min_bits <= self.max_bits <= 24:
      raise ValueError(f"max_bits must be from min_bits={self.min_bits} to 24, "
                       f"got {self.max_bits}")
    if not 0 <= self.num_turned <= self.min_bits:
      raise ValueError(f"num_turned must be from 0 to min_bits={self.min_bits},"
                       f" got {self.num_turned}")

  @property
  def bits(self) -> np.ndarray:
    """The bits of a code in each table, `[num_tables]`."""
    room = (-(-self.num_slots // self.bucket_size) - 1).bit_length()
    last = self.max_bits or max(self.min_bits, room)
    share = np.linspace(0, 1, self.num_tables)**2
    return (self.min_bits + share * (last - self.min_bits)).round().astype(int)

  def initial_state(self) -> LSHState:
    total = int((1 << self.bits).sum())
    return LSHState(jnp.full([total, self.bucket_size], -1, jnp.int32),
                    jnp.zeros([total], jnp.int32),
                    jnp.full([1, self.num_recent], -1, jnp.int32),
                    jnp.zeros([1], jnp.int32))

  def update(self, state: LSHState, rows: jax.Array,
             words: jax.Array) -> LSHState:
    return LSHState(
        *_enter(state.buckets, state.cursors, rows, self._buckets(words)),
        *_enter(state.recent, state.recent_cursor, rows,
                jnp.zeros([len(rows), 1], jnp.int32)))

  def find(self, state: LSHState, memory: jax.Array,
           is_written: search.IsWritten, queries: jax.Array, k: int,
           recent: jax.Array) -> tuple[jax.Array, LSHState]:
    num_heads = queries.shape[0]
    near = state.buckets[self._probes(queries)].reshape(num_heads, -1)
    # With the first k rows, there are k different ones in any case.
    shared = jnp.concatenate(
        [state.recent[0], recent, jnp.arange(k, dtype=jnp.int32)])

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
    codes = self._codes(self._products(vectors))
    return codes + align(self._offsets, codes)

  def _probes(self, queries: jax.Array) -> jax.Array:
    """Returns the buckets to search, `[..., num_tables, 2^num_turned]`.

    The first is the query's own. The others differ from it in some of the signs
    that are least certain, those of the smallest products.
    """
    products = self._products(queries)
    _, turned = jax.lax.top_k(-jnp.abs(products), self.num_turned)
    subsets = np.arange(1 << self.num_turned)[:, None] >> np.arange(
        self.num_turned) & 1
    turned = (1 << turned)[..., None, :]
    changes = (turned * align(subsets.astype(np.int32), turned)).sum(
        -1, dtype=jnp.int32)
    codes = self._codes(products)[..., None] ^ changes
    return codes + align(self._offsets[:, None], codes)

  @property
  def _offsets(self) -> np.ndarray:
    """Number of the first bucket of each table."""
    sizes = 1 << self.bits
    return (np.cumsum(sizes) - sizes).astype(np.int32)

  def _products(self, vectors: jax.Array) -> jax.Array:
    """Returns products with the directions, `[..., num_tables, most bits]`.

    Beyond a table's own bits, they are infinite.
    """
    bits = self.bits
    shape = (self.word_size, len(bits), bits.max())
    directions = np.random.default_rng(self.seed).normal(size=shape)
    directions /= np.linalg.norm(directions, axis=0)
    products = jnp.tensordot(vectors.astype(jnp.float32),
                             directions.astype(np.float32), 1)
    is_own = np.arange(bits.max()) < bits[:, None]
    return jnp.where(align(is_own, products), products, -jnp.inf)

  def _codes(self, products: jax.Array) -> jax.Array:
    """Returns the signs of products as numbers, `[..., num_tables]`."""
    values = (1 << np.arange(products.shape[-1])).astype(np.int32)
    return jnp.where(products > 0, align(values, products), 0).sum(
        -1, dtype=jnp.int32)


def _enter(buckets: jax.Array, cursors: jax.Array, rows: jax.Array,
           places: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Enters rows into the buckets that do not hold them yet.

  Args:
    buckets: `[total buckets, size]`, see `LSHState`.
    cursors: `[total buckets]`.
    rows: `[J]` int32; may repeat.
    places: `[J, tables]` int32, the buckets of each row.

  Returns:
    The new buckets and cursors.
  """
  total, size = buckets.shape
  is_first = ~jnp.tril(rows[:, None] == rows[None, :], -1).any(1)
  is_there = (buckets[places] == rows[:, None, None]).any(-1)
  enters = is_first[:, None] & ~is_there
  # Rows that enter the same bucket in one step take turns.
  same = (places[:, None] == places[None, :]) & enters[None, :]
  turn = jnp.where(np.tri(len(rows), k=-1, dtype=bool)[:, :, None],
                   same, False).sum(1, dtype=jnp.int32)
  entry = cursors[places] + turn
  # A row that does not enter is sent beyond the end, where it is dropped. So
  # is a row that would be overwritten in this very step, since the order of
  # such writes is not defined.
  places = jnp.where(enters, places, total)
  stays = turn >= same.sum(1, dtype=jnp.int32) - size
  entered = jnp.broadcast_to(rows[:, None], places.shape)
  return (
      buckets.at[jnp.where(stays, places, total), entry % size].set(
          entered, mode="drop"),
      # Not by `.add(1)`, which XLA would not know to come after the read.
      cursors.at[places].max(entry + 1, mode="drop"))
