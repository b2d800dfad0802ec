"""RMC against the reference implementation, NumPy, and by its parts."""

import functools
import json

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_rmc
from core_helpers import draw
from mixed_precision import bfloat16_policy, every_output, products

from rmc_nalu_sam import RMC
from rmc_nalu_sam.relational import attention, layers

pytestmark = pytest.mark.usefixtures("strict_promotion")

# All different.
T, B, N, H, V, K, F = 4, 3, 5, 2, 7, 11, 13
D = H * V
NARROW = 3  # An input size for which `unroll` multiplies weights at once.
SIZES = dict(num_slots=N, head_size=V, num_heads=H, key_size=K)

OPTIONS = {
    "defaults": {},
    "one slot": dict(num_slots=1),
    "more slots than numbers in a row": dict(num_slots=17, key_size=3),
    "blocks": dict(num_blocks=3, attention_mlp_layers=1),
    "memory gates": dict(gate_style="memory", num_blocks=2, forget_bias=.5,
                         input_bias=-.7, attention_mlp_layers=3),
    "no gates": dict(gate_style=None),
    "rows": dict(input_rows=2, forget_bias=-1., input_bias=.3),
    "blocks and rows": dict(input_rows=2, num_blocks=2, gate_style="memory"),
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def sizes(options):
  return SIZES | options


def network(options):
  return _network(tuple(options.items()))


@functools.cache
def _network(options):
  """Returns pure functions; `unroll` returns the states of all steps."""
  def net():
    core = RMC(**sizes(dict(options)))

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  return (jax.jit(init),
          jax.jit(lambda params, *args: unroll(params, None, *args)),
          lambda batch_size: initial_state({}, None, batch_size))


def make_inputs(options):
  return draw(1, T, B, options.get("input_rows", 1), F)


def make_params(options):
  """Draws larger parameters than the initial ones: gates and weights vary."""
  init, _, initial_state = network(options)
  params = jax.eval_shape(init, jax.random.key(0), make_inputs(options),
                          initial_state(B))
  return jax.tree.map(lambda p: draw(p.size, *p.shape), params)


def random_state(options):
  state = network(options)[2](B)
  return state._replace(memory=draw(2, *state.memory.shape))


# The reference implementation.


@pytest.mark.parametrize("case, shared", [
    ("unit", {}), ("no_gate", dict(gate_style=None)),
    ("matrix_input", dict(input_rows=3))])
def test_equals_the_public_implementation(x64, golden_root, case, shared):
  """Outputs, memories and gradients are equal; see the golden files' README."""
  golden = np.load(golden_root / f"sonnet_v1_rmc_{case}.npz")
  facts = json.loads((golden_root / "sonnet_v1_rmc.json").read_text())[case]
  options = dict(num_slots=facts["kwargs"]["mem_slots"], head_size=8,
                 num_heads=2, key_size=None, **shared)
  assert facts["kwargs"]["head_size"] == 8
  assert facts["kwargs"]["num_heads"] == 2
  init, unroll, initial_state = network(options)
  np.testing.assert_array_equal(initial_state(3).memory, golden["init_memory"])

  shapes = jax.eval_shape(init, jax.random.key(0), golden["x"],
                          initial_state(3))
  names = {
      "inputs": "linear", "qkv_0": "linear_1", "qkv_norm_0": "layer_norm",
      "attention_norm_0": "layer_norm_1", "mlp_norm_0": "layer_norm_2",
      "mlp_0": "mlp.linear_0", "mlp_1": "mlp.linear_1",
      "input_gates": "linear_2", "memory_gates": "linear_3"}

  def translate(kind):
    leaf = dict(w="w", b="b", scale="gamma", offset="beta")
    return {module: {name: golden[
        f"{kind}.relational_memory.{names[module.split('/')[-1]]}.{leaf[name]}"]
                     for name in layer} for module, layer in shapes.items()}

  params = translate("param")
  assert len(jax.tree.leaves(params)) == len(facts["variables"])
  chex.assert_trees_all_equal_shapes(params, shapes)

  def loss(params, inputs, memory):
    outputs, states = unroll(
        params, inputs, initial_state(3)._replace(memory=memory))
    value = (jnp.vdot(outputs, golden["cot_outputs"])
             + jnp.vdot(states.memory[-1], golden["cot_memory"]))
    return value, (outputs, states.memory)

  (value, (outputs, memories)), gradients = jax.jit(jax.value_and_grad(
      loss, (0, 1, 2), has_aux=True))(params, golden["x"],
                                      golden["init_memory"])
  check = functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-10)
  check(outputs, golden["outputs"])
  check(memories, golden["memories"])
  check(value, golden["loss"])
  jax.tree.map(check, gradients, (
      translate("grad"), golden["grad_x"], golden["grad_init_memory"]))


@every_option
def test_equals_the_numpy_reference(x64, options):
  unroll = network(options)[1]
  params, inputs = make_params(options), make_inputs(options)
  outputs, states = jax.device_get(unroll(
      params, inputs, network(options)[2](B)))
  arguments = sizes(options)
  num_slots = arguments.pop("num_slots")
  arguments.pop("head_size")
  arguments.pop("input_rows", None)
  for b in range(B):
    memory = reference_rmc.initial_memory(num_slots, D)
    for t in range(T):
      memory, attention = reference_rmc.step(
          params, inputs[t, b], memory, **arguments)
      np.testing.assert_allclose(outputs[t, b], memory.ravel(), atol=1e-10)
      np.testing.assert_allclose(states.memory[t, b], memory, atol=1e-10)
      np.testing.assert_allclose(states.attention[t, b], attention, atol=1e-10)
  assert np.ptp(states.attention) > .5


@pytest.mark.parametrize("name", ["defaults", "no gates", "blocks and rows"])
def test_numerical_gradients(x64, name):
  options = OPTIONS[name]
  unroll = network(options)[1]

  @jax.jit
  def loss(params, inputs, memory):
    outputs, states = unroll(
        params, inputs, network(options)[2](B)._replace(memory=memory))
    return (jnp.vdot(draw(3, *outputs.shape), outputs)
            + jnp.vdot(draw(4, *states.memory.shape), states.memory)) / T

  variables = (make_params(options), make_inputs(options),
               random_state(options).memory)
  gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(*variables)
  leaves, treedef = jax.tree.flatten_with_path(variables)
  assert len(leaves) >= 2 + 14
  loss = loss.lower(*variables).compile()
  for i, ((path, leaf), gradient) in enumerate(
      zip(leaves, jax.tree.leaves(gradients), strict=True)):
    direction = draw(i, *leaf.shape) / np.sqrt(leaf.size)
    values, eps = [x for _, x in leaves], 1e-5
    moved = [loss(*treedef.unflatten(
        [*values[:i], leaf + sign * eps * direction, *values[i + 1:]]))
             for sign in (1, -1)]
    np.testing.assert_allclose(
        jnp.vdot(gradient, direction), (moved[0] - moved[1]) / (2 * eps),
        rtol=1e-5, atol=1e-7, err_msg=jax.tree_util.keystr(path))


# State and inputs.


@pytest.mark.parametrize("num_slots", [1, 5, D, D + 3])
def test_first_memory_is_a_part_of_the_identity(num_slots):
  memory = network(dict(num_slots=num_slots))[2](B).memory
  assert memory.shape == (B, num_slots, D)
  for row in range(num_slots):
    assert np.flatnonzero(memory[1, row]).tolist() == (
        [row] if row < D else [])
  assert memory.max() == 1


def test_slots_that_are_equal_stay_equal():
  """For this reason, the initial memory is not all zeros."""
  options = {}
  state = network(options)[2](B)
  same = state._replace(memory=jnp.zeros_like(state.memory))
  for start, spread in ((same, 0), (state, .1)):
    memory = network(options)[1](
        make_params(options), make_inputs(options), start)[1].memory
    assert (np.ptp(memory, axis=2).max() > 1e-5) == (spread > 0)


def test_attention_is_a_distribution_and_has_no_gradient():
  options = OPTIONS["blocks and rows"]
  unroll = network(options)[1]
  state, inputs = network(options)[2](B), make_inputs(options)
  params = make_params(options)
  attention = unroll(params, inputs, state)[1].attention
  assert attention.shape == (T, B, 2, H, N, N + 2)
  np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)
  gradients = jax.grad(
      lambda p: jnp.square(unroll(p, inputs, state)[1].attention).sum())(params)
  assert not any(np.any(g) for g in jax.tree.leaves(gradients))


def test_what_was_attended_to_does_not_matter():
  unroll, state = network({})[1], random_state({})
  first, second = (
      unroll(make_params({}), make_inputs({}), state._replace(attention=a))[0]
      for a in (state.attention, state.attention + 3))
  np.testing.assert_array_equal(first, second)


def test_attention_costs_nothing_where_nobody_looks():
  """Only the program of a gradient has an array of all steps' weights."""
  def loss(inputs):
    core = RMC(**SIZES)
    return hk.dynamic_unroll(core, inputs, core.initial_state(B))[0].sum()

  net = hk.without_apply_rng(hk.transform(loss))
  params = jax.eval_shape(net.init, jax.random.key(0), make_inputs({}))
  forward = jax.jit(net.apply).lower(params, make_inputs({})).compile()
  assert f"{B},{H},{N},{N + 1}]" in forward.as_text()
  assert f"[{T},{B},1,{H},{N},{N + 1}]" not in forward.as_text()


@pytest.mark.parametrize("input_rows", [None, 1, 2])
def test_inputs_are_flattened_or_split(input_rows):
  options = dict(input_rows=input_rows)
  init, unroll, initial_state = network(options)
  inputs = draw(1, T, B, 2, 3)
  params = init(jax.random.key(0), inputs, initial_state(B))
  flat = unroll(params, inputs.reshape(T, B, 6), initial_state(B))[0]
  np.testing.assert_array_equal(
      flat, unroll(params, inputs, initial_state(B))[0])
  (made,) = [p["w"] for n, p in params.items() if n.endswith("/inputs")]
  assert made.shape == (6 // (input_rows or 1), D)


@pytest.mark.parametrize("shape, rows", [
    ((B,), None), ((B + 1, F), None), ((B, F), 2)])
def test_bad_inputs(shape, rows):
  def net(inputs):
    core = RMC(**SIZES, input_rows=rows)
    return core(inputs, core.initial_state(B))

  message = (r"RMC takes inputs.*got" if shape == (B, F) else
             "the inputs have .* and the state has the batch size")
  with pytest.raises(ValueError, match=message):
    hk.transform(net).init(jax.random.key(0), jnp.ones(shape))


# Gates.


@pytest.mark.parametrize("gate_style", ["unit", "memory"])
def test_a_memory_that_is_kept(gate_style):
  options = dict(gate_style=gate_style, forget_bias=200., input_bias=-200.)
  state = random_state(options)
  outputs, states = network(options)[1](
      make_params(options), make_inputs(options), state)
  np.testing.assert_allclose(states.memory[-1], state.memory, atol=1e-5)
  np.testing.assert_array_equal(
      outputs, states.memory.reshape(T, B, N * D))


@pytest.mark.parametrize("gate_style", ["unit", "memory"])
def test_a_memory_that_is_forgotten(gate_style):
  options = dict(gate_style=gate_style, forget_bias=-200., input_bias=200.)
  params = make_params(options)
  ungated = {name: p for name, p in params.items() if "gates" not in name}
  memories = [network(o)[1](p, make_inputs(o)[:1], random_state(o))[1].memory
              for o, p in ((options, params),
                           (dict(gate_style=None), ungated))]
  np.testing.assert_allclose(memories[0], jnp.tanh(memories[1]), atol=1e-5)


def test_none_by_name_is_none():
  shapes = [jax.tree.map(jnp.shape, make_params(dict(gate_style=style)))
            for style in (None, "none")]
  assert shapes[0] == shapes[1]
  assert not any("gates" in name for name in shapes[0])


# Types.


@every_output
@pytest.mark.parametrize("unroll, size", [
    pytest.param(hk.dynamic_unroll, F, marks=pytest.mark.slow),
    (RMC.unroll, F), (RMC.unroll, NARROW)])
@pytest.mark.parametrize("options", [
    pytest.param({}, marks=pytest.mark.slow), OPTIONS["blocks and rows"]],
    ids=str)
def test_bfloat16_policy(options, unroll, size, output):
  def net(inputs):
    core = RMC(**sizes(options))
    state = core.initial_state(B)
    return state, unroll(core, inputs, state)

  net, inputs = (hk.without_apply_rng(hk.transform(net)),
                 make_inputs(options)[..., :size])
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  exact = jax.jit(lambda *args: net.apply(*args))(params, inputs)[1][0]
  with bfloat16_policy(RMC, output):
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(
        jax.eval_shape(net.init, jax.random.key(0), inputs)))
    jaxpr = jax.make_jaxpr(lambda *args: net.apply(*args))(params, inputs)
    before, (outputs, after) = jax.jit(
        lambda *args: net.apply(*args))(params, inputs)
  types = [{v.dtype for v in p} for p in products(jaxpr)]
  blocks = options.get("num_blocks", 1)
  # There is a product for each layer, and there are two products of attention
  # for each block. `unroll` also computes the attention of the last step again.
  # If inputs are narrow, `unroll` also multiplies weights and biases; those of
  # the gates are multiplied for each row.
  expected = 4 + 5 * blocks
  if unroll is RMC.unroll:
    expected += 5 * blocks
    if size == NARROW:
      expected += 2 * (1 + options.get("input_rows", 1))
  assert len(types) == expected
  assert all(t == {jnp.dtype(jnp.bfloat16)} for t in types)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  assert {x.dtype for x in jax.tree.leaves((outputs, after))} == {
      jnp.dtype(output)}
  error = np.abs(np.float32(outputs) - exact)
  assert 0 < error.mean() < .03 < np.abs(exact).mean()


def test_large_numbers_are_finite():
  params = jax.tree.map(lambda p: 1e4 * p, make_params({}))
  unroll, state = network({})[1], network({})[2](B)
  gradients = jax.jit(jax.grad(
      lambda p: unroll(p, make_inputs({}), state)[0].sum()))(params)
  chex.assert_tree_all_finite(gradients)


# Parts.


def test_layer_norm_of_equal_numbers_is_the_offset():
  norm = layers.Norm(draw(0, F), draw(1, F))
  np.testing.assert_array_equal(
      layers.layer_norm(norm, jnp.full([B, F], 3.)),
      jnp.broadcast_to(norm.offset, (B, F)))


def test_attention_to_the_row_that_matches():
  """The queries and keys of one head single out one row each."""
  keys = 100 * np.eye(N)
  order = np.array([3, 0, 4, 1, 2])
  values = np.asarray(draw(0, N, V))
  qkv = jnp.concatenate([keys[order], keys, values], -1).astype(float)
  found, weights = attention.attend(qkv, N - 1, 1, N)
  np.testing.assert_allclose(found, values[order[:-1]], rtol=1e-6)
  np.testing.assert_allclose(weights, np.eye(N)[order[:-1]][None], atol=1e-6)


# Arguments.


@pytest.mark.parametrize("name", [*SIZES, "num_blocks", "attention_mlp_layers",
                                  "input_rows"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_must_be_positive(name, value):
  with pytest.raises(ValueError, match=f"{name} must be at least 1.*{value}"):
    hk.transform(lambda: RMC(**SIZES | {name: value}) and None).init(None)


def test_bad_gate_style():
  with pytest.raises(ValueError, match="unit, memory, none, got 'units'"):
    hk.transform(lambda: RMC(gate_style="units") and None).init(None)


# All steps at once.


@pytest.mark.parametrize("name, narrow", [
    *[pytest.param(name, True, marks=() if name in (
        "defaults", "memory gates", "blocks and rows") else pytest.mark.slow)
      for name in OPTIONS],
    # Wide inputs use the code of a single step, so options matter less.
    *[pytest.param(name, False, marks=() if name in (
        "defaults", "no gates", "blocks and rows") else pytest.mark.slow)
      for name in OPTIONS]])
def test_unroll_equals_step_by_step(x64, name, narrow):
  """Outputs, states and gradients are equal, for narrow and for wide inputs."""
  options, size = OPTIONS[name], 3 if narrow else 2 * D
  inputs = draw(5, T, B, options.get("input_rows", 1), size)

  def net():
    core = RMC(**sizes(options))
    slow = functools.partial(hk.dynamic_unroll, core)
    return slow, (slow, core.unroll, core.initial_state)

  init, (slow, fast, initial_state) = hk.multi_transform(net)
  state = initial_state({}, None, B)
  state = state._replace(memory=draw(6, *state.memory.shape))
  params = jax.tree.map(
      lambda p: draw(p.size, *p.shape),
      jax.eval_shape(init, jax.random.key(0), inputs, state))

  def loss(params, inputs, memory, unroll):
    outputs, after = unroll(
        params, None, inputs, state._replace(memory=memory))
    return (jnp.vdot(draw(7, *outputs.shape), outputs)
            + jnp.vdot(draw(8, *memory.shape), after.memory)), (outputs, after)

  results = [jax.jit(jax.value_and_grad(
      functools.partial(loss, unroll=unroll), (0, 1, 2), has_aux=True))(
          params, inputs, state.memory) for unroll in (slow, fast)]
  chex.assert_trees_all_equal_shapes_and_dtypes(*results)
  chex.assert_trees_all_close(*results, rtol=1e-9, atol=1e-9)
  assert all(np.any(x != 0) for x in jax.tree.leaves(results[0]))


def unrolled():
  """Returns parameters, inputs and `unroll` for the default options."""
  def net():
    core = RMC(**SIZES)
    return core.unroll, (core.unroll, core.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  inputs = draw(5, T, B, NARROW)
  params = jax.tree.map(
      lambda p: draw(p.size, *p.shape),
      jax.eval_shape(init, jax.random.key(0), inputs,
                     initial_state({}, None, B)))
  return (params, inputs, jax.jit(lambda *args: unroll(args[0], None,
                                                       *args[1:])),
          lambda batch_size: initial_state({}, None, batch_size))


def test_unroll_without_a_batch(x64):
  params, inputs, unroll, initial_state = unrolled()
  outputs, after = unroll(params, inputs, initial_state(B))
  for b in range(B):
    one, state = unroll(params, inputs[:, b], initial_state(None))
    chex.assert_trees_all_close(
        (one, state), (outputs[:, b], jax.tree.map(lambda x, b=b: x[b], after)),
        rtol=1e-9, atol=1e-9)


def test_no_gradient_flows_from_the_attention_of_an_unroll():
  params, inputs, unroll, initial_state = unrolled()

  def total(params, inputs, memory):
    state = initial_state(B)._replace(memory=memory)
    return (unroll(params, inputs, state)[1].attention
            * draw(9, *state.attention.shape)).sum()

  gradients = jax.jit(jax.grad(total, (0, 1, 2)))(
      params, inputs, initial_state(B).memory)
  assert not any(np.any(x) for x in jax.tree.leaves(gradients))
