"""Cosine similarity, three content weights, and memory kept by dense cores."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_dnc
from core_helpers import draw, network, with_pull_back
from reference_layers import cosine

from rmc_nalu_sam import CORES
from rmc_nalu_sam.memory import content

H, N, W = 3, 5, 7


def sparse(queries, words, strengths):
  """Computes sparse weights, with the same words for all heads."""
  words = jnp.broadcast_to(words, (queries.shape[0], *words.shape))
  return content.sparse_content_weights(queries, words, strengths)


FORMULAS = {"sparse": sparse, "dense": content.content_weights,
            "masked": content.masked_content_weights}
every_formula = pytest.mark.parametrize("formula", FORMULAS.values(),
                                        ids=FORMULAS)


def arguments(seed=0, dtype=float):
  """Draws queries, words, strengths and masks."""
  rng = np.random.default_rng(seed)
  return [jnp.asarray(x, dtype) for x in (
      rng.normal(size=[H, W]), rng.normal(size=[N, W]),
      rng.uniform(1, 5, size=H), rng.uniform(size=[H, W]))]


# Cosine similarity.


def test_cosine_similarity_equals_numpy(strict_promotion):
  queries, words = draw(0, H, W), draw(1, H, N, W)
  q, w = np.float64(queries)[:, None], np.float64(words)
  expected = (q * w).sum(-1) / (
      np.linalg.norm(q, axis=-1) * np.linalg.norm(w, axis=-1))
  assert np.ptp(expected) > .5
  found = content.cosine_similarity(queries, words)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  # The lengths of the vectors do not matter.
  np.testing.assert_allclose(
      content.cosine_similarity(23 * queries, words / 19), found, atol=1e-3)
  for sign in (1, -1):
    np.testing.assert_allclose(content.cosine_similarity(
        queries, sign * queries[:, None]), sign, atol=1e-5)


@pytest.mark.parametrize("zero_query", [False, True])
@pytest.mark.parametrize("zero_words", [False, True])
def test_cosine_similarity_of_zero_vectors(zero_query, zero_words):
  queries = draw(3, H, W) * (0 if zero_query else 1)
  words = draw(4, H, N, W) * (0 if zero_words else 1)
  similarity, pull_back = jax.vjp(content.cosine_similarity, queries, words)
  gradients = pull_back(jnp.ones([H, N]))
  assert all(np.isfinite(g).all() for g in gradients)
  if zero_query or zero_words:
    np.testing.assert_array_equal(similarity, 0)
  # A gradient reaches an empty slot, and also an empty query.
  if zero_query != zero_words:
    assert any(np.any(g != 0) for g in gradients)


def test_epsilon_is_added_to_each_squared_norm():
  # The squared norm equals epsilon, so epsilon doubles the squared norm.
  size = np.float32(np.sqrt(content.EPSILON))
  one = jnp.array([[size, 0.]])
  similarity = content.cosine_similarity(one, one[:, None])
  np.testing.assert_allclose(similarity, .5, rtol=1e-5)


# Properties of all formulas.


@every_formula
def test_weights_are_a_softmax_of_cosines(x64, formula):
  queries, words, strengths, _ = arguments()
  words = words.at[3].set(0)
  expected = np.array([[s * cosine(q, w) for w in np.asarray(words)]
                       for q, s in zip(np.asarray(queries), strengths,
                                       strict=True)])
  expected = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
  assert np.ptp(expected) > .1
  # DNC's formula has one more epsilon.
  np.testing.assert_allclose(
      formula(queries, words, strengths), expected,
      rtol=1e-5 if formula is content.masked_content_weights else 1e-9)


@every_formula
def test_greater_strengths_are_sharper_and_do_not_overflow(formula):
  queries, words, strengths, _ = arguments(6)
  weights = [formula(queries, words, s * strengths) for s in (0, 1, 3, 300)]
  np.testing.assert_allclose(weights[0], 1 / N, rtol=1e-6)
  best = [w.max(-1) for w in weights]
  assert np.all(np.diff(best, axis=0) > 0)
  np.testing.assert_allclose(best[-1], 1, atol=1e-2)
  huge = formula(1e4 * words[:H], 1e4 * words, jnp.full([H], 1e6))
  np.testing.assert_allclose(huge, np.eye(N)[:H], atol=1e-6)


@every_formula
@pytest.mark.parametrize("zero", range(3))
def test_gradients_at_zero_are_finite(formula, zero):
  values = arguments(4)[:3]
  values[zero] *= 0
  weights, gradients = with_pull_back(formula)(np.eye(H, N, dtype=np.float32),
                                               *values)
  np.testing.assert_allclose(weights, 1 / N, rtol=1e-6)
  assert all(np.isfinite(g).all() for g in gradients)
  assert np.any(gradients[zero])


@every_formula
def test_bfloat16_is_computed_in_float32(formula, strict_promotion):
  rounded = arguments(8, jnp.bfloat16)[:3]
  weights = formula(*rounded)
  assert weights.dtype == jnp.float32
  exact = formula(*(x.astype(jnp.float32) for x in rounded))
  np.testing.assert_allclose(weights, exact, rtol=1e-6)


@every_formula
def test_numerical_gradients(x64, formula):
  jax.test_util.check_grads(
      formula, arguments(9)[:3], order=1, modes=["rev"])


# Masks.


@pytest.mark.parametrize("masked", [False, True])
def test_masked_weights_equal_the_loop(x64, masked):
  queries, words, strengths, masks = arguments()
  found = content.masked_content_weights(
      queries, words, strengths, masks if masked else None)
  for h in range(H):
    expected = reference_dnc.lookup(
        np.asarray(words), np.asarray(queries[h]), strengths[h],
        np.asarray(masks[h]) if masked else 1)
    np.testing.assert_allclose(found[h], expected, rtol=1e-12)
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-12)
  assert np.ptp(found) > .1


def test_a_mask_of_ones_is_none(x64):
  queries, words, strengths, masks = arguments(1)
  np.testing.assert_allclose(
      content.masked_content_weights(
          queries, words, strengths, jnp.ones_like(masks)),
      content.masked_content_weights(queries, words, strengths), rtol=1e-12)


def test_what_is_masked_does_not_matter():
  """A query that equals the unmasked half of a word finds this word."""
  words = arguments(2)[1]
  known = jnp.arange(W) < W // 2
  queries = jnp.where(known, words[:H], 100.)
  masks = jnp.broadcast_to(known.astype(float), [H, W])
  strengths = jnp.full(H, 100.)
  found = content.masked_content_weights(queries, words, strengths, masks)
  assert found.argmax(-1).tolist() == [0, 1, 2]
  assert np.all(found.max(-1) > .9)
  without = content.masked_content_weights(queries, words, strengths)
  assert len(set(without.argmax(-1).tolist())) == 1


def test_gradients_of_masks(x64):
  values = arguments(3)
  jax.test_util.check_grads(
      content.masked_content_weights, values, order=1, modes=["rev"])
  values[3] *= 0
  weights, pull_back = jax.vjp(content.masked_content_weights, *values)
  np.testing.assert_allclose(weights, 1 / N, rtol=1e-6)
  assert all(np.isfinite(g).all() for g in pull_back(jnp.eye(H, N)))


def test_masked_weights_equal_the_public_implementation(x64, golden_root):
  golden = np.load(golden_root / "deepmind_dnc_addressing.npz")
  names = ["keys", "mem", "stg"]

  @jax.vmap
  def weights(keys, memory, strengths):
    return content.masked_content_weights(
        keys, memory, jax.nn.softplus(strengths))

  found, pull_back = jax.vjp(
      weights, *(jnp.asarray(golden[f"in.{name}"]) for name in names))
  np.testing.assert_allclose(
      found, golden["out.cosine_weights"], rtol=1e-12, atol=1e-12)
  gradients = pull_back(jnp.asarray(golden["cot.cosine_weights"]))
  for gradient, name in zip(gradients, names, strict=True):
    np.testing.assert_allclose(
        gradient, golden[f"grad.cosine_weights.{name}"], rtol=1e-12, atol=1e-12)


# Memory that a backward pass keeps.


@pytest.mark.parametrize("name", ["ntm", "dam"])
def test_a_gradient_keeps_one_memory_a_step(name):
  """It also keeps a few weights over slots.

  It keeps no erase matrices and no second memory.
  """
  num_slots, word_size = 4096, 32
  net = network(CORES.get(name), num_slots=num_slots, word_size=word_size)
  inputs = [draw(1, steps, 1, 3) for steps in (8, 24)]
  state = net.initial_state(1)
  params = jax.jit(net.init)(jax.random.key(0), inputs[0], state)

  def kept(inputs):
    def loss(params):
      outputs, _ = net.unroll(params, inputs, state)
      return jnp.square(outputs).sum()
    compiled = jax.jit(jax.grad(loss)).lower(params).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  memories = (kept(inputs[1]) - kept(inputs[0])) / 16 / (
      num_slots * word_size * 4)
  assert 1 <= memories < 1.5
