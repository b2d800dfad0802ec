"""The Mogrifier LSTM against NumPy, and against its authors' code."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw
from reference_layers import linear, sigmoid

from rmc_nalu_sam import MogrifierLSTM
from rmc_nalu_sam.cores import lstm, mogrifier

T, B, F, H, RANK = 5, 3, 11, 7, 2


def unroll(**kwargs):
  def f(inputs, state):
    return hk.dynamic_unroll(
        mogrifier(**kwargs), inputs, state, return_all_states=True)
  return hk.without_apply_rng(hk.transform(f))


def step(params, prefix, x, h, c, num_rounds, cap=True):
  """Computes one layer's step from the equations."""
  for i in range(num_rounds):
    source, target = (x, h) if i % 2 else (h, x)
    if f"{prefix}/round_{i}_down" in params:
      source = source @ np.asarray(params[f"{prefix}/round_{i}_down"]["w"])
    target = 2 * sigmoid(
        linear(params[f"{prefix}/round_{i}"], source)) * target
    x, h = (x, target) if i % 2 else (target, h)
  i, j, f, o = np.split(
      linear(params[f"{prefix}/linear"], np.concatenate([x, h])), 4)
  i, f = sigmoid(i), sigmoid(f + 1)
  c = f * c + (np.minimum(1 - f, i) if cap else i) * np.tanh(j)
  return sigmoid(o) * np.tanh(c), c


@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("num_rounds, rank, cap", [
    (5, 0, True), (6, RANK, True), (1, RANK, False)])
def test_layers_equal_their_reference(num_rounds, rank, cap):
  net = unroll(hidden_size=H, num_layers=2, num_rounds=num_rounds, rank=rank,
               cap_input_gate=cap)
  inputs = draw(0, T, B, F)
  start = tuple(hk.LSTMState(draw(2 * i + 1, B, H), draw(2 * i + 2, B, H))
                for i in range(2))
  params = jax.tree.map(
      lambda p: draw(p.size, *p.shape),
      jax.eval_shape(net.init, jax.random.key(0), inputs, start))
  assert len(params) == 2 * (1 + num_rounds * (2 if rank else 1))
  outputs, states = jax.jit(net.apply)(params, inputs, start)
  assert outputs.shape == (T, B, 2 * H)
  for b in range(B):
    (h, c), (h_1, c_1) = ((s.hidden[b], s.cell[b]) for s in start)
    for t in range(T):
      x = np.asarray(inputs[t, b])
      h, c = step(params, "mogrifier", x, h, c, num_rounds, cap)
      h_1, c_1 = step(params, "mogrifier_1", np.concatenate([x, h]), h_1, c_1,
                      num_rounds, cap)
      np.testing.assert_allclose(
          outputs[t, b], np.concatenate([h, h_1]), rtol=1e-9)
      for state, cell in zip(states, (c, c_1), strict=True):
        np.testing.assert_allclose(state.cell[t, b], cell, rtol=1e-9)


def from_lamb(golden, kind):
  """Returns arrays of the authors' cell as our parameters.

  Their gates are candidate, output, forget, input. Ours adds 1 to the forget
  gate, so a forget bias has to be 1 smaller.
  """
  arrays = {key.removeprefix(f"{kind}."): golden[key] for key in golden.files
            if key.startswith(f"{kind}.")}
  j, o, f, i = np.split(arrays["tiled_linear/W"], 4, axis=1)
  biases = [arrays[f"tiled_linear/B_{gate}"] for gate in "ijfo"]
  biases[2] = biases[2] - (kind == "param")
  ours = {"mogrifier/linear": dict(w=np.concatenate([i, j, f, o], 1),
                                   b=np.concatenate(biases))}
  for r in range(6):
    if f"fm_{r}/kernel" in arrays:
      ours[f"mogrifier/round_{r}"] = dict(
          w=arrays[f"fm_{r}/kernel"], b=arrays[f"fm_{r}/bias"])
    elif f"fm_{r}_bias" in arrays:
      ours[f"mogrifier/round_{r}_down"] = dict(w=arrays[f"fm_{r}_weight_a"])
      ours[f"mogrifier/round_{r}"] = dict(
          w=arrays[f"fm_{r}_weight_b"], b=arrays[f"fm_{r}_bias"])
  return ours


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("file, num_rounds, rank", [
    ("rounds0", 0, 0), ("rounds5_dense", 5, 0), ("rounds6_rank3", 6, 3)])
def test_equals_the_authors_code(file, num_rounds, rank, golden_root):
  golden = np.load(golden_root / f"lamb_mogrifier_{file}.npz")
  net = unroll(hidden_size=golden["h0"].shape[-1], num_rounds=num_rounds,
               rank=rank)

  def loss(params, inputs, hidden, cell):
    outputs, states = net.apply(params, inputs, hk.LSTMState(hidden, cell))
    return ((outputs * golden["cot_y"]).sum()
            + (states.cell[-1] * golden["cot_c_T"]).sum()
            + (states.hidden[-1] * golden["cot_h_T"]).sum(),
            (outputs, states.cell))

  params = jax.tree.map(jnp.asarray, from_lamb(golden, "param"))
  start = [jnp.asarray(golden[name]) for name in ("x", "h0", "c0")]
  (value, (outputs, cells)), gradients = jax.jit(jax.value_and_grad(
      loss, (0, 1, 2, 3), has_aux=True))(params, *start)
  expected = (golden["loss"], golden["y"], golden["c"])
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9),
               (value, outputs, cells), expected)
  expected = (from_lamb(golden, "grad"), golden["grad_x"], golden["grad_h0"],
              golden["grad_c0"])
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12),
      gradients, expected)


def test_without_rounds_and_cap_it_is_an_lstm():
  def f(core):
    return lambda x: hk.dynamic_unroll(core(), x, core().initial_state(B))[0]

  inputs = draw(0, T, B, F)
  ours, haiku = (hk.without_apply_rng(hk.transform(f(core))) for core in (
      lambda: mogrifier(H, num_rounds=0, cap_input_gate=False, name="lstm"),
      lambda: lstm(H)))
  params = haiku.init(jax.random.key(0), inputs)
  np.testing.assert_allclose(
      ours.apply(params, inputs), haiku.apply(params, inputs), rtol=1e-5)


def test_rounds_of_low_rank_have_fewer_parameters():
  def size(rank):
    net = unroll(hidden_size=H, num_rounds=3, rank=rank)
    state = hk.LSTMState(jnp.zeros([B, H]), jnp.zeros([B, H]))
    return sum(p.size for p in jax.tree.leaves(jax.eval_shape(
        net.init, jax.random.key(0), draw(0, T, B, F), state)))

  assert size(0) - size(RANK) == 3 * (F * H - RANK * (F + H))


@pytest.mark.parametrize("kwargs, words", [
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(num_layers=0), "num_layers must be at least 1, got 0"),
    (dict(num_rounds=-1), "num_rounds must be at least 0, got -1"),
    (dict(num_rounds=10**8), "num_rounds must be at most 1000, got 100000000"),
    (dict(rank=-1), "rank must be at least 0, got -1")])
def test_errors(kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: mogrifier(**kwargs) and None).init(None)


def test_a_layer_alone_checks_its_size():
  with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
    hk.transform(lambda: MogrifierLSTM(hidden_size=0) and None).init(None)
