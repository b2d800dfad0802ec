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


# Units and read-outs.


def layers_of(core, **kwargs):
  """Name -> shapes of the parameters, and the units among them."""
  model = make_model(core, OUT, **kwargs)
  params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros([T, B, F]))
  assert set(model.units) <= set(params)
  return {name: {key: value.shape for key, value in layer.items()}
          for name, layer in params.items()}, model.units


@pytest.mark.parametrize("core, read_outs", [
    ("lstm", {"nau": {"w": (7, OUT)}}),
    ("sam", {"nau": {"w": (7, OUT)}}),
    ("stack", {"stack/nau": {"w": (F, 7)}, "stack/nau_1": {"w": (7, OUT)}}),
    ("unit_rnn", {"unit_rnn/~/nau": {"w": (F + 7, 7)},
                  "nau": {"w": (7, OUT)}}),
])
def test_units_are_found_wherever_they_are(core, read_outs):
  layers, units = layers_of(core, unit="nau", **SMALL[core])
  assert {name: layers[name] for name in units} == read_outs


def test_core_with_another_read_out_maps_to_its_hidden_size():
  layers, _ = layers_of("sam", unit="nau", **SMALL["sam"])
  assert layers["sam/output"]["w"][1] == 7


def test_cell_of_the_output_s_size_is_the_answer():
  layers, _ = layers_of("unit_rnn", unit="nau", hidden_size=OUT)
  assert layers == {"unit_rnn/~/nau": {"w": (F + OUT, OUT)}}


def test_stack_of_a_unit_with_an_activation_ends_linear():
  layers, units = layers_of("stack", unit="relu", num_layers=3, hidden_size=7)
  assert layers == {
      "stack/linear": {"w": (F, 7), "b": (7,)},
      "stack/linear_1": {"w": (7, 7), "b": (7,)},
      "stack/output": {"w": (7, OUT), "b": (OUT,)}}
  assert [unit.activation for unit in units.values()] == [
      "relu", "relu", "none"]


def test_stack_of_different_units():
  layers, _ = layers_of("stack", unit="nmu", hidden_unit="nac", hidden_size=7)
  assert list(layers) == ["stack/nac", "stack/nmu"]


def test_unit_arguments_reach_the_unit():
  layers, _ = layers_of("lstm", unit_args=dict(with_bias=False), hidden_size=7)
  assert layers["linear"] == {"w": (7, OUT)}
  layers, _ = layers_of("stack", unit="linear", hidden_size=7,
                        unit_args=dict(with_bias=False))
  assert layers["stack/linear"] == {"w": (F, 7)}


def test_penalty_constraint_and_sparsity_error():
  model = make_model("stack", OUT, unit="nmu", hidden_unit="nau", hidden_size=7,
                     encoder="embed", encoder_args=dict(output_size=11))
  params = model.init(jax.random.key(0), jnp.zeros([T, B, F]))
  nau, nmu = model.units
  assert nau == "stack/nau"
  params = params | {nau: {"w": jnp.full([11, 7], .25)},
                     nmu: {"w": jnp.full([7, OUT], .9)}}
  np.testing.assert_allclose(model.penalty(params), .25 + .1, rtol=1e-5)
  np.testing.assert_allclose(model.sparsity_error(params), .25, rtol=1e-5)
  moved = model.constrain(jax.tree.map(lambda w: w - 2, params))
  assert np.all(moved[nau]["w"] == -1)
  assert np.all(moved[nmu]["w"] == 0)
  (embed,) = set(params) - set(model.units)  # Not a unit: anywhere.
  np.testing.assert_array_equal(moved[embed]["w"], params[embed]["w"] - 2)


@pytest.mark.parametrize("core, arguments", [
    ("unit_rnn", dict(hidden_size=7, encoder="embed",
                      encoder_args=dict(output_size=11))),
    ("stack", dict(hidden_size=7)), ("rmc", SMALL["rmc"])])
def test_unit_inputs(core, arguments):
  """Their means over steps and batch; asked for, they change nothing else."""
  model = make_model(core, OUT, unit="nau", **arguments)
  inputs = jnp.asarray(np.random.default_rng(0).normal(size=[T, B, F]), float)
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  outputs, state = model.unroll(params, inputs, start)
  same, last, found = jax.jit(lambda p: model.unroll(
      p, inputs, start, return_unit_inputs=True))(params)
  for a, b in zip(jax.tree.leaves((outputs, state)),
                  jax.tree.leaves((same, last)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert set(found) == set(model.units)
  expected = {"stack/nau": inputs.mean((0, 1))}
  if core == "unit_rnn":
    encoded = inputs @ params["embed/linear"]["w"]
    cell, read_out = model.units
    _, states = model.unroll(params, inputs, start, return_all_states=True)
    before = jnp.concatenate([start.hidden[None], states.hidden[:-1]])
    expected = {cell: jnp.concatenate([encoded, before], -1).mean((0, 1)),
                read_out: states.hidden.mean((0, 1))}
  for name in set(expected) & set(found):
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-4,
                               atol=1e-5)
  total = sum(unit.input_penalty(params[name], found[name])
              for name, unit in model.units.items())
  np.testing.assert_allclose(model.input_penalty(params, found), total,
                             rtol=1e-5)
  assert total > 0


def test_model_without_units_has_no_penalty():
  model, params, _ = small_model("sam")
  assert not model.units
  assert model.penalty(params) == 0
  assert model.sparsity_error(params) == 0
  assert model.constrain(params) == params


@pytest.mark.parametrize("kwargs, words", [
    (dict(unit="nmo"), "unknown unit 'nmo'; valid units: .*nmu"),
    (dict(encoder="cmm"), "unknown encoder 'cmm'; valid encoders: cnn, embed"),
    (dict(unit="nmu", unit_args=dict(epsilon=1)),
     "unit 'nmu' has no argument 'epsilon'; valid arguments: penalty"),
    (dict(encoder_args=dict(mean=1)),
     "encoder 'none' has no argument 'mean'; valid arguments: none"),
    (dict(encoder="cnn", input_size=255), "square images"),
    (dict(unit="nmu", unit_args=dict(penalty="none")), "unknown penalty"),
])
def test_bad_units_and_encoders(kwargs, words):
  with pytest.raises(ValueError, match=words):
    make_model("lstm", OUT, **kwargs)


@pytest.mark.parametrize("kwargs, words", [
    (dict(num_layers=0), "num_layers must be at least 1, got 0"),
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(hidden_unit="nmo"), "unknown hidden_unit 'nmo'; valid units: .*nmu"),
])
def test_bad_stacks(kwargs, words):
  with pytest.raises(ValueError, match=words):
    make_model("stack", OUT, **kwargs)
