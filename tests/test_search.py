"""The two-stage search is exact, and so is what is made of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory import indices, lsh, search

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
  # From none to three scores that are finite, all in the last block.
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


def exact_search(memory, queries, k, is_written=None, **kwargs):
  """With a state as of a memory all of whose rows were written."""
  index = search.ExactIndex(len(memory), **kwargs)
  written = jnp.arange(len(memory), dtype=jnp.int32)
  state = index.update(index.initial_state(), written, memory, written[:1])
  return index.find(state, memory, is_written, queries, k, written[:2])


def scaled_rows(num_slots):
  memory = jax.random.normal(jax.random.key(0), [num_slots, 7])
  return memory * jnp.exp(jax.random.normal(jax.random.key(1), [num_slots, 1]))


@pytest.mark.parametrize("approximate", [False, True])
def test_exact_search_finds_the_largest_cosines(approximate):
  memory = scaled_rows(401)
  queries = jax.random.normal(jax.random.key(2), [2, 7])
  found = exact_search(memory, queries, 3, approximate=approximate)
  m, q = np.float64(memory), np.float64(queries)
  cosines = q @ m.T / np.sqrt((m * m).sum(-1) + search.EPSILON)
  best = np.argsort(-cosines, axis=-1)[:, :3]
  np.testing.assert_array_equal(found, best)  # On the CPU both are exact.
  # By product alone it would be others.
  assert np.any(best != np.argsort(-(q @ m.T), axis=-1)[:, :3])


@pytest.mark.parametrize("approximate", [False, True])
def test_only_the_approximate_search_approximates(approximate):
  search_all = functools.partial(exact_search, k=3, approximate=approximate)
  jaxpr = jax.make_jaxpr(search_all)(scaled_rows(401), jnp.ones([2, 7]))
  assert ("approx_top_k" in str(jaxpr)) == approximate


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
  # 257 does not exist in bfloat16: rounded, the products would be equal.
  memory = jnp.ones([2, 257], jnp.bfloat16).at[0, 0].set(0)
  index = search.ExactIndex(2)
  found = index.find(jnp.ones(2), memory, None, memory[1:], 2, None)
  np.testing.assert_array_equal(found, [[1, 0]])


def test_state_of_the_exact_index_are_the_squared_norms():
  index = search.ExactIndex(11)
  memory = scaled_rows(11)
  written = jnp.array([4, 7, 4], jnp.int32)
  start = index.initial_state()
  np.testing.assert_array_equal(start, np.zeros(11))
  state = index.update(start, written, memory[written], written[:1])
  expected = np.zeros(11)
  expected[[4, 7]] = np.square(memory).sum(-1)[np.array([4, 7])]
  np.testing.assert_allclose(state, expected, rtol=1e-6)
  emptied = index.update(state, written[:1], jnp.zeros([1, 7]), written[:1])
  assert np.flatnonzero(emptied).tolist() == [7]
  half = index.update(start.astype(jnp.bfloat16), written,
                      memory[written].astype(jnp.bfloat16), written[:1])
  assert half.dtype == jnp.bfloat16


# How much of it was found.


def test_compare_with_exact_counts_what_was_found():
  memory = scaled_rows(401)
  queries = jax.random.normal(jax.random.key(2), [2, 7])
  found = np.array(exact_search(memory, queries, 3))

  def recall(rows):
    counts = search.compare_with_exact(
        jnp.asarray(rows), memory, None, queries)
    assert counts.dtype == jnp.int32
    return counts.tolist()

  assert recall(found) == [6, 6]
  assert recall(found[:, ::-1]) == [6, 6]  # In any order.
  others = [row for row in range(401) if row not in found]
  found[0, 1], found[1, 0], found[1, 2] = others[:3]
  assert recall(found) == [3, 6]
  assert recall(np.reshape(others[:6], [2, 3])) == [0, 6]


def test_compare_with_exact_does_not_count_empty_rows():
  query = jnp.array([[1., 2., -1.]])
  memory = jnp.concatenate([0 * query, -query, query, query, 0 * query])
  written = jnp.array([True, True, False, True, True])

  def recall(found, is_written):
    return search.compare_with_exact(
        jnp.array([found]), memory, is_written, query).tolist()

  assert recall([2, 3, 1, 0], None) == [3, 3]
  assert recall([2, 0, 1, 4], None) == [2, 3]
  assert recall([3, 1, 0, 2], lambda rows: written[rows]) == [2, 2]
  assert recall([2, 1, 0, 4], lambda rows: written[rows]) == [1, 2]


# By name.


BY_NAME = {
    "exact": search.ExactIndex(11),
    "approx": search.ExactIndex(11, approximate=True),
    "lsh": lsh.LSHIndex(11, 7),
}


def test_every_index_by_name_is_tested():
  assert set(BY_NAME) == set(indices.INDICES)


@pytest.mark.parametrize("name", BY_NAME)
def test_index_by_name(name):
  assert indices.make_index(name, 11, 7) == BY_NAME[name]


def test_unknown_index():
  with pytest.raises(ValueError, match="unknown index 'lhs'") as error:
    indices.make_index("lhs", 11, 7)
  assert all(name in str(error.value) for name in indices.INDICES)
