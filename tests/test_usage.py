"""The least recently accessed rows, against brute force."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory import usage

pytestmark = pytest.mark.usefixtures("strict_promotion")

DELTA = 0.005
STEPS = 300

touch = jax.jit(usage.touch)


def make_ring(order):
  """Returns the usage with the rows in this order, least recent first."""
  ring = np.array([*order, len(order)], np.int32)
  after, before = np.empty([2, len(ring)], np.int32)
  after[ring], before[ring] = np.roll(ring, -1), np.roll(ring, 1)
  return usage.Usage(jnp.asarray(after), jnp.asarray(before))


def order_of(state):
  """Returns all rows, least recently accessed first; checks the ring."""
  after, before = np.asarray(state.after), np.asarray(state.before)
  assert after.dtype == before.dtype == np.int32
  np.testing.assert_array_equal(before[after], np.arange(len(after)))
  np.testing.assert_array_equal(after[before], np.arange(len(after)))
  found = usage.least_recently_accessed(state, len(after) - 1)
  assert found.dtype == jnp.int32
  return found.tolist()


@functools.partial(jax.jit, static_argnames="delta")
def orders(start, indices, weights, delta=DELTA):
  """Returns the rings after each step, and up to 40 of the oldest rows."""
  count = min(start.after.shape[0] - 1, 40)

  def step(state, accesses):
    state = usage.touch(state, *accesses, delta)
    return state, (state, usage.least_recently_accessed(state, count))

  return jax.lax.scan(step, start, (indices, weights))[1]


def last_accesses(num_slots, indices, weights, delta=DELTA):
  """Returns the step of each row's last access, 0 for never: `[T, N]`."""
  last, steps = np.zeros(num_slots, int), []
  for when, accesses in enumerate(zip(indices, weights, strict=True), start=1):
    totals = np.zeros(num_slots)
    np.add.at(totals, *accesses)
    last[totals > delta] = when
    steps.append(last.copy())
  return np.array(steps)


def random_accesses(num_slots, count, seed=0):
  """Draws repeated rows, small weights, and steps with all or no accesses."""
  rng = np.random.default_rng(seed)
  indices = rng.integers(0, num_slots, [STEPS, count])
  # A step's rows are repeated, so that neighbors in the ring move together.
  indices[5::7] = indices[4::7][:len(indices[5::7])]
  weights = rng.choice([0, .003, .1], [STEPS, count])
  weights[::11], weights[4::11] = .1, 0
  return indices.astype(np.int32), weights.astype(np.float32)


@pytest.mark.parametrize("num_slots, count", [
    (1, 1), (1, 3), (2, 2), (5, 4), (7, 12), (40, 36), (13, 36), (401, 24)])
def test_equals_brute_force(num_slots, count):
  indices, weights = random_accesses(num_slots, count)
  rings, found = jax.device_get(
      orders(usage.initial_usage(num_slots), indices, weights))
  last = last_accesses(num_slots, indices, weights)
  expected = np.argsort(last, axis=1, kind="stable")  # Ties: lowest index.
  np.testing.assert_array_equal(found, expected[:, :40])
  identity = np.tile(np.arange(num_slots + 1), [STEPS, 1])
  for one, other in (rings, rings[::-1]):
    np.testing.assert_array_equal(
        np.take_along_axis(one, other, axis=1), identity)


@pytest.mark.parametrize("num_slots, count", [(7, 12), (40, 36), (401, 24)])
def test_random_accesses_hold_all_cases(num_slots, count):
  indices, weights = random_accesses(num_slots, count)
  last = last_accesses(num_slots, indices, weights)
  moved = last == np.arange(1, STEPS + 1)[:, None]
  assert any(len(set(i.tolist())) < count for i in indices)
  assert any(not m.any() for m in moved)
  assert any(0 < m.sum() < len(set(i.tolist()))
             for m, i in zip(moved, indices, strict=True))
  assert any(m.all() for m in moved) == (num_slots < count)
  # The three rows that moved last move together again.
  runs = [set(np.argsort(last[t], kind="stable")[-3:].tolist()) <=
          set(np.flatnonzero(moved[t + 1]).tolist()) for t in range(STEPS - 1)]
  assert any(runs)


def test_all_runs_of_neighbors():
  """The order is right for every set of rows of five, named in any order."""
  start = make_ring([3, 0, 4, 1, 2])
  rng = np.random.default_rng(0)
  for chosen in range(2**5):
    indices = rng.permutation(5).astype(np.int32)
    weights = (chosen >> indices & 1).astype(np.float32)
    moved = [row for row in range(5) if chosen >> row & 1]
    expected = [row for row in [3, 0, 4, 1, 2] if row not in moved] + moved
    assert order_of(touch(start, indices, weights, DELTA)) == expected


def test_no_row_was_ever_accessed():
  start = usage.initial_usage(7)
  assert order_of(start) == [*range(7)]
  assert usage.least_recently_accessed(start, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_oldest_rows_come_first(count):
  order = [1, 3, 4, 2, 0]
  found = usage.least_recently_accessed(make_ring(order), count)
  assert found.tolist() == order[:count]
  assert found.dtype == jnp.int32


def test_touch_moves_the_rows_to_the_end_in_the_order_of_their_index():
  after = touch(make_ring([4, 1, 2, 0, 3]), jnp.array([3, 1]),
                jnp.array([.5, .25]), DELTA)
  assert order_of(after) == [4, 2, 0, 1, 3]


def test_touch_ignores_small_weights():
  after = touch(make_ring([1, 0, 2]), jnp.array([1, 0, 2]),
                jnp.array([DELTA, DELTA * 1.1, DELTA * .9]), DELTA)
  assert order_of(after) == [1, 2, 0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_touch_counts_a_row_that_is_accessed_twice_and_once_enough(order):
  weights = jnp.array([.5, .001])[jnp.array(order)]
  after = touch(
      usage.initial_usage(3), jnp.array([1, 1]), weights, DELTA)
  assert order_of(after) == [0, 2, 1]


def test_touch_adds_up_the_weights_of_a_row():
  """The paper's condition is w^W(i) + w^R(i) > delta."""
  after = touch(usage.initial_usage(3), jnp.array([0, 1, 0]),
                jnp.array([.6, .6, .6]) * DELTA, DELTA)
  assert order_of(after) == [1, 2, 0]


def test_rows_wrap_around_in_the_order_of_their_access():
  state, taken = usage.initial_usage(5), []
  for _ in range(4):
    found = usage.least_recently_accessed(state, 2)
    taken += found.tolist()
    state = touch(state, found, jnp.ones(2), DELTA)
  assert taken == [0, 1, 2, 3, 4, 0, 1, 2]


def test_under_vmap():
  indices, weights = random_accesses(7, 12)
  state = jax.tree.map(
      lambda x: jnp.tile(x, [5, 1]), usage.initial_usage(7))
  several = jax.jit(jax.vmap(usage.touch, (0, 0, 0, None)))
  for now in (slice(5), slice(5, 10)):
    state = several(state, indices[now], weights[now], DELTA)
  for b in range(5):
    last = last_accesses(7, indices[b:10:5], weights[b:10:5])[-1]
    expected = np.argsort(last, kind="stable").tolist()
    assert order_of(jax.tree.map(lambda x, b=b: x[b], state)) == expected
