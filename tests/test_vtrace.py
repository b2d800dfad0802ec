"""Tests of V-trace: rlax's numbers, and the border between two episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.learning.agents.vtrace import vtrace

pytestmark = pytest.mark.usefixtures("x64")

# Values, rewards and the discount of "three.*" in rlax_vtrace.npz: the first
# episode is cut off after its first step, the second begins in the third.
VALUES = np.array([.5, 2., 3., 4.])[:, None]
REWARDS = np.array([1., 0., 100.])[:, None]
GAMMA = .9


def naive(values, rewards, discounts, ratios, trace_decay, clip,
          clip_advantage):
  """Returns targets and advantages, from the sums of the paper's equations."""
  num_steps = len(rewards)
  targets = np.array(values[:-1])
  for s in range(num_steps):
    product = np.ones_like(values[0])
    for t in range(s, num_steps):
      error = np.minimum(clip, ratios[t]) * (
          rewards[t] + discounts[t] * values[t + 1] - values[t])
      targets[s] += product * error
      product = product * discounts[t] * trace_decay * np.minimum(1, ratios[t])
  following = np.concatenate([targets[1:], values[-1:]])
  following[:-1] = (trace_decay * following[:-1]
                    + (1 - trace_decay) * values[1:-1])
  advantages = np.minimum(clip_advantage, ratios) * (
      rewards + discounts * following - values[:-1])
  return targets, advantages


@pytest.mark.parametrize("trace_decay, clip, clip_advantage", [
    (1., 1., 1.), (.9, 1., 1.), (1., 2., .5), (.8, .5, 2.)])
def test_sums_of_the_paper(trace_decay, clip, clip_advantage):
  rng = np.random.default_rng(0)
  values, rewards = rng.normal(size=[8, 3]), rng.normal(size=[7, 3])
  discounts = .9 * rng.integers(2, size=[7, 3])
  ratios = np.exp(rng.normal(size=[7, 3])) * rng.integers(2, size=[7, 3])
  found = vtrace(values, rewards, discounts, ratios, trace_decay=trace_decay,
                 clip_ratio=clip, clip_advantage_ratio=clip_advantage)
  wanted = naive(values, rewards, discounts, ratios, trace_decay, clip,
                 clip_advantage)
  np.testing.assert_allclose(found.targets, wanted[0], atol=1e-12)
  np.testing.assert_allclose(found.advantages, wanted[1], atol=1e-12)


@pytest.mark.parametrize("name, options", [
    ("a", ("lam1", "lam09", "clip2_05")), ("b", ("lam1", "lam09", "clip2_05")),
    ("on_policy", ("lam1", "lam095"))])
def test_values_of_rlax(golden_root, name, options):
  golden = np.load(golden_root / "rlax_vtrace.npz")
  arrays = [golden[f"{name}.{x}"] for x in ("v", "reward", "discount", "rho")]
  for option in options:
    decay, clip, clip_advantage = golden[f"{name}.{option}.options"]
    found = vtrace(*arrays, trace_decay=decay, clip_ratio=clip,
                   clip_advantage_ratio=clip_advantage)
    np.testing.assert_allclose(
        found.targets - arrays[0][:-1], golden[f"{name}.{option}.errors"],
        atol=1e-12)
    np.testing.assert_allclose(
        found.advantages, golden[f"{name}.{option}.pg_advantage"], atol=1e-12)


@pytest.mark.parametrize("name", ["episodes", "episodes_lam09"])
def test_episodes_in_a_row_are_as_each_alone(golden_root, name):
  golden = np.load(golden_root / "rlax_vtrace.npz")
  values, rewards, discounts, ratios, boundary = (
      golden[f"{name}.{x}"]
      for x in ("v", "reward", "discount", "rho", "boundary"))
  found = vtrace(values, rewards, discounts, np.where(boundary, 0, ratios),
                 trace_decay=float(golden[f"{name}.lambda"]))
  np.testing.assert_allclose(
      found.targets - values[:-1], golden[f"{name}.errors"], atol=1e-12)
  np.testing.assert_allclose(
      found.advantages, golden[f"{name}.pg_advantage"], atol=1e-12)


def test_what_is_cut_off_is_valued_and_does_not_leak():
  ratios = np.array([1., 0., 1.])[:, None]
  discounts = np.full([3, 1], GAMMA)
  found = vtrace(VALUES, REWARDS, discounts, ratios)
  np.testing.assert_allclose(
      (found.targets - VALUES[:-1])[:, 0], [2.3, 0, 100.6], atol=1e-12)


@pytest.mark.parametrize("discounts, ratios, wanted", [
    # As if the episode had ended by its rules: nothing is valued.
    ([0, GAMMA, GAMMA], [1, 0, 1], [.5, 0, 100.6]),
    # As if the last observation led to the new episode: 100 leaks.
    ([GAMMA] * 3, [1, 1, 1], [2.3 + .9 * (.7 + .9 * 100.6),
                              .7 + .9 * 100.6, 100.6])])
def test_the_common_mistakes_give_other_numbers(discounts, ratios, wanted):
  arrays = (np.array(x)[:, None] for x in (discounts, ratios))
  errors = vtrace(VALUES, REWARDS, *arrays).targets - VALUES[:-1]
  np.testing.assert_allclose(errors[:, 0], wanted, atol=1e-12)


def test_ratios_of_one_give_returns_of_many_steps():
  rng = np.random.default_rng(1)
  values, rewards = rng.normal(size=[6, 2]), rng.normal(size=[5, 2])
  found = vtrace(values, rewards, jnp.full([5, 2], GAMMA), jnp.ones([5, 2]))
  wanted = values[-1]
  for t in reversed(range(5)):
    wanted = rewards[t] + GAMMA * wanted
    np.testing.assert_allclose(found.targets[t], wanted, atol=1e-12)


def test_under_jit_in_float32():
  with jax.enable_x64(False):
    found = jax.jit(vtrace)(jnp.ones([4, 1]), jnp.ones([3, 1]),
                            jnp.ones([3, 1]), jnp.ones([3, 1]))
  assert found.targets.dtype == jnp.float32
