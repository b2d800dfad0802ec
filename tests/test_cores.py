"""Every property of a core, over all cores."""

import functools
import inspect

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixed_precision import bfloat16_policy, every_output, products

from rmc_nalu_sam import CORES, SAM

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, F = 5, 3, 13

# A core's arguments, the shapes of its parameters, and the sum of absolute
# outputs, and last output, of `golden_unroll` for the parameters of `fill`.
MEMBERS = {
    "controlled_nalu": dict(
        arguments=dict(hidden_size=7, num_registers=3),
        shapes={
            "controlled_nalu/~/controller/linear": {"w": (23, 28), "b": (28,)},
            "controlled_nalu/weights": {"w": (7, 144), "b": (144,)},
        },
        golden=(30.817493, .9341376)),
    "dam": dict(
        arguments=dict(hidden_size=7, num_slots=17, word_size=11, num_heads=2,
                       output_size=19),
        shapes={
            "dam/~/controller/linear": {"w": (42, 28), "b": (28,)},
            "dam/~_interface/interface": {"w": (7, 50), "b": (50,)},
            "dam/output": {"w": (29, 19), "b": (19,)},
        },
        golden=(105.54234, -.522577)),
    "dnc": dict(
        arguments=dict(hidden_size=7, num_slots=17, word_size=11,
                       num_read_heads=3, num_write_heads=2, output_size=19,
                       masked=True, deallocate=True, sharpen_links=True),
        shapes={
            "dnc/~/controller/linear": {"w": (53, 28), "b": (28,)},
            "dnc/~_interface/interface": {"w": (7, 193), "b": (193,)},
            "dnc/output": {"w": (40, 19), "b": (19,)},
        },
        golden=(71.90067, -.321019)),
    "gru": dict(
        arguments=dict(hidden_size=7),
        shapes={
            "gru": {"w_i": (13, 21), "w_h": (7, 21), "b": (21,)},
        },
        golden=(20.741083, .4000071)),
    "lstm": dict(
        arguments=dict(hidden_size=7),
        shapes={"lstm/linear": {"w": (20, 28), "b": (28,)}},
        golden=(11.856416, .0979629)),
    "ntm": dict(
        arguments=dict(hidden_size=7, num_slots=17, word_size=11, num_heads=2,
                       output_size=19),
        shapes={
            "ntm/~/controller/linear": {"w": (42, 28), "b": (28,)},
            "ntm/~_interface/interface": {"w": (7, 112), "b": (112,)},
            "ntm/output": {"w": (29, 19), "b": (19,)},
        },
        golden=(99.22321, -.425601)),
    "rmc": dict(
        arguments=dict(num_slots=5, head_size=7, num_heads=2, num_blocks=2,
                       key_size=3),
        shapes={
            "rmc/~/inputs": {"w": (13, 14), "b": (14,)},
            "rmc/~/qkv_0": {"w": (14, 26), "b": (26,)},
            "rmc/~/qkv_norm_0": {"scale": (26,), "offset": (26,)},
            "rmc/~/attention_norm_0": {"scale": (14,), "offset": (14,)},
            "rmc/~/mlp_norm_0": {"scale": (14,), "offset": (14,)},
            "rmc/~/qkv_1": {"w": (14, 26), "b": (26,)},
            "rmc/~/qkv_norm_1": {"scale": (26,), "offset": (26,)},
            "rmc/~/attention_norm_1": {"scale": (14,), "offset": (14,)},
            "rmc/~/mlp_norm_1": {"scale": (14,), "offset": (14,)},
            "rmc/~/mlp_0": {"w": (14, 14), "b": (14,)},
            "rmc/~/mlp_1": {"w": (14, 14), "b": (14,)},
            "rmc/~/input_gates": {"w": (14, 28), "b": (28,)},
            "rmc/~/memory_gates": {"w": (14, 28), "b": (28,)},
        },
        golden=(332.96405, .2698692)),
    "rnn": dict(
        arguments=dict(hidden_size=7),
        shapes={
            "rnn/linear": {"w": (20, 7), "b": (7,)},
        },
        golden=(54.06462, -.8370898)),
    "sam": dict(
        arguments=dict(hidden_size=7, num_slots=17, word_size=11, num_heads=2,
                       top_k=3, output_size=19),
        shapes={
            "sam/~/controller/linear": {"w": (42, 28), "b": (28,)},
            "sam/~_interface/interface": {"w": (7, 50), "b": (50,)},
            "sam/output": {"w": (29, 19), "b": (19,)},
        },
        golden=(115.4871, -.551636)),
    "sdnc": dict(
        arguments=dict(hidden_size=7, num_slots=17, word_size=11, num_heads=2,
                       top_k=3, num_links=2, output_size=19),
        shapes={
            "sdnc/~/controller/linear": {"w": (42, 28), "b": (28,)},
            "sdnc/~_interface/interface": {"w": (7, 56), "b": (56,)},
            "sdnc/output": {"w": (29, 19), "b": (19,)},
        },
        golden=(89.18288, -.407784)),
    "stack": dict(
        arguments=dict(output_size=19, unit="nmu", num_layers=3, hidden_size=7,
                       hidden_unit="nau"),
        shapes={
            "stack/nau": {"w": (13, 7)},
            "stack/nau_1": {"w": (7, 7)},
            "stack/nmu": {"w": (7, 19)},
        },
        golden=(171.49379, .9991231)),
    "ugrnn": dict(
        arguments=dict(hidden_size=7, activation="relu"),
        shapes={
            "ugrnn/linear": {"w": (20, 14), "b": (14,)},
        },
        golden=(6.1943126, .0349984)),
    "unit_rnn": dict(
        arguments=dict(hidden_size=7, unit="nac"),
        shapes={
            "unit_rnn/~/nac": {"w_hat": (20, 7), "m_hat": (20, 7)},
        },
        golden=(34.673328, -.5463483)),
}

# Other arguments of these cores, with which all of it holds as well.
VARIANTS = {
    "sam at a constant cost": dict(
        MEMBERS["sam"], core="sam",
        arguments=MEMBERS["sam"]["arguments"] | dict(
            index="lsh", gradient_steps=3, measure_recall=True)),
}

CASES = MEMBERS | VARIANTS

every_core = pytest.mark.parametrize("name", CASES)
STATELESS = {"stack"}


def core_of(name):
  return CORES[CASES[name].get("core", name)]


def make(name):
  return core_of(name)(**CASES[name]["arguments"])


def transform(f):
  return hk.without_apply_rng(hk.transform(f))


def draw(*shape, seed=0):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, float)


def unroll(name, batch=B, **kwargs):
  """A pure function of params and inputs that starts from the first state."""
  def f(inputs):
    core = make(name)
    return hk.dynamic_unroll(core, inputs, core.initial_state(batch), **kwargs)
  return transform(f)


@functools.cache
def make_params(name):
  return jax.jit(unroll(name).init)(jax.random.key(0), draw(T, B, F))


@functools.cache
def plain_unroll(name):
  """Outputs and last state on `draw(T, B, F)`."""
  return jax.jit(unroll(name).apply)(make_params(name), draw(T, B, F))


def fill(params):
  """Numbers that need no generator: the same in every version of JAX."""
  def one(p):
    return jnp.sin(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape) / 3
  return jax.tree.map(one, params)


def close(a, b, tolerance=1e-5):
  chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
  chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
  assert any(np.ptp(np.asarray(x)) > 0 for x in jax.tree.leaves(a))


def test_the_table_is_complete():
  assert set(MEMBERS) == set(CORES)


@every_core
def test_arguments_in_the_table_exist(name):
  assert set(CASES[name]["arguments"]) <= set(
      inspect.signature(core_of(name)).parameters)


@every_core
def test_shapes_of_parameters(name):
  params = jax.eval_shape(
      unroll(name).init, jax.random.key(0), draw(T, B, F))
  assert jax.tree.map(lambda p: p.shape, params) == CASES[name]["shapes"]
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))


@every_core
def test_outputs_are_as_they_always_were(name):
  net = unroll(name)
  inputs = jnp.cos(jnp.arange(T * B * F, dtype=float)).reshape(T, B, F)
  params = fill(jax.eval_shape(net.init, jax.random.key(0), inputs))
  outputs = jax.jit(net.apply)(params, inputs)[0]
  np.testing.assert_allclose(
      [jnp.abs(outputs).sum(), outputs[-1, -1, -1]], CASES[name]["golden"],
      rtol=1e-4)


@every_core
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
  assert bool(jax.tree.leaves(before)) == (name not in STATELESS)
  chex.assert_trees_all_equal_structs(single, before)
  for one, many in zip(*map(jax.tree.leaves, (single, before)), strict=True):
    assert many.shape == (B, *one.shape)
    assert many.dtype == one.dtype


@every_core
def test_static_unroll_equals_dynamic(name):
  def static(inputs):
    core = make(name)
    return hk.static_unroll(core, inputs, core.initial_state(B))

  params, inputs = make_params(name), draw(T, B, F)[:2]
  outputs, state = jax.jit(transform(static).apply)(params, inputs)
  close(outputs, plain_unroll(name)[0][:2])
  assert any(np.any(x != 0) for x in jax.tree.leaves(state)) == (
      name not in STATELESS)


@every_core
def test_batch_major_equals_time_major(name):
  params, inputs = make_params(name), draw(T, B, F)
  outputs, state = plain_unroll(name)
  batch_major = jax.jit(unroll(name, time_major=False).apply)(
      params, inputs.swapaxes(0, 1))
  close((outputs.swapaxes(0, 1), state), batch_major)


@every_core
def test_unbatched_under_vmap_equals_batched(name):
  params, inputs = make_params(name), draw(T, B, F)
  one = jax.vmap(unroll(name, batch=None).apply, in_axes=(None, 1),
                 out_axes=(1, 0))
  close(plain_unroll(name), jax.jit(one)(params, inputs))


@every_core
def test_hk_vmap_equals_batched(name):
  def f(inputs):
    core = make(name)
    return hk.vmap(
        lambda x: hk.dynamic_unroll(core, x, core.initial_state(None)),
        in_axes=1, out_axes=(1, 0), split_rng=False)(inputs)

  params, inputs = make_params(name), draw(T, B, F)
  close(plain_unroll(name), jax.jit(transform(f).apply)(params, inputs))


@every_core
def test_in_chunks_equals_whole(name):
  def f(inputs):
    core = make(name)
    first, state = hk.dynamic_unroll(core, inputs[:2], core.initial_state(B))
    second, state = hk.dynamic_unroll(core, inputs[2:], state)
    return jnp.concatenate([first, second]), state

  params, inputs = make_params(name), draw(T, B, F)
  close(plain_unroll(name), jax.jit(transform(f).apply)(params, inputs))


@every_core
def test_reset_core_resets_only_its_row(name):
  reset_at, row = 2, 1

  def f(inputs, resets):
    core = hk.ResetCore(make(name))
    return hk.dynamic_unroll(core, (inputs, resets), core.initial_state(B))

  params, inputs = make_params(name), draw(T, B, F)
  resets = jnp.zeros([T, B], bool).at[reset_at, row].set(True)
  outputs, state = jax.jit(transform(f).apply)(params, inputs, resets)
  plain, plain_state = plain_unroll(name)
  fresh, fresh_state = jax.jit(unroll(name).apply)(params, inputs[reset_at:])
  others = np.array([0, 2])
  close(jax.tree.map(lambda x: x[others], (outputs.swapaxes(0, 1), state)),
        jax.tree.map(lambda x: x[others], (plain.swapaxes(0, 1), plain_state)))
  close(outputs[reset_at:, row], fresh[:, row])
  if name not in STATELESS:
    close(jax.tree.map(lambda x: x[row], state),
          jax.tree.map(lambda x: x[row], fresh_state))
  assert np.any(np.abs(outputs - plain)[reset_at:, row] > 1e-4) == (
      name not in STATELESS)


@every_core
def test_deep_rnn(name):
  def f(inputs):
    core = hk.DeepRNN([make(name), make(name), hk.Linear(2)])
    return hk.dynamic_unroll(core, inputs, core.initial_state(B))

  net, inputs = transform(f), draw(T, B, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  outputs, state = jax.jit(net.apply)(params, inputs)
  assert len(params) == 2 * len(CASES[name]["shapes"]) + 1
  assert outputs.shape == (T, B, 2)
  assert len(state) == 2
  assert np.ptp(np.asarray(outputs)) > 0


@every_core
def test_checkpoint_gives_the_same_gradients(name):
  def f(remat):
    def loss(inputs):
      core = make(name)
      step = hk.remat(core) if remat else core
      outputs, _ = hk.dynamic_unroll(step, inputs, core.initial_state(B))
      return jnp.square(outputs).sum()
    return jax.jit(jax.grad(transform(loss).apply, (0, 1)))

  params, inputs = make_params(name), draw(T, B, F)
  gradients = f(False)(params, inputs)
  close(gradients, f(True)(params, inputs), 1e-4)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients))


@every_core
def test_float64(name):
  params, inputs = make_params(name), draw(T, B, F)
  single = plain_unroll(name)
  with jax.enable_x64(True):
    double = jax.jit(unroll(name).apply)(*jax.tree.map(
        lambda x: jnp.asarray(np.asarray(x), float), (params, inputs)))
    floats = [x for x in jax.tree.leaves(double)
              if jnp.issubdtype(x.dtype, jnp.floating)]
    assert floats[0].dtype == jnp.float64
    assert {x.dtype for x in floats} == {jnp.dtype(jnp.float64)}
    chex.assert_trees_all_close(single[0], double[0], rtol=1e-4, atol=1e-4)


# How many products are of float32 under a policy of bfloat16: similarities,
# hashes, all of a DNC's access, and the NALU's products of inputs.
WIDE = {"controlled_nalu": 1, "dam": 1, "dnc": 9, "ntm": 2, "sam": 2, "sdnc": 2,
        "sam at a constant cost": 8}


@every_output
@every_core
def test_bfloat16_policy(name, output):
  def f(inputs):
    core = make(name)
    state = core.initial_state(B)
    return state, hk.dynamic_unroll(core, inputs, state)

  net, inputs = transform(f), draw(T, B, F)
  made = []  # The class of what the registry's function makes.
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
  assert len(types) - len(narrow) == WIDE.get(name, 0)
  # All of the layers, but a unit that multiplies has no matrix product.
  matrices = {p.shape for p in jax.tree.leaves(params) if p.ndim == 2}
  layers = [p for p in products(jaxpr) if p[1].shape in matrices]
  assert layers
  assert all(v.dtype == jnp.bfloat16 for p in layers for v in p)


@every_core
def test_second_call_does_not_compile_again(name):
  chex.clear_trace_counter()  # It counts by name.
  net = unroll(name)
  apply = jax.jit(chex.assert_max_traces(net.apply, n=1))
  params = make_params(name)
  first = apply(params, draw(T, B, F, seed=1))[0]
  second = apply(params, draw(T, B, F, seed=2))[0]
  assert np.any(first != second)


@every_core
def test_state_can_be_fed_back_without_compiling_again(name):
  def f(inputs, state):
    return hk.dynamic_unroll(make(name), inputs, state)

  chex.clear_trace_counter()  # It counts by name.
  params = make_params(name)
  state = transform(lambda: make(name).initial_state(B)).apply({})
  apply = jax.jit(chex.assert_max_traces(transform(f).apply, n=1))
  for seed in range(3):
    _, state = apply(params, draw(T, B, F, seed=seed), state)


@every_core
def test_no_tracer_leaks(name):
  params, inputs = make_params(name), draw(T, B, F)
  net = unroll(name)
  with jax.checking_leaks():
    gradients = jax.jit(jax.grad(
        lambda p: net.apply(p, inputs)[0].sum()))(params)
  assert any(np.any(g != 0) for g in jax.tree.leaves(gradients))


@every_core
def test_gradients_are_finite_at_zero_inputs(name):
  net = unroll(name)
  gradients = jax.jit(jax.grad(
      lambda p, x: jnp.square(net.apply(p, x)[0]).sum(), (0, 1)))(
          make_params(name), jnp.zeros([T, B, F]))
  chex.assert_tree_all_finite(gradients)


def test_the_example_of_the_guide():
  """A core in someone's own Haiku model."""
  def net(inputs):
    core = SAM(num_slots=17, hidden_size=7)
    outputs, _ = hk.dynamic_unroll(core, inputs, core.initial_state(B))
    return hk.Linear(2)(outputs)

  net, inputs = hk.transform(net), draw(T, B, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  assert jax.jit(net.apply)(params, None, inputs).shape == (T, B, 2)
