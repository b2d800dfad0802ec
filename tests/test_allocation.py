"""Usage and allocation, against loops, a public implementation and properties
that follow from the equations."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_dnc

from rmc_nalu_sam.memory import allocation

pytestmark = pytest.mark.usefixtures("strict_promotion")

H, R, N = 2, 3, 11


def draw(seed):
  """Draws usage, write weights, free gates and read weights."""
  rng = np.random.default_rng(seed)
  return [jnp.asarray(x, float) for x in (
      rng.uniform(size=N), rng.dirichlet(np.ones(N), H) * .9,
      rng.uniform(size=R), rng.dirichlet(np.ones(N), R))]


def next_usage(usage, write_weights, free_gates, read_weights):
  return allocation.update_usage(
      usage, write_weights, allocation.retention(free_gates, read_weights))


def test_usage_equals_loops(x64):
  usage, write_weights, free_gates, read_weights = draw(0)
  expected = np.array(usage)
  for weights in np.asarray(write_weights):
    expected = expected + weights - expected * weights
  for gate, weights in zip(free_gates, np.asarray(read_weights), strict=True):
    expected = expected * (1 - gate * weights)
  found = next_usage(usage, write_weights, free_gates, read_weights)
  np.testing.assert_allclose(found, expected, rtol=1e-13)
  assert np.all(np.abs(found - usage) > 1e-4)


def test_a_row_written_is_used_and_a_row_freed_is_free():
  one_hot = jnp.eye(N)
  usage = jnp.full(N, .5)
  full = next_usage(usage, one_hot[3:5], jnp.zeros(R), one_hot[:R])
  np.testing.assert_array_equal(full, jnp.full(N, .5).at[3:5].set(1))
  free = next_usage(usage, one_hot[3:5], jnp.ones(R), one_hot[2:2 + R])
  np.testing.assert_array_equal(free, jnp.full(N, .5).at[2:5].set(0))


def test_usage_stays_in_its_range():
  for seed in range(5):
    usage = next_usage(*draw(seed))
    assert np.all((usage >= 0) & (usage <= 1))


def test_usage_gives_no_gradient_to_writes(x64):
  arguments = draw(1)
  gradients = jax.grad(
      lambda *a: next_usage(*a).sum(), tuple(range(4)))(*arguments)
  assert [bool(np.any(g != 0)) for g in gradients] == [True, False, True, True]
  jax.test_util.check_grads(
      lambda usage, gates, reads: next_usage(usage, arguments[1], gates, reads),
      [arguments[0], *arguments[2:]], order=1, modes=["rev"])


@pytest.mark.parametrize("ties", [False, True])
def test_allocation_equals_the_loop(x64, ties):
  for seed in range(5):
    usage = draw(seed)[0]
    if ties:
      usage = jnp.round(usage * 3) / 3
      assert len(np.unique(usage)) < N
    weights = allocation.allocation(usage)
    np.testing.assert_allclose(
        weights, reference_dnc.allocation(np.asarray(usage)), rtol=1e-12)
    assert np.all(weights >= 0)
    # The weights sum to 1 minus the product of all usages.
    assert weights.sum() <= 1 + 1e-12
    np.testing.assert_allclose(
        1 - weights.sum(), np.prod(1e-6 + (1 - 1e-6) * usage), atol=1e-12)


def test_first_free_row_takes_all():
  usage = jnp.ones(N).at[jnp.array([4, 7])].set(0)
  np.testing.assert_allclose(
      allocation.allocation(usage), jnp.eye(N)[4], atol=1e-5)
  np.testing.assert_allclose(
      allocation.allocation(jnp.zeros(N)), jnp.eye(N)[0], atol=1e-5)


def test_a_difference_that_vanishes_in_one_minus_usage_still_counts():
  """The public implementation sorts by 1 - usage, where these two rows tie."""
  usage = jnp.ones(N).at[4].set(2e-8).at[7].set(0)
  assert 1 - usage[4] == 1 - usage[7]
  np.testing.assert_allclose(
      allocation.allocation(usage), jnp.eye(N)[7], atol=1e-5)


def test_full_memory_allocates_nothing():
  np.testing.assert_allclose(allocation.allocation(jnp.ones(N)), 0, atol=1e-5)


def test_one_row():
  np.testing.assert_allclose(
      allocation.allocation(jnp.array([.25])), [.75], rtol=1e-5)


def test_heads_allocate_one_after_the_other():
  weights = allocation.allocation_weights(
      jnp.ones(N).at[jnp.array([4, 7])].set(0), jnp.array([1., 1.]))
  np.testing.assert_allclose(weights, jnp.eye(N)[jnp.array([4, 7])], atol=1e-4)
  # The first head does not write to the row, so the second head may.
  weights = allocation.allocation_weights(
      jnp.ones(N).at[jnp.array([4, 7])].set(0), jnp.array([0., 1.]))
  np.testing.assert_allclose(weights, jnp.eye(N)[jnp.array([4, 4])], atol=1e-4)


def test_allocation_gradients(x64):
  jax.test_util.check_grads(
      jax.jit(allocation.allocation_weights),
      (draw(2)[0], jnp.array([.3, .7])), order=1, modes=["rev"])


@pytest.mark.parametrize("usage", [0., 1.])
def test_gradients_are_finite_at_ties(usage):
  gradient = jax.grad(lambda u: allocation.allocation(u)[3])(jnp.full(N, usage))
  assert np.isfinite(gradient).all()
  assert np.any(gradient != 0)


def test_bfloat16_is_computed_in_float32():
  arguments = [x.astype(jnp.bfloat16) for x in draw(3)]
  wide = [x.astype(jnp.float32) for x in arguments]
  for found, exact in (
      (next_usage(*arguments), next_usage(*wide)),
      (allocation.allocation(arguments[0]), allocation.allocation(wide[0]))):
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-6)


# Against the public implementation.


def close(a, b):
  np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_equals_the_public_implementation(x64, golden_root):
  golden = np.load(golden_root / "deepmind_dnc_addressing.npz")

  def gold(*names):
    return [jnp.asarray(golden[f"in.{name}"]) for name in names]

  usage, pull_back = jax.vjp(
      jax.vmap(next_usage), *gold("us", "ww", "fg", "rw"))
  close(usage, golden["out.usage"])
  to_usage, to_writes, to_gates, to_reads = pull_back(
      jnp.asarray(golden["cot.usage"]))
  np.testing.assert_array_equal(to_writes, 0)
  for found, name in ((to_usage, "us"), (to_gates, "fg"), (to_reads, "rw")):
    close(found, golden[f"grad.usage.{name}"])

  weights, pull_back = jax.vjp(jax.vmap(allocation.allocation), *gold("us"))
  close(weights, golden["out.alloc1"])
  close(pull_back(jnp.asarray(golden["cot.alloc1"]))[0],
        golden["grad.alloc1.us"])

  weights, pull_back = jax.vjp(
      jax.vmap(allocation.allocation_weights), *gold("us", "wg"))
  close(weights, golden["out.alloc"])
  to_usage, to_gates = pull_back(jnp.asarray(golden["cot.alloc"]))
  close(to_usage, golden["grad.alloc.us"])
  close(to_gates, golden["grad.alloc.wg"])
