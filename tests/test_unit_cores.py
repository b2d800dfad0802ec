"""UnitRNN, UnitSum and ControlledNALU.

For tests of all cores, see test_cores.py.
"""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_units
from reference_layers import layer, lstm
from small_models import draw

from rmc_nalu_sam import UNITS, ControlledNALU, UnitRNN, UnitSum
from rmc_nalu_sam.cores.controlled_nalu import compress
from rmc_nalu_sam.units import arithmetic

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, F, HIDDEN, R = 5, 3, 2, 7, 4


def unroll(core_class, batch=B, **kwargs):
  def f(inputs):
    core = core_class(**kwargs)
    return hk.dynamic_unroll(core, inputs, core.initial_state(batch))
  return hk.Transformed(*map(jax.jit, hk.without_apply_rng(hk.transform(f))))


def make_params(net, scale=.4):
  params = jax.eval_shape(net.init, jax.random.key(0), draw(T, B, F))
  return jax.tree.map(lambda p: scale * draw(*p.shape, seed=p.size), params)


def check_slopes(net, params):
  loss = jax.jit(lambda p, x: jnp.vdot(
      draw(T, B, net_outputs, seed=5), net.apply(p, x)[0]))
  inputs = draw(T, B, F, seed=1)
  net_outputs = net.apply(params, inputs)[0].shape[-1]
  gradients = jax.device_get(jax.jit(jax.grad(loss, (0, 1)))(params, inputs))
  direction = jax.tree.map(lambda v: draw(*v.shape, seed=v.size + 1),
                           (params, inputs))
  eps = 1e-6
  up, down = (loss(*jax.tree.map(lambda v, d, s=s: v + s * eps * d,
                                 (params, inputs), direction))
              for s in (1, -1))
  slope = sum(np.vdot(g, d) for g, d in zip(*map(
      jax.tree.leaves, (gradients, direction)), strict=True))
  np.testing.assert_allclose(slope, (up - down) / (2 * eps), rtol=1e-5)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients))


# UnitRNN


@pytest.mark.parametrize("name", ["nac", "nalu", "nmu", "inalu"])
def test_unit_rnn_equals_its_reference(name, x64):
  net = unroll(UnitRNN, hidden_size=HIDDEN, unit=name)
  params, inputs = make_params(net), draw(T, B, F)
  outputs, state = net.apply(params, inputs)
  flat = {k: np.asarray(v) for k, v in params[f"unit_rnn/~/{name}"].items()}
  for b in range(B):
    hidden = np.full(HIDDEN, 1. if name == "nmu" else 0.)
    for t in range(T):
      hidden = reference_units.REFERENCES[name](
          flat, np.concatenate([inputs[t, b], hidden]))
      np.testing.assert_allclose(outputs[t, b], hidden, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(state.hidden[b], hidden, rtol=1e-9)
  assert np.ptp(outputs) > .1
  check_slopes(net, params)


def test_unit_rnn_adds_up_a_long_sequence():
  net = unroll(UnitRNN, hidden_size=1, unit="nau")
  inputs = draw(1000, B, 1)
  params = {"unit_rnn/~/nau": {"w": jnp.ones([2, 1])}}
  outputs, _ = jax.jit(net.apply)(params, inputs)
  np.testing.assert_allclose(
      outputs, np.cumsum(np.asarray(inputs, np.float64), axis=0), atol=1e-3)


def test_unit_rnn_multiplies():
  net = unroll(UnitRNN, hidden_size=1, unit="nmu")
  inputs = draw(T, B, 1)
  params = {"unit_rnn/~/nmu": {"w": jnp.ones([2, 1])}}
  outputs, _ = net.apply(params, inputs)
  np.testing.assert_allclose(outputs, np.cumprod(inputs, axis=0), rtol=1e-5)


def check_long_gradients(net, inputs):
  """Checks them where outputs are finite; returns for how many inputs."""
  def loss(params, inputs):
    outputs = net.apply(params, inputs)[0]
    return outputs.mean(), jnp.isfinite(outputs).all()

  params = jax.jit(net.init)(jax.random.key(0), inputs[0])
  gradients_of = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
  results = [gradients_of(params, x) for x in inputs]
  for gradients, is_finite in results:
    assert not is_finite or all(
        np.isfinite(g).all() for g in jax.tree.leaves(gradients))
  return sum(bool(is_finite) for _, is_finite in results)


LONG = 2000
LONG_INPUTS = [
    np.zeros([LONG, B, F], np.float32), draw(LONG, B, F), 10 * draw(LONG, B, F),
    np.concatenate([draw(2, B, F), np.zeros([LONG - 2, B, F], np.float32)])]
# These units' outputs overflow, unless all inputs are 0.
GROWING = {"inalu": 0, "inalu_shared": 0, "nac": 1, "relu": 1}


@pytest.mark.parametrize("name", UNITS)
def test_unit_rnn_of_any_unit_has_finite_gradients(name):
  net = unroll(UnitRNN, hidden_size=HIDDEN, unit=name,
               unit_args=dict(hidden_size=HIDDEN) if name == "mlp" else None)
  count = check_long_gradients(net, LONG_INPUTS)
  assert count >= GROWING.get(name, len(LONG_INPUTS))


def test_controlled_nalu_has_finite_gradients():
  assert check_long_gradients(controlled(), LONG_INPUTS) == len(LONG_INPUTS)


def test_gradients_are_cut_where_they_overflow():
  x, bound = jnp.array([2., -3., 0., 1.]), 2.**64
  factors = jnp.array([5., -1e30, jnp.inf, jnp.nan])
  f = lambda x: jnp.vdot(arithmetic.cut_gradients(x), factors)  # noqa: E731
  np.testing.assert_allclose(jax.grad(f)(x), [5, -bound, bound, 0], rtol=1e-6)
  tangents = jnp.array([7., 0., 0., 0.])
  cut = arithmetic.cut_gradients
  for value in jax.jvp(cut, (x,), (tangents,)):
    assert value.dtype == jnp.float32
  np.testing.assert_array_equal(jax.jvp(cut, (x,), (tangents,))[1], tangents)
  np.testing.assert_array_equal(jax.vmap(cut)(x), x)
  half = jax.grad(lambda x: 1e3 * arithmetic.cut_gradients(x))(
      jnp.float16(2))
  assert half == 1000


def test_unit_rnn_takes_arguments_of_its_unit_and_an_initial_value():
  net = unroll(UnitRNN, hidden_size=HIDDEN, unit="nalu",
               unit_args=dict(shared=False), initial_value=3.)
  params, inputs = make_params(net), jnp.zeros([1, B, F])
  assert len(params["unit_rnn/~/nalu"]) == 5
  hidden = np.concatenate([np.zeros(F), np.full(HIDDEN, 3.)])
  flat = {k: np.asarray(v) for k, v in params["unit_rnn/~/nalu"].items()}
  expected = reference_units.REFERENCES["nalu_separate"](flat, hidden)
  np.testing.assert_allclose(
      net.apply(params, inputs)[0][0, 1], expected, rtol=1e-3)


def test_unit_rnn_refuses():
  with pytest.raises(ValueError, match=r"unknown unit 'gru'; .*inalu"):
    hk.transform(lambda: UnitRNN(unit="gru") and None).init(None)
  with pytest.raises(ValueError, match=r"hidden_size must be .* 1, got 0"):
    hk.transform(lambda: UnitRNN(0) and None).init(None)
  with pytest.raises(ValueError, match=r"inputs \[B, F\] or \[F\], got \[2, 3"):
    unroll(UnitRNN, hidden_size=HIDDEN).init(
        jax.random.key(0), jnp.zeros([1, 2, 3, 4]))


# ControlledNALU


def controlled(**kwargs):
  return unroll(ControlledNALU, hidden_size=HIDDEN, num_registers=R, **kwargs)


@pytest.mark.parametrize("num_values", [None, 1])
def test_controlled_nalu_equals_its_reference(num_values, x64):
  net = controlled(num_values=num_values)
  params, inputs = make_params(net), draw(T, B, F)
  outputs, state = net.apply(params, inputs)
  named = jax.device_get(params)
  for b in range(B):
    hidden, cell, registers = np.zeros(HIDDEN), np.zeros(HIDDEN), np.ones(R)
    for t in range(T):
      seen = np.concatenate([inputs[t, b], registers])
      seen = np.sign(seen) * np.log(1 + np.abs(seen))
      hidden, cell = lstm(layer(named, "controller/linear"),
                          np.concatenate([seen, hidden]), cell)
      operands = np.concatenate([inputs[t, b, :num_values], registers])
      chosen = layer(named, "weights")
      w_hat, m_hat, gate = (hidden @ chosen["w"] + chosen["b"]).reshape(
          3, len(operands), R)
      registers = nalu(w_hat, m_hat, gate, operands)
      np.testing.assert_allclose(outputs[t, b], registers, rtol=1e-9)
    np.testing.assert_allclose(state.registers[b], registers, rtol=1e-9)
    np.testing.assert_allclose(state.controller.hidden[b], hidden, rtol=1e-9)
  assert np.ptp(outputs) > .1
  check_slopes(net, params)


def nalu(w_hat, m_hat, gate, x):
  w = np.tanh(w_hat) / (1 + np.exp(-m_hat))
  g = 1 / (1 + np.exp(-x @ gate))
  return g * (x @ w) + (1 - g) * np.prod((abs(x[:, None]) + 1e-3) ** w, axis=0)


def test_controlled_nalu_without_a_batch():
  batched, single = controlled(), controlled(batch=None)
  params, inputs = make_params(batched), draw(T, B, F)
  outputs, state = batched.apply(params, inputs)
  one, one_state = single.apply(params, inputs[:, 1])
  np.testing.assert_allclose(one, outputs[:, 1], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
      one_state.registers, state.registers[1], rtol=1e-4, atol=1e-5)


def test_controlled_nalu_can_add_two_numbers_of_two_steps():
  """With hand-chosen weights, the core adds numbers of any size."""
  net = unroll(ControlledNALU, hidden_size=1, num_registers=1, num_values=1)
  # A register that starts at 0 is the sum of all inputs so far.
  chosen = np.array([[[30.], [30.]], [[30.], [30.]], [[30.], [30.]]])
  numbers = jnp.array([[[12.], [345.]], [[30.], [6789.]]])
  params = jax.tree.map(
      jnp.zeros_like, net.init(jax.random.key(0), numbers[:, :1].repeat(B, 1)))
  params["controlled_nalu/weights"]["b"] = jnp.asarray(chosen.reshape(-1))
  outputs, _ = unroll(ControlledNALU, batch=2, hidden_size=1, num_registers=1,
                      num_values=1, initial_value=0.).apply(params, numbers)
  np.testing.assert_allclose(outputs[1, :, 0], [42., 7134.], rtol=1e-6)


def test_controlled_nalu_starts_with_finite_gradients():
  net = controlled()
  inputs = jnp.concatenate([100 * draw(2, B, F), jnp.zeros([T - 2, B, F])])
  params = net.init(jax.random.key(0), inputs)
  gradients = jax.grad(
      lambda p: jnp.square(net.apply(p, inputs)[0]).mean())(params)
  assert all(np.isfinite(g).all() and np.any(g != 0)
             for g in jax.tree.leaves(gradients))


def test_compress_is_odd_and_slow():
  x = jnp.array([-1e4, -1., 0., 1., 1e4])
  np.testing.assert_allclose(
      compress(x), [-np.log(10001), -np.log(2), 0, np.log(2), np.log(10001)],
      rtol=1e-6)
  np.testing.assert_allclose(
      jax.vmap(jax.grad(compress))(x), 1 / (1 + jnp.abs(x)), rtol=1e-6)


@pytest.mark.parametrize("arguments, message", [
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(num_registers=0), "num_registers must be at least 1, got 0"),
    (dict(num_values=0), "num_values must be at least 1, got 0"),
    (dict(epsilon=0.), "epsilon must be positive, got 0.0"),
    (dict(num_values=3), "num_values must be at most .* 2; got 3"),
])
def test_controlled_nalu_refuses(arguments, message):
  with pytest.raises(ValueError, match=message):
    unroll(ControlledNALU, **arguments).init(jax.random.key(0), draw(T, B, F))


# UnitSum


@pytest.mark.parametrize("num_inputs", [1, 2, 3])
@pytest.mark.parametrize("name", ["nac", "nalu", "nmu"])
def test_unit_sum_equals_its_reference(name, num_inputs, x64):
  net = unroll(UnitSum, output_size=4, hidden_size=HIDDEN, unit=name,
               num_inputs=num_inputs)
  params, inputs = make_params(net), draw(T, B, F)
  outputs, state = net.apply(params, inputs)
  flat = {k: np.asarray(v) for k, v in params[f"unit_sum/~/{name}"].items()}
  embedding = np.asarray(params["unit_sum/~/embedding"]["w"])
  for b in range(B):
    embedded = [np.zeros(HIDDEN)] * (num_inputs - 1) + [
        x @ embedding for x in inputs[:, b]]
    total = np.zeros(4)
    for t in range(T):
      total = total + reference_units.REFERENCES[name](
          flat, np.concatenate(embedded[t:t + num_inputs]))
      np.testing.assert_allclose(outputs[t, b], total, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(state.total[b], outputs[-1, b])
    np.testing.assert_allclose(
        state.window[b], np.concatenate(embedded[T:]) if num_inputs > 1 else [],
        rtol=1e-12)
  check_slopes(net, params)


def test_a_pair_adds_the_same_wherever_it_stands(x64):
  net = unroll(UnitSum, batch=None, output_size=2, hidden_size=HIDDEN)
  words = jnp.eye(4)
  params = jax.tree.map(
      lambda p: .4 * draw(*p.shape, seed=p.size),
      jax.eval_shape(net.init, jax.random.key(0), words))
  added = [np.diff(net.apply(params, words[jnp.array(text)])[0], axis=0)
           for text in ([0, 1, 2, 3, 0], [3, 3, 1, 2, 3])]
  np.testing.assert_allclose(added[0][1:3], added[1][2:4], rtol=1e-9)
  assert np.abs(added[0][0] - added[0][1]).max() > 1e-3


def test_unit_sum_refuses():
  for kwargs, words in ((dict(num_inputs=0), "num_inputs"),
                        (dict(hidden_size=0), "hidden_size"),
                        (dict(output_size=0), "output_size"),
                        (dict(unit="gru"), "unknown unit")):
    with pytest.raises(ValueError, match=words):
      hk.transform(lambda kwargs=kwargs: UnitSum(**kwargs) and None).init(None)
