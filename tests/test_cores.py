"""Properties of a core, tested for all cores of the registry."""

import functools

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import numpy as np
import pytest
from core_cases import (
    CASES,
    SLOW,
    SMALL,
    B,
    F,
    T,
    arguments_of,
    draw,
    golden_outputs,
    make,
    parameter_shapes,
    read_goldens,
    transform,
    unroll,
)
from mixed_precision import bfloat16_policy, every_output, products

from rmc_nalu_sam import CORES, SAM

pytestmark = pytest.mark.usefixtures("strict_promotion")


def of_each(names, slow=SLOW):
  return pytest.mark.parametrize("name", [
      pytest.param(name, marks=[pytest.mark.slow] * (name in slow))
      for name in names])


every_core = of_each(CASES)
SHAPES, OUTPUTS = read_goldens()
# The built-in cores that the goldens must hold.
AT_LEAST = {"awd_lstm", "awd_lstm with gates", "controlled_nalu", "conv_lstm",
            "dam", "dnc", "gru", "lstm", "mogrifier", "nac_lstm", "ntm", "rmc",
            "rnn", "sam", "sam at a constant cost", "sdnc", "stack", "ugrnn",
            "unit_rnn", "unit_sum"} | {
                f"{core} {variant}"
                for core in ("dam", "dnc", "ntm", "sam", "sdnc")
                for variant in ("without an LSTM", "from its reads")}

# Dear tests: of the built-in cores, these stand for the others.
FEW = {"awd_lstm", "conv_lstm", "lstm", "rmc", "sam at a constant cost"}
few_cores = of_each(CASES, slow=AT_LEAST - FEW)


@functools.cache
def make_params(name):
  return jax.jit(unroll(name).init)(jax.random.key(0), draw(T, B, F))


@functools.cache
def apply_of(name):
  return jax.jit(unroll(name).apply)


@functools.cache
def plain_unroll(name):
  """Computes outputs and last state on `draw(T, B, F)`."""
  return jax.device_get(apply_of(name)(make_params(name), draw(T, B, F)))


@functools.cache
def gradients_of(name, remat=False):
  """Returns a compiled function: gradients for parameters and inputs."""
  def loss(inputs):
    core = make(name)
    step = hk.remat(core) if remat else core
    outputs, _ = hk.dynamic_unroll(step, inputs, core.initial_state(B))
    return jnp.square(outputs).sum()
  return jax.jit(jax.grad(transform(loss).apply, (0, 1)))


@functools.cache
def has_state(name):
  state = jax.eval_shape(
      transform(lambda: make(name).initial_state(B)).apply, {})
  return bool(jax.tree.leaves(state))


def close(a, b, tolerance=1e-5):
  chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
  chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
  assert any(np.ptp(np.asarray(x)) > 0 for x in jax.tree.leaves(a))


# JAX looks for leaks among all objects there are. Later, these are many.


# A SAM at a constant cost has all parts of a SAM.
@of_each((name for name in CASES if name != "sam"), slow=AT_LEAST - FEW)
def test_no_tracer_leaks(name):
  params, inputs = make_params(name), draw(T, B, F)
  net = unroll(name)
  with jax.checking_leaks():  # Checked while tracing; nothing has to run.
    jaxpr = jax.make_jaxpr(jax.grad(
        lambda p: net.apply(p, inputs)[0].sum()))(params)
  assert len(jaxpr.out_avals) == len(jax.tree.leaves(params))


# The table of cases.


def test_all_cores_are_tested_and_the_goldens_are_there():
  assert set(CORES) <= set(CASES)
  assert AT_LEAST <= set(SHAPES) == set(OUTPUTS) <= set(CASES)
  assert not has_state("stack")
  assert has_state("rnn")


def test_a_core_of_ones_own_is_tested_with_small_sizes():
  class Own(hk.RNNCore):

    MAPS_TO_OUTPUT = True

    def __init__(self, output_size, hidden_size=1000, depth=2):
      pass

  assert arguments_of(Own) == dict(
      output_size=19, hidden_size=SMALL["hidden_size"])


@of_each(OUTPUTS)
def test_shapes_and_outputs_are_as_they_always_were(name):
  assert parameter_shapes(name) == SHAPES[name]
  outputs = golden_outputs(name)
  assert outputs.shape == OUTPUTS[name].shape == (T, B, outputs.shape[-1])
  np.testing.assert_allclose(outputs, OUTPUTS[name], rtol=1e-4, atol=1e-5)


# Unrolls.


@of_each(CORES, slow=AT_LEAST - {"lstm", "rmc"})
def test_init_under_jit_equals_eager(name):
  net, inputs = unroll(name), draw(1, B, F)
  close(net.init(jax.random.key(0), inputs),
        jax.jit(net.init)(jax.random.key(0), inputs))


@every_core
def test_state_keeps_shapes_and_types_and_has_a_batch_axis(name):
  def step(inputs):
    core = make(name)
    state = core.initial_state(B)
    return core.initial_state(None), state, core(inputs, state)[1]

  net = transform(step)
  params = jax.eval_shape(net.init, jax.random.key(0), draw(B, F))
  single, before, after = jax.eval_shape(net.apply, params, draw(B, F))
  assert before == after
  chex.assert_trees_all_equal_structs(single, before)
  for one, many in zip(*map(jax.tree.leaves, (single, before)), strict=True):
    assert many.shape == (B, *one.shape)
    assert many.dtype == one.dtype


@of_each(CASES, slow=SLOW | {
    "awd_lstm", "dam", "dnc without an LSTM", "sam", "sam without an LSTM"})
def test_all_ways_to_unroll_are_equal(name):
  """Static, batch-major, without a batch in two kinds of vmap, and chunked."""
  def others(inputs):
    core = make(name)
    state = core.initial_state(B)
    static = hk.static_unroll(core, inputs[:2], state)
    batch_major = hk.dynamic_unroll(
        core, inputs.swapaxes(0, 1), state, time_major=False)
    without_batch = hk.vmap(
        lambda x: hk.dynamic_unroll(core, x, core.initial_state(None)),
        in_axes=1, out_axes=(1, 0), split_rng=False)(inputs)
    rest = hk.dynamic_unroll(core, inputs[2:], static[1])
    return static[0], batch_major, without_batch, rest

  # With other inputs, a DNC has slots of nearly the same usage. Then rounding
  # decides which of them is allocated.
  params, inputs = make_params(name), draw(T, B, F, seed=1)
  under_vmap = jax.vmap(unroll(name, batch=None).apply, in_axes=(None, 1),
                        out_axes=(1, 0))
  (static, batch_major, without_batch, rest), vmapped, (outputs, state) = (
      jax.jit(lambda *args: (
          transform(others).apply(*args), under_vmap(*args),
          unroll(name).apply(*args)))(params, inputs))
  close(outputs[:2], static)
  close((outputs.swapaxes(0, 1), state), batch_major)
  close((outputs, state), without_batch)
  close((outputs, state), vmapped)
  close((outputs[2:], state), rest)
  assert any(np.any(x != 0) for x in jax.tree.leaves(state)) == has_state(name)


@few_cores
def test_reset_core_resets_only_its_row(name):
  """Haiku's own wrapper; test_resets.py has ours, for all cores."""
  reset_at, row = 2, 1

  def f(inputs, resets):
    core = hk.ResetCore(make(name))
    return hk.dynamic_unroll(core, (inputs, resets), core.initial_state(B))

  params, inputs = make_params(name), draw(T, B, F)
  resets = np.zeros([T, B], bool)
  resets[reset_at, row] = True
  outputs, state = jax.device_get(
      jax.jit(transform(f).apply)(params, inputs, resets))
  plain, plain_state = plain_unroll(name)
  fresh, fresh_state = jax.device_get(
      jax.jit(unroll(name).apply)(params, inputs[reset_at:]))
  others = np.array([0, 2])
  close(jax.tree.map(lambda x: x[others], (outputs.swapaxes(0, 1), state)),
        jax.tree.map(lambda x: x[others], (plain.swapaxes(0, 1), plain_state)))
  close(outputs[reset_at:, row], fresh[:, row])
  if has_state(name):
    close(jax.tree.map(lambda x: x[row], state),
          jax.tree.map(lambda x: x[row], fresh_state))
  changed = np.any(np.abs(outputs - plain)[reset_at:, row] > 1e-4)
  assert changed == has_state(name)


@few_cores
def test_deep_rnn(name):
  def f(inputs):
    core = hk.DeepRNN([make(name), make(name), hk.Linear(2)])
    return hk.dynamic_unroll(core, inputs, core.initial_state(B))

  net, inputs = transform(f), draw(T, B, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  outputs, state = jax.jit(net.apply)(params, inputs)
  assert len(params) == 2 * len(parameter_shapes(name)) + 1
  assert outputs.shape == (T, B, 2)
  assert len(state) == 2
  assert np.ptp(np.asarray(outputs)) > 0


@every_core
def test_state_can_be_fed_back_without_compiling_again(name):
  def f(inputs, state):
    return hk.dynamic_unroll(make(name), inputs, state)

  chex.clear_trace_counter()  # The counter is by name.
  params = make_params(name)
  state = jax.jit(transform(lambda: make(name).initial_state(B)).apply)({})
  apply = jax.jit(chex.assert_max_traces(transform(f).apply, n=1))
  outputs = []
  for seed in range(3):
    output, state = apply(params, draw(T, B, F, seed=seed), state)
    outputs.append(output)
  assert np.any(outputs[0] != outputs[1])


@pytest.mark.parametrize("size", [(0, B), (T, 0)])
@every_core
def test_without_steps_or_a_batch_the_result_is_empty(name, size):
  net, inputs = unroll(name, batch=size[1]), jnp.zeros([*size, F])
  whole, whole_state = plain_unroll(name)
  outputs, state = jax.eval_shape(net.apply, make_params(name), inputs)
  assert outputs.shape == (*size, whole.shape[-1])
  assert outputs.dtype == whole.dtype
  assert jax.tree.map(lambda x: (x.shape[1:], x.dtype), state) == jax.tree.map(
      lambda x: (x.shape[1:], x.dtype), whole_state)


# Gradients.


@few_cores
def test_checkpoint_gives_the_same_gradients(name):
  params, inputs = make_params(name), draw(T, B, F)
  gradients = gradients_of(name)(params, inputs)
  close(gradients, gradients_of(name, remat=True)(params, inputs), 1e-4)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients))


@of_each(CASES, slow=SLOW | {"dnc without an LSTM", "sam without an LSTM"})
def test_gradients_are_finite_at_zero_inputs(name):
  chex.assert_tree_all_finite(
      gradients_of(name)(make_params(name), jnp.zeros([T, B, F])))


# Types.


@every_core
def test_float64(name):
  params, inputs = make_params(name), draw(T, B, F)
  single = plain_unroll(name)
  with jax.enable_x64(True):
    double = jax.jit(unroll(name).apply)(*jax.tree.map(
        lambda x: np.asarray(x, np.float64), (params, inputs)))
    floats = [x for x in jax.tree.leaves(double)
              if jnp.issubdtype(x.dtype, jnp.floating)]
    assert floats[0].dtype == jnp.float64
    assert {x.dtype for x in floats} == {jnp.dtype(jnp.float64)}
    chex.assert_trees_all_close(single[0], double[0], rtol=1e-4, atol=1e-4)


# A SAM at a constant cost has all parts of a SAM.
@of_each((name for name in CASES if name != "sam"), slow=AT_LEAST - FEW)
def test_integers_and_booleans_are_taken_as_floats(name):
  params = jax.eval_shape(
      unroll(name).init, jax.random.key(0), jnp.zeros([1, B, F], bool))
  chex.assert_trees_all_equal_shapes_and_dtypes(params, make_params(name))
  numbers = (jnp.arange(T * B * F).reshape(T, B, F) % 7).astype(jnp.int8)
  results = [apply_of(name)(make_params(name), x)
             for x in (numbers, numbers.astype(jnp.float32))]
  chex.assert_trees_all_equal_shapes_and_dtypes(*results)
  chex.assert_trees_all_equal(*results)


# Number of products in float32 under a bfloat16 policy. They are similarities,
# hashes, all of a DNC's access, and the NALU's products of inputs.
WIDE = dict.fromkeys(AT_LEAST, 0) | {
    "controlled_nalu": 1, "dam": 1, "dnc": 9, "ntm": 2, "sam": 2, "sdnc": 2,
    "sam at a constant cost": 6}
WIDE |= {f"{core} {variant}": WIDE[core]
         for core in ("dam", "dnc", "ntm", "sam", "sdnc")
         for variant in ("without an LSTM", "from its reads")}


@every_output
@every_core
def test_bfloat16_policy(name, output):
  def f(inputs):
    core = make(name)
    state = core.initial_state(B)
    return state, hk.dynamic_unroll(core, inputs, state)

  net, inputs = transform(f), draw(T, B, F)
  made = []  # The class of the core that the registry makes.
  transform(lambda: made.append(type(make(name)))).init(None)
  with bfloat16_policy(made[0], output):
    params = jax.eval_shape(net.init, jax.random.key(0), inputs)
    jaxpr, (before, (outputs, after)) = jax.make_jaxpr(
        net.apply, return_shape=True)(params, inputs)
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
  assert before == after
  floats = {x.dtype for x in jax.tree.leaves((outputs, after))
            if jnp.issubdtype(x.dtype, jnp.floating)}
  assert floats == {jnp.dtype(output)}
  types = [{v.dtype for v in p} for p in products(jaxpr)]
  narrow = [t for t in types if t == {jnp.dtype(jnp.bfloat16)}]
  if name in WIDE:
    assert len(types) - len(narrow) == WIDE[name]
  # All layers are in bfloat16. A unit that multiplies has no matrix product.
  # The kernels of a convolution are multiplied as one.
  matrices = {(p.size // p.shape[-1], p.shape[-1])
              for p in jax.tree.leaves(params) if p.ndim in (2, 4)}
  layers = [p for p in products(jaxpr) if p[1].shape in matrices]
  assert layers
  assert all(v.dtype == jnp.bfloat16 for p in layers for v in p)


@every_core
def test_a_policy_of_float32_changes_nothing(name):
  """Under a policy, Haiku also sorts the keys of dictionaries from methods."""
  made = []
  transform(lambda: made.append(type(make(name)))).init(None)
  with hk.mixed_precision.push_policy(
      made[0], jmp.get_policy("params=float32,compute=float32,output=float32")):
    # Not the cached function: it was compiled without a policy.
    outputs = jax.jit(unroll(name).apply)(make_params(name), draw(T, B, F))
  close(outputs, plain_unroll(name))


def test_no_parameter_is_named_after_a_private_method():
  names = [module for name in CASES for module in parameter_shapes(name)]
  assert any("/~/" in name for name in names)
  assert not any("~_" in name for name in names)


def test_the_example_of_the_guide():
  """A core works in a user's own Haiku model."""
  def net(inputs):
    core = SAM(num_slots=17, hidden_size=7)
    outputs, _ = hk.dynamic_unroll(core, inputs, core.initial_state(B))
    return hk.Linear(2)(outputs)

  net, inputs = hk.transform(net), draw(T, B, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  assert jax.jit(net.apply)(params, None, inputs).shape == (T, B, 2)
