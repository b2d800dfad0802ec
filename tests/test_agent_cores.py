"""The ConvLSTM and the LSTM with a NAC against NumPy."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from reference_layers import lstm as lstm_step
from reference_units import nac

from rmc_nalu_sam import make_model
from rmc_nalu_sam.cores import NACLSTM, ConvLSTM

pytestmark = pytest.mark.usefixtures("x64", "strict_promotion")

T, B = 3, 2
HEIGHT, WIDTH, CHANNELS, NUMBERS, HIDDEN = 3, 4, 2, 5, 3
F, H, N, A = 7, 5, 2, 3  # Of the LSTM with a NAC.


def draw(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def functions(core, input_size):
  """Returns init, unroll, parameters, inputs and a state, none of them zero."""
  def net():
    made = core()
    def unroll(inputs, state):
      return hk.dynamic_unroll(made, inputs, state)
    return unroll, (unroll, made.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  inputs = draw(T, B, input_size)
  state = initial_state({}, None, B)
  params = jax.eval_shape(init, jax.random.key(0), jnp.asarray(inputs), state)
  params, state = (jax.tree.map(
      lambda x: .4 * draw(*x.shape, seed=x.size), x) for x in (params, state))
  return lambda p, *args: unroll(p, None, *args), params, inputs, state


def check_gradients(unroll, *args):
  def loss(*args):
    return [jnp.vdot(draw(*x.shape, seed=i), x)
            for i, x in enumerate(jax.tree.leaves(unroll(*args)))]
  check_grads(jax.jit(loss), jax.tree.map(jnp.asarray, args), 1, modes=["rev"],
              rtol=1e-6, atol=1e-6)


# The ConvLSTM.


def convolve(layer, maps):
  """Computes the convolution 2 x 2; zeros follow the last row and column."""
  maps = np.pad(maps, [(0, 1), (0, 1), (0, 0)])
  return sum(maps[i:i + HEIGHT, j:j + WIDTH] @ layer["w"][i, j]
             for i in range(2) for j in range(2)) + layer["b"]


def conv_lstm_step(params, x, h, c):
  cells = HEIGHT * WIDTH
  maps = np.zeros([HEIGHT, WIDTH, CHANNELS + NUMBERS])
  for place in range(cells):
    maps[divmod(place, WIDTH)] = np.concatenate(
        [x[CHANNELS * place:CHANNELS * (place + 1)], x[CHANNELS * cells:]])
  gates = (convolve(params["conv_lstm/input_to_hidden"], maps)
           + convolve(params["conv_lstm/hidden_to_hidden"], h))
  i, g, f, o = np.split(gates, 4, -1)
  sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
  c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
  return sigmoid(o) * np.tanh(c), c


def conv_lstm(channels=0):
  return functions(
      lambda: ConvLSTM(HIDDEN, 2, HEIGHT, WIDTH, channels),
      HEIGHT * WIDTH * CHANNELS + NUMBERS)


@pytest.mark.parametrize("channels", [0, CHANNELS])
def test_conv_lstm_equals_its_reference(channels):
  unroll, params, inputs, start = conv_lstm(channels)
  outputs, state = jax.jit(unroll)(params, inputs, start)
  for b in range(B):
    h, c = start.hidden[b], start.cell[b]
    for t in range(T):
      h, c = conv_lstm_step(params, inputs[t, b], h, c)
      np.testing.assert_allclose(outputs[t, b], h.ravel(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.hidden[b], h, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.cell[b], c, rtol=1e-9, atol=1e-9)


def test_conv_lstm_is_haiku_s():
  unroll, params, inputs, start = conv_lstm()
  outputs, _ = unroll(params, inputs, start)
  cells = HEIGHT * WIDTH
  maps = inputs[..., :cells * CHANNELS].reshape(
      T, B, HEIGHT, WIDTH, CHANNELS)
  maps = np.concatenate([maps, np.broadcast_to(
      inputs[..., None, None, cells * CHANNELS:],
      (T, B, HEIGHT, WIDTH, NUMBERS))], -1)
  theirs = hk.without_apply_rng(hk.transform(lambda x, s: hk.dynamic_unroll(
      hk.Conv2DLSTM(maps.shape[2:], HIDDEN, 2, name="conv_lstm"), x, s)))
  expected, _ = theirs.apply(params, jnp.asarray(maps), start)
  np.testing.assert_allclose(
      outputs, expected.reshape(outputs.shape), rtol=1e-9, atol=1e-9)


def test_gradients_of_conv_lstm():
  check_gradients(*conv_lstm())


def test_conv_lstm_takes_the_maps_of_a_torso():
  inputs = jnp.zeros([T, B, 4 * 5 * 3 + 2])
  model = make_model(
      "conv_lstm", 2, hidden_channels=HIDDEN, height=3, width=4,
      encoder="torso", encoder_args=dict(channels="5", output_size=0),
      image_shape=(4, 5, 3), num_features=1, input_size=inputs.shape[-1])
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  kernel = params["model/~/conv_lstm/input_to_hidden"]["w"]
  assert kernel.shape == (2, 2, 5 + 2, 4 * HIDDEN)


# The LSTM with a NAC.


def nac_lstm():
  return functions(lambda: NACLSTM(H, N, A), F)


def test_nac_lstm_equals_its_reference():
  unroll, params, inputs, start = nac_lstm()
  outputs, state = jax.jit(unroll)(params, inputs, start)
  for b in range(B):
    h, c, a = start.lstm.hidden[b], start.lstm.cell[b], start.sums[b]
    for t in range(T):
      x = inputs[t, b]
      a = np.array(nac(params["nac_lstm/~/nac"], [*x[-N:], *a, *h]))
      h, c = lstm_step(
          params["nac_lstm/~/lstm/linear"], np.concatenate([x, a, h]), c)
      np.testing.assert_allclose(outputs[t, b], h, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.sums[b], a, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.lstm.cell[b], c, rtol=1e-9, atol=1e-9)


def test_gradients_of_nac_lstm():
  check_gradients(*nac_lstm())


def test_nac_lstm_can_count_down():
  """With weights of 1 and -1, an output is the instruction minus the time."""
  unroll, params, _, state = nac_lstm()
  large = jnp.full([N + A + H, A], 50.)
  # Output 0 adds up the first number, output 1 keeps the second one less that.
  w = np.zeros([N + A + H, A])
  w[0, 0] = w[N, 0] = 1.
  w[1, 1], w[N, 1], w[0, 1] = 1., -1., -1.
  params["nac_lstm/~/nac"] = dict(w_hat=jnp.asarray(50 * w), m_hat=large)
  inputs = jnp.broadcast_to(jnp.array([0.] * (F - N) + [1., 12.]), (9, B, F))
  state = jax.tree.map(jnp.zeros_like, state)
  _, last = unroll(params, inputs, state)
  np.testing.assert_allclose(
      last.sums, [[9, 12 - 9, 0]] * B, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make, words", [
    (lambda: ConvLSTM(hidden_channels=0), "hidden_channels must be at least 1"),
    (lambda: ConvLSTM(height=0), "height must be at least 1, got 0"),
    (lambda: ConvLSTM(channels=-1), "channels must be at least 0, got -1"),
    (lambda: ConvLSTM(height=2, width=2, channels=4),
     "inputs of 4 maps of 2 x 2, 16 numbers or more, got 3; see height"),
    (lambda: NACLSTM(num_numbers=0), "num_numbers must be at least 1, got 0"),
    (lambda: NACLSTM(nac_size=0), "nac_size must be at least 1, got 0"),
    (lambda: NACLSTM(num_numbers=4), "num_numbers=4 or more, got 3")])
def test_errors(make, words):
  def step(inputs):
    core = make()
    return core(inputs, core.initial_state(B))

  with pytest.raises(ValueError, match=words):
    hk.transform(step).init(jax.random.key(0), jnp.zeros([B, 3]))
