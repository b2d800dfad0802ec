"""The two-stage search and the searches built on it are exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory import content
from rmc_nalu_sam.memory.index import indices, lsh, recall, search

pytestmark = pytest.mark.usefixtures("strict_promotion")

BLOCK = 5
# With blocks of 5 and k = 3, two stages start above 30 scores.
SIZES = (3, 30, 31, 35, 97)


@functools.partial(jax.jit, static_argnums=(1, 2))
def both(scores, k, block_size):
  return (search.top_k_indices(scores, k, block_size),
          jax.lax.top_k(scores, k)[1])


def assert_same_as_top_k(scores, k, block_size=BLOCK):
  found, expected = both(scores, k, block_size)
  np.testing.assert_array_equal(found, expected)
  assert found.dtype == jnp.int32
  return found


def test_sizes_are_on_both_sides_of_the_threshold_and_of_the_blocks():
  above = [n for n in SIZES if n > 2 * 3 * BLOCK]
  assert 0 < len(above) < len(SIZES)
  assert {n % BLOCK == 0 for n in above} == {True, False}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("k", [1, 3])
def test_random_scores(size, k):
  scores = jax.random.normal(jax.random.key(size), [2, 7, size])
  assert_same_as_top_k(scores, k)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
def test_ties_go_to_the_lowest_index(size, dtype):
  scores = np.random.default_rng(size).integers(-1, 3, [67, size])
  assert_same_as_top_k(jnp.asarray(scores, dtype), 3)


@pytest.mark.parametrize("size", SIZES)
def test_all_equal(size):
  found = assert_same_as_top_k(jnp.zeros([2, size]), 3)
  np.testing.assert_array_equal(found, [[0, 1, 2], [0, 1, 2]])


@pytest.mark.parametrize("size", SIZES)
def test_minus_infinity_is_not_mistaken_for_padding(size):
  # Zero to three scores are finite, all in the last block.
  scores = np.full([4, size], -np.inf, np.float32)
  for finite in range(4):
    scores[finite, size - finite:] = 1
  found = assert_same_as_top_k(jnp.asarray(scores), 3)
  assert np.all(found < size)
  assert all(len(set(row.tolist())) == 3 for row in found)


@pytest.mark.parametrize("lowest", [-(2**24) + 1, -1])
def test_integers(lowest):
  scores = jax.random.randint(jax.random.key(0), [97], lowest, lowest + 13)
  assert_same_as_top_k(scores, 3)


def test_default_block_size():
  scores = jax.random.normal(jax.random.key(0), [2, 1031])
  assert 1031 > 2 * 3 * 64
  np.testing.assert_array_equal(
      search.top_k_indices(scores, 3), jax.lax.top_k(scores, 3)[1])


def test_under_vmap_and_jit():
  scores = jax.random.normal(jax.random.key(0), [2, 7, 97])
  found = jax.jit(jax.vmap(
      lambda s: search.top_k_indices(s, 3, BLOCK)))(scores)
  np.testing.assert_array_equal(found, jax.lax.top_k(scores, 3)[1])


@pytest.mark.parametrize("k", [-1, 0, 12])
def test_bad_k_is_refused(k):
  with pytest.raises(ValueError, match=rf"1 <= k <= 11 .*k={k}"):
    search.top_k_indices(jnp.zeros([2, 11]), k)


def all_written(rows):
  """Returns True, as a store that cannot forget."""
  del rows
  return jnp.array(True)


INDEX_CLASSES = [search.ExactIndex, search.ApproximateIndex]


def exact_search(memory, queries, k, is_written=all_written,
                 index_class=search.ExactIndex):
  """Searches a memory after writes to all of its slots."""
  index = index_class(*memory.shape)
  written = jnp.arange(len(memory), dtype=jnp.int32)
  state = index.update(index.initial_state(), written, memory)
  found, after = index.find(state, memory, is_written, queries, k, written[:2])
  assert after is state
  return found


def scaled_words(num_slots):
  memory = jax.random.normal(jax.random.key(0), [num_slots, 7])
  return memory * jnp.exp(jax.random.normal(jax.random.key(1), [num_slots, 1]))


@pytest.mark.parametrize("index_class", INDEX_CLASSES)
def test_exact_search_finds_the_largest_cosines(index_class):
  memory = scaled_words(401)
  queries = jax.random.normal(jax.random.key(2), [2, 7])
  found = exact_search(memory, queries, 3, index_class=index_class)
  m, q = np.float64(memory), np.float64(queries)
  cosines = q @ m.T / np.sqrt((m * m).sum(-1) + content.EPSILON)
  best = np.argsort(-cosines, axis=-1)[:, :3]
  np.testing.assert_array_equal(found, best)  # On the CPU both are exact.
  # The largest products belong to other rows.
  assert np.any(best != np.argsort(-(q @ m.T), axis=-1)[:, :3])


@pytest.mark.parametrize("index_class", INDEX_CLASSES)
def test_only_the_approximate_search_approximates(index_class):
  search_all = functools.partial(exact_search, k=3, index_class=index_class)
  jaxpr = jax.make_jaxpr(search_all)(scaled_words(401), jnp.ones([2, 7]))
  assert ("approx_top_k" in str(jaxpr)) == (
      index_class is search.ApproximateIndex)


def test_exact_search_takes_empty_rows_last():
  query = jnp.array([[1., 2., -1.]])
  memory = jnp.concatenate([-query, jnp.zeros([1, 3]), query])
  np.testing.assert_array_equal(exact_search(memory, query, 3), [[2, 0, 1]])


def test_exact_search_takes_rows_that_were_not_written_for_empty_ones():
  query = jnp.array([[1., 2., -1.]])
  memory = jnp.concatenate([-query, 2 * query, query, 3 * query])
  written = jnp.array([True, False, True, False])
  found = exact_search(memory, query, 4, lambda rows: written[rows])
  np.testing.assert_array_equal(found, [[2, 0, 1, 3]])


def test_exact_search_of_bfloat16_accumulates_in_float32():
  # bfloat16 cannot represent 257. Rounded, the two products would be equal.
  memory = jnp.ones([2, 257], jnp.bfloat16).at[0, 0].set(0)
  index = search.ExactIndex(2, 257)
  found, _ = index.find(jnp.ones(2), memory, all_written, memory[1:], 2, None)
  np.testing.assert_array_equal(found, [[1, 0]])


def test_state_of_the_exact_index_are_the_squared_norms():
  index = search.ExactIndex(11, 7)
  memory = scaled_words(11)
  written = jnp.array([4, 7, 4], jnp.int32)
  start = index.initial_state()
  np.testing.assert_array_equal(start, np.zeros(11))
  state = index.update(start, written, memory[written])
  expected = np.zeros(11)
  expected[[4, 7]] = np.square(memory).sum(-1)[np.array([4, 7])]
  np.testing.assert_allclose(state, expected, rtol=1e-6)
  emptied = index.update(state, written[:1], jnp.zeros([1, 7]))
  assert np.flatnonzero(emptied).tolist() == [7]
  half = index.update(start.astype(jnp.bfloat16), written,
                      memory[written].astype(jnp.bfloat16))
  assert half.dtype == jnp.bfloat16


# Recall.


def test_compare_with_exact_counts_what_was_found():
  memory = scaled_words(401)
  queries = jax.random.normal(jax.random.key(2), [2, 7])
  found = np.array(exact_search(memory, queries, 3))

  def counts_of(rows):
    counts = recall.compare_with_exact(
        jnp.asarray(rows), memory, all_written, queries)
    assert counts.dtype == jnp.int32
    return counts.tolist()

  assert counts_of(found) == [6, 6]
  assert counts_of(found[:, ::-1]) == [6, 6]  # In any order.
  others = [row for row in range(401) if row not in found]
  found[0, 1], found[1, 0], found[1, 2] = others[:3]
  assert counts_of(found) == [3, 6]
  assert counts_of(np.reshape(others[:6], [2, 3])) == [0, 6]


def test_compare_with_exact_does_not_count_empty_rows():
  query = jnp.array([[1., 2., -1.]])
  memory = jnp.concatenate([0 * query, -query, query, query, 0 * query])
  written = jnp.array([True, True, False, True, True])

  def counts_of(found, is_written):
    return recall.compare_with_exact(
        jnp.array([found]), memory, is_written, query).tolist()

  assert counts_of([2, 3, 1, 0], all_written) == [3, 3]
  assert counts_of([2, 0, 1, 4], all_written) == [2, 3]
  assert counts_of([3, 1, 0, 2], lambda rows: written[rows]) == [2, 2]
  assert counts_of([2, 1, 0, 4], lambda rows: written[rows]) == [1, 2]


def test_a_measured_index_counts_and_forgets():
  memory, queries = scaled_words(401), jnp.ones([2, 7])
  inner = lsh.LSHIndex(401, 7)
  index = recall.MeasuredIndex(inner)
  state = index.initial_state()
  rows = jnp.arange(200, dtype=jnp.int32)
  state = index.update(state, rows, memory[rows])
  find, inner_find = (jax.jit(each.find, static_argnums=(2, 4))
                      for each in (index, inner))
  found, state = find(state, memory, all_written, queries, 3, rows[:2])
  expected, _ = inner_find(
      state.index, memory, all_written, queries, 3, rows[:2])
  np.testing.assert_array_equal(found, expected)
  counts = recall.compare_with_exact(found, memory, all_written, queries)
  assert counts[1] == 6
  np.testing.assert_array_equal(state.counts, counts)
  _, state = find(state, memory, all_written, queries, 3, rows[:2])
  np.testing.assert_array_equal(state.counts, 2 * counts)
  forgotten = index.forget(state)
  assert forgotten.index is state.index
  np.testing.assert_array_equal(forgotten.counts, [0, 0])


# By name.


@pytest.mark.parametrize("name", indices.INDICES)
def test_index_by_name(name):
  index = indices.make_index(name, 11, 7)
  assert type(index) is indices.INDICES.get(name)
  assert (index.num_slots, index.word_size) == (11, 7)
  assert not {"num_slots", "word_size"} & set(indices.INDICES.arguments(name))
  measured = indices.make_index(name, 11, 7, measure_recall=True)
  assert measured == recall.MeasuredIndex(index)


def test_arguments_of_an_index():
  assert indices.make_index(
      "lsh", 11, 7, dict(num_tables=3)) == lsh.LSHIndex(11, 7, num_tables=3)
  assert set(indices.INDICES.arguments("lsh")) == {
      "num_tables", "min_bits", "max_bits", "bucket_size", "num_recent",
      "num_turned", "seed"}
  with pytest.raises(ValueError, match="'lsh' has no argument 'num_table'"):
    indices.make_index("lsh", 11, 7, dict(num_table=3))
  made = lsh.LSHIndex(11, 7)
  assert indices.make_index(made, 11, 7) is made
  with pytest.raises(ValueError, match="need the name of an index"):
    indices.make_index(made, 11, 7, dict(num_tables=3))


def test_an_index_by_its_path():
  path = "rmc_nalu_sam.memory.index.lsh:LSHIndex"
  assert indices.make_index(path, 11, 7) == lsh.LSHIndex(11, 7)


def test_unknown_index():
  with pytest.raises(ValueError, match="unknown index 'lhs'") as error:
    indices.make_index("lhs", 11, 7)
  assert all(name in str(error.value) for name in indices.INDICES)
