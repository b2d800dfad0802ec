"""The controllers of the memory cores."""

import re

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_cases import B, F, T, arguments_of, draw, transform
from reference_layers import layer_norm, sigmoid

from rmc_nalu_sam import CORES, make_model
from rmc_nalu_sam.arrays import merge_last
from rmc_nalu_sam.cores import CONTROLLERS, FeedForward, feed_forward
from rmc_nalu_sam.registry import attribute

pytestmark = pytest.mark.usefixtures("strict_promotion")

MEMORY_CORES = [
    name for name in CORES if "controller" in CORES.arguments(name)]
every_memory_core = pytest.mark.parametrize("name", MEMORY_CORES)


def make(name, controller=None, **more):
  arguments = arguments_of(name) | more
  if controller is not None:
    arguments |= dict(controller=controller)
  return CORES.get(name)(**arguments)


def network(name, controller=None, **more):
  """Returns an unroll; `controller` makes one where Haiku allows it."""
  def f(inputs):
    core = make(name, controller and controller(), **more)
    return hk.dynamic_unroll(
        core, inputs, core.initial_state(B), return_all_states=True)
  return transform(f)


def params_of(net, inputs):
  """Returns parameters without a generator."""
  shapes = jax.eval_shape(net.init, jax.random.key(0), inputs)
  return jax.tree.map(lambda x: .4 * draw(*x.shape, seed=x.size), shapes)


def test_all_memory_cores_take_a_controller():
  assert MEMORY_CORES == ["dam", "dnc", "ntm", "sam", "sdnc"] == [
      name for name in CORES
      if attribute(CORES.get(name), "PICTURE", None) == "memory"]
  for name in MEMORY_CORES:
    assert CORES.arguments(name)["controller"].default == "lstm"
    assert all(repr(each) in CORES.arguments(name)["controller"].help
               for each in CONTROLLERS)


@every_memory_core
def test_an_lstm_of_ones_own_equals_the_default(name):
  """Both are the same program, so outputs and states are equal to the bit."""
  inputs = draw(T, B, F)
  # SAM's recomputation takes the parameters in the order of their names.
  plain = dict(recompute=False) if "recompute" in CORES.arguments(name) else {}
  default = network(name, **plain)
  own = network(name, lambda: hk.LSTM(7, name="mine"), **plain)
  params = params_of(default, inputs)

  def moved(params):
    return {path.replace(f"{name}/~/controller", "mine"): value
            for path, value in params.items()}

  assert moved(params).keys() == params_of(own, inputs).keys() != params.keys()

  def program(net, move):
    jaxpr = jax.make_jaxpr(lambda p: net.apply(move(p), inputs))(params)
    return re.sub("0x[0-9a-f]+", "", str(jaxpr))  # Without addresses.

  assert program(own, moved) == program(default, lambda params: params)


@every_memory_core
def test_feed_forward_equals_a_composition_by_hand(name):
  """Layers are computed by hand from what was read; the memory by the core."""
  inputs, limit = draw(T, B, F), 20.
  net = network(name, lambda: "feedforward")
  params = jax.device_get(params_of(net, inputs))
  layers = {path.split("/")[-1]: layer for path, layer in params.items()}
  assert layers.keys() == {"linear", "interface", "output"}
  outputs, states = jax.jit(net.apply)(params, inputs)
  assert not jax.tree.leaves(states.controller)
  words = np.asarray(merge_last(states.access.read_words))
  before = np.concatenate([np.zeros_like(words[:1]), words[:-1]])

  def layer(name, *parts):
    return (np.concatenate(parts, -1) @ layers[name]["w"]
            + layers[name]["b"])

  hidden = np.tanh(layer("linear", inputs, before))
  np.testing.assert_allclose(
      outputs, np.clip(layer("output", hidden, words), -limit, limit),
      rtol=1e-4, atol=1e-4)
  assert np.abs(words).max() > .01


def test_layers_are_joined_like_those_of_the_lstm():
  def f(inputs):
    core = feed_forward(7, num_layers=3)
    return core(inputs, core.initial_state(B))

  net, inputs = transform(f), draw(B, F)
  params = jax.device_get(params_of(net, inputs))
  outputs, state = net.apply(params, inputs)
  assert not jax.tree.leaves(state)
  inputs = np.asarray(inputs)
  expected, below = [], inputs
  for layer in params.values():
    expected.append(np.tanh(below @ layer["w"] + layer["b"]))
    below = np.concatenate([inputs, expected[-1]], -1)
  assert len(expected) == 3
  np.testing.assert_allclose(
      outputs, np.concatenate(expected, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("controller", ["lstm", "feedforward"])
def test_a_layer_norm_equals_the_numpy_reference(x64, controller):
  def f(inputs):
    core = CONTROLLERS.make(controller, hidden_size=7, layer_norm=True)
    return hk.dynamic_unroll(core, inputs, core.initial_state(B))[0]

  net, inputs = transform(f), draw(T, B, F)
  params = jax.device_get(params_of(net, inputs))
  layers = {path.split("/")[-1]: layer for path, layer in params.items()}
  assert layers["linear"].keys() == {"w"}
  outputs = net.apply(params, inputs)
  for b in range(B):
    hidden = cell = np.zeros(7)
    for t in range(T):
      x = np.asarray(inputs[t, b])
      if controller == "feedforward":
        hidden = np.tanh(layer_norm(
            layers["layer_norm"], x @ layers["linear"]["w"]))
      else:
        i, g, f, o = np.split(layer_norm(
            layers["layer_norm"],
            np.concatenate([x, hidden]) @ layers["linear"]["w"]), 4)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(layer_norm(layers["cell_norm"], cell))
      np.testing.assert_allclose(outputs[t, b], hidden, rtol=1e-9, atol=1e-9)


@every_memory_core
def test_layer_norm_reaches_the_controller(name):
  shapes = jax.eval_shape(
      network(name, layer_norm=True).init, jax.random.key(0), draw(T, B, F))
  assert sum("scale" in layer for layer in shapes.values()) == 2


@pytest.mark.parametrize("controller, match", [
    ("haiku:GRU", "controller 'haiku:GRU' has no argument 'layer_norm'"),
    (FeedForward, "layer_norm=True needs the name of a controller, got the co"),
])
def test_a_layer_norm_needs_a_controller_that_has_one(controller, match):
  def make_core():
    made = controller(7) if controller is FeedForward else controller
    make("dam", made, layer_norm=True)

  with pytest.raises(ValueError, match=match):
    hk.transform(make_core).init(None)


def test_dnc_stacks_the_controller():
  inputs = draw(T, B, F)
  net = network("dnc", lambda: "feedforward", num_layers=2)
  params = jax.eval_shape(net.init, jax.random.key(0), inputs)
  assert params["dnc/~/interface"]["w"].shape[0] == 2 * 7


class Counting(hk.RNNCore):
  """Counts steps in its state, far beyond DNC's clip."""

  def __init__(self, hidden_size, name=None):
    super().__init__(name=name)
    self._hidden_size = hidden_size

  def __call__(self, inputs, prev_state):
    output = jnp.ones([*inputs.shape[:-1], self._hidden_size])
    return output, prev_state + 1000

  def initial_state(self, batch_size):
    return jnp.zeros([] if batch_size is None else [batch_size], jnp.int32)


@every_memory_core
def test_a_controller_may_have_a_state_of_integers(name):
  net = network(name, lambda: Counting)
  inputs = draw(T, B, F)
  _, states = jax.jit(net.apply)(params_of(net, inputs), inputs)
  np.testing.assert_array_equal(
      states.controller[:, 0], 1000 * np.arange(1, T + 1))


@pytest.mark.parametrize("controller", [
    "haiku:GRU", hk.GRU, "rmc_nalu_sam.cores.recurrent:gru"])
def test_a_controller_by_path_or_constructor(controller):
  model = make_model("ntm", 2, controller=controller, hidden_size=7)
  params = jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros([T, B, F]))
  assert any(path.endswith("controller") for path in params)
  assert sum("w_h" in layer for layer in params.values()) == 1


def test_sam_with_an_empty_controller_state_forgets():
  model = make_model("sam", 2, controller="feedforward", gradient_steps=T,
                     hidden_size=7, num_slots=61)
  inputs = draw(T, B, F)
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  unroll = jax.jit(lambda *args: model.unroll(params, None, *args))
  first = unroll(inputs, start)
  again = unroll(inputs, model.forget(params, first.state))
  kept = unroll(inputs, first.state)
  np.testing.assert_allclose(again.outputs, first.outputs, rtol=1e-5, atol=1e-6)
  assert np.abs(kept.outputs - first.outputs).max() > 1e-3


# Bad arguments.


@pytest.mark.parametrize("name", ["dnc", "sdnc"])
def test_an_unknown_controller_is_named_with_the_valid_ones(name):
  with pytest.raises(ValueError, match=r"unknown controller 'feedfoward'; did "
                     r"you mean 'feedforward'\? valid controllers: feedforwar"
                     r"d, lstm, or 'package.module:attribute'"):
    make_model(name, 2, controller="feedfoward")


def test_a_controller_that_takes_no_size_is_refused():
  with pytest.raises(ValueError, match="controller 'haiku:Linear' has no "
                     "argument 'hidden_size'; valid arguments: output_size"):
    make_model("dam", 2, controller="haiku:Linear")
  with pytest.raises(ValueError, match="controller 'haiku:GRU' has no argument "
                     "'num_layers'; valid arguments: hidden_size"):
    make_model("dnc", 2, controller="haiku:GRU", num_layers=2)


def test_a_core_that_is_made_has_its_layers():
  net = network("dnc", lambda: FeedForward(7), num_layers=2)
  with pytest.raises(ValueError, match="num_layers=2 needs the name of a cont"):
    net.init(jax.random.key(0), draw(T, B, F))


@pytest.mark.parametrize("controller", [FeedForward, feed_forward])
def test_bad_sizes(controller):
  with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
    hk.transform(lambda: controller(0) and None).init(None)


@every_memory_core
def test_sizes_are_checked_before_the_controller_is_made(name):
  with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
    make_model(name, 2, hidden_size=0)
  with pytest.raises(ValueError, match="output_size must be at least 1, got 0"):
    hk.transform(lambda: make(name, output_size=0) and None).init(None)
