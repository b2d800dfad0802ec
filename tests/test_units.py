"""Every property of an arithmetic unit, over all units."""

import functools
import re

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_units
from core_helpers import with_pull_back
from mixed_precision import bfloat16_policy, every_output
from small_models import draw

from rmc_nalu_sam import UNITS, Unit, UnitRNN, find_units
from rmc_nalu_sam.units import MultiplicativeNAC, arithmetic, linear, nac

pytestmark = pytest.mark.usefixtures("strict_promotion")

B, I, O = 7, 5, 3  # noqa: E741

W, G = (I, O), (O,)
# `shapes`: shapes of the parameters. `discrete`: parameters that make the
# weights discrete (0 unless named). `bounds`: intervals that parameters are
# drawn from. A unit that is not listed has the shapes of its own `parameters`,
# and defaults for the rest.
KNOWN = {
    "g_nalu": dict(shapes=dict(w_hat=W, m_hat=W, gate=W)),
    "gated_nau_nmu": dict(shapes=dict(w_add=W, w_mul=W, gate=W),
                          bounds=dict(w_add=(-1, 1), w_mul=(0, 1))),
    "inalu": dict(
        shapes=dict(w_hat=W, m_hat=W, w_hat_mul=W, m_hat_mul=W, gate=G),
        discrete=dict(w_hat=-25., m_hat=25., w_hat_mul=25., m_hat_mul=-25.,
                      gate=-25.)),
    "inalu_shared": dict(
        shapes=dict(w_hat=W, m_hat=W, gate=G),
        discrete=dict(w_hat=-25., m_hat=25., gate=25.)),
    "linear": dict(shapes=dict(w=W, b=G)),
    "mcfc": dict(shapes=dict(shares=W, gate=G),
                 discrete=dict(shares=np.eye(I, O) + np.eye(I, O, -O),
                               gate=1.)),
    "mul_mcfc": dict(shapes=dict(shares=W, gate=G, b=G),
                     discrete=dict(shares=np.eye(I, O) + np.eye(I, O, -O),
                                   gate=1.)),
    "nac": dict(shapes=dict(w_hat=W, m_hat=W)),
    "nac_mul": dict(shapes=dict(w_hat=W, m_hat=W)),
    "nac_mul_nmu": dict(shapes=dict(w=W), bounds=dict(w=(0, 1)),
                        discrete=dict(w=1.)),
    "nac_mul_sigmoid": dict(shapes=dict(w_hat=W), discrete=dict(w_hat=-100.)),
    "naive_npu": dict(shapes=dict(w_real=W, w_imag=W)),
    "nalu": dict(shapes=dict(w_hat=W, m_hat=W, gate=W)),
    "nalu_separate": dict(
        shapes=dict(w_hat=W, m_hat=W, w_hat_mul=W, m_hat_mul=W, gate=W)),
    "nau": dict(shapes=dict(w=W), bounds=dict(w=(-1, 1)),
                discrete=dict(w=-1.)),
    "nmru": dict(shapes=dict(w=W, w_reciprocal=W),
                 bounds=dict(w=(0, 1), w_reciprocal=(0, 1)),
                 discrete=dict(w_reciprocal=1.)),
    "nmu": dict(shapes=dict(w=W), bounds=dict(w=(0, 1)), discrete=dict(w=1.)),
    "npu": dict(shapes=dict(w_real=W, w_imag=W, gate=(I,)),
                bounds=dict(gate=(0, 1))),
    "real_npu": dict(shapes=dict(w_real=W, gate=(I,)),
                     bounds=dict(gate=(0, 1))),
    "relu": dict(shapes=dict(w=W, b=G)),
    "relu6": dict(shapes=dict(w=W, b=G)),
    "sigmoid": dict(shapes=dict(w=W, b=G)),
    "tanh": dict(shapes=dict(w=W, b=G)),
}

every_unit = pytest.mark.parametrize("name", UNITS)


def transform(f):
  return hk.without_apply_rng(hk.transform(f))


@functools.cache
def network(name):
  return transform(lambda x: UNITS.get(name)(O)(x))


@functools.cache
def compiled(name):
  """Returns `network`, compiled, for tests that set no policy."""
  return hk.Transformed(*map(jax.jit, network(name)))


@functools.cache
def unit_of(name, **kwargs) -> Unit:
  (unit,) = find_units(
      lambda x: UNITS.get(name)(O, **kwargs)(x), jnp.zeros(I)).values()
  return unit


@functools.cache
def initial(name):
  (params,) = compiled(name).init(jax.random.key(0), draw(B, I)).values()
  return params


@functools.cache
def member(name):
  return KNOWN.get(name) or dict(shapes={
      key: shape for key, (shape, _) in unit_of(name).parameters(I).items()})


def make_params(name, margin=.1, seed=1):
  """Draws parameters everywhere, or inside of the bounds by a margin."""
  rng = np.random.default_rng(seed)
  params = {}
  for key, shape in member(name)["shapes"].items():
    low, high = member(name).get("bounds", {}).get(key, (-1.2, 1.2))
    # With this scale, outputs are about as large as inputs for any width.
    scale = 1 if name in KNOWN else shape[0] ** -.5
    params[key] = scale * jnp.asarray(
        rng.uniform(low + margin, high - margin, shape), float)
  return params


def discrete_params(name):
  values = member(name).get("discrete", {})
  # A softmax is discrete only far from 0, hence the factor of 100.
  return {key: jnp.asarray(
      np.broadcast_to(values.get(key, 0.), shape)
      * (100 if "shares" in values else 1), float)
      for key, shape in member(name)["shapes"].items()}


def signed_inputs(*shape):
  """Draws inputs of both signs, none near 0, where the units have kinks."""
  rng = np.random.default_rng(2)
  return jnp.asarray(rng.choice([-1, 1], shape) * rng.uniform(.5, 2, shape),
                     float)


def test_tables_name_units_only():
  assert set(KNOWN) == set(reference_units.REFERENCES) < set(UNITS)


@every_unit
def test_parameters_are_flat_and_float32(name):
  params = jax.eval_shape(network(name).init, jax.random.key(0), draw(B, I))
  (flat,) = params.values()
  assert {k: p.shape for k, p in flat.items()} == member(name)["shapes"]
  assert all(p.dtype == jnp.float32 for p in flat.values())


@every_unit
def test_init_under_jit_equals_eager(name):
  (eager,) = network(name).init(jax.random.key(0), draw(B, I)).values()
  chex.assert_trees_all_close(eager, initial(name), rtol=1e-5, atol=1e-6)
  assert any(np.ptp(p) > 0 for p in initial(name).values())


@pytest.mark.parametrize("name", reference_units.REFERENCES)
def test_equals_the_reference_for_any_leading_axes(name, x64):
  params = make_params(name, margin=-.3)  # Some lie out of bounds.
  inputs = jnp.concatenate([signed_inputs(2, 6, I),
                            jnp.zeros([2, 1, I])], axis=1)
  inputs = inputs.at[0, 0, 1].set(0.)
  outputs = compiled(name).apply({unit_of(name).name: params}, inputs)
  assert outputs.dtype == jnp.float64
  reference = functools.partial(reference_units.REFERENCES[name],
                                {k: np.asarray(p) for k, p in params.items()})
  expected = np.apply_along_axis(reference, -1, np.asarray(inputs))
  np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-12)
  assert outputs.shape == (2, 7, O)
  assert np.ptp(expected) > .1


@every_unit
def test_forward_is_what_the_module_computes(name):
  apply = functools.partial(compiled(name).apply,
                            {unit_of(name).name: initial(name)})
  inputs = signed_inputs(B, I)
  batched, single, mapped = apply(inputs), apply(inputs[2]), jax.vmap(apply)(
      inputs)
  pure = jax.jit(unit_of(name).forward)(initial(name), inputs)
  assert batched.shape == (B, O)
  np.testing.assert_allclose(single, batched[2], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(mapped, batched, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(pure, batched, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.int32, jnp.uint8])
@every_unit
def test_integers_and_booleans_are_taken_as_floats(name, dtype):
  numbers = (jnp.arange(B * I).reshape(B, I) % 5).astype(dtype)
  floats, key = numbers.astype(jnp.float32), jax.random.key(0)
  assert jax.eval_shape(network(name).init, key, numbers) == jax.eval_shape(
      network(name).init, key, floats)
  params = {unit_of(name).name: make_params(name)}
  outputs = compiled(name).apply(params, numbers)
  assert outputs.dtype == jnp.float32
  np.testing.assert_array_equal(outputs, compiled(name).apply(params, floats))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@every_unit
def test_half_precision_initialises(name, dtype):
  (params,) = compiled(name).init(
      jax.random.key(0), draw(B, I).astype(dtype)).values()
  assert {p.dtype for p in params.values()} == {jnp.dtype(dtype)}
  assert all(np.isfinite(p).all() for p in params.values())
  assert any(np.ptp(p.astype(jnp.float32)) > 0 for p in params.values())


@every_unit
def test_no_inputs_have_no_outputs(name):
  for shape in ((0,), (2, 0), (0, 2)):
    inputs = jnp.zeros([*shape, I])
    params = jax.eval_shape(network(name).init, jax.random.key(0), inputs)
    outputs = jax.eval_shape(network(name).apply, params, inputs)
    assert outputs.shape == (*shape, O)


@every_output
@every_unit
def test_bfloat16_policy(name, output):
  inputs = signed_inputs(B, I)

  def value(params, x):
    with bfloat16_policy(type(unit_of(name)), output):
      y = network(name).apply({unit_of(name).name: params}, x)
    assert y.dtype == output
    return y.astype(jnp.float32).sum(), y

  with bfloat16_policy(type(unit_of(name)), output):
    (params,) = jax.eval_shape(
        network(name).init, jax.random.key(0), inputs).values()
  assert {p.dtype for p in params.values()} == {jnp.dtype(jnp.float32)}
  # Not compiled as one program: XLA leaves out a rounding in the middle.
  gradients, half = jax.grad(value, (0, 1), has_aux=True)(
      make_params(name), inputs)
  chex.assert_tree_all_finite(gradients)
  np.testing.assert_array_equal(half, half.astype(jnp.bfloat16))
  single = jax.jit(unit_of(name).forward)(make_params(name), inputs)
  np.testing.assert_allclose(
      np.asarray(half, np.float32), single, rtol=.1, atol=.1)


@every_unit
def test_gradients_are_slopes(name, x64):
  unit = unit_of(name)
  variables = {"inputs": signed_inputs(B, I)} | make_params(name)

  def loss(variables):
    params = dict(variables)
    y = unit.forward(params, params.pop("inputs"))
    penalty = unit.penalty(params)
    return jnp.vdot(draw(B, O), y) + penalty

  loss = jax.jit(loss)
  gradients = jax.jit(jax.grad(loss))(variables)
  eps = 1e-6
  for i, (key, value) in enumerate(variables.items()):
    direction = draw(*value.shape, seed=i)
    up, down = (loss(variables | {key: value + sign * eps * direction})
                for sign in (1, -1))
    np.testing.assert_allclose(
        jnp.vdot(gradients[key], direction), (up - down) / (2 * eps),
        rtol=1e-5, atol=1e-6, err_msg=key)
  assert all(np.any(g != 0) for g in gradients.values())


@every_unit
def test_finite_at_zeros_negatives_and_large_values(name):
  rows = np.array([[0, 0, 0, 0, 0], [0, -1, 0, 2, -3], [-1, -1, -1, -1, -1],
                   [1e-30, -1e-30, 1e-7, -1e-7, 0], [1e4, -1e4, 1e4, 1, 0],
                   [1e8, -1e8, 1e8, 1e8, -1e8], [1, 1, 1, 1, 1]])
  assert rows.shape == (B, I)
  unit = unit_of(name)
  saturated = [{k: jnp.full_like(p, value) for k, p in initial(name).items()}
               for value in (0., 1., -1., 1e3, -1e3)]

  @functools.partial(jax.jit, static_argnums=2)
  def values(params, inputs, of_square):
    outputs, pull_back = jax.vjp(unit.forward, params, inputs)
    return outputs, pull_back(
        2 * outputs if of_square else jnp.ones_like(outputs))

  def check(params, inputs, of_square):
    chex.assert_tree_all_finite(jax.device_get(
        values(params, inputs.astype(np.float32), of_square)))

  for params in (make_params(name), initial(name)):
    check(params, rows, of_square=True)
  # Without bounds of its own, a network is not meant for such weights.
  for params in (initial(name), *(saturated if unit.is_discrete else ())):
    check(params, rows, of_square=False)
    check(params, 1e30 * np.sign(rows - .5), of_square=False)


@every_unit
def test_constrain_projects(name):
  unit, wild = unit_of(name), make_params(name, margin=-3.)
  once = unit.constrain(wild)
  chex.assert_trees_all_equal(once, unit.constrain(once))
  chex.assert_trees_all_equal_shapes_and_dtypes(once, wild)
  # NPUs clip their gates only in the forward pass, not in `constrain`.
  bounds = {} if "npu" in name else member(name).get("bounds", {})
  for key, value in once.items():
    if key in bounds:
      np.testing.assert_array_equal(value, np.clip(wild[key], *bounds[key]))
      assert np.any(value != wild[key])
    else:
      np.testing.assert_array_equal(value, wild[key])


def test_npu_can_be_kept_to_its_bounds():
  wild = make_params("npu", margin=-3.)
  once = unit_of("npu", clip_weights=True).constrain(wild)
  for key, low in dict(w_real=-1, gate=0).items():
    np.testing.assert_array_equal(once[key], np.clip(wild[key], low, 1))
    assert np.any(once[key] != wild[key])
  np.testing.assert_array_equal(once["w_imag"], wild["w_imag"])


@every_unit
def test_penalty(name):
  unit, params = unit_of(name), make_params(name)
  penalty = unit.penalty(params)
  assert penalty.shape == ()
  assert unit.has_penalty == bool(penalty)
  if name not in reference_units.PENALTIES:
    return
  expected = reference_units.PENALTIES[name](
      {k: np.asarray(p) for k, p in params.items()})
  np.testing.assert_allclose(penalty, expected, rtol=1e-5)
  assert expected > .1
  assert unit.penalty(discrete_params(name)) == 0


@pytest.mark.parametrize("name", ["gated_nau_nmu", "nac_mul_nmu", "nau", "nmru",
                                  "nmu"])
def test_squared_penalty(name):
  unit, = find_units(lambda x: UNITS.get(name)(O, penalty="squared")(x),
                     draw(I)).values()
  params = {k: np.asarray(p) for k, p in make_params(name).items()
            if k != "gate"}
  expected = [np.mean(w ** 2 * (1 - abs(w)) ** 2) for w in params.values()]
  total = sum(expected) if name == "gated_nau_nmu" else np.mean(expected)
  np.testing.assert_allclose(unit.penalty(make_params(name)), total, rtol=1e-5)


@every_unit
def test_input_penalty(name, x64):
  """R_z is 0 for inputs that change nothing, and decreases towards them."""
  unit, params, mean = unit_of(name), make_params(name), signed_inputs(I)
  penalty = unit.input_penalty(params, mean)
  assert penalty.shape == ()
  assert unit.has_input_penalty == bool(penalty)
  if name not in reference_units.INPUT_PENALTIES:
    return
  expected = reference_units.INPUT_PENALTIES[name](
      {k: np.asarray(p) for k, p in params.items()}, np.asarray(mean))
  np.testing.assert_allclose(penalty, expected, rtol=1e-9)
  neutral = jnp.full([I], unit.NEUTRAL)
  assert unit.input_penalty(params, neutral) == 0
  slope = jax.grad(unit.input_penalty, 1)(params, mean)
  assert np.all(slope * (mean - neutral) > 0)
  for key, gradient in jax.grad(unit.input_penalty)(params, mean).items():
    assert np.all(gradient != 0), key


@pytest.mark.parametrize("name, operation", [("nau", np.sum),
                                             ("nmu", np.prod)])
def test_a_solved_unit_stays(name, operation):
  net = transform(lambda x: UNITS.get(name)(O, solved=True)(x))
  unit, = find_units(lambda x: UNITS.get(name)(O, solved=True)(x),
                     draw(I)).values()
  inputs = signed_inputs(B, I)
  params = net.init(jax.random.key(0), inputs)
  outputs, pull_back = jax.vjp(net.apply, params, inputs)
  np.testing.assert_allclose(
      outputs, np.tile(operation(inputs, axis=1)[:, None], O), rtol=1e-5)
  to_params, to_inputs = pull_back(draw(B, O))
  assert not np.any(jax.tree.leaves(to_params)[0])
  assert np.all(to_inputs != 0)
  penalty, gradient = jax.value_and_grad(unit.penalty)(params[name])
  assert penalty == 0 and not np.any(gradient["w"])


@every_unit
def test_sparsity_error(name):
  """The error is a weight's largest distance from its discrete values."""
  unit = unit_of(name)
  assert unit.is_discrete == bool(unit.VALUES)
  if not unit.is_discrete:
    assert unit.sparsity_error(make_params(name)) == 0
    return
  assert unit.sparsity_error(discrete_params(name)) < 1e-6
  weights = unit.weights(make_params(name))
  assert set(unit.VALUES) & set(weights)
  expected = max(
      min(abs(float(w) - value) for value in values)
      for key, values in unit.VALUES.items() if key in weights
      for w in np.ravel(weights[key]))
  error = unit.sparsity_error(make_params(name))
  assert error.shape == ()
  np.testing.assert_allclose(error, expected, rtol=1e-5)
  assert error > .2


@pytest.mark.parametrize("squash, function", [
    ("none", lambda w: w), ("sigmoid", lambda w: 1 / (1 + np.exp(-w))),
    ("tanh", np.tanh)])
def test_squashed_weights(squash, function):
  """Table 4 of the NALU paper: tanh(W) x, sigma(W) x + b and so on."""
  params = make_params("linear")
  expected = function(np.asarray(params["w"]))
  for with_bias in (True, False):
    unit = unit_of("linear", squash=squash, with_bias=with_bias)
    assert set(unit.parameters(I)) == {"w", *(["b"] if with_bias else [])}
    given = {key: params[key] for key in unit.parameters(I)}
    np.testing.assert_allclose(unit.weights(given)["w"], expected, rtol=1e-6)
    bias = np.asarray(params["b"]) if with_bias else 0
    x = draw(B, I)
    np.testing.assert_allclose(unit.forward(given, x),
                               np.asarray(x) @ expected + bias,
                               rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(
        unit.readable(unit.weights(given))["w"], np.round(expected))


ACTIVATIONS = {  # Functions of one number, as in PyTorch.
    "elu": lambda x: x if x > 0 else np.expm1(x),
    "hard_shrink": lambda x: x if abs(x) > .5 else 0,
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "leaky_relu": lambda x: x if x > 0 else .01 * x,
    "none": lambda x: x,
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "selu": lambda x: 1.0507009873554805 * (
        x if x > 0 else 1.6732632423543772 * np.expm1(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "soft_shrink": lambda x: x - .5 if x > .5 else x + .5 if x < -.5 else 0,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
}


def test_activations():
  assert set(ACTIVATIONS) == set(linear.ACTIVATIONS)
  described = UNITS.arguments("linear")["activation"].help
  assert set(re.findall(r"'(\w+)'", described)) == set(ACTIVATIONS)
  params = make_params("linear")
  x = 5 * draw(B, I)
  sums = np.asarray(x @ params["w"]) + np.asarray(params["b"])
  assert sums.min() < -1 and (abs(sums) < .5).any() and sums.max() > 6
  for name, function in ACTIVATIONS.items():
    outputs = unit_of("linear", activation=name).forward(params, x)
    np.testing.assert_allclose(outputs, np.vectorize(
        function, otypes=[float])(sums), rtol=1e-5, atol=1e-6, err_msg=name)


@every_unit
def test_bad_arguments(name):
  with pytest.raises(ValueError, match="output_size must be at least 1, got 0"):
    hk.transform(lambda: UNITS.get(name)(0) and None).init(None)
  with pytest.raises(ValueError, match=r"takes inputs \[..., I\]"):
    network(name).init(jax.random.key(0), jnp.zeros([]))


@pytest.mark.parametrize("name, arguments, message", [
    ("linear", dict(activation="gelu"), "unknown activation 'gelu'; .*relu6"),
    ("linear", dict(w_init="zeros"), "unknown w_init 'zeros'; .*glorot"),
    ("linear", dict(squash="relu"), "unknown squash 'relu'; .*tanh"),
    ("nac_mul", dict(kind="nau"), "unknown kind 'nau'; .*sigmoid"),
    ("nac_mul", dict(epsilon=0.), "epsilon must be positive, got 0.0"),
    ("nalu", dict(epsilon=-1.), "epsilon must be positive, got -1.0"),
    ("inalu", dict(epsilon=0.), "epsilon must be positive"),
    ("npu", dict(epsilon=0.), "epsilon must be positive"),
    ("mul_mcfc", dict(epsilon=0.), "epsilon must be positive"),
    ("nau", dict(penalty="l1"), "unknown penalty 'l1'; .*squared"),
])
def test_refused_arguments(name, arguments, message):
  with pytest.raises(ValueError, match=message):
    hk.transform(lambda: UNITS.get(name)(O, **arguments) and None).init(None)


def test_find_units_finds_nested_ones_in_the_order_of_calls():
  class Inner(hk.Module):
    def __call__(self, x):
      first = UNITS.get("nau")(2, name="a")
      second = UNITS.get("nmu")(3, name="b")
      return second(first(first(x)))

  def f(x):
    core = hk.DeepRNN([UnitRNN(2, unit="nac"), hk.Linear(2), Inner()])
    return hk.dynamic_unroll(core, x, core.initial_state(B))[0]

  inputs = draw(4, B, 2)
  units = find_units(f, inputs)
  names = [(name, type(unit).__name__) for name, unit in units.items()]
  assert names == [("unit_rnn/~/nac", "NAC"), ("inner/a", "NAU"),
                   ("inner/b", "NMU")]
  params = jax.eval_shape(hk.transform(f).init, jax.random.key(0), inputs)
  assert set(units) < set(params)  # The linear layer is not a unit.
  for name, unit in units.items():
    assert set(params[name]) == set(unit.parameters(2))


def test_find_units_of_a_function_without_any():
  assert find_units(lambda x: hk.Linear(2)(x), draw(B, I)) == {}


def test_a_product_has_exact_gradients_where_factors_are_zero():
  factors = jnp.array([[2., 0., 0.], [3., 5., 0.], [-7., 11., 2.],
                       [.5, 1., 1.], [1., -1., 1.]])
  value, pull_back = jax.vjp(arithmetic.product, factors)
  np.testing.assert_array_equal(value, [-21, 0, 0])
  (gradient,) = pull_back(jnp.ones(3))
  others = [[np.delete(column, i).prod() for i in range(5)]
            for column in np.asarray(factors).T]
  np.testing.assert_allclose(gradient, np.transpose(others))
  assert np.any(gradient[:, 1] != 0) and not np.any(gradient[:, 2])


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13])
def test_product_of_any_number_of_factors(number):
  factors = 1 + draw(2, number, O) / 4
  np.testing.assert_allclose(
      arithmetic.product(factors), np.prod(factors, axis=1), rtol=1e-5)


def test_products_are_cut_where_their_squares_are_finite():
  bound = arithmetic.limit(jnp.float32)
  assert np.isfinite(np.square(np.float32(bound), dtype=np.float32))
  factors = jnp.full([7, O], -1e30)
  value, gradient = jax.value_and_grad(
      lambda f: jnp.square(arithmetic.product(f)).sum())(factors)
  assert np.isfinite(value) and np.isfinite(gradient).all()
  np.testing.assert_allclose(arithmetic.product(factors), -bound, rtol=1e-5)
  np.testing.assert_allclose(
      arithmetic.exponentiate(jnp.array([1., 500.])), [np.e, bound], rtol=1e-4)


@pytest.mark.parametrize("name, edges", [
    ("nau", (-1., 0., 1.)), ("nmu", (0., 1.)), ("nac_mul_nmu", (0., 1.)),
    ("nmru", (0., 1.)), ("gated_nau_nmu", (0., 1.)), ("real_npu", (0., 1.))])
def test_a_weight_on_the_edge_is_not_stuck(name, edges):
  """On the edge, a weight has the gradient of one inside; outside, none."""
  unit = unit_of(name)

  def slope(value):
    clipped = member(name)["bounds"]
    params = make_params(name) | {
        key: jnp.full(member(name)["shapes"][key], value) for key in clipped}
    gradient = jax.grad(lambda p: unit.forward(p, inputs).sum())(params)
    return jnp.concatenate([gradient[key].ravel() for key in clipped])

  inputs = jnp.abs(signed_inputs(B, I))
  for edge in edges:
    inside = edge - 1e-4 * np.sign(edge - np.mean(edges))
    np.testing.assert_allclose(slope(edge), slope(inside), rtol=.05, atol=.05)
    assert np.all(slope(edge) != 0)
  assert not np.any(slope(1.1))


def test_nac_starts_with_glorot_and_bengios_variance():
  params = hk.transform(lambda x: nac.NAC(83)(x)).init(
      jax.random.key(0), jnp.zeros([101]))["nac"]
  w = arithmetic.squash(params["w_hat"], params["m_hat"])
  np.testing.assert_allclose(w.var(), 2 / (83 + 101), rtol=.05)
  # No range gives Glorot's variance for I + O < 5; the one for 5 is used.
  assert nac.nac_init(1, 1).maxval == nac.nac_init(3, 2).maxval < 10


@pytest.mark.parametrize("name, low, high, inputs", [
    ("nmu", .25, .75, 5), ("nau", -.5, .5, 5), ("nmru", .25, .75, 5),
    ("nau", -(6 / 1009) ** .5, (6 / 1009) ** .5, 1006)])
def test_range_at_the_start(name, low, high, inputs):
  params, = hk.transform(lambda x: UNITS.get(name)(3)(x)).init(
      jax.random.key(3), jnp.zeros([inputs])).values()
  values = np.concatenate([np.ravel(p) for p in params.values()])
  assert low <= values.min() < low + .2 * (high - low)
  assert high - .2 * (high - low) < values.max() <= high


def test_inalu_and_npu_start_as_their_authors_say():
  params, = hk.transform(lambda x: UNITS.get("inalu")(83)(x)).init(
      jax.random.key(0), jnp.zeros([101])).values()
  for key, mean in (("w_hat", .88), ("m_hat", .5), ("w_hat_mul", .88),
                    ("m_hat_mul", .5)):
    np.testing.assert_allclose(params[key].mean(), mean, atol=.01)
    np.testing.assert_allclose(params[key].std(), .2, atol=.01)
  assert abs(params["gate"].mean()) < .1
  npu = initial("npu")
  assert not np.any(npu["w_imag"]) and np.all(npu["gate"] == .5)
  assert 0 < np.abs(npu["w_real"]).max() <= (6 / (I + O)) ** .5


def test_linear_is_haikus():
  """The linear unit's initial parameters equal Haiku's, bit by bit."""
  ours, theirs = (
      hk.transform(lambda x, cls=cls: cls(O)(x)).init(
          jax.random.key(5), draw(B, I))
      for cls in (UNITS.get("linear"), hk.Linear))
  chex.assert_trees_all_equal(ours, theirs)


@pytest.mark.parametrize("name, params, inputs, expected", [
    ("nau", dict(w=[1., -1., 0.]), [3., 5., 7.], -2.),
    ("nmu", dict(w=[1., 1., 0.]), [-3., 5., 7.], -15.),
    ("nmu", dict(w=[1., 1., 0.]), [0., 5., 7.], 0.),
    ("nmru", dict(w=[1., 0., 0.], w_reciprocal=[0., 1., 0.]),
     [-3., 8., 7.], -.375),
    ("real_npu", dict(w_real=[1., -1., 1.], gate=[1., 1., 0.]),
     [-3., 8., 7.], -.375),
    ("npu", dict(w_real=[.5, 2., 1.], w_imag=[0., 0., 0.], gate=[1., 1., 0.]),
     [16., -3., -7.], 36.),
])
def test_discrete_weights_compute_exactly(name, params, inputs, expected):
  params = {k: jnp.array(p)[:, None] if k != "gate" else jnp.array(p)
            for k, p in params.items()}
  unit, = find_units(lambda x: UNITS.get(name)(1)(x), jnp.zeros(3)).values()
  np.testing.assert_allclose(
      unit.forward(params, jnp.array(inputs)), [expected], rtol=1e-5)


# Numbers of other implementations.


def golden_case(path, names, arguments=None):
  """Returns a file's arrays, and its parameters and gradients as ours."""
  golden = np.load(path)

  def parameter(key, kind):
    value = golden[f"{kind}.{names[key][0]}"]
    return value.T if names[key][1] else value

  params = {key: parameter(key, "param") for key in names}
  expected = {key: parameter(key, "grad") for key in names}
  return golden, params, expected


NAC_NAMES = dict(w_hat=("W_hat", True), m_hat=("M_hat", True))
GOLDENS = {  # File -> unit, and our name -> (theirs, whether [out, in]).
    "stable_nalu_nac_pos": ("nac", NAC_NAMES),
    "stable_nalu_nalu_pos": ("nalu", dict(
        w_hat=("nac_add.W_hat", True), m_hat=("nac_add.M_hat", True),
        gate=("G_add", True))),
    "stable_nalu_nau_pos": ("nau", dict(w=("W", True))),
    "stable_nalu_nmu_pos": ("nmu", dict(w=("W", True))),
    "nalm_inalu_pos": ("inalu", dict(
        w_hat=("W_a_hat", False), m_hat=("M_a_hat", False),
        w_hat_mul=("W_m_hat", False), m_hat_mul=("M_m_hat", False),
        gate=("g", False))),
    "nalm_npu_pos": ("npu", dict(w_real=("W_real", False),
                                 w_imag=("W_im", False), gate=("g", False))),
    "nalm_realnpu_pos": ("real_npu", dict(w_real=("W_real", False),
                                          gate=("g", False))),
}


@pytest.mark.parametrize("file", GOLDENS)
def test_equals_the_public_implementation(file, x64, golden_root):
  name, names = GOLDENS[file]
  golden, params, expected = golden_case(golden_root / f"{file}.npz", names)
  unit = unit_of(name)
  outputs, (gradients, to_inputs) = with_pull_back(unit.forward)(
      golden["cot"], params, golden["x"])
  np.testing.assert_allclose(outputs, golden["y"], rtol=1e-9)
  np.testing.assert_allclose(to_inputs, golden["grad_x"], rtol=1e-9)
  assert set(gradients) == set(expected)
  for key, gradient in gradients.items():
    np.testing.assert_allclose(gradient, expected[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["nau", "nmu"])
def test_equals_the_public_regulariser(name, x64, golden_root):
  golden = np.load(golden_root / f"stable_nalu_{name}_pos.npz")
  unit, = find_units(lambda x: UNITS.get(name)(O, penalty="squared")(x),
                     draw(I)).values()
  np.testing.assert_allclose(
      unit.penalty({"w": jnp.asarray(golden["param.W"].T)}), golden["reg.W"],
      rtol=1e-9)


def test_kinds_of_multiplicative_weights_are_all_registered():
  assert len(MultiplicativeNAC.KINDS) == sum(
      "nac_mul" in name for name in UNITS)
