"""The hashed index equals slow Python, and finds most near words."""

import collections
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory.index import lsh, search

pytestmark = pytest.mark.usefixtures("strict_promotion")

N, W, J, H, K = 41, 5, 11, 2, 3
SMALL = lsh.LSHIndex(N, W, num_tables=3, min_bits=2, max_bits=5, bucket_size=3,
                     num_recent=7, num_turned=1)
STEPS = 60


def draw(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape),
                     jnp.float32)


def int32(values):
  return jnp.asarray(values, jnp.int32)


class SlowIndex:
  """Keeps each bucket as a list; callers pass the numbers of the buckets."""

  def __init__(self, index, total):
    # The last one is that of the recent rows.
    self.sizes = [index.bucket_size] * total + [index.num_recent]
    self.entered = [[] for _ in self.sizes]

  def bucket(self, number):
    return self.entered[number][-self.sizes[number]:]

  def update(self, indices, buckets):
    there = [set(self.bucket(b)) for b in range(len(self.sizes))]
    for row, several in zip(indices, buckets, strict=True):
      for b in (*several, -1):
        if row not in there[b]:
          self.entered[b].append(row)
          there[b].add(row)

  def find(self, memory, written, query, buckets, k, recent):
    rows = {*self.bucket(-1), *recent, *range(k)}.union(
        *map(self.bucket, np.ravel(buckets)))
    def key(row):
      norm = np.sqrt(np.square(memory[row]).sum())
      empty = norm == 0 or not written[row]
      return (empty, 0 if empty else -memory[row] @ query / norm, row)
    return sorted(rows, key=key)[:k]


@functools.partial(jax.jit, static_argnums=(0, 6))
def step(index, state, memory, indices, rows, queries, k, written):
  memory = memory.at[indices].set(rows)
  state = index.update(state, indices, rows)
  found, _ = index.find(
      state, memory, lambda i: written[i], queries, k, indices)
  return state, memory, found, index._buckets(rows), index._probes(queries)


def random_step(rng, memory):
  """Draws repeated rows, rows of zeros, and changed and unchanged rows."""
  indices = rng.integers(0, N, J).astype(np.int32)
  indices[rng.integers(J)] = indices[0]
  rows = rng.normal(size=[N, W]) + np.eye(W)[0]  # Some buckets fill up.
  rows = np.where(rng.random([N, 1]) < .3, memory, rows)
  rows = np.where(rng.random([N, 1]) < .1, 0, rows).astype(np.float32)
  queries = rng.normal(size=[H, W]).astype(np.float32)
  return indices, rows[indices], queries, rng.random(N) < .9


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_slow_python(seed):
  rng = np.random.default_rng(seed)
  state, memory = SMALL.initial_state(), jnp.zeros([N, W])
  slow = SlowIndex(SMALL, state.cursors.shape[0])
  counts = collections.Counter()
  for _ in range(STEPS):
    indices, rows, queries, written = random_step(rng, memory)
    state, memory, found, row_buckets, query_buckets = jax.device_get(
        step(SMALL, state, memory, indices, rows, queries, K, written))
    before = [len(entered) for entered in slow.entered]
    slow.update(indices.tolist(), row_buckets)
    grown = np.subtract([len(entered) for entered in slow.entered], before)
    counts["several at once"] += (grown > 1).any()
    counts["more than there is room"] += (
        grown[:-1] > SMALL.bucket_size).any()
    counts["more recent rows than there is room"] += (
        grown[-1] > SMALL.num_recent)
    counts["repeated"] += len(set(indices.tolist())) < J
    buckets = [*state.buckets, *state.recent]
    cursors = [*state.cursors, *state.recent_cursor]
    for b, entered in enumerate(slow.entered):
      # The number of an entry determines its place, which never changes.
      expected = np.full(slow.sizes[b], -1)
      for number, row in enumerate(entered):
        expected[number % slow.sizes[b]] = row
      np.testing.assert_array_equal(buckets[b], expected)
      assert cursors[b] == len(entered)
    exact, _ = search.ExactIndex(N, W).find(
        jnp.square(memory).sum(-1), memory, lambda i, w=written: w[i], queries,
        K, None)
    for h in range(H):
      assert found[h].tolist() == slow.find(
          np.float64(memory), written, np.float64(queries[h]),
          query_buckets[h], K, indices.tolist())
      counts["missed"] += found[h].tolist() != exact[h].tolist()
    counts["stale"] += any(
        row not in row_buckets for row in state.buckets[query_buckets[0, 0, 0]])
  assert min(counts.values()) > 3, counts
  assert len(counts) == 6


# Codes.


def test_a_bucket_of_a_table_for_each_code():
  assert SMALL.bits.tolist() == [2, 3, 5]
  state = SMALL.initial_state()
  assert state.buckets.shape == (4 + 8 + 32, 3)
  assert state.cursors.shape == (4 + 8 + 32,)
  buckets = np.asarray(SMALL._buckets(draw(0, 100_000, W)))
  for table, (start, end) in enumerate([(0, 4), (4, 12), (12, 44)]):
    assert set(buckets[:, table]) == {*range(start, end)}


def test_codes_are_of_the_direction_alone():
  vectors = draw(0, 97, W)
  buckets = np.asarray(SMALL._buckets(vectors))
  np.testing.assert_array_equal(SMALL._buckets(1e-3 * vectors), buckets)
  # The opposite direction differs in all bits.
  ends = np.array([0 + 3, 4 + 11, 12 + 43])
  np.testing.assert_array_equal(SMALL._buckets(-vectors), ends - buckets)


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("cosine", [.9, 0., -.5])
def test_codes_agree_as_often_as_theory_says(bits, cosine):
  """Each bit agrees with probability 1 - angle / pi (Charikar 2002)."""
  index = lsh.LSHIndex(N, W, num_tables=400, min_bits=bits, max_bits=bits,
                       num_turned=0)
  query, other = draw(0, 97, W), draw(1, 97, W)
  query /= jnp.linalg.norm(query, axis=-1, keepdims=True)
  other -= (other * query).sum(-1, keepdims=True) * query
  other /= jnp.linalg.norm(other, axis=-1, keepdims=True)
  near = cosine * query + np.sqrt(1 - cosine**2).astype(np.float32) * other
  agree = np.mean(index._buckets(query) == index._buckets(near))
  np.testing.assert_allclose(
      agree, (1 - np.arccos(cosine) / np.pi)**bits, atol=.01)


@pytest.mark.parametrize("turned", [0, 1, 3])
def test_probes_turn_the_least_certain_signs(turned):
  index = dataclasses.replace(SMALL, min_bits=3, num_turned=turned)
  queries = np.asarray(draw(0, 97, W))
  probes = np.asarray(index._probes(queries)) - index._offsets[:, None]
  products = np.asarray(index._products(queries))
  for table, bits in enumerate(index.bits):
    values = products[:, table, :bits]
    assert np.isfinite(values).all()
    for sizes, found in zip(values, probes[:, table], strict=True):
      least = np.argsort(np.abs(sizes))[:turned]
      code = sum(1 << bit for bit in range(bits) if sizes[bit] > 0)
      expected = [code ^ sum(1 << bit for bit in several)
                  for count in range(turned + 1)
                  for several in itertools.combinations(least, count)]
      assert found[0] == code
      assert sorted(found) == sorted(expected)


def test_other_seeds_are_other_directions():
  buckets = [np.asarray(lsh.LSHIndex(N, W, seed=seed)._buckets(draw(0, 97, W)))
             for seed in (0, 0, 1)]
  np.testing.assert_array_equal(*buckets[:2])
  assert np.mean(buckets[0] == buckets[2]) < .5


@pytest.mark.parametrize("num_slots, first, last", [
    (1, 8, 8), (2048, 8, 8), (2049, 8, 9), (65536, 8, 13), (65537, 8, 14),
    (2**20, 8, 17)])
def test_the_last_table_has_room_for_all_rows(num_slots, first, last):
  index = lsh.LSHIndex(num_slots, W)
  assert index.bits[0] == first
  assert index.bits[-1] == last
  assert np.all(np.diff(index.bits) >= 0)
  assert index.bucket_size << last >= num_slots
  # Most tables have few bits.
  assert np.median(index.bits) <= first + (last - first) / 4 + .5


# What is found.


def enter(index, indices, rows):
  """Returns the state after all rows were written, one row a step."""
  indices = int32(indices)[:, None]

  def update(state, now):
    return index.update(state, *now), None

  return jax.jit(lambda *args: jax.lax.scan(
      update, index.initial_state(), args)[0])(
          indices, jnp.asarray(rows)[:, None])


def all_written(rows):
  """Returns True for all rows, like a store that cannot forget."""
  del rows
  return jnp.array(True)


def find(index, state, memory, queries, k, recent=(0,), is_written=all_written):
  return np.asarray(jax.jit(
      lambda *args: index.find(args[0], args[1], is_written, args[2], k,
                               args[3])[0])(
                                   state, memory, queries, int32(recent)))


@pytest.mark.parametrize("k", [1, 4, N])
def test_there_are_k_different_rows_also_at_the_start(k):
  found = find(SMALL, SMALL.initial_state(), jnp.zeros([N, W]), draw(0, H, W),
               k, recent=[3, 3, 1])
  np.testing.assert_array_equal(found, np.tile(np.arange(k), [H, 1]))


def test_a_row_in_all_tables_is_found_once():
  memory = draw(0, N, W)
  state = enter(SMALL, [7, 7, 7], memory[np.array([7, 7, 7])])
  assert (np.asarray(state.buckets) == 7).sum() == SMALL.num_tables
  assert state.recent.tolist() == [[7] + (SMALL.num_recent - 1) * [-1]]
  found = find(SMALL, state, memory, memory[7:8], 4, recent=[7, 7])
  assert found[0, 0] == 7
  others = set(found[0, 1:].tolist())
  assert others < {0, 1, 2, 3}
  assert len(others) == 3


@pytest.mark.parametrize("is_recent_of_state", [True, False])
def test_recent_rows_are_found_wherever_the_query_is(is_recent_of_state):
  """Recent rows opposite to the query are found; the most similar are taken."""
  index = lsh.LSHIndex(N, W, num_tables=2, min_bits=4, max_bits=5,
                       num_recent=6 if is_recent_of_state else 1, num_turned=0)
  memory = draw(0, N, W) + 9 * np.eye(W, dtype=np.float32)[:1]
  rows = np.arange(10, 19)
  state = enter(index, rows, memory[rows])
  query = -draw(1, 1, W) - 9 * np.eye(W, dtype=np.float32)[:1]
  found = find(index, state, memory.at[:3].set(0), query, 3,
               recent=[0] if is_recent_of_state else rows[-6:])
  m = np.asarray(memory[rows[-6:]])
  cosines = (m @ query[0]) / np.linalg.norm(m, axis=1)
  assert np.all(cosines < 0)
  assert found[0].tolist() == rows[-6:][np.argsort(-cosines)[:3]].tolist()


def test_recent_rows_are_those_written_last():
  """A row enters anew when it is written after it was overwritten."""
  memory = draw(0, N, W)
  rows = [1, 2, 1, 3, 4, 5, 6, 7, 8, 1, 2]
  state = enter(SMALL, rows, memory[np.array(rows)])
  # Row 8 took the place of row 1, row 1 that of row 2, row 2 that of row 3.
  assert state.recent.tolist() == [[8, 1, 2, 4, 5, 6, 7]]


def test_stale_entries_do_no_harm():
  index = dataclasses.replace(SMALL, bucket_size=10)
  memory = draw(0, N, W)
  rows = np.arange(10, 20)
  state = enter(index, rows, memory[rows])
  query = memory[12:13]
  assert find(index, state, memory, query, 1) == [[12]]
  # The word changed, and the index was updated.
  moved = memory.at[12].set(-memory[12])
  state = index.update(state, int32([12]), moved[12:13])
  assert (np.asarray(state.buckets) == 12).sum() == 2 * index.num_tables
  assert find(index, state, moved, query, 1) != [[12]]
  assert find(index, state, moved, -query, 1) == [[12]]


def test_rows_of_zeros_and_forgotten_ones_come_last():
  memory = draw(0, N, W).at[12].set(0).at[:10].set(0)
  rows = np.arange(10, 16)
  state = enter(SMALL, rows, memory[rows])
  written = jnp.ones(N, bool).at[14].set(False)
  query = memory[14:15]
  assert find(SMALL, state, memory, query, 1) == [[14]]
  found = find(SMALL, state, memory, query, 9, rows,
               lambda i: written[i])[0].tolist()
  assert set(found[:4]) == {10, 11, 13, 15}
  assert found[4:] == [0, 1, 2, 3, 4]


def test_finds_what_exact_search_finds_where_buckets_hold_all():
  index = lsh.LSHIndex(N, W, num_tables=30, min_bits=1, max_bits=1,
                       bucket_size=N, num_turned=0)
  memory, queries = draw(0, N, W), draw(1, 97, W)
  state = enter(index, np.arange(N), memory)
  exact, _ = search.ExactIndex(N, W).find(
      jnp.square(memory).sum(-1), memory, all_written, queries, K, None)
  np.testing.assert_array_equal(find(index, state, memory, queries, K), exact)


# Least recall at cosines .9 and .8 to the query. Exact search finds every row.
LEAST_RECALL = {
    256: (.99, .99), 1024: (.99, .98), 65536: (.99, .95), 2**20: (.99, .94)}


@pytest.mark.parametrize("num_slots", LEAST_RECALL)
def test_near_words_are_found(num_slots):
  """The index finds most of 1,000 random rows (fewer in small memories)."""
  word_size, num_rows = 32, min(num_slots // 10 * 10, 1000)
  # Nearly without recent rows, which would be half of all.
  index = lsh.LSHIndex(num_slots, word_size, num_recent=1)
  rows, noise = draw(0, num_rows, word_size), draw(1, num_rows, word_size)
  rows /= jnp.linalg.norm(rows, axis=1, keepdims=True)
  noise -= (noise * rows).sum(1, keepdims=True) * rows
  noise /= jnp.linalg.norm(noise, axis=1, keepdims=True)
  where = np.random.default_rng(2).permutation(num_slots)[:num_rows]
  memory = jnp.zeros([num_slots, word_size]).at[where].set(rows)
  state = enter(index, where, rows)
  for cosine, least in zip((.9, .8), LEAST_RECALL[num_slots], strict=True):
    queries = cosine * rows + np.sqrt(1 - cosine**2).astype(np.float32) * noise
    assert np.all(np.argmax(queries @ rows.T, axis=1) == np.arange(num_rows))
    found = find(index, state, memory, queries, 4)
    recall = np.mean(found[:, 0] == where)
    assert recall > least
    # Found rows are in the right order, and each is found once.
    assert all(len(set(several)) == 4 for several in found.tolist())
    assert np.all((found == where[:, None]).any(1) == (found[:, 0] == where))


def replay(index, record):
  """Returns the rows that an index finds at each step of a record, `[T, K]`."""
  def step(carry, now):
    state, memory = carry
    rows, words, query = now
    memory = memory.at[rows].set(words)
    state = index.update(state, rows, words)
    found, state = index.find(
        state, memory, lambda i: jnp.square(memory[i]).sum(-1) > 0, query[None],
        4, rows)
    return (state, memory), found[0]

  # The rows of the records are below 4,096, whatever N is.
  start = index.initial_state(), jnp.zeros([4096, 32])
  return jax.jit(lambda *xs: jax.lax.scan(step, start, xs)[1])(
      int32(record["written"]), record["words"], record["queries"])


@pytest.mark.parametrize("num_slots", [4096, 65536, 2**20, 2**24])
def test_rows_of_a_trained_memory_are_found(data_root, num_slots):
  """A memory trained on associative recall; its words are near each other."""
  paths = sorted((data_root / "sam_recall").glob("episode_*.npz"))
  if not paths:
    pytest.skip("the data have no sam_recall")
  recall = []
  for path in paths:
    with np.load(path) as record:
      found = np.asarray(replay(lsh.LSHIndex(num_slots, 32), record))
      recall.append((found[:, None, :] == record["found"][:, :, None]).any(-1))
  assert np.mean(recall) > .97


def test_under_vmap():
  memory = draw(0, 3, N, W)
  indices = int32([[1, 5, 5], [7, 7, 9], [40, 2, 0]])
  rows = jnp.take_along_axis(memory, indices[:, :, None], axis=1)
  queries = draw(1, 3, H, W)

  def one(memory, indices, rows, queries):
    state = SMALL.update(SMALL.initial_state(), indices, rows)
    return state, SMALL.find(
        state, memory, all_written, queries, K, indices)[0]

  together = jax.jit(jax.vmap(one))(memory, indices, rows, queries)
  assert all(leaf.dtype == jnp.int32 for leaf in jax.tree.leaves(together))
  for b in range(3):
    jax.tree.map(
        lambda x, y, b=b: np.testing.assert_array_equal(x[b], y), together,
        jax.jit(one)(memory[b], indices[b], rows[b], queries[b]))


# Arguments.


@pytest.mark.parametrize(
    "name", ["num_tables", "min_bits", "bucket_size", "num_recent"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_must_be_positive(name, value):
  with pytest.raises(ValueError, match=f"{name} must be at least 1.*{value}"):
    lsh.LSHIndex(N, W, **{name: value})


@pytest.mark.parametrize("bits, words", [
    (dict(min_bits=5, max_bits=4), "from min_bits=5 to 24, got 4"),
    (dict(max_bits=0), "from min_bits=8 to 24, got 0"),
    (dict(max_bits=25), "from min_bits=8 to 24, got 25"),
    (dict(min_bits=25), "min_bits must be at most 24, got 25"),
    (dict(num_turned=-1), "num_turned must be from 0 to min_bits=8, got -1"),
    (dict(min_bits=2, num_turned=3), "from 0 to min_bits=2, got 3"),
])
def test_bits_must_make_sense(bits, words):
  with pytest.raises(ValueError, match=words):
    lsh.LSHIndex(N, W, **bits)
