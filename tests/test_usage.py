"""The least recently accessed rows, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.memory import usage

pytestmark = pytest.mark.usefixtures("strict_promotion")

DELTA = 0.005


def brute_force(last_access, count):
  """The argmin, `count` times over, without those taken before."""
  ages = list(np.asarray(last_access))
  chosen = []
  for _ in range(count):
    oldest = min(age for i, age in enumerate(ages) if i not in chosen)
    chosen.append(next(i for i, age in enumerate(ages)
                       if age == oldest and i not in chosen))
  return chosen


@pytest.mark.parametrize("num_slots", [7, 401])  # 401 takes two stages.
@pytest.mark.parametrize("count", [1, 2, 3])
def test_equals_brute_force(num_slots, count):
  for seed in range(5):
    last_access = jax.random.randint(
        jax.random.key(seed), [num_slots], 0, num_slots // 2, jnp.int32)
    assert len(set(last_access.tolist())) < num_slots  # There are ties.
    found = usage.least_recently_accessed(
        usage.Usage(last_access, jnp.int32(num_slots)), count)
    assert found.dtype == jnp.int32
    assert found.tolist() == brute_force(last_access, count)
    assert len(set(found.tolist())) == count


def test_no_row_was_ever_accessed():
  start = usage.initial_usage(7)
  assert start.step == 0
  assert usage.least_recently_accessed(start, 3).tolist() == [0, 1, 2]


def test_all_rows_can_be_asked_for():
  last_access = jnp.array([4, 1, 3, 1, 2], jnp.int32)
  found = usage.least_recently_accessed(
      usage.Usage(last_access, jnp.int32(4)), 5)
  assert found.tolist() == [1, 3, 4, 2, 0]


def test_late_steps_are_told_apart():
  """The search goes through float32, exact below 2^24."""
  late = 2**24 - 1
  last_access = jnp.array([late, late - 1, late, late - 2, late], jnp.int32)
  found = usage.least_recently_accessed(
      usage.Usage(last_access, jnp.int32(late)), 3)
  assert found.tolist() == [3, 1, 0]


def test_touch_counts_the_step_and_marks_the_rows():
  before = usage.Usage(jnp.array([2, 0, 1, 2, 0], jnp.int32), jnp.int32(2))
  after = usage.touch(
      before, jnp.array([3, 1]), jnp.array([.5, .25]), DELTA)
  assert after.step == 3
  assert after.last_access.tolist() == [2, 3, 1, 3, 0]
  assert after.last_access.dtype == after.step.dtype == jnp.int32


def test_touch_ignores_small_weights():
  before = usage.Usage(jnp.array([2, 0, 1], jnp.int32), jnp.int32(2))
  after = usage.touch(before, jnp.array([0, 1, 2]),
                      jnp.array([DELTA, DELTA * .9, DELTA * 1.1]), DELTA)
  assert after.last_access.tolist() == [2, 0, 3]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_touch_counts_a_row_that_is_accessed_twice_and_once_enough(order):
  before = usage.initial_usage(3)
  weights = jnp.array([.5, .001])[jnp.array(order)]
  after = usage.touch(before, jnp.array([1, 1]), weights, DELTA)
  assert after.last_access.tolist() == [0, 1, 0]


def test_touch_adds_up_the_weights_of_a_row():
  """The paper's condition is w^W(i) + w^R(i) > delta."""
  before = usage.initial_usage(3)
  after = usage.touch(before, jnp.array([1, 2, 1]),
                      jnp.array([.6, .6, .6]) * DELTA, DELTA)
  assert after.last_access.tolist() == [0, 1, 0]


def test_rows_wrap_around_in_the_order_of_their_access():
  state, taken = usage.initial_usage(5), []
  for _ in range(4):
    found = usage.least_recently_accessed(state, 2)
    taken += found.tolist()
    state = usage.touch(state, found, jnp.ones(2), DELTA)
  assert taken == [0, 1, 2, 3, 4, 0, 1, 2]
