"""Formulas of units with weights of our choice."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam import UNITS, find_units
from rmc_nalu_sam.units import extract

FAR = 30.  # Where tanh and sigmoid are -1, 0 or 1.


def column(*weights):
  return jnp.array(weights, float)[:, None]


def units_of(*layers, inputs):
  """Returns the units of layers (unit, outputs) by their modules' names."""
  def f(x):
    for name, size in layers:
      x = UNITS.get(name)(size, name=f"layer_{name}")(x)
    return x
  return find_units(f, jnp.zeros(inputs))


def formula(name, inputs=3, outputs=1, **params):
  units = units_of((name, outputs), inputs=inputs)
  return extract(units, {f"layer_{name}": params})


def hats(*weights):
  w = column(*weights)
  return dict(w_hat=FAR * w, m_hat=jnp.full(w.shape, FAR))


NAC = hats(1, 0, 1)
DIVIDE = hats(1, 1, -1)


@pytest.mark.parametrize("name, params, expected", [
    ("nau", dict(w=column(1, 1, 0)), "y = x1 + x2"),
    ("nau", dict(w=column(-1, 1, 0)), "y = -x1 + x2"),
    ("nau", dict(w=column(1, -1, 0)), "y = x1 - x2"),
    ("nau", dict(w=column(0, 0, 1)), "y = x3"),
    ("nau", dict(w=column(0, 0, -1)), "y = -x3"),
    ("nau", dict(w=column(0, 0, 0)), "y = 0"),
    ("nac", NAC, "y = x1 + x3"),
    ("nmu", dict(w=column(1, 0, 1)), "y = x1 * x3"),
    ("nmu", dict(w=column(0, 0, 0)), "y = 1"),
    ("nac_mul", DIVIDE, "y = |x1| * |x2| / |x3|"),
    ("nac_mul_nmu", dict(w=column(.5, 0, 0)), "y = sqrt(|x1|)"),
    ("nac_mul_sigmoid", dict(w_hat=column(FAR, -FAR, -FAR)), "y = |x1|"),
    ("real_npu", dict(w_real=column(1, 1, -1), gate=jnp.ones(3)),
     "y = x1 * x2 / x3"),
    ("real_npu", dict(w_real=column(-1, -1, -1), gate=jnp.array([1., 0., 1.])),
     "y = 1 / (x1 * x3)"),
    ("npu", dict(w_real=column(2, .5, 0), w_imag=column(0, 0, 0),
                 gate=jnp.ones(3)), "y = x1^2 * sqrt(x2)"),
    ("naive_npu", dict(w_real=column(-2, 0, 0), w_imag=column(0, 0, 0)),
     "y = 1 / x1^2"),
    ("nmru", dict(w=column(1, 0, 0), w_reciprocal=column(0, 0, 1)),
     "y = x1 / x3"),
    ("inalu_shared", DIVIDE | dict(gate=jnp.array([FAR])), "y = x1 + x2 - x3"),
    ("inalu_shared", DIVIDE | dict(gate=jnp.array([-FAR])), "y = x1 * x2 / x3"),
    ("inalu", NAC | dict(w_hat_mul=FAR * column(0, 1, 1),
                         m_hat_mul=column(FAR, FAR, FAR),
                         gate=jnp.array([-FAR])), "y = x2 * x3"),
    ("nalu", NAC | dict(gate=column(0, 0, 0)),
     "y = g1 * (x1 + x3) + (1 - g1) * |x1| * |x3|"),
    ("g_nalu", {k: 9 * v for k, v in NAC.items()} | dict(gate=column(1, 1, 1)),
     "y = g1 * (x1 + x3) + (1 - g1) * |x1| * |x3|"),
    ("nalu_separate", NAC | dict(
        w_hat_mul=column(0, FAR, 0), m_hat_mul=column(0, 0, 0),
        gate=column(0, 0, 0)),
     "y = g1 * (x1 + x3) + (1 - g1) * sqrt(|x2|)"),
    ("gated_nau_nmu", dict(w_add=column(1, -1, 0), w_mul=column(0, 0, 0),
                           gate=column(0, 0, 0)),
     "y = g1 * (x1 - x2) + (1 - g1) * 1"),
    ("mcfc", dict(shares=column(0, 0, 0), gate=jnp.array([FAR])),
     "y = x1 + x2 + x3"),
    ("mcfc", dict(shares=column(0, 0, 0), gate=jnp.array([-FAR])), "y = 0"),
    ("mul_mcfc", dict(shares=column(0, 0, 0), gate=jnp.array([FAR]),
                      b=jnp.zeros(1)), "y = x1 * x2 * x3"),
    ("linear", dict(w=column(2, -3, 0), b=jnp.array([-7.])),
     "y = 2 * x1 - 3 * x2 - 7"),
    ("linear", dict(w=column(0, 0, 0), b=jnp.array([7.])), "y = 7"),
    ("relu", dict(w=column(1, 0, 0), b=jnp.zeros(1)), "y = relu(x1)"),
    ("relu6", dict(w=column(1, 1, 0), b=jnp.zeros(1)), "y = relu6(x1 + x2)"),
    ("sigmoid", dict(w=column(1, 0, 0), b=jnp.zeros(1)), "y = sigmoid(x1)"),
    ("tanh", dict(w=column(1, 0, 0), b=jnp.ones(1)), "y = tanh(x1 + 1)"),
])
def test_of_one_unit(name, params, expected):
  found = formula(name, **params)
  assert found.lines == (expected,)
  assert found.distance < 1e-5


def test_every_unit_has_one():
  for name in UNITS:
    unit = UNITS.get(name)
    found = find_units(lambda x, unit=unit: unit(2)(x), jnp.zeros(3))
    (key, module), = found.items()
    params = {k: jnp.full(shape, .4)
              for k, (shape, _) in module.parameters(3).items()}
    formula = extract(found, {key: params})
    assert len(formula.lines) == 2, name
    assert formula.lines[0].startswith("y1 = "), name
    assert formula.distance < 1, name
    assert bool(formula.distance) == bool(module.VALUES), name


def test_distance_is_the_largest_of_all_layers():
  units = units_of(("nau", 2), ("nmu", 1), inputs=3)
  params = {"layer_nau": dict(w=jnp.array([[1., 0.], [0., .97], [0., 0.]])),
            "layer_nmu": dict(w=column(.8, 1))}
  found = extract(units, params)
  assert found.lines == ("y = x1 * x2",)
  np.testing.assert_allclose(found.distance, .2, rtol=1e-5)
  assert str(found) == "y = x1 * x2 (weights within 0.2)"


def test_layers_compose():
  units = units_of(("nau", 2), ("nmu", 1), inputs=4)
  params = {"layer_nau": dict(w=jnp.array([[1., 1.], [1., 1.], [0., 1.],
                                           [0., 1.]])),
            "layer_nmu": dict(w=column(1, 1))}
  assert extract(units, params).lines == (
      "y = (x1 + x2) * (x1 + ... + x4)",)
  assert extract(units, params, substitute=False).lines == (
      "h1 = x1 + x2", "h2 = x1 + ... + x4", "y = h1 * h2")
  named = extract(units, params, inputs=["a", "b", "c", "d"])
  assert named.lines == ("y = (a + b) * (a + ... + d)",)


def test_three_layers_and_parentheses():
  units = units_of(("nmu", 2), ("nau", 2), ("real_npu", 1), inputs=3)
  params = {"layer_nmu": dict(w=jnp.array([[1., 0.], [1., 0.], [0., 1.]])),
            "layer_nau": dict(w=jnp.array([[1., 0.], [-1., -1.]])),
            "layer_real_npu": dict(w_real=column(-1, 2), gate=jnp.ones(2))}
  assert extract(units, params).lines == (
      "y = (-x3)^2 / (x1 * x2 - x3)",)
  assert extract(units, params, substitute=False).lines == (
      "h1 = x1 * x2", "h2 = x3", "h2_1 = h1 - h2", "h2_2 = -h2",
      "y = h2_2^2 / h2_1")


def test_powers_of_powers_are_in_parentheses():
  units = units_of(("npu", 2), ("real_npu", 1), inputs=2)
  params = {"layer_npu": dict(w_real=jnp.array([[3., 0.], [0., 1.]]),
                              w_imag=jnp.zeros([2, 2]), gate=jnp.ones(2)),
            "layer_real_npu": dict(w_real=column(2, 1), gate=jnp.ones(2))}
  assert extract(units, params).lines == ("y = (x1^3)^2 * x2",)


def test_recurrent():
  """The formula distinguishes fed-back outputs from inputs."""
  units = units_of(("nau", 1), inputs=3)
  params = {"layer_nau": dict(w=column(1, 0, -1))}
  assert extract(units, params, is_recurrent=True).lines == ("y = x1 - y'",)
  named = extract(units, params, inputs=["a", "b"], is_recurrent=True)
  assert named.lines == ("y = a - y'",)
  with pytest.raises(ValueError, match="3 names for 2 inputs"):
    extract(units, params, inputs=["a", "b", "c"], is_recurrent=True)
  # A run of terms that '...' shortens ends where the state begins.
  units = units_of(("nau", 4), inputs=8)
  ones = {"layer_nau": dict(w=jnp.ones([8, 4]))}
  assert extract(units, ones, is_recurrent=True).lines[3] == (
      "y4 = x1 + ... + x4 + y1' + ... + y4'")


def test_recurrent_with_a_read_out():
  units = units_of(("nau", 2), ("nmu", 1), inputs=3)
  params = {"layer_nau": dict(w=jnp.array([[1., 0.], [1., 1.], [0., 1.]])),
            "layer_nmu": dict(w=column(1, 1))}
  assert extract(units, params, is_recurrent=True).lines == (
      "s1 = x1 + s1'", "s2 = s1' + s2'", "y = s1 * s2")


def test_a_perceptron_names_its_inputs():
  for size, names in ((1, "x1"), (3, "x1, x2, x3"), (4, "x1, x2, ..., x4")):
    params = {f"{kind}_{i}": jnp.zeros(shape) for i, last in enumerate([5, 1])
              for kind, shape in (("w", (5 if i else size, last)),
                                  ("b", (last,)))}
    units = find_units(lambda x: UNITS.get("mlp")(1, 5, 1)(x), jnp.zeros(size))
    assert extract(units, {"mlp": params}).lines == (f"y = mlp1({names})",)


def test_subtracted_sums_are_in_parentheses():
  units = units_of(("nau", 2), ("nac", 1), inputs=3)
  params = {"layer_nau": dict(w=jnp.array([[1., 0.], [1., 0.], [0., 1.]])),
            "layer_nac": hats(-1, 1)}
  assert extract(units, params).lines == ("y = -(x1 + x2) + x3",)


def test_runs_are_abbreviated():
  weights = np.zeros(40)
  weights[2:5], weights[7:30], weights[31] = 1, 1, -1
  params = dict(w=column(*weights))
  assert formula("nau", inputs=40, **params).lines == (
      "y = x3 + x4 + x5 + x8 + ... + x30 - x32",)
  assert formula("nmu", inputs=40, w=jnp.abs(params["w"])).lines == (
      "y = x3 * x4 * x5 * x8 * ... * x30 * x32",)


def test_units_that_do_not_follow_each_other():
  def f(x):
    return UNITS.get("nau")(2)(x), UNITS.get("nmu")(1)(x)

  params = {"nau": dict(w=jnp.eye(3, 2)), "nmu": dict(w=column(1, 0, 1))}
  found = extract(find_units(f, jnp.zeros(3)), params)
  assert found.lines == ("y1 = x1", "y2 = x2", "y = x1 * x3")


def test_names_must_be_as_many_as_inputs():
  units = units_of(("nau", 1), inputs=3)
  with pytest.raises(ValueError, match="2 names for 3 inputs"):
    extract(units, {"layer_nau": dict(w=column(1, 1, 1))}, inputs=["a", "b"])


def test_no_units_no_formula():
  found = extract({}, {})
  assert found.lines == () and found.distance == 0


def test_from_a_networks_own_parameters():
  net = hk.without_apply_rng(hk.transform(lambda x: UNITS.get("nac")(2)(x)))
  params = net.init(jax.random.key(0), jnp.zeros(3))
  units = find_units(lambda x: UNITS.get("nac")(2)(x), jnp.zeros(3))
  assert set(units) == set(params)
  found = extract(units, params)
  assert len(found.lines) == 2
  np.testing.assert_allclose(
      found.distance, units["nac"].sparsity_error(params["nac"]), rtol=1e-5)
