"""The functions of a model, over all cores."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import numpy as np
import pytest
from mixed_precision import every_output, products
from small_models import OUT, B, F, T, draw, small_args, small_model

from rmc_nalu_sam import CORES, Unrolled, make_model

pytestmark = pytest.mark.usefixtures("strict_promotion")

every_core = pytest.mark.parametrize("core", CORES)
SAM = dict(hidden_size=7, num_slots=17, word_size=11, top_k=3)


def shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def assert_close(one, other, **kwargs):
  leaves = [jax.tree.leaves(tree) for tree in (one, other)]
  assert len(leaves[0])
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(a, b, **dict(rtol=1e-5, atol=1e-6) | kwargs)


@every_core
def test_unroll(core):
  model, params, inputs = small_model(core)
  start = model.initial_state(params, B)
  unrolled = jax.jit(model.unroll)(params, None, inputs, start)
  assert isinstance(unrolled, Unrolled)
  assert unrolled.outputs.shape == (T, B, OUT)
  assert shapes(start) == shapes(unrolled.state)
  assert unrolled.unit_inputs == {}
  assert np.all(np.ptp(np.asarray(unrolled.outputs), axis=0) > 0)
  assert all(name.startswith("model/") for name in params)


@every_core
def test_return_all_states(core):
  model, params, inputs = small_model(core)
  start = model.initial_state(params, B)
  unroll = jax.jit(model.unroll, static_argnames="return_all_states")
  outputs, last, *_ = unroll(params, None, inputs, start)
  same, states, *_ = unroll(params, None, inputs, start, return_all_states=True)
  np.testing.assert_allclose(outputs, same, rtol=1e-5)
  for one, several in zip(*map(jax.tree.leaves, (last, states)), strict=True):
    assert several.shape == (T, *one.shape)
    np.testing.assert_allclose(
        np.asarray(several)[-1], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("core", ["lstm", "rmc", "stack", "unit_rnn"])
def test_selected_steps(core):
  model, params, inputs = small_model(core)
  start = model.initial_state(params, B)
  steps = jnp.array([[4, 0, 2], [1, 1, 3]])
  unroll = jax.jit(model.unroll)
  whole, state, *_ = unroll(params, None, inputs, start)
  some = unroll(params, None, inputs, start, steps=steps)
  assert some.outputs.shape == (2, B, OUT)
  np.testing.assert_allclose(
      some.outputs, whole[steps, jnp.arange(B)], rtol=1e-5, atol=1e-6)
  assert shapes(some.state) == shapes(state)


@every_core
def test_initial_state_without_batch(core):
  model, params, _ = small_model(core)
  one, several = (model.initial_state(params, b) for b in (None, B))
  for x, xs in zip(*map(jax.tree.leaves, (one, several)), strict=True):
    assert xs.shape == (B, *x.shape)


@every_core
def test_only_the_shape_of_the_inputs_matters_to_init(core):
  model, params, inputs = small_model(core)
  again = model.init(jax.random.key(0), 0 * inputs[:1, :1])
  jax.tree.map(np.testing.assert_array_equal, params, again)
  other = model.init(jax.random.key(1), inputs)
  assert any(np.any(a != b) for a, b in zip(
      *map(jax.tree.leaves, (params, other)), strict=True))


# Random keys.


@pytest.mark.parametrize("size", [(0, B), (T, 0)])
@every_core
def test_without_steps_or_a_batch_the_result_is_empty(core, size):
  model = make_model(core, OUT, **small_args(core))
  inputs, key = jnp.zeros([*size, F]), jax.random.key(0)
  params = jax.eval_shape(model.init, key, inputs)
  assert params == jax.eval_shape(model.init, key, draw(1, B, F))
  unrolled = jax.eval_shape(lambda p, x: model.unroll(
      p, None, x, model.initial_state(p, size[1])), params, inputs)
  assert unrolled.outputs.shape == (*size, OUT)
  assert shapes(unrolled.state) == shapes(
      jax.eval_shape(lambda p: model.initial_state(p, size[1]), params))


@pytest.mark.parametrize("size", [(0, B), (T, 0)])
def test_mean_inputs_of_no_steps_are_zeros(size):
  model, params, _ = small_model("unit_rnn")
  unrolled = model.unroll(params, None, jnp.zeros([*size, F]),
                          model.initial_state(params, size[1]),
                          return_unit_inputs=True)
  assert len(unrolled.unit_inputs) == 2
  assert not any(np.any(x) for x in unrolled.unit_inputs.values())
  assert np.isfinite(model.input_penalty(params, unrolled.unit_inputs))


@pytest.mark.parametrize("policy_name", [None, "bfloat16"])
@pytest.mark.parametrize("core", ["stack", "sam", "rmc"])
def test_unrolls_integers_as_floats(core, policy_name):
  model, params, _ = small_model(
      core, policy=policy(policy_name) if policy_name else None)
  numbers = jnp.arange(T * B * F).reshape(T, B, F) % 7
  results = [jax.jit(model.unroll)(
      params, None, x, model.initial_state(params, B))
             for x in (numbers, numbers.astype(jnp.float32))]
  for one, other in zip(*map(jax.tree.leaves, results), strict=True):
    np.testing.assert_array_equal(one, other)


def drop_half(inputs):
  with jax.numpy_dtype_promotion("standard"):  # Haiku's dropout needs it.
    return hk.dropout(hk.next_rng_key(), .5, inputs)


class Noisy(hk.RNNCore):
  """Drops half of the inputs."""

  def __call__(self, inputs, prev_state):
    return drop_half(inputs), prev_state

  def initial_state(self, batch_size):
    return jnp.zeros([] if batch_size is None else [batch_size])


class NoisyUnroll(Noisy):

  def unroll(self, inputs, state):
    return drop_half(inputs), state


class NoisyEncoder(hk.Module):

  def __call__(self, inputs):
    return drop_half(inputs)


@pytest.mark.parametrize("kwargs", [
    dict(core=Noisy), dict(core=NoisyUnroll),
    dict(core="stack", num_layers=1, encoder=NoisyEncoder),
    dict(core="rmc", encoder=NoisyEncoder)])
def test_a_random_key_reaches_core_and_encoder(kwargs):
  model = make_model(output_size=OUT, **kwargs)
  inputs = jnp.ones([T, B, F])
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  unroll = jax.jit(model.unroll)
  first, same, other = (
      unroll(params, jax.random.key(seed), inputs, start).outputs
      for seed in (1, 1, 2))
  np.testing.assert_array_equal(first, same)
  assert np.any(first != other)
  # Every step and every sequence has its own random numbers.
  assert len(np.unique(np.asarray(first).reshape(T * B, OUT), axis=0)) == T * B
  with pytest.raises(ValueError, match="non-None PRNGKey"):
    unroll(params, None, inputs, start)


# Precision.


def policy(output):
  return jmp.get_policy(f"params=float32,compute=bfloat16,output={output}")


@pytest.mark.parametrize("output", [
    "bfloat16", pytest.param("float32", marks=pytest.mark.slow)])
@every_core
def test_precision_policy(core, output):
  single, params, inputs = small_model(core)
  half = make_model(core, OUT, policy=policy(output), **small_args(core))
  assert_close(half.init(jax.random.key(0), inputs), params)
  start = half.initial_state(params, B)
  unrolled = jax.jit(half.unroll)(params, None, inputs, start)
  again = jax.jit(half.unroll)(params, None, inputs, unrolled.state)
  # Integer states keep their type; other states have the output's type.
  assert shapes(start) == shapes(unrolled.state) == shapes(again.state)
  exact = single.initial_state(params, B)
  for ours, theirs in zip(*map(jax.tree.leaves, (start, exact)), strict=True):
    assert ours.dtype == (output if jnp.issubdtype(theirs.dtype, jnp.floating)
                          else theirs.dtype)
  assert unrolled.outputs.dtype == output
  expected = single.unroll(params, None, inputs, exact).outputs
  assert np.abs(expected).max() > .05
  np.testing.assert_allclose(np.asarray(unrolled.outputs, np.float32), expected,
                             atol=.1 * np.abs(expected).max())


@every_output
def test_policy_computes_in_bfloat16_and_casts_once(output):
  model = make_model("lstm", OUT, hidden_size=7, policy=policy(output),
                     unit="mlp", encoder="embed")
  inputs = draw(T, B, F)
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
  start = model.initial_state(params, B)
  jaxpr = jax.make_jaxpr(model.unroll)(params, None, inputs, start)
  operands = [value.dtype for product in products(jaxpr) for value in product]
  assert len(operands) == 3 * (1 + 1 + 5)
  assert set(operands) == {jnp.dtype(jnp.bfloat16)}
  scan, = (e for e in jaxpr.eqns if e.primitive.name == "scan")
  # The carry of the scan, and its outputs.
  assert {v.aval.dtype for v in scan.outvars if jnp.issubdtype(
      v.aval.dtype, jnp.floating)} == {jnp.dtype(jnp.bfloat16)}
  gradients = jax.eval_shape(jax.grad(
      lambda p: model.unroll(p, None, inputs, start).outputs.astype(
          jnp.float32).sum()), params)
  assert shapes(gradients) == shapes(params)


def test_policies_of_two_models_do_not_mix():
  half = make_model("lstm", OUT, hidden_size=7, policy=policy("bfloat16"))
  plain = make_model("lstm", OUT, hidden_size=7)
  inputs = draw(T, B, F)
  params = plain.init(jax.random.key(0), inputs)
  types = [model.unroll(params, None, inputs, model.initial_state(
      params, B)).outputs.dtype for model in (half, plain, half)]
  assert types == ["bfloat16", "float32", "bfloat16"]


# What only some cores can do.


@pytest.mark.parametrize("kwargs", [{}, dict(policy=policy("float32")),
                                    dict(policy=policy("bfloat16"))])
@pytest.mark.parametrize("core", ["sam", "sdnc"])
def test_forget(core, kwargs):
  model, params, inputs = small_model(core, gradient_steps=T, num_slots=97,
                                      **kwargs)
  start = model.initial_state(params, B)
  outputs, used, *_ = model.unroll(params, None, inputs, start)
  forgotten = model.forget(params, used)
  assert shapes(forgotten) == shapes(used)
  again = model.unroll(params, None, inputs, forgotten).outputs
  np.testing.assert_allclose(outputs.astype(jnp.float32),
                             again.astype(jnp.float32), rtol=1e-5, atol=1e-6)
  left = [model.steps_left(state) for state in (start, used, forgotten)]
  assert type(left[0]) is int
  assert left[0] == left[1] + T == left[2] + T
  # A model accepts a state from a model whose tape has another length.
  other = model.with_core_args(gradient_steps=2)
  shorter = other.forget(params, used)
  assert shapes(shorter) == shapes(other.initial_state(params, B))


@every_core
def test_what_a_core_cannot_do_is_refused_in_words(core):
  model, params, _ = small_model(core)
  assert not model.can_forget and not model.measures_recall
  state = model.initial_state(params, B)
  calls = {"gradient_steps": lambda: model.forget(params, state),
           "(?s)gradient_steps": lambda: model.steps_left(state),
           "measure_recall": lambda: model.recall(state)}
  for words, call in calls.items():
    if core not in ("sam", "sdnc"):
      words = "'sam' and 'sdnc' have"
    with pytest.raises(ValueError, match=words):
      call()


def test_a_default_switches_a_capability_on():
  core = functools.partial(CORES.get("sam"), gradient_steps=3, **SAM)
  assert make_model(core, OUT).can_forget
  assert not make_model(core, OUT, gradient_steps=None).can_forget


def test_recall():
  model, params, inputs = small_model("sam", measure_recall=True, index="lsh")
  _, states, *_ = model.unroll(params, None, inputs, model.initial_state(
      params, B), return_all_states=True)
  counts = model.recall(states)
  assert counts.shape == (T, B, 2) and counts.dtype == jnp.int32
  assert np.all(counts[-1, :, 1] > 0)
  assert np.all(counts[..., 0] <= counts[..., 1])


def test_with_core_args():
  model = make_model("sam", OUT, unit="nau", encoder="embed",
                     encoder_args=dict(output_size=5), **SAM)
  inputs = draw(T, B, F)
  params = model.init(jax.random.key(0), inputs)
  changed = model.with_core_args(gradient_steps=T)
  assert not model.can_forget and changed.can_forget
  assert list(changed.units) == list(model.units)
  outputs = [m.unroll(params, None, inputs, m.initial_state(params, B)).outputs
             for m in (model, changed)]
  np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
  with pytest.raises(ValueError, match="no argument 'gradient_step'; did you"):
    model.with_core_args(gradient_step=3)


# Units.


def test_penalty_constraint_and_sparsity_error():
  model = make_model("stack", OUT, unit="nmu", hidden_unit="nau", hidden_size=7,
                     encoder="embed", encoder_args=dict(output_size=11))
  params = model.init(jax.random.key(0), jnp.zeros([T, B, F]))
  nau, nmu = model.units
  assert nau == "model/~/stack/nau"
  params = params | {nau: {"w": jnp.full([11, 7], .25)},
                     nmu: {"w": jnp.full([7, OUT], .9)}}
  np.testing.assert_allclose(model.penalty(params), .25 + .1, rtol=1e-5)
  np.testing.assert_allclose(model.sparsity_error(params), .25, rtol=1e-5)
  moved = model.constrain(jax.tree.map(lambda w: w - 2, params))
  assert np.all(moved[nau]["w"] == -1)
  assert np.all(moved[nmu]["w"] == 0)
  (embed,) = set(params) - set(model.units)  # Not a unit, so no limits.
  np.testing.assert_array_equal(moved[embed]["w"], params[embed]["w"] - 2)


@pytest.mark.parametrize("core, arguments", [
    ("unit_rnn", dict(hidden_size=7, encoder="embed",
                      encoder_args=dict(output_size=11))),
    ("stack", dict(hidden_size=7)),
    ("rmc", dict(num_slots=17, head_size=5, key_size=1))])
def test_unit_inputs(core, arguments):
  """Unit inputs are means over steps and batch; the rest is unchanged."""
  model = make_model(core, OUT, unit="nau", **arguments)
  inputs = draw(T, B, F)
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  unrolled = model.unroll(params, None, inputs, start)
  same = jax.jit(lambda p: model.unroll(
      p, None, inputs, start, return_unit_inputs=True))(params)
  found = same.unit_inputs
  assert_close(unrolled.outputs, same.outputs)
  for a, b in zip(jax.tree.leaves(unrolled.state), jax.tree.leaves(same.state),
                  strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert set(found) == set(model.units)
  expected = {"model/~/stack/nau": inputs.mean((0, 1))}
  if core == "unit_rnn":
    encoded = inputs @ params["model/~/embed/linear"]["w"]
    cell, read_out = model.units
    states = model.unroll(params, None, inputs, start,
                          return_all_states=True).state
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
