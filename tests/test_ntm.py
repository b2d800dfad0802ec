"""NTM against NumPy, and by its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_ntm
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
    with_pull_back,
)

from rmc_nalu_sam import NTM
from rmc_nalu_sam.memory.access import ntm_access

pytestmark = pytest.mark.usefixtures("strict_promotion")

N = 7


def reference_first(num_slots, **kwargs):
  return reference_ntm.initial_state(
      SIZES["hidden_size"], num_slots, W, H, **kwargs)


def random_state(net, seed=0):
  """Draws a state as in mid-episode, with weights that sum to 1."""
  state = jax.tree.map(lambda x: draw(x.size + seed, *x.shape),
                       net.initial_state(B))
  access = state.access
  return state._replace(access=access._replace(
      read_weights=jax.nn.softmax(access.read_weights),
      write_weights=jax.nn.softmax(access.write_weights)))


# The core.


@pytest.mark.parametrize("num_slots,shift_range,memory_init", [
    (N, 1, 1e-6), (N, 2, .3), (N, 0, 0.), (1, 1, 1e-6), (2, 1, 1e-6),
    (3, 1, 1e-6), (3, 2, 1e-6),
])
def test_equals_the_numpy_reference(x64, num_slots, shift_range, memory_init):
  net = network(NTM, num_slots=num_slots, shift_range=shift_range,
                memory_init=memory_init)

  def step(params, inputs, state):
    return reference_ntm.step(params, inputs, state, shift_range)

  def check(state, _):
    for weights in (state.access.read_weights, state.access.write_weights):
      np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-9)

  if num_slots > 1:
    compare_with_reference(
        net, reference_first(num_slots, memory_init=memory_init), step, check)
  else:  # All weight is on the only row.
    _, states = net.unroll(make_params(net), draw(1, T, B, F),
                           net.initial_state(B))
    np.testing.assert_allclose(states.access.read_weights, 1, rtol=1e-9)
    np.testing.assert_allclose(
        states.access.read_words,
        np.broadcast_to(states.access.memory, (T, B, H, W)), rtol=1e-9)


def test_initial_state():
  state = network(NTM, num_slots=N, memory_init=.25).initial_state(B)
  np.testing.assert_array_equal(state.access.memory, np.full([B, N, W], .25))
  row_0 = np.broadcast_to(np.eye(N)[0], [B, H, N])
  np.testing.assert_array_equal(state.access.read_weights, row_0)
  np.testing.assert_array_equal(state.access.write_weights, row_0)
  assert not np.any(state.access.read_words)


def test_numerical_gradients(x64):
  net = network(NTM, num_slots=N)
  check_numerical_gradients(net, random_state(net))


@pytest.mark.parametrize("num_slots, memory_init", [
    (1, 0.), (2, 0.), (N, 1e-6), *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in ((1, 1e-6), (2, 1e-6), (N, 0.)))])
def test_gradients_from_the_first_state(num_slots, memory_init):
  if num_slots > 1:
    check_gradients_at_first(
        network(NTM, num_slots=num_slots, memory_init=memory_init))
  else:
    net = network(NTM, num_slots=1, memory_init=memory_init)
    gradients = jax.grad(lambda p: net.unroll(
        p, draw(1, 2, B, F), net.initial_state(B))[0].sum())(make_params(net))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_bfloat16():
  check_bfloat16(network(NTM, num_slots=N))


# The parts.


@pytest.mark.parametrize("num_slots", [1, 2, 3, 7])
@pytest.mark.parametrize("num_shifts", [1, 3, 5, 9])
def test_circular_shift(num_slots, num_shifts):
  weights, shifts = (jax.nn.softmax(draw(i, 2, size)) for i, size in
                     enumerate((num_slots, num_shifts)))
  expected = [reference_ntm.shift(w, s) for w, s in
              zip(np.asarray(weights), np.asarray(shifts), strict=True)]
  np.testing.assert_allclose(
      ntm_access.circular_shift(weights, shifts), expected, rtol=1e-5)


def test_a_shift_of_one_moves_a_row_on_and_the_last_to_the_first():
  shifts = jnp.array([[0., 0., 1.], [1., 0., 0.]])
  weights = jnp.tile(jnp.arange(5.), (2, 1))
  np.testing.assert_array_equal(
      ntm_access.circular_shift(weights, shifts),
      [[4, 0, 1, 2, 3], [1, 2, 3, 4, 0]])


def test_sharpen():
  weights = jnp.array([[.1, .2, .7], [.1, .2, .7], [.5, .5, 0.]])
  np.testing.assert_allclose(
      ntm_access.sharpen(weights, jnp.array([1., 2., 5.])),
      [[.1, .2, .7], [.01 / .54, .04 / .54, .49 / .54], [.5, .5, 0]],
      rtol=1e-5, atol=1e-30)


def test_sharpen_does_not_underflow():
  """The power of any of these weights is 0 in float32."""
  weights = jnp.array([[1e-4, 2e-4, 1e-4, 0.]])
  for sharpness in (20., 60.):
    value, gradient = jax.value_and_grad(
        lambda w, s=sharpness: ntm_access.sharpen(
            w, jnp.array([s]))[0, 1])(weights)
    assert value > .99
    assert np.isfinite(gradient).all()
  assert not np.any(np.asarray(weights) ** np.float32(60))


def moves(gate, strength=1., shift=(0., 1., 0.), sharpness=1., keys=None):
  return ntm_access.Addressing(
      keys=draw(3, H, W) if keys is None else keys,
      strengths=jnp.full([H], strength), gates=jnp.full([H], gate),
      shifts=jnp.tile(jnp.array(shift), (H, 1)),
      sharpness=jnp.full([H], sharpness))


def test_a_closed_gate_leaves_the_head_where_it_was():
  before = jax.nn.softmax(draw(1, H, N))
  stays = ntm_access.address(moves(0.), draw(0, N, W), before)
  np.testing.assert_allclose(stays, before, rtol=1e-5)
  goes_on = ntm_access.address(
      moves(0., shift=(0., 0., 1.)), draw(0, N, W), before)
  np.testing.assert_allclose(goes_on, np.roll(before, 1, axis=1), rtol=1e-5)


def test_an_open_gate_goes_to_the_content():
  memory = draw(0, N, W)
  where = np.array([5, 2])
  weights = ntm_access.address(
      moves(1., strength=100., keys=memory[where] * 3), memory,
      jax.nn.softmax(draw(1, H, N)))
  np.testing.assert_allclose(weights, np.eye(N)[where], atol=1e-6)


@pytest.mark.parametrize("num_heads", [1, 2, 9, *(
    pytest.param(number, marks=pytest.mark.slow) for number in (3, 4, 5))])
def test_all_heads_erase_then_all_add(x64, num_heads):
  """Values and derivatives are right for any number of heads."""
  memory, weights = draw(0, N, W), jax.nn.softmax(draw(1, num_heads, N))
  erases = jax.nn.sigmoid(draw(2, num_heads, W))
  additions = draw(3, num_heads, W)

  def naive(memory, weights, erases, additions):
    for w, e in zip(weights, erases, strict=True):
      memory = memory * (1 - jnp.outer(w, e))
    return memory + sum(
        jnp.outer(w, a) for w, a in zip(weights, additions, strict=True))

  results = []
  for write in (naive, ntm_access.erase_and_add):
    value, derivatives = with_pull_back(write)(
        draw(4, N, W), memory, weights, erases, additions)
    results.append((value, *derivatives))
  for expected, got in zip(*results, strict=True):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_reads_what_was_just_written():
  """The write heads go to rows 0 and 1; the read heads find them there."""
  prev = ntm_access.initial_access(N, W, H, 1e-6)._replace(
      write_weights=jnp.eye(N)[:H])
  additions = draw(5, H, W)
  after = ntm_access.access_step(
      ntm_access.NTMInterface(
          write=moves(0.), erases=jnp.ones([H, W]), additions=additions,
          read=moves(1., strength=200., keys=additions)), prev)
  np.testing.assert_allclose(after.memory[:H], additions, rtol=1e-6)
  np.testing.assert_array_equal(after.memory[H:], prev.memory[H:])
  np.testing.assert_allclose(after.read_words, additions, rtol=1e-4)


# Bad arguments.


@pytest.mark.parametrize("name,value,words", [
    ("hidden_size", 0, "at least 1, got 0"),
    ("num_slots", 0, "at least 1, got 0"),
    ("word_size", -1, "at least 1, got -1"),
    ("num_heads", 0, "at least 1, got 0"),
    ("shift_range", -1, "at least 0, got -1"),
    ("shift_range", 2**31 - 1, "at most 1000, got 2147483647"),
    ("memory_init", float("nan"), "finite, got nan"),
])
def test_bad_arguments(name, value, words):
  construct(NTM)
  with pytest.raises(ValueError, match=f"{name} must be {words}"):
    construct(NTM, **{name: value})


@pytest.mark.parametrize("shape", [(), (T, B, F)])
def test_inputs_of_another_rank_are_refused(shape):
  net = network(NTM, num_slots=N)
  with pytest.raises(ValueError, match=r"\[B, F\] or \[F\]"):
    net.unroll(make_params(net), jnp.ones([1, *shape]), net.initial_state(B))
