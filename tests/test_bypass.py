"""What the output of a memory core depends on: `output_from`, bypass dropout.
"""

import functools

import chex
import core_helpers
import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import numpy as np
import pytest
import reference_dam
import reference_ntm
from core_cases import B, F, T, arguments_of, draw
from core_helpers import HIDDEN, H, W

from rmc_nalu_sam import CORES, DAM, NTM, make_model
from rmc_nalu_sam.arrays import merge_last

pytestmark = pytest.mark.usefixtures("strict_promotion")

MEMORY_CORES = [
    name for name in CORES if "output_from" in CORES.arguments(name)]
# The options are wired once for all cores: one of them stands for the others.
every_memory_core = pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name != "sam"))
    for name in MEMORY_CORES])
RATE = .5
KEY = jax.random.key(7)


def network(name, batch=B, **more):
  """Returns an unroll that takes a key, and returns states of all steps."""
  def f(inputs):
    core = CORES.get(name)(**arguments_of(name) | more)
    return hk.dynamic_unroll(
        core, inputs, core.initial_state(batch), return_all_states=True)
  return hk.transform(f)


def params_of(net, inputs):
  """Returns parameters without a generator."""
  shapes = jax.eval_shape(net.init, KEY, inputs)
  return jax.tree.map(lambda x: .4 * draw(*x.shape, seed=x.size), shapes)


def with_output(params, change):
  """Returns parameters with another output layer: `(w, b) -> (w, b)`."""
  (path,) = [path for path in params if path.split("/")[-1] == "output"]
  w, b = change(params[path]["w"], params[path]["b"])
  return params | {path: dict(w=w, b=b)}


def with_zeros(num_units):
  """Returns a change that adds weights of 0 for the controller's output."""
  return lambda w, b: (
      jnp.concatenate([jnp.zeros([num_units, w.shape[1]], w.dtype), w]), b)


def test_all_memory_cores_have_the_options():
  assert MEMORY_CORES == ["dam", "dnc", "ntm", "sam", "sdnc"]
  for name in MEMORY_CORES:
    arguments = CORES.arguments(name)
    assert arguments["output_from"].default == "both"
    assert arguments["bypass_dropout"].default == 0
    assert arguments["layer_norm"].default is False
    assert "'reads'" in arguments["output_from"].help


# Words read alone.


@every_memory_core
def test_reads_equal_both_without_weights_on_the_controller(name):
  inputs = draw(T, B, F)
  reads, both = network(name, output_from="reads"), network(name)
  params = params_of(reads, inputs)
  outputs, states = jax.jit(reads.apply)(params, None, inputs)
  padded = with_output(params, with_zeros(7))
  chex.assert_trees_all_equal_shapes(padded, params_of(both, inputs))
  chex.assert_trees_all_close(
      (outputs, states), jax.jit(both.apply)(padded, None, inputs),
      rtol=1e-5, atol=1e-5)
  layers = {path.split("/")[-1]: layer
            for path, layer in jax.device_get(params).items()}
  words = np.asarray(merge_last(states.access.read_words))
  np.testing.assert_allclose(
      outputs, np.clip(words @ layers["output"]["w"] + layers["output"]["b"],
                       -20, 20), rtol=1e-4, atol=1e-4)
  assert np.ptp(words) > .01


@pytest.mark.parametrize("core, reference", [
    (DAM, reference_dam), (NTM, reference_ntm)])
def test_reads_equal_the_numpy_reference(x64, core, reference):
  num_slots = 7

  def step(params, inputs, state):
    return reference.step(
        with_output(params, with_zeros(HIDDEN)), inputs, state)

  core_helpers.compare_with_reference(
      core_helpers.network(core, num_slots=num_slots, output_from="reads"),
      reference.initial_state(HIDDEN, num_slots, W, H), step,
      lambda state, expected: None)


# Dropout.


def shows_the_controller(params):
  """Returns parameters with which the output is the controller's output."""
  return with_output(params, lambda w, b: (
      jnp.eye(*w.shape, dtype=w.dtype), jnp.zeros_like(b)))


@every_memory_core
def test_single_units_are_dropped_at_each_step_and_others_scaled(name):
  inputs = draw(T, B, F)
  net = network(name, bypass_dropout=RATE, output_size=7)
  params = shows_the_controller(params_of(net, inputs))
  outputs, states = jax.jit(net.apply)(params, KEY, inputs)
  factors = np.asarray(outputs / states.controller.hidden)
  is_kept = factors > 1
  np.testing.assert_allclose(factors, is_kept / (1 - RATE), rtol=1e-5)
  assert .35 < is_kept.mean() < .65
  for axis in range(3):  # Steps, sequences and units differ.
    assert (is_kept != is_kept.take([0], axis)).any(axis).any()
  # The memory does not depend on what is dropped.
  chex.assert_trees_all_equal(
      states, jax.jit(net.apply)(params, None, inputs)[1])


@every_memory_core
def test_without_a_key_nothing_is_dropped(name):
  inputs = draw(T, B, F)
  plain, dropped = network(name), network(name, bypass_dropout=RATE)
  params, with_dropout = (
      jax.jit(net.init)(KEY, inputs) for net in (plain, dropped))
  chex.assert_trees_all_equal(params, with_dropout)
  expected = jax.jit(plain.apply)(params, None, inputs)
  chex.assert_trees_all_equal(
      expected, jax.jit(dropped.apply)(params, None, inputs))
  outputs = jax.jit(dropped.apply)(params, KEY, inputs)[0]
  assert np.abs(outputs - expected[0]).max() > 1e-3


@every_memory_core
def test_sequences_drop_by_their_own_keys(name):
  """So a batch gives the same numbers on any number of devices."""
  model = make_model(name, 2, bypass_dropout=RATE, **sizes_of(name))
  inputs = draw(T, 4, F)
  params = model.init(KEY, inputs)
  keys = jax.random.split(KEY, 4)

  @jax.jit
  def unroll(keys, inputs):
    start = model.initial_state(params, inputs.shape[1])
    return model.unroll(params, keys, inputs, start).outputs

  outputs = unroll(keys, inputs)
  np.testing.assert_allclose(
      unroll(keys[2:], inputs[:, 2:]), outputs[:, 2:], rtol=1e-5, atol=1e-6)
  other = unroll(keys.at[1].set(KEY), inputs)
  changed = np.abs(other - outputs).max((0, 2)) > 1e-4
  np.testing.assert_array_equal(changed, [False, True, False, False])
  # The same inputs and keys: only the step differs.
  same = jnp.broadcast_to(inputs[:1], inputs.shape)
  assert model.draws
  assert not make_model(name, 2, **sizes_of(name)).draws
  assert np.ptp(unroll(keys, same), 0).min() > 0


def sizes_of(name):
  return {key: value for key, value in arguments_of(name).items()
          if key != "output_size"}


def test_under_vmap_each_key_drops_its_own_units():
  inputs = jnp.broadcast_to(draw(T, 1, F), (T, B, F))
  net = network("sam", batch=None, bypass_dropout=RATE, output_size=7)
  params = shows_the_controller(params_of(net, inputs[:, 0]))
  apply = jax.vmap(lambda *args: net.apply(*args)[0], (None, 0, 1))
  outputs = jax.jit(apply)(params, jax.random.split(KEY, B), inputs)
  is_kept = np.asarray(outputs != 0)
  assert .35 < is_kept.mean() < .65
  assert np.any(is_kept[0] != is_kept[1])


# The memory's gradients of SDNC and DNC are no slopes: some are stopped.
WHOLE = {"dam", "ntm", "sam"}


@pytest.mark.parametrize("name, arguments, of_sequences", [
    ("sam", {}, True), ("sam", dict(gradient_steps=T), False), *(
        pytest.param(name, arguments, of_sequences, marks=pytest.mark.slow)
        for name, arguments, of_sequences in (
            ("dam", {}, False), ("dnc", {}, True), ("ntm", {}, True),
            ("sam", {}, False), ("sam", dict(recompute=False), True),
            ("sdnc", {}, False), ("sdnc", dict(gradient_steps=T), True)))])
def test_gradients_are_of_the_units_that_were_kept(
    x64, name, arguments, of_sequences):
  """A recomputation must drop what was dropped before."""
  model = make_model(
      name, 2, bypass_dropout=RATE, **sizes_of(name) | arguments)
  inputs = draw(T, B, F, seed=1)
  params = params_of(model, inputs)
  rng = jax.random.split(KEY, B) if of_sequences else KEY

  @jax.jit
  def loss(params):
    outputs = model.unroll(
        params, rng, inputs, model.initial_state(params, B)).outputs
    return jnp.vdot(draw(*outputs.shape), outputs)

  gradients, eps, checked = jax.jit(jax.grad(loss))(params), 1e-4, 0
  for path, layer in params.items():
    if name not in WHOLE and path.split("/")[-1] != "output":
      continue
    for key, value in layer.items():
      direction = draw(*value.shape, seed=3) / np.sqrt(value.size)
      moved = [loss(params | {path: layer | {key: value + sign * direction}})
               for sign in (eps, -eps)]
      np.testing.assert_allclose(
          jnp.vdot(gradients[path][key], direction),
          (moved[0] - moved[1]) / (2 * eps), rtol=3e-3, atol=3e-3)
      checked += 1
  assert checked == (6 if name in WHOLE else 2)


@pytest.mark.parametrize("more", [
    dict(bypass_dropout=RATE), dict(output_from="reads", layer_norm=True)],
    ids=["dropout", "reads"])
@every_memory_core
def test_bfloat16_policy(name, more):
  policy = jmp.get_policy("params=float32,compute=bfloat16,output=float32")
  model = make_model(name, 2, policy=policy, **sizes_of(name) | more)
  inputs = draw(T, B, F)
  params = jax.eval_shape(model.init, KEY, inputs)
  state = jax.eval_shape(lambda p: model.initial_state(p, B), params)
  assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
  for rng in (KEY, jax.random.split(KEY, B)):
    unrolled = jax.eval_shape(
        functools.partial(model.unroll, rng=rng), params, inputs=inputs,
        state=state)
    assert unrolled.state == state
    assert unrolled.outputs.dtype == jnp.float32


# Bad arguments.


@pytest.mark.parametrize("arguments, match", [
    (dict(output_from="read"), "unknown output_from 'read'; did you mean "
     "'reads'[?] valid: both, reads"),
    (dict(bypass_dropout=1.), r"bypass_dropout must be in \[0, 1\), got 1.0"),
    (dict(bypass_dropout=-.1), r"bypass_dropout must be in \[0, 1\), got -0.1"),
    (dict(bypass_dropout=float("nan")), "bypass_dropout .* finite, .* got nan"),
    (dict(bypass_dropout=.1, output_from="reads"), "bypass_dropout=0.1 has "
     "nothing to drop with output_from='reads'; set one of them only"),
])
@every_memory_core
def test_bad_arguments(name, arguments, match):
  with pytest.raises(ValueError, match=match):
    make_model(name, 2, **arguments)
