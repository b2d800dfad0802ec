"""Products in bfloat16, for all cores of the registry, encoders and heads."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import text_helpers
from core_cases import CASES, SLOW, B, F, T, draw
from launch_helpers import records, run, saved_state
from mixed_precision import products, subjaxprs

from launch import evaluate, train
from launch.configs import build, checks, config
from rmc_nalu_sam import make_model, narrow

OUT = 19
BFLOAT16 = jnp.dtype(jnp.bfloat16)

# How many products of a training step are float32, by core.
WIDE = dict.fromkeys(CASES, 0) | {
    "controlled_nalu": 9,  # The NALU's.
    "dam": 4,  # Similarities.
    "dnc": 27,  # All of the access: similarities, links, usage.
    "nac_lstm": 3,  # The NAC's.
    "ntm": 8,  # Similarities.
    "sam": 5,  # Similarities, and the search.
    "sdnc": 5,  # Similarities, and the search.
    "stack": 5,  # All are of units.
    "unit_rnn": 6,  # All are of units.
    "unit_sum": 5,  # All are of units.
    # Similarities and hashes: of words, of queries, and of the rows found.
    "sam at a constant cost": 9}
WIDE |= {f"{core} {variant}": WIDE[core]
         for core in ("dam", "dnc", "ntm", "sam", "sdnc")
         for variant in ("without an LSTM", "from its reads")}
# Cores whose memory is bfloat16.
NARROW_MEMORY = ("dam", "ntm")


def model_of(case, precision="bfloat16", **kwargs):
  core, arguments = CASES[case]
  arguments = {name: value for name, value in arguments.items()
               if name != "output_size"}
  return make_model(core, OUT, input_size=F, precision=precision,
                    **arguments | kwargs)


def loss_of(model, inputs, **kwargs):
  def loss(params, state):
    unrolled = model.unroll(params, None, inputs, state, **kwargs)
    return jnp.square(unrolled.outputs).sum(), (
        unrolled.outputs, unrolled.state)
  return loss


def trace(model, inputs, **kwargs):
  """Returns a training step as a jaxpr, the parameters, and the shapes of
  (gradients, (outputs, state after)) and of the state before."""
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  state = jax.eval_shape(
      lambda p: model.initial_state(p, inputs.shape[1]), params)
  jaxpr, shapes = jax.make_jaxpr(
      jax.grad(loss_of(model, inputs, **kwargs), has_aux=True),
      return_shape=True)(params, state)
  return jaxpr, params, shapes, state


def is_narrow(product):
  return {operand.dtype for operand in product[:2]} == {BFLOAT16}


def floats(tree):
  return {x.dtype.name for x in jax.tree.leaves(tree)
          if jnp.issubdtype(x.dtype, jnp.floating)}


every_core = pytest.mark.parametrize("case", [
    pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW))
    for case in CASES])


@every_core
def test_products_are_bfloat16_and_the_rest_is_float32(case, strict_promotion):
  jaxpr, params, (gradients, (outputs, after)), before = trace(
      model_of(case), draw(T, B, F))
  found = products(jaxpr)
  assert found
  wide = [p for p in found if not is_narrow(p)]
  assert case not in WIDE or len(wide) == WIDE[case]
  # Sums of products too.
  assert all(product[2].dtype != BFLOAT16 for product in wide)
  assert floats((params, gradients, outputs)) == {"float32"}
  assert jax.tree.map(lambda x: (x.shape, x.dtype), before) == jax.tree.map(
      lambda x: (x.shape, x.dtype), after)
  # Also gradients that add up over steps: casts are inside of the loops.
  carried = [
      whole.aval for j in subjaxprs(jaxpr) for e in j.eqns
      if e.primitive.name == "scan" for whole, of_step in zip(
          e.outvars, e.params["jaxpr"].jaxpr.outvars, strict=True)
      if whole.aval.shape == of_step.aval.shape]  # Else one for each step.
  memory = {BFLOAT16.name} if case.split()[0] in NARROW_MEMORY else set()
  assert carried or case == "stack"
  assert floats((carried, after)) <= {"float32"} | memory
  if memory:
    assert after.access.memory.dtype == BFLOAT16
    assert floats(after.access._replace(memory=None)) == {"float32"}


def test_the_default_is_float32():
  jaxpr, *_ = trace(make_model("lstm", OUT, hidden_size=7), draw(T, B, F))
  assert products(jaxpr) and not any(map(is_narrow, products(jaxpr)))


@pytest.mark.parametrize("case", [
    "rmc", *(pytest.param(case, marks=pytest.mark.slow)
             for case in CASES if case not in ("rmc", *SLOW))])
def test_outputs_and_gradients_are_near_those_of_float32(case):
  inputs = draw(T, B, F)
  wide, half = (model_of(case, name) for name in narrow.PRECISIONS)
  params = wide.init(jax.random.key(0), inputs)
  for one, other in zip(*(jax.tree.leaves(m.init(
      jax.random.key(0), inputs)) for m in (wide, half)), strict=True):
    np.testing.assert_array_equal(one, other)
  (exact, (outputs, _)), (rounded, (near, _)) = (
      jax.jit(jax.grad(loss_of(model, inputs), has_aux=True))(
          params, model.initial_state(params, B)) for model in (wide, half))
  assert np.abs(outputs).max() > .02
  np.testing.assert_allclose(near, outputs, atol=.03 * np.abs(outputs).max())
  exact, rounded = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)])
                    for t in (exact, rounded))
  assert exact @ rounded > .99 * np.linalg.norm(exact) * np.linalg.norm(rounded)
  assert CASES[case][0] in ("stack", "unit_rnn") or np.any(near != outputs)


@pytest.mark.parametrize("kwargs", [
    dict(core="stack"), dict(core="unit_rnn", unit="linear", hidden_size=5),
    dict(core="unit_rnn", hidden_size=3)])
def test_networks_of_units_compute_in_float32(kwargs):
  inputs = draw(T, B, F)
  results = []
  for precision in narrow.PRECISIONS:
    model = make_model(output_size=3, precision=precision, **kwargs)
    params = model.init(jax.random.key(0), inputs)
    results.append(model.unroll(
        params, None, inputs, model.initial_state(params, B)).outputs)
  np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("unit, num_wide", [
    ("linear", 0), ("mlp", 0), ("nac", 3), ("nalu", 9)])
def test_read_outs(unit, num_wide):
  """Arithmetic units multiply in float32, others do not."""
  jaxpr, *_ = trace(make_model(
      "lstm", OUT, hidden_size=7, unit=unit, precision="bfloat16"),
                    draw(T, B, F))
  narrow_ones = [is_narrow(product) for product in products(jaxpr)]
  assert narrow_ones.count(False) == num_wide and any(narrow_ones)


@pytest.mark.parametrize("head, head_args", [
    ("softmax", {}), ("softmax", dict(tied=True)),
    ("adaptive_softmax", dict(cutoffs="5,11", div_value=2.))])
def test_models_of_tokens(head, head_args):
  tokens = jnp.zeros([T, B], int)
  model = make_model(
      "awd_lstm", OUT, encoder="tokens", encoder_args=dict(output_size=7),
      head=head, head_args=head_args, input_size=None, hidden_size=7,
      precision="bfloat16")
  for kwargs in ({}, dict(targets=tokens)):
    jaxpr, _, (gradients, (outputs, _)), _ = trace(model, tokens, **kwargs)
    assert all(map(is_narrow, products(jaxpr)))
    assert floats((gradients, outputs)) == {"float32"}


@pytest.mark.parametrize("encoder, encoder_args, size, kwargs", [
    ("embed", dict(output_size=5), F, {}),
    ("cnn", {}, 256, {}),
    ("torso", dict(channels="3"), 54, dict(image_shape=(5, 5, 2),
                                           num_features=4))])
@pytest.mark.parametrize("core", ["lstm", "stack"])
def test_encoders(core, encoder, encoder_args, size, kwargs):
  jaxpr, *_ = trace(make_model(
      core, OUT, encoder=encoder, encoder_args=encoder_args, input_size=size,
      precision="bfloat16", **kwargs), jnp.ones([2, B, size]))
  narrow_ones = [is_narrow(product) for product in products(jaxpr)]
  assert any(narrow_ones) and all(narrow_ones) == (core == "lstm")


# The products themselves.


def rounded(x):
  return np.asarray(x.astype(jnp.bfloat16), np.float64)


@pytest.fixture(name="half")
def _half():
  with narrow.products_in("bfloat16"):
    yield


def test_a_product_rounds_its_operands_and_not_its_result(half):
  x, w = draw(5, 3, 7), draw(7, 11, seed=1)
  found = narrow.matmul(x, w)
  assert found.dtype == x.dtype
  np.testing.assert_allclose(found, rounded(x) @ rounded(w), rtol=1e-5,
                             atol=1e-5)
  assert np.abs(found - x @ w).max() > 1e-4


def test_derivatives_of_a_product(half):
  x, w = draw(5, 7), draw(7, 11, seed=1)
  _, pull = jax.vjp(narrow.matmul, x, w)
  g = draw(5, 11, seed=2)
  of_x, of_w = pull(g)
  np.testing.assert_allclose(of_x, rounded(g) @ rounded(w).T, rtol=.01,
                             atol=.02)
  np.testing.assert_allclose(of_w, rounded(x).T @ rounded(g), rtol=.01,
                             atol=.02)
  _, tangent = jax.jvp(narrow.matmul, (x, w), (x, w))
  np.testing.assert_allclose(tangent, 2 * (x @ w), atol=.1)
  twice = jax.make_jaxpr(jax.grad(lambda x: jax.grad(
      lambda w: jnp.square(narrow.matmul(x, w)).sum())(w).sum()))(x)
  assert all(map(is_narrow, products(twice)))


def test_what_takes_no_gradient_costs_no_product(half):
  jaxpr = jax.make_jaxpr(jax.grad(
      lambda w, x: jnp.square(narrow.matmul(x, w)).sum()))(
          draw(7, 11), draw(5, 7))
  assert len(products(jaxpr)) == 2  # Forward, and the gradient of w.


# Names and flags.


@pytest.mark.parametrize("kwargs, words", [
    (dict(precision="float16"), "'float16' is not supported.*'bfloat16'"),
    (dict(precision="half"), "unknown precision 'half'.*float32, bfloat16"),
    (dict(precision="bfloat16", policy=object()), "cannot both be set")])
def test_errors(kwargs, words):
  with pytest.raises(ValueError, match=words) as raised:
    make_model("lstm", OUT, **kwargs)
  assert "\n" not in str(raised.value)


def test_with_core_args_keeps_the_precision():
  model = model_of("dam").with_core_args(discount=.5)
  state = jax.eval_shape(lambda: model.initial_state({}, B))
  assert state.access.memory.dtype == BFLOAT16


def test_a_config_has_a_precision():
  with pytest.raises(config.UsageError, match="'float16' is not supported"):
    checks.check(config.resolve(None, dict(precision="float16"), {}))
  found = config.resolve(None, dict(precision="bfloat16", core="dam"), {})
  state = jax.eval_shape(lambda: build.make_model(
      found, build.make_task(found)).initial_state({}, 1))
  assert state.access.memory.dtype == BFLOAT16


def test_a_run_without_the_field_is_float32(tmp_path):
  stored = config.default_config()
  config.save(stored, tmp_path)
  path = tmp_path / config.CONFIG_FILE
  fields = json.loads(path.read_text())
  assert fields.pop("precision") == "float32"
  path.write_text(json.dumps(fields))
  found = config.load(tmp_path)
  assert found.precision == "float32"
  with pytest.raises(config.UsageError, match="precision"):
    config.reconcile(found, None, dict(precision="bfloat16"), {})


@pytest.mark.slow
def test_a_run_resumes_with_a_memory_in_bfloat16(tmp_path):
  folder = text_helpers.write(tmp_path / "text")
  argv = ["--task=text", f"--data_dir={folder}", "--task.num_steps=6",
          f"--cache_dir={folder / 'cache'}", "--core=dam",
          "--core.hidden_size=5", "--core.num_slots=7", "--core.word_size=3",
          "--core.num_heads=1", "--encoder.output_size=5", "--batch_size=2",
          "--log_every=2", "--eval_every=4", "--checkpoint_every=4",
          "--precision=bfloat16"]
  whole, part = tmp_path / "whole", tmp_path / "part"
  assert run(train, *argv, "--steps=8", f"--workdir={whole}") == 0
  assert run(train, *argv, "--steps=4", f"--workdir={part}") == 0
  assert run(train, "--steps=8", f"--workdir={part}") == 0
  assert records(part) == records(whole)
  state = saved_state(whole)
  assert floats(state.train) == {"float32"}
  assert floats(state.source) == {"bfloat16", "float32"}
  assert run(evaluate, f"--workdir={whole}") == 0


# Name -> flags, and the share of the first loss that is left at the end.
LEARNT = {
    "copy": ("--task=copy --task.max_length=3 --task.num_bits=3 --core=lstm "
             "--core.hidden_size=32", .8),
    "nth_farthest": ("--task=nth_farthest --task.num_objects=3 "
                     "--task.num_dims=2 --core=rmc --core.num_slots=2 "
                     "--core.num_heads=2 --core.head_size=8", .95),
    "arithmetic": ("--task=recurrent_arithmetic --core=lstm "
                   "--core.hidden_size=32", .8),
    "text": ("--task=text --task.tokens=characters --task.num_steps=8 "
             "--core=awd_lstm --core.hidden_size=32", .8)}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT)
def test_the_loss_is_within_the_noise_of_float32(tmp_path, name):
  flags, left = LEARNT[name]
  if name == "text":
    flags += f" --data_dir={text_helpers.write(tmp_path / 'text')}"
  found = []
  for precision in narrow.PRECISIONS:
    workdir = tmp_path / precision
    assert run(
        train, *flags.split(), "--learning_rate=3e-3", "--steps=400",
        "--num_seeds=3", "--batch_size=4" if name == "text" else
        "--batch_size=16", "--log_every=100", "--eval_every=400",
        "--checkpoint_every=400", "--eval_episodes=256",
        f"--precision={precision}", f"--workdir={workdir}") == 0
    found.append(np.array([r["loss"] for r in records(workdir, "eval")]))
  (start, exact), (_, near) = found  # Of three seeds each.
  assert np.any(near != exact)
  assert exact.mean() < left * start.mean()
  assert abs(near.mean() - exact.mean()) <= np.ptp(exact)
