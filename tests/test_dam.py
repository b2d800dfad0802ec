"""Tests of DAM against NumPy, and of its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_dam
from core_helpers import (
    SIZES,
    B,
    F,
    H,
    T,
    W,
    check_bfloat16,
    check_gradients_at_first,
    check_numerical_gradients,
    compare_with_reference,
    construct,
    draw,
    make_params,
    network,
)

from rmc_nalu_sam import DAM
from rmc_nalu_sam.memory.access import dam_access
from rmc_nalu_sam.memory.access.sam_interface import SAMInterface

pytestmark = pytest.mark.usefixtures("strict_promotion")

N = 7


@pytest.mark.parametrize("num_slots,arguments", [
    (N, {}),
    (N, dict(discount=.5, write_bias=2., interpolation_bias=1.,
             strength_bias=.5)),
    (N, dict(discount=0.)), (N, dict(discount=1.)), (2, {}), (3, {}),
])
def test_equals_the_numpy_reference(x64, num_slots, arguments):
  net = network(DAM, num_slots=num_slots, **arguments)
  erased = []

  def step(params, inputs, state):
    output, after = reference_dam.step(params, inputs, state, **arguments)
    erased.append(tuple(after.unused))
    return output, after

  def check(state, expected):
    np.testing.assert_allclose(
        state.access.usage, expected.usage(arguments.get("discount", .99)),
        rtol=1e-9)

  compare_with_reference(
      net, reference_dam.initial_state(SIZES["hidden_size"], num_slots, W, H),
      step, check)
  # The heads erased all rows. There are more erasures than rows.
  assert {row for rows in erased for row in rows} == {*range(num_slots)}


def test_initial_state_is_empty():
  leaves = jax.tree.leaves(network(DAM, num_slots=N).initial_state(B))
  assert len(leaves) == 7
  assert not any(np.any(x) for x in leaves)


def random_state(net):
  """Draws a state as in the middle of an episode."""
  state = jax.tree.map(lambda x: draw(x.size, *x.shape), net.initial_state(B))
  access = state.access
  return state._replace(access=access._replace(
      read_weights=jax.nn.softmax(access.read_weights),
      usage=jnp.abs(access.usage)))


def test_numerical_gradients(x64):
  """Gradients equal differences. Usage is left out: it has no gradient."""
  net = network(DAM, num_slots=N)
  check_numerical_gradients(net, random_state(net), constants=["usage"])


def test_no_gradient_flows_through_usage():
  net = network(DAM, num_slots=N)
  params, state = make_params(net), random_state(net)
  gradients = jax.grad(lambda p, x: net.unroll(
      p, x, state)[1].access.usage.sum(), (0, 1))(params, draw(1, 2, B, F))
  assert not any(np.any(g) for g in jax.tree.leaves(gradients))


@pytest.mark.parametrize("num_slots", [H, 3, N])
def test_gradients_from_the_first_state(num_slots):
  check_gradients_at_first(network(DAM, num_slots=num_slots))


def test_bfloat16():
  """N exceeds the rows erased in 3 steps, so rounding breaks no tie."""
  check_bfloat16(network(DAM, num_slots=N))


def test_one_slot():
  net = network(DAM, num_slots=1, num_heads=1)
  _, states = net.unroll(
      make_params(net), draw(1, 3, B, F), net.initial_state(B))
  np.testing.assert_allclose(states.access.read_weights, 1, rtol=1e-6)
  np.testing.assert_allclose(
      states.access.read_words, states.access.memory, rtol=1e-6)


# One step of the access.


def interface(alpha=.5, gamma=.5, strength=1.):
  return SAMInterface(
      queries=draw(0, H, W), strengths=jnp.full([H], strength),
      additions=draw(1, H, W), write_gates=jnp.full([H], alpha),
      interpolation_gates=jnp.full([H], gamma))


def used_access():
  """Returns a state in which rows 5 and 1 are the least used."""
  return dam_access.initial_access(N, W, H)._replace(
      memory=draw(2, N, W), usage=jnp.array([.9, .2, .5, .4, .8, .1, .3]),
      read_weights=jax.nn.softmax(draw(3, H, N)))


def test_full_interpolation_writes_where_was_read():
  before = used_access()
  after = dam_access.access_step(interface(1., 1.), before, discount=.9)
  np.testing.assert_allclose(after.write_weights, before.read_weights)
  kept = np.array(before.memory)
  kept[[5, 1]] = 0
  np.testing.assert_allclose(
      after.memory, kept + before.read_weights.T @ draw(1, H, W), atol=1e-5)


def test_no_interpolation_writes_to_the_least_used_rows_each_head_to_its_own():
  before = used_access()
  after = dam_access.access_step(interface(1., 0.), before, discount=.9)
  np.testing.assert_array_equal(after.write_weights, np.eye(N)[[5, 1]])
  np.testing.assert_allclose(
      after.memory[np.array([5, 1])], draw(1, H, W), rtol=1e-6)
  others = np.array([0, 2, 3, 4, 6])
  np.testing.assert_array_equal(after.memory[others], before.memory[others])


def test_least_used_rows_are_erased_even_when_nothing_is_written():
  after = dam_access.access_step(interface(0.), used_access(), discount=.9)
  assert np.flatnonzero(~np.any(after.memory, axis=1)).tolist() == [1, 5]


@pytest.mark.parametrize("discount", [0., .9, 1.])
def test_usage_is_a_discounted_sum(discount):
  before = used_access()
  after = dam_access.access_step(interface(), before, discount=discount)
  weights = after.write_weights.sum(0) + after.read_weights.sum(0)
  np.testing.assert_allclose(
      after.usage, discount * before.usage + weights, rtol=1e-6)


def test_empty_rows_take_their_share_of_a_read():
  """Empty rows have similarity 0. If all are empty, weights are uniform."""
  empty = dam_access.initial_access(N, W, H)
  after = dam_access.access_step(interface(0., strength=9.), empty, discount=.9)
  np.testing.assert_allclose(after.read_weights, 1 / N, rtol=1e-6)


# Bad arguments.


@pytest.mark.parametrize("name,value,words", [
    ("hidden_size", 0, "at least 1, got 0"),
    ("num_slots", 0, "at least 1, got 0"),
    ("word_size", -1, "at least 1, got -1"),
    ("num_heads", 0, "at least 1, got 0"),
    ("num_heads", N + 1, f"at most num_slots={N}, got {N + 1}"),
    ("discount", -.1, r"in \[0, 1\], got -0.1"),
    ("discount", 1.1, r"in \[0, 1\], got 1.1"),
    ("discount", float("nan"), r"in \[0, 1\], got nan"),
])
def test_bad_arguments(name, value, words):
  construct(DAM, num_slots=N, num_heads=N)
  with pytest.raises(ValueError, match=f"{name} must be {words}"):
    construct(DAM, **{"num_slots": N, name: value})


@pytest.mark.parametrize("shape", [(), (T, B, F)])
def test_inputs_of_another_rank_are_refused(shape):
  net = network(DAM, num_slots=N)
  with pytest.raises(ValueError, match=r"\[B, F\] or \[F\]"):
    net.unroll(make_params(net), jnp.ones([1, *shape]), net.initial_state(B))
