"""RNN, UGRNN and layers of LSTMs against NumPy."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_layers import lstm as lstm_step

from rmc_nalu_sam import RNN, UGRNN
from rmc_nalu_sam.cores import feed_forward, lstm, mogrifier

T, B, F, H = 5, 3, 11, 7

FUNCTIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def rnn(w, b, x, h, f):
  return f(np.concatenate([x, h]) @ w + b)


def ugrnn(w, b, x, h, f):
  joined = np.concatenate([x, h])
  candidate = f(joined @ w[:, :H] + b[:H])
  gate = 1 / (1 + np.exp(-(joined @ w[:, H:] + b[H:] + 1)))
  return gate * h + (1 - gate) * candidate


@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("core_class, step", [(RNN, rnn), (UGRNN, ugrnn)])
@pytest.mark.parametrize("activation", sorted(FUNCTIONS))
def test_equals_its_reference(core_class, step, activation):
  def unroll(inputs, state):
    return hk.dynamic_unroll(
        core_class(H, activation=activation), inputs, state)

  random = np.random.default_rng(0)
  inputs, start = random.normal(size=(T, B, F)), random.normal(size=(B, H))
  net = hk.without_apply_rng(hk.transform(unroll))
  params = net.init(jax.random.key(0), jnp.asarray(inputs), jnp.asarray(start))
  params = jax.tree.map(
      lambda p: jnp.asarray(.5 * random.normal(size=p.shape)), params)
  outputs, state = jax.jit(net.apply)(params, inputs, start)
  ((layer,),) = [list(params.values())]
  for b in range(B):
    h = start[b]
    for t in range(T):
      h = step(np.asarray(layer["w"]), np.asarray(layer["b"]), inputs[t, b], h,
               FUNCTIONS[activation])
      np.testing.assert_allclose(outputs[t, b], h, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state[b], h, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_layers_of_lstms_equal_their_reference(num_layers):
  def net():
    core = lstm(H, num_layers)
    return (lambda inputs, state: hk.dynamic_unroll(core, inputs, state),
            (lambda inputs, state: hk.dynamic_unroll(core, inputs, state),
             core.initial_state))

  random = np.random.default_rng(0)
  inputs = random.normal(size=(T, B, F))
  init, (unroll, initial_state) = hk.multi_transform(net)
  start = initial_state({}, None, B)
  params = init(jax.random.key(0), jnp.asarray(inputs), start)
  params = jax.tree.map(
      lambda p: jnp.asarray(.5 * random.normal(size=p.shape)), params)
  outputs, state = jax.jit(unroll)(params, None, inputs, start)
  assert outputs.shape == (T, B, num_layers * H)
  names = ["lstm/linear", "lstm_1/linear", "lstm_2/linear"][:num_layers]
  assert sorted(params) == sorted(names)
  for b in range(B):
    hidden, cell = np.zeros([2, num_layers, H])
    for t in range(T):
      below = np.zeros(0)
      for i, name in enumerate(names):
        hidden[i], cell[i] = lstm_step(
            params[name], np.concatenate([inputs[t, b], below, hidden[i]]),
            cell[i])
        below = hidden[i]
      np.testing.assert_allclose(outputs[t, b], hidden.ravel(), rtol=1e-9)
    for i, layer in enumerate(state if num_layers > 1 else [state]):
      np.testing.assert_allclose(layer.hidden[b], hidden[i], rtol=1e-9)
      np.testing.assert_allclose(layer.cell[b], cell[i], rtol=1e-9)


@pytest.mark.usefixtures("strict_promotion")
@pytest.mark.parametrize("dtype", [bool, np.int8])
@pytest.mark.parametrize("core", [lstm, feed_forward, mogrifier])
def test_layers_take_integers_and_booleans_as_floats(core, dtype):
  def step(inputs):
    layers = core(H, 2)
    return layers(inputs, layers.initial_state(B))

  net = hk.without_apply_rng(hk.transform(step))
  inputs = jnp.arange(B * F).reshape(B, F) % 2
  params = jax.eval_shape(net.init, jax.random.key(0), inputs.astype(dtype))
  params = jax.tree.map(lambda p: jnp.sin(jnp.arange(
      p.size, dtype=p.dtype)).reshape(p.shape), params)
  results = [jax.jit(net.apply)(params, inputs.astype(t))
             for t in (dtype, np.float32)]
  jax.tree.map(np.testing.assert_array_equal, *results)
  assert np.ptp(results[0][0]) > 0


@pytest.mark.parametrize("kwargs, words", [
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(num_layers=0), "num_layers must be at least 1, got 0")])
def test_sizes_of_lstms(kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: lstm(**kwargs) and None).init(None)


@pytest.mark.parametrize("core_class", [RNN, UGRNN])
@pytest.mark.parametrize("kwargs, words", [
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(activation="selu"),
     "unknown activation 'selu'; valid activations: relu, tanh")])
def test_errors(core_class, kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: core_class(**kwargs) and None).init(None)
