"""The perceptron as a unit and as a read-out."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rmc_nalu_sam import make_model
from rmc_nalu_sam.units.mlp import MLP

B, F, H, OUT = 3, 5, 7, 2
pytestmark = pytest.mark.usefixtures("x64", "strict_promotion")


def make(num_layers):
  model = hk.without_apply_rng(hk.transform(
      lambda x: MLP(OUT, hidden_size=H, num_layers=num_layers)(x)))
  inputs = jnp.asarray(np.random.default_rng(0).normal(size=[B, F]))
  params = model.init(jax.random.key(0), inputs)
  # Make the biases nonzero and different from each other.
  params = jax.tree.map(
      lambda x: x + jnp.linspace(-.4, .7, x.size).reshape(x.shape), params)
  return model, params, inputs


@pytest.mark.parametrize("num_layers", [1, 4])
def test_numpy(num_layers):
  model, params, inputs = make(num_layers)
  (layers,) = jax.device_get(params).values()
  assert len(layers) == 2 * (num_layers + 1)
  outputs = np.asarray(inputs)
  hidden = []
  for i in range(num_layers):
    outputs = outputs @ layers[f"w_{i}"] + layers[f"b_{i}"]
    outputs = np.maximum(outputs, 0)
    assert outputs.shape == (B, H)
    hidden.append(outputs)
  assert not np.all(hidden)  # Else the ReLU would have no effect.
  # The last layer is linear.
  outputs = outputs @ layers[f"w_{num_layers}"] + layers[f"b_{num_layers}"]
  np.testing.assert_allclose(model.apply(params, inputs), outputs, rtol=1e-12)
  check_grads(model.apply, (params, inputs), order=1, modes=["rev"])


def test_as_a_read_out():
  model = make_model("lstm", OUT, unit="mlp", unit_args=dict(hidden_size=13),
                     hidden_size=H)
  inputs = jnp.ones((2, B, F))
  params = model.init(jax.random.key(0), inputs)
  ((name, unit),) = model.units.items()
  assert {key: value.shape for key, value in params[name].items()} == {
      "w_0": (H, 13), "b_0": (13,), "w_1": (13, 13), "b_1": (13,),
      "w_2": (13, 13), "b_2": (13,), "w_3": (13, 13), "b_3": (13,),
      "w_4": (13, OUT), "b_4": (OUT,)}
  assert model.penalty(params) == 0
  assert unit.num_layers == 4
  start = model.initial_state(params, B)
  outputs = model.unroll(params, None, inputs, start).outputs
  assert outputs.shape == (2, B, OUT)


@pytest.mark.parametrize("kwargs", [
    dict(hidden_size=0), dict(num_layers=0), dict(output_size=0)])
def test_bad_values_are_named(kwargs):
  (name, value), = kwargs.items()
  with pytest.raises(ValueError, match=f"{name} .* {value}"):
    hk.transform(lambda: MLP(**dict(output_size=OUT) | kwargs)).init(None)
