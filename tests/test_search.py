"""The two-stage search is exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory import search

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


def test_exact_search_finds_the_largest_cosines():
  memory = jax.random.normal(jax.random.key(0), [401, 7])
  memory *= jnp.exp(jax.random.normal(jax.random.key(1), [401, 1]))
  queries = jax.random.normal(jax.random.key(2), [2, 7])
  found = search.exact_search(memory, jnp.square(memory).sum(-1), queries, 3)
  m, q = np.float64(memory), np.float64(queries)
  cosines = q @ m.T / np.sqrt((m * m).sum(-1) + search.EPSILON)
  best = np.argsort(-cosines, axis=-1)[:, :3]
  np.testing.assert_array_equal(found, best)
  # By product alone it would be others.
  assert np.any(best != np.argsort(-(q @ m.T), axis=-1)[:, :3])


def test_exact_search_takes_empty_rows_last():
  query = jnp.array([[1., 2., -1.]])
  memory = jnp.concatenate([-query, jnp.zeros([1, 3]), query])
  found = search.exact_search(memory, jnp.square(memory).sum(-1), query, 3)
  np.testing.assert_array_equal(found, [[2, 0, 1]])


def test_exact_search_of_bfloat16_accumulates_in_float32():
  # 257 does not exist in bfloat16: rounded, the products would be equal.
  memory = jnp.ones([2, 257], jnp.bfloat16).at[0, 0].set(0)
  norms = jnp.ones(2)
  found = search.exact_search(memory, norms, memory[1:], 2)
  np.testing.assert_array_equal(found, [[1, 0]])
