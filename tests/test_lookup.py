"""Content lookup, with and without masks."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_dnc

from rmc_nalu_sam.memory import lookup

pytestmark = pytest.mark.usefixtures("strict_promotion")

H, N, W = 3, 5, 7


def draw(seed, dtype=float):
  """Memory, keys, strengths and masks."""
  rng = np.random.default_rng(seed)
  return [jnp.asarray(x, dtype) for x in (
      rng.normal(size=[N, W]), rng.normal(size=[H, W]),
      rng.uniform(1, 5, size=H), rng.uniform(size=[H, W]))]


@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_loop(x64, masked):
  memory, keys, strengths, masks = draw(0)
  found = lookup.content_weights(
      memory, keys, strengths, masks if masked else None)
  for h in range(H):
    expected = reference_dnc.lookup(
        np.asarray(memory), np.asarray(keys[h]), strengths[h],
        np.asarray(masks[h]) if masked else 1)
    np.testing.assert_allclose(found[h], expected, rtol=1e-12)
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-12)
  assert np.ptp(found) > .1


def test_a_mask_of_ones_is_none(x64):
  memory, keys, strengths, masks = draw(1)
  np.testing.assert_allclose(
      lookup.content_weights(memory, keys, strengths, jnp.ones_like(masks)),
      lookup.content_weights(memory, keys, strengths), rtol=1e-12)


def test_what_is_masked_does_not_matter():
  """A key that knows half of a row finds it."""
  memory, _, _, _ = draw(2)
  known = jnp.arange(W) < W // 2
  keys = jnp.where(known, memory[:H], 100.)
  masks = jnp.broadcast_to(known.astype(float), [H, W])
  strengths = jnp.full(H, 100.)
  found = lookup.content_weights(memory, keys, strengths, masks)
  assert found.argmax(-1).tolist() == [0, 1, 2]
  assert np.all(found.max(-1) > .9)
  without = lookup.content_weights(memory, keys, strengths)
  assert len(set(without.argmax(-1).tolist())) == 1


@pytest.mark.parametrize("masked", [False, True])
def test_gradients(x64, masked):
  arguments = draw(3)
  jax.test_util.check_grads(
      lookup.content_weights, arguments if masked else arguments[:3], order=1,
      modes=["rev"])


@pytest.mark.parametrize("zero", range(4))
def test_zero_vectors(zero):
  arguments = draw(4)
  arguments[zero] *= 0
  weights, pull_back = jax.vjp(lookup.content_weights, *arguments)
  np.testing.assert_allclose(weights, 1 / N, rtol=1e-6)
  gradients = pull_back(jnp.eye(H, N))
  assert all(np.isfinite(g).all() for g in gradients)
  if zero < 3:  # An empty memory, or a key of zeros, can still be learnt about.
    assert np.any(gradients[zero] != 0)


def test_bfloat16_is_computed_in_float32():
  arguments = draw(5, jnp.bfloat16)
  weights = lookup.content_weights(*arguments)
  assert weights.dtype == jnp.float32
  exact = lookup.content_weights(*(x.astype(jnp.float32) for x in arguments))
  np.testing.assert_allclose(weights, exact, rtol=1e-6)


def test_equals_the_public_implementation(x64, golden_root):
  golden = np.load(golden_root / "deepmind_dnc_addressing.npz")
  names = ["mem", "keys", "stg"]

  @jax.vmap
  def weights(memory, keys, strengths):
    return lookup.content_weights(memory, keys, jax.nn.softplus(strengths))

  found, pull_back = jax.vjp(
      weights, *(jnp.asarray(golden[f"in.{name}"]) for name in names))
  np.testing.assert_allclose(
      found, golden["out.cosine_weights"], rtol=1e-12, atol=1e-12)
  gradients = pull_back(jnp.asarray(golden["cot.cosine_weights"]))
  for gradient, name in zip(gradients, names, strict=True):
    np.testing.assert_allclose(
        gradient, golden[f"grad.cosine_weights.{name}"], rtol=1e-12, atol=1e-12)
