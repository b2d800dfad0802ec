"""Temporal links against loops, public code and the rules of the equations."""

import itertools

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_dnc

from rmc_nalu_sam.memory import linkage

pytestmark = pytest.mark.usefixtures("strict_promotion")

H, R, N, T = 2, 3, 7, 13


def draw(seed, num_heads, dtype=float):
  """Draws weights `[num_heads, N]`; each head's sum is at most 1."""
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.dirichlet(np.ones(N), num_heads)
                     * rng.uniform(.3, 1, [num_heads, 1]), dtype)


def links(num_steps=T, dtype=float, writes=None):
  """Returns links and precedence after some writes."""
  link, precedence = jnp.zeros([H, N, N], dtype), jnp.zeros([H, N], dtype)
  for t in range(num_steps):
    weights = draw(t, H, dtype) if writes is None else writes[t]
    link = linkage.update_link(link, precedence, weights)
    precedence = linkage.update_precedence(precedence, weights)
  return link, precedence


def write_in_order(order):
  """Returns one write of both heads to each of these rows, in this order."""
  return [jnp.eye(N)[jnp.array([row, row])] for row in order]


def test_links_equal_loops(x64):
  link, precedence = np.zeros([H, N, N]), np.zeros([H, N])
  for t in range(T):
    weights = np.asarray(draw(t, H))
    for h in range(H):
      link[h] = reference_dnc.next_link(link[h], precedence[h], weights[h])
      precedence[h] *= 1 - weights[h].sum()
      precedence[h] += weights[h]
  found = links()
  np.testing.assert_allclose(found[0], link, rtol=1e-12)
  np.testing.assert_allclose(found[1], precedence, rtol=1e-12)
  assert np.ptp(link) > .1


def test_rows_and_columns_sum_to_at_most_one(x64):
  for num_steps in range(1, T):
    link, precedence = links(num_steps)
    assert np.all(link >= 0)
    assert np.all(link.sum(-1) <= 1)
    assert np.all(link.sum(-2) <= 1)
    assert np.all(precedence >= 0)
    assert np.all(precedence.sum(-1) <= 1)
    np.testing.assert_array_equal(jnp.diagonal(link, axis1=1, axis2=2), 0)
  assert link.sum(-1).max() > .5


def test_links_lead_along_the_order_of_writing():
  order = [3, 1, 6, 0]
  link, precedence = links(len(order), writes=write_in_order(order))
  expected = np.zeros([N, N])
  for before, after in itertools.pairwise(order):
    expected[after, before] = 1
  np.testing.assert_array_equal(link, [expected] * H)
  np.testing.assert_array_equal(precedence, jnp.eye(N)[jnp.array([0, 0])])

  reads = jnp.eye(N)[jnp.array(order)]
  backward, forward = linkage.directional_reads(link, reads)
  for h in range(H):
    np.testing.assert_array_equal(forward[:-1, h], reads[1:])
    np.testing.assert_array_equal(forward[-1, h], 0)
    np.testing.assert_array_equal(backward[1:, h], reads[:-1])
    np.testing.assert_array_equal(backward[0, h], 0)


def test_a_row_written_again_changes_its_place():
  order = [3, 1, 6, 1]
  link, _ = links(len(order), writes=write_in_order(order))
  expected = np.zeros([N, N])
  expected[1, 6] = 1
  np.testing.assert_array_equal(link[0], expected)


def test_nothing_written_changes_nothing():
  link, precedence = links()
  nothing = jnp.zeros([H, N])
  np.testing.assert_array_equal(
      linkage.update_link(link, precedence, nothing), link)
  np.testing.assert_array_equal(
      linkage.update_precedence(precedence, nothing), precedence)


def test_directional_reads_equal_numpy(x64):
  link, reads = links()[0], draw(T, R)
  backward, forward = linkage.directional_reads(link, reads)
  assert backward.shape == forward.shape == (R, H, N)
  for r in range(R):
    for h in range(H):
      np.testing.assert_allclose(
          backward[r, h], np.asarray(link[h]).T @ reads[r], rtol=1e-12)
      np.testing.assert_allclose(
          forward[r, h], np.asarray(link[h]) @ reads[r], rtol=1e-12)


def test_link_and_follow_is_both(x64):
  link, precedence = links()
  writes, reads = draw(T, H), draw(T + 1, R)

  def both(link, precedence, writes, reads):
    link = linkage.update_link(link, precedence, writes)
    return link, *linkage.directional_reads(link, reads)

  (found, pull_back), (expected, expected_pull_back) = (
      jax.vjp(f, link, precedence, writes, reads)
      for f in (linkage.link_and_follow, both))
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-12)
  cotangents = tuple(jnp.cos(jnp.arange(x.size, dtype=float)).reshape(x.shape)
                     for x in expected)
  for a, b in zip(*(f(cotangents) for f in (pull_back, expected_pull_back)),
                  strict=True):
    assert np.any(b != 0)
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_gradients(x64):
  link, precedence = links()
  jax.test_util.check_grads(
      lambda link, precedence, writes, reads: (
          linkage.link_and_follow(link, precedence, writes, reads),
          linkage.update_precedence(precedence, writes)),
      (link, precedence, draw(T, H), draw(T + 1, R)), order=1, modes=["rev"])


# Sharpness.


def test_sharpen_equals_the_power(x64):
  weights, strengths = draw(0, R), jnp.array([1., 2., 17.])
  found = linkage.sharpen(weights, strengths)
  for r in range(R):
    np.testing.assert_allclose(
        found[r], reference_dnc.sharpen(weights[r], strengths[r]), rtol=1e-12)
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-12)
  assert found[2].max() > found[0].max() + .1


def test_sharpen_of_nothing_is_even():
  np.testing.assert_allclose(
      linkage.sharpen(jnp.zeros([R, N]), jnp.ones(R)), 1 / N, rtol=1e-5)


def test_huge_strengths_do_not_underflow():
  weights = draw(1, R)
  found = linkage.sharpen(weights, jnp.full(R, 1e4))
  np.testing.assert_allclose(
      found, jnp.eye(N)[weights.argmax(-1)], atol=1e-5)


def test_sharpen_gradients(x64):
  jax.test_util.check_grads(
      linkage.sharpen, (draw(2, R), jnp.array([1., 2., 3.])), order=1,
      modes=["rev"])


def test_bfloat16():
  """The link, the largest array, keeps its type; the rest is float32."""
  link, precedence = (x.astype(jnp.bfloat16) for x in links())
  writes, reads = draw(T, H, jnp.bfloat16), draw(T + 1, R, jnp.bfloat16)
  found = linkage.link_and_follow(link, precedence, writes, reads)
  assert [x.dtype for x in found] == [jnp.bfloat16, jnp.float32, jnp.float32]
  wide = [x.astype(jnp.float32) for x in (link, precedence, writes, reads)]
  for a, b in zip(found, linkage.link_and_follow(*wide), strict=True):
    np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=.01, atol=1e-3)
  assert linkage.update_precedence(precedence, writes).dtype == jnp.float32
  assert linkage.sharpen(reads, writes[0, :R]).dtype == jnp.float32


# Against the public implementation.


def test_equals_the_public_implementation(x64, golden_root):
  golden = np.load(golden_root / "deepmind_dnc_addressing.npz")

  def check(f, name, inputs):
    f = jax.vmap(f)
    value, pull_back = jax.vjp(
        f, *(jnp.asarray(golden[f"in.{i}"]) for i in inputs))
    gradients = pull_back(jnp.asarray(golden[f"cot.{name}"]))
    np.testing.assert_allclose(
        value, golden[f"out.{name}"], rtol=1e-12, atol=1e-12)
    for i, gradient in zip(inputs, gradients, strict=True):
      np.testing.assert_allclose(
          gradient, golden[f"grad.{name}.{i}"], rtol=1e-12, atol=1e-12)

  check(linkage.update_link, "link", ["link", "prec", "ww"])
  check(linkage.update_precedence, "precedence", ["prec", "ww"])
  for index, name in enumerate(("backward", "forward")):
    check(lambda *a, i=index: linkage.directional_reads(*a)[i], name,
          ["link", "rw"])
