"""Presets of arithmetic: the settings of each unit, and the networks."""

import jax
import numpy as np
import pytest

from launch.configs import build, checks, members
from launch.configs import config as config_lib


@pytest.mark.parametrize("preset, unit, penalty, below", [
    ("arithmetic", "nau", (0.01, 5_000, 50_000), ""),
    ("arithmetic", "nmu", (10, 1_000_000, 2_000_000), "nau"),
    ("arithmetic", "nac_mul_nmu", (10, 1_000_000, 2_000_000), "nau"),
    ("arithmetic", "nac_mul", (0, 0, 0), "nac"),
    ("arithmetic", "nalu", (0, 0, 0), ""),
    ("arithmetic_module", "nau", (0.01, 20_000, 35_000), ""),
    ("arithmetic_module", "nmu", (10, 20_000, 35_000), ""),
    ("arithmetic_module", "real_npu", (1e-5, 0, 20_000), ""),
    ("arithmetic_module", "npu", (1e-5, 0, 20_000), ""),
    ("arithmetic_module", "naive_npu", (1e-5, 0, 20_000), ""),
    ("arithmetic_module", "nmru", (10, 20_000, 35_000), ""),
    ("arithmetic_module", "inalu", (.05, 10_000, 10_000), ""),
    ("arithmetic_module", "inalu_shared", (.05, 10_000, 10_000), ""),
    ("arithmetic", "gated_nau_nmu", (10, 1_000_000, 2_000_000),
     ""),
    ("nalu_static", "relu6", (0, 0, 0), ""),
    ("nalu_recurrent", "nalu", (0, 0, 0), ""),
])
def test_presets_know_what_a_unit_needs(preset, unit, penalty, below):
  config = config_lib.resolve(preset, {"unit": unit}, {})
  checks.check(config, 1)
  found = build.make_penalty(config)
  assert ((found.weight, found.start, found.end) if found else (0, 0, 0)
          ) == penalty
  assert config.core_args.get("hidden_unit", "") == below
  rates = {"real_npu": 5e-3, "npu": 5e-3, "naive_npu": 5e-3, "nmru": 1e-2}
  rate = members.arguments_of(config, "optimizer")["learning_rate"]
  assert rate == rates.get(unit, 1e-3)
  assert config.max_grad_value == (0.1 if unit.startswith("inalu") else 0)
  assert config.max_grad_norm == (
      1 if unit == "nmru" or preset == "nalu_recurrent" else 0)


def test_the_network_of_the_figure():
  """It has three hidden layers of 8 with the activation, and a linear layer."""
  config = config_lib.resolve("nalu_identity", {},
                              {"unit": {"activation": "tanh"}})
  checks.check(config, 1)
  task = build.make_task(config)
  model = build.make_model(config, task)
  batch = jax.tree.map(lambda x: x[:, :5], task.sample(jax.random.key(4), 5))
  params = model.init(jax.random.key(5), batch.inputs)
  layers = list(params.values())
  assert [layer["w"].shape for layer in layers] == [
      (1, 8), (8, 8), (8, 8), (8, 1)]
  x = np.asarray(batch.inputs, np.float64)
  for layer in layers[:-1]:
    x = np.tanh(x @ layer["w"] + layer["b"])
  x = x @ layers[-1]["w"] + layers[-1]["b"]
  outputs = model.unroll(params, None, batch.inputs, ()).outputs
  np.testing.assert_allclose(outputs, x, rtol=1e-5, atol=1e-6)
