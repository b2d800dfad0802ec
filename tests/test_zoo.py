"""A model from the name of a core."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam import CORES, make_model, zoo

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, F, OUT = 5, 3, 13, 2
SMALL = {
    "controlled_nalu": dict(hidden_size=7, num_registers=3),
    "dam": dict(hidden_size=7, num_slots=17, word_size=11),
    "dnc": dict(hidden_size=7, num_slots=17, word_size=11, num_read_heads=3),
    "gru": dict(hidden_size=7),
    "lstm": dict(hidden_size=7),
    "ntm": dict(hidden_size=7, num_slots=17, word_size=11),
    "rnn": dict(hidden_size=7),
    # Its queries, keys and values are 28 numbers.
    "rmc": dict(num_slots=17, head_size=5, num_heads=4, key_size=1),
    "sam": dict(hidden_size=7, num_slots=17, word_size=11, top_k=3),
    "sdnc": dict(hidden_size=7, num_slots=17, word_size=11, top_k=3),
    "stack": dict(hidden_size=7),
    "ugrnn": dict(hidden_size=7),
    "unit_rnn": dict(hidden_size=7),
}
every_core = pytest.mark.parametrize("core", SMALL)


def small_model(core):
  model = make_model(core, OUT, **SMALL[core])
  inputs = jnp.asarray(np.random.default_rng(0).normal(size=[T, B, F]), float)
  return model, jax.jit(model.init)(jax.random.key(0), inputs), inputs


def test_every_core_is_tested():
  assert set(SMALL) == set(CORES)


@every_core
def test_unroll(core):
  model, params, inputs = small_model(core)
  start = model.initial_state(params, B)
  outputs, state = jax.jit(model.unroll)(params, inputs, start)
  assert outputs.shape == (T, B, OUT)
  shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), s)
            for s in (start, state)]
  assert shapes[0] == shapes[1]
  assert np.all(np.ptp(np.asarray(outputs), axis=0) > 0)


@every_core
def test_return_all_states(core):
  model, params, inputs = small_model(core)
  start = model.initial_state(params, B)
  unroll = jax.jit(model.unroll, static_argnames="return_all_states")
  outputs, last = unroll(params, inputs, start)
  same, states = unroll(params, inputs, start, return_all_states=True)
  np.testing.assert_allclose(outputs, same, rtol=1e-5)
  for one, several in zip(*map(jax.tree.leaves, (last, states)), strict=True):
    assert several.shape == (T, *one.shape)
    np.testing.assert_allclose(several[-1], one, rtol=1e-5, atol=1e-6)


@every_core
def test_initial_state_without_batch(core):
  model, params, _ = small_model(core)
  one, several = (model.initial_state(params, b) for b in (None, B))
  for x, xs in zip(*map(jax.tree.leaves, (one, several)), strict=True):
    assert xs.shape == (B, *x.shape)


@every_core
def test_only_the_shape_of_the_inputs_matters_to_init(core):
  model, params, inputs = small_model(core)
  again = jax.jit(model.init)(jax.random.key(0), 0 * inputs[:1, :1])
  jax.tree.map(np.testing.assert_array_equal, params, again)
  other = jax.jit(model.init)(jax.random.key(1), inputs)
  assert any(np.any(a != b) for a, b in zip(
      *map(jax.tree.leaves, (params, other)), strict=True))


def test_core_with_an_output_of_its_own_gets_no_second_read_out():
  _, params, _ = small_model("sam")
  layers = {name.split("/")[-1]: layer["w"].shape
            for name, layer in params.items()}
  assert set(layers) == {"linear", "interface", "output"}
  assert layers["output"][1] == OUT


def test_core_without_an_output_gets_a_read_out():
  _, params, _ = small_model("lstm")
  assert sorted(layer["w"].shape for layer in params.values()) == [
      (7, OUT), (F + 7, 28)]


@every_core
def test_arguments_reach_the_core(core):
  _, params, _ = small_model(core)
  gates = {"gru": 3, "rnn": 1, "stack": 1, "ugrnn": 2,
           "unit_rnn": 1}.get(core, 4)
  assert [weights.shape for layer in params.values()
          for name, weights in layer.items()
          if name.startswith("w") and weights.shape[1] == gates * 7]
  (controller,) = [layer["w"] for layer in params.values()
                   if "w" in layer and layer["w"].shape[1] == 4 * 7]
  assert controller.shape[1] == 28


def test_defaults_are_those_of_the_cores():
  assert zoo.core_arguments("lstm")["hidden_size"].default == 100
  assert zoo.core_arguments("sam")["num_slots"].default == 128
  for core in CORES:
    make_model(core, OUT)


@pytest.mark.parametrize("call", [
    lambda: make_model("lsmt", OUT), lambda: zoo.core_arguments("lsmt")])
def test_unknown_core(call):
  with pytest.raises(ValueError, match="lsmt") as error:
    call()
  assert all(core in str(error.value) for core in CORES)


@every_core
@pytest.mark.parametrize("argument", ["num_slot", "name"])
def test_unknown_argument(core, argument):
  with pytest.raises(ValueError, match=f"no argument '{argument}'") as error:
    make_model(core, OUT, **{argument: 3})
  for valid in zoo.core_arguments(core):
    assert valid in str(error.value)


def test_bad_value_is_refused_at_once():
  with pytest.raises(ValueError, match="top_k must be at most num_slots=17"):
    make_model("sam", OUT, num_slots=17, top_k=19)


def test_needed_argument(monkeypatch):
  monkeypatch.setattr(zoo, "CORES", {"bare": hk.LSTM})
  with pytest.raises(ValueError, match="'bare' needs the argument 'hidden_"):
    make_model("bare", OUT)
