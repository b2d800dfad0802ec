"""The AWD-LSTM against PyTorch, Haiku, and its own steps."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw
from mixed_precision import products, subjaxprs

from rmc_nalu_sam import AWDLSTM, MogrifierLSTM, dropout, make_model
from rmc_nalu_sam.arrays import Rows
from rmc_nalu_sam.cores import awd_lstm

T, B, F, H, LAST = 7, 3, 11, 5, 13
KEY = jax.random.key(3)
every_kind = pytest.mark.parametrize("kwargs", [
    {}, dict(num_rounds=3), dict(num_rounds=4, rank=2)],
    ids=["plain", "gates", "low rank"])


def network(by_steps=False, **kwargs):
  """Returns an unroll `(inputs, state)`."""
  def f(inputs, state):
    core = AWDLSTM(**dict(hidden_size=H, last_size=LAST) | kwargs)
    if by_steps:
      return hk.dynamic_unroll(core, inputs, state)
    return core.unroll(inputs, state)
  return hk.Transformed(*map(jax.jit, hk.transform(f)))


def start(*sizes):
  return tuple(hk.LSTMState(draw(i, B, size), draw(i + 9, B, size))
               for i, size in enumerate(sizes))


def params_of(net, inputs, state):
  return jax.tree.map(lambda p: .5 * draw(p.size, *p.shape),
                      jax.eval_shape(net.init, KEY, inputs, state))


def close(a, b, rtol=1e-9, atol=1e-11):
  assert jax.tree.leaves(a)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(
      x, y, rtol=rtol, atol=atol), a, b)


# Other implementations.


def from_torch(golden, kind, layers, of_parameters=True):
  """Returns PyTorch's arrays as parameters: other gates, and one bias."""
  def columns(array):
    i, f, g, o = np.split(array, 4)
    return jnp.asarray(np.concatenate([i, g, f, o]).T)

  return {name: dict(
      w=jnp.concatenate([columns(golden[f"{kind}weight_{way}_l{n}"])
                         for way in ("ih", "hh")]),
      b=columns(golden[f"{kind}bias_ih_l{n}"] + (
          golden[f"{kind}bias_hh_l{n}"] if of_parameters else 0)))
      for n, name in enumerate(layers)}


LAYERS = ["awd_lstm/~/layer_0/linear", "awd_lstm/~/layer_1/linear"]


@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("by_steps", [False, True])
def test_equals_pytorch(golden_root, by_steps):
  golden = np.load(golden_root / "torch_lstm_2layer.npz")
  size = golden["h0"].shape[-1]
  net = network(by_steps, hidden_size=size, last_size=0, forget_bias=0.)

  def loss(params, inputs, hidden, cells):
    outputs, state = net.apply(
        params, None, inputs, tuple(map(hk.LSTMState, hidden, cells)))
    state = tuple(map(jnp.stack, zip(*state, strict=True)))
    return sum(jnp.vdot(x, golden[name]) for x, name in zip(
        (outputs, *state), ("cot_y", "cot_h_n", "cot_c_n"), strict=True)), (
            outputs, *state)

  params = from_torch(golden, "param.", LAYERS)
  (_, found), gradients = jax.jit(jax.value_and_grad(
      loss, (0, 1, 2, 3), has_aux=True))(params, *(
          jnp.asarray(golden[name]) for name in ("x", "h0", "c0")))
  close(found, tuple(golden[name] for name in ("y", "h_n", "c_n")))
  close(gradients, (from_torch(golden, "grad.", LAYERS, False), *(
      golden[f"grad_{name}"] for name in ("x", "h0", "c0"))))


@pytest.mark.usefixtures("x64")
def test_a_tied_language_model_equals_pytorch_over_two_windows(golden_root):
  golden = np.load(golden_root / "torch_lstm_lm_tied.npz")
  num_words, size = golden["param.embedding.weight"].shape
  window, batch = int(golden["window"]), golden["ids"].shape[1]
  model = make_model(
      "awd_lstm", num_words, encoder="tokens", head="softmax", input_size=None,
      encoder_args=dict(output_size=size), head_args=dict(tied=True),
      hidden_size=size, forget_bias=0.)
  layers = [f"model/~/{name}" for name in LAYERS]

  def ours(kind, of_parameters):
    return from_torch(golden, f"{kind}lstm.", layers, of_parameters) | {
        "model/~/tokens": dict(embeddings=golden[f"{kind}embedding.weight"]),
        "model/~/softmax": dict(b=golden[f"{kind}decoder.bias"])}

  @functools.partial(jax.jit, static_argnames="targets")
  def unroll(params, state, ids, targets):
    unrolled = model.unroll(params, None, ids[:-1], state,
                            targets=ids[1:] if targets else None)
    return -unrolled.outputs.mean() if targets else unrolled.outputs, (
        unrolled.state)

  params = jax.tree.map(jnp.asarray, ours("param.", True))
  state, losses = model.initial_state(params, batch), []
  for number in range(2):
    ids = jnp.asarray(golden["ids"][number * window:(number + 1) * window + 1])
    logits, _ = unroll(params, state, ids, False)
    close(logits, golden[f"w{number}.logits"])
    (loss, state), gradients = jax.value_and_grad(unroll, has_aux=True)(
        params, state, ids, True)
    close(loss, golden[f"w{number}.loss"])
    close(gradients, ours(f"w{number}.grad.", False))
    close(tuple(map(np.stack, zip(*state, strict=True))), tuple(
        golden[f"w{number}.{name}"] for name in ("h_n", "c_n")))
    losses.append(loss)
  close(np.exp(np.mean(losses)), golden["perplexity"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kwargs, layer", [
    ({}, hk.LSTM),
    (dict(num_rounds=3), functools.partial(MogrifierLSTM, num_rounds=3))])
def test_equals_layers_of_haiku_and_of_mogrifier(kwargs, layer):
  def stack(inputs, state):
    core = hk.DeepRNN([layer(H, name="layer_0"), layer(LAST, name="layer_1")])
    return hk.dynamic_unroll(core, inputs, state)

  inputs, state = draw(0, T, B, F), start(H, LAST)
  net = network(**kwargs)
  params = params_of(net, inputs, state)
  theirs = {name.removeprefix("awd_lstm/~/"): p for name, p in params.items()}
  close(net.apply(params, None, inputs, state),
        hk.transform(stack).apply(theirs, None, inputs, state))
  close(jax.tree.leaves(net.init(KEY, inputs, state)),
        jax.tree.leaves(hk.transform(stack).init(KEY, inputs, state)), 1e-12)


# All steps at once.


@pytest.mark.usefixtures("x64", "strict_promotion")
@every_kind
def test_all_steps_at_once_equal_single_steps(kwargs):
  """So do the gradients, and numerical ones."""
  inputs, state = draw(0, T, B, F), start(H, H, LAST)
  nets = [network(by_steps, num_layers=3, **kwargs)
          for by_steps in (False, True)]
  params = params_of(nets[0], inputs, state)

  def results(net):
    def loss(params, inputs, state):
      found = net.apply(params, None, inputs, state)
      return sum(jnp.vdot(draw(i, *x.shape), x) for i, x in enumerate(
          jax.tree.leaves(found))), found
    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))

  of_whole, of_steps = map(results, nets)
  variables = (params, inputs, state)
  whole = of_whole(*variables)
  close(whole, of_steps(*variables))
  along = jax.tree.map(lambda x: draw(x.size + 1, *x.shape), variables)
  moved = [of_whole(*jax.tree.map(
      lambda x, d, e=e: x + e * d, variables, along))[0][0]
           for e in (1e-6, -1e-6)]
  slope = sum(map(jnp.vdot, jax.tree.leaves(whole[1]), jax.tree.leaves(along)))
  np.testing.assert_allclose((moved[0] - moved[1]) / 2e-6, slope, rtol=1e-6)


@pytest.mark.usefixtures("x64", "strict_promotion")
@every_kind
@pytest.mark.parametrize("has_resets", [False, True])
def test_rows_of_a_table_equal_their_vectors(kwargs, has_resets):
  """So do the gradients, those of the table too."""
  table, state = draw(0, 4, F), start(H, LAST)
  rng = np.random.default_rng(0)
  index = jnp.asarray(rng.integers(4, size=[T, B]))
  resets = jnp.asarray(rng.random([T, B]) < .3) if has_resets else None
  params = params_of(network(**kwargs), table[index], state)

  def results(inputs_of):
    def f(table, state):
      core = AWDLSTM(H, last_size=LAST, **kwargs)
      return core.unroll(inputs_of(Rows(table, index)), state, resets)

    def loss(params, table, state):
      found = hk.transform(f).apply(params, None, table, state)
      return sum(jnp.vdot(draw(i, *x.shape), x) for i, x in enumerate(
          jax.tree.leaves(found))), found
    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(
        params, table, state)

  close(results(lambda rows: rows), results(Rows.take))


@every_kind
def test_windows_join(kwargs):
  inputs, state = draw(0, T, B, F), start(H, LAST)
  net = network(**kwargs)
  params = params_of(net, inputs, state)
  outputs, last = net.apply(params, None, inputs, state)
  first, between = net.apply(params, None, inputs[:3], state)
  rest, after = net.apply(params, None, inputs[3:], between)
  close((outputs, last), (np.concatenate([first, rest]), after), 1e-5, 1e-6)
  none, same = net.apply(params, None, inputs[:0], state)
  assert none.shape == (0, B, LAST)
  close(same, state)


@every_kind
def test_gradients_of_gradients_are_slopes(kwargs, x64):
  inputs, state = draw(0, T, B, F), start(H, LAST)
  net = network(**kwargs)
  params = params_of(net, inputs, state)

  @jax.jit
  @jax.value_and_grad
  def penalty(inputs):
    gradient = jax.grad(lambda x: jnp.sin(
        net.apply(params, None, x, state)[0]).sum())(inputs)
    return jnp.square(gradient).sum()

  along = draw(1, *inputs.shape)
  moved = [penalty(inputs + e * along)[0] for e in (1e-6, -1e-6)]
  slope = jnp.vdot(penalty(inputs)[1], along)
  np.testing.assert_allclose((moved[0] - moved[1]) / 2e-6, slope, rtol=1e-6)


def loops_of_gradients(net, params, inputs, state):
  """Returns the bodies of the loops: of the layers, and then back."""
  jaxpr = jax.make_jaxpr(jax.grad(lambda p, x: net.apply(
      p, None, x, state)[0].sum(), (0, 1)))(params, inputs)
  return [e.params["jaxpr"] for j in subjaxprs(jaxpr) for e in j.eqns
          if e.primitive.name == "scan"]


def test_a_step_multiplies_by_the_recurrent_weights_alone():
  inputs, state = draw(0, T, B, F), start(H, LAST)
  net = network()
  loops = loops_of_gradients(
      net, params_of(net, inputs, state), inputs, state)
  found = [[tuple(v.shape for v in product[:2]) for product in products(loop)]
           for loop in loops]
  assert found == [[((B, size), (size, 4 * size))] for size in (H, LAST)] + [
      [((B, 4 * size), (4 * size, size))] for size in (LAST, H)]


def test_a_step_back_computes_no_gate_again_and_transposes_nothing():
  inputs, state = draw(0, T, B, F), start(H, LAST)
  net = network()
  loops = loops_of_gradients(
      net, params_of(net, inputs, state), inputs, state)
  dear = [[name for j in subjaxprs(loop) for e in j.eqns
           if (name := e.primitive.name) in ("logistic", "tanh", "transpose")]
          for loop in loops]
  # Back, the one tanh is that of the cell.
  assert list(map(sorted, dear)) == [["logistic", "tanh", "tanh"]] * 2 + [
      ["tanh"]] * 2


# Dropout.


@every_kind
def test_recurrent_weights_are_dropped_once_for_all_steps(monkeypatch, kwargs):
  inputs, state = draw(0, T, B, F), start(H, LAST)
  net, plain = network(weight_drop=.4, **kwargs), network(**kwargs)
  params = params_of(net, inputs, state)
  assert np.any(net.apply(params, KEY, inputs, state)[0]
                != plain.apply(params, None, inputs, state)[0])
  monkeypatch.setattr(awd_lstm, "shared_key", lambda rate: KEY)
  dropped = dict(params)
  for name, size in zip(LAYERS, (H, LAST), strict=True):
    dropped[name] = params[name] | dict(w=dropout.weight_drop(
        KEY, params[name]["w"], .4, num_rows=size))
  close(net.apply(params, None, inputs, state),
        plain.apply(dropped, None, inputs, state), 1e-5, 1e-6)


def test_units_are_dropped_between_layers_alone(monkeypatch):
  inputs, state = draw(0, T, B, F), start(H, H, LAST)
  calls = []

  def locked(x, rate, name):
    calls.append((x.shape, rate, name))
    return dropout.locked(x, rate, name)

  monkeypatch.setattr(awd_lstm, "locked", locked)
  net = network(num_layers=3, dropout=.3)
  params = params_of(net, inputs, state)
  calls.clear()
  net.apply(params, KEY, inputs, state)
  assert calls == [((T, B, H), .3, "layer_1"), ((T, B, H), .3, "layer_2")]


@every_kind
def test_without_a_key_and_when_made_nothing_is_dropped(kwargs):
  inputs, state = draw(0, T, B, F), start(H, LAST)
  plain = network(**kwargs)
  net = network(dropout=.5, weight_drop=.5, **kwargs)
  params = plain.init(KEY, inputs, state)
  close(net.init(KEY, inputs, state), params, 0, 0)
  expected = plain.apply(params, None, inputs, state)
  close(net.apply(params, None, inputs, state), expected, 0, 0)
  outputs = net.apply(params, KEY, inputs, state)[0]
  assert np.abs(outputs - expected[0]).max() > 1e-2
  steps = network(True, dropout=.5, weight_drop=.5, **kwargs)
  close(steps.apply(params, KEY, inputs, state), expected, 1e-5, 1e-6)


@pytest.mark.parametrize("kwargs, words", [
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(num_layers=0), "num_layers must be at least 1, got 0"),
    (dict(num_layers=10**8), "num_layers must be at most 1000"),
    (dict(last_size=-1), "last_size must be at least 0, got -1"),
    (dict(num_rounds=-1), "num_rounds must be at least 0, got -1"),
    (dict(rank=-1), "rank must be at least 0, got -1"),
    (dict(dropout=1.), r"dropout must be in \[0, 1\), got 1.0"),
    (dict(weight_drop=float("nan")), r"weight_drop must be in \[0, 1\), got")])
def test_errors(kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: AWDLSTM(**kwargs) and None).init(None)
