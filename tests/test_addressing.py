"""Cosine similarity and content weights."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from rmc_nalu_sam.memory import addressing, search

pytestmark = pytest.mark.usefixtures("strict_promotion")

H, K, W = 3, 5, 7


def draw(seed, dtype=jnp.float32):
  keys = jax.random.split(jax.random.key(seed), 3)
  return (jax.random.normal(keys[0], [H, W], dtype),
          jax.random.normal(keys[1], [H, K, W], dtype),
          1 + jax.random.uniform(keys[2], [H], dtype))


def test_cosine_similarity_equals_numpy():
  queries, rows, _ = draw(0)
  q, r = np.float64(queries)[:, None], np.float64(rows)
  expected = (q * r).sum(-1) / (
      np.linalg.norm(q, axis=-1) * np.linalg.norm(r, axis=-1))
  assert np.ptp(expected) > .5
  np.testing.assert_allclose(
      addressing.cosine_similarity(queries, rows), expected, atol=1e-5)


def test_cosine_similarity_does_not_depend_on_length():
  queries, rows, _ = draw(1)
  np.testing.assert_allclose(
      addressing.cosine_similarity(23 * queries, rows / 19),
      addressing.cosine_similarity(queries, rows), atol=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_cosine_similarity_of_parallel_vectors(sign):
  queries, _, _ = draw(2)
  similarity = addressing.cosine_similarity(queries, sign * queries[:, None])
  np.testing.assert_allclose(similarity, sign, atol=1e-5)


@pytest.mark.parametrize("zero_query", [False, True])
@pytest.mark.parametrize("zero_rows", [False, True])
def test_zero_vectors(zero_query, zero_rows):
  queries, rows, _ = draw(3)
  queries = queries * (0 if zero_query else 1)
  rows = rows * (0 if zero_rows else 1)
  similarity, pull_back = jax.vjp(addressing.cosine_similarity, queries, rows)
  gradients = pull_back(jnp.ones([H, K]))
  assert all(np.isfinite(g).all() for g in gradients)
  if zero_query or zero_rows:
    np.testing.assert_array_equal(similarity, 0)
  # An empty row can still be learnt about, and so can an empty query.
  if zero_query != zero_rows:
    assert any(np.any(g != 0) for g in gradients)


def test_epsilon_is_added_to_each_squared_norm():
  size = np.float32(np.sqrt(search.EPSILON))  # Twice the squared norm.
  one = jnp.array([[size, 0.]])
  similarity = addressing.cosine_similarity(one, one[:, None])
  np.testing.assert_allclose(similarity, .5, rtol=1e-5)


def test_content_weights_are_a_softmax_of_the_similarities():
  queries, rows, strengths = draw(4)
  scores = np.float64(addressing.cosine_similarity(queries, rows))
  expected = np.exp(scores * np.float64(strengths)[:, None])
  expected /= expected.sum(-1, keepdims=True)
  weights = addressing.content_weights(queries, rows, strengths)
  np.testing.assert_allclose(weights, expected, rtol=1e-5)
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
  assert np.ptp(expected) > .1


def test_content_weights_of_strength_zero_are_equal():
  queries, rows, strengths = draw(5)
  weights = addressing.content_weights(queries, rows, 0 * strengths)
  np.testing.assert_allclose(weights, 1 / K, rtol=1e-6)


def test_greater_strength_is_sharper():
  queries, rows, strengths = draw(6)
  best = [addressing.content_weights(queries, rows, s * strengths).max(-1)
          for s in (1, 3, 300)]
  assert np.all(best[0] < best[1])
  assert np.all(best[1] < best[2])
  np.testing.assert_allclose(best[2], 1, atol=1e-2)


def test_huge_strengths_do_not_overflow():
  queries, rows, strengths = draw(7)
  weights = addressing.content_weights(queries, rows, 1e6 * strengths)
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


def test_bfloat16_is_computed_in_float32():
  arguments = draw(8, jnp.bfloat16)
  weights = addressing.content_weights(*arguments)
  assert weights.dtype == jnp.float32
  exact = addressing.content_weights(
      *(x.astype(jnp.float32) for x in arguments))
  np.testing.assert_allclose(weights, exact, rtol=1e-6)


def test_numerical_gradients():
  # A seed whose vectors are not short: float32 is all there is.
  jax.test_util.check_grads(
      addressing.content_weights, draw(9), order=1, modes=["rev"],
      atol=1e-2, rtol=1e-2, eps=1e-2)
