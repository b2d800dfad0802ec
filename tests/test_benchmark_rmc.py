"""Tests the benchmark of the relational memory."""

import dataclasses
import importlib.util
import json

import haiku as hk
import jax
import numpy as np
import pytest
from launch_helpers import run

from launch import benchmark, benchmarks
from launch.benchmarks import measure, rmc
from launch.learning.layout import SplitBatch

SMALL = rmc.Size(num_slots=2, num_heads=2, head_size=3, batch_size=4)


@pytest.fixture(autouse=True)
def small(monkeypatch):
  monkeypatch.setattr(rmc, "SIZES", (SMALL,))
  monkeypatch.setattr(rmc, "NUM_STEPS", 3)
  monkeypatch.setattr(rmc, "PRODUCT", 8)
  monkeypatch.setattr(measure, "TURN", 0.)


@pytest.fixture(autouse=True)
def use_devices(monkeypatch):
  """Makes the benchmark use the first few devices; two by default."""
  def use(count):
    monkeypatch.setattr(rmc, "make_layout",
                        lambda: SplitBatch(jax.local_devices()[:count]))

  use(2)
  return use


@pytest.mark.parametrize("count", [
    pytest.param(1, marks=pytest.mark.slow), 2])
def test_rows(use_devices, monkeypatch, count):
  use_devices(count)
  monkeypatch.setattr(rmc, "_torch_pass", lambda size: None)
  result = rmc.rmc(benchmarks.Options(repeats=1))
  rows = {row["model"]: row for row in result["rows"]}
  assert list(rows) == [
      "matmul", "RMC step by step", "RMC unroll",
      *[f"RMC unroll on {count} devices"] * (count > 1), "PyTorch RMC", "LSTM"]
  assert rows["PyTorch RMC"]["time"] == measure.ABSENT
  for name in list(rows)[1:-2]:
    assert rows[name]["tokens_per_second"] == pytest.approx(
        4 / rows[name]["time"]["median"])
    assert rows[name]["share_of_ceiling"] > 0
    assert "times_faster" not in rows[name]
  assert len(result["table"]) == 1 + len(rows)


def test_against_pytorch(monkeypatch):
  monkeypatch.setattr(rmc, "_torch_pass", lambda size: lambda: 10.)
  rows = rmc.rmc(benchmarks.Options(repeats=1))["rows"]
  for row in rows[1:]:
    assert row["times_faster"] == pytest.approx(
        10. / 3 / row["time"]["median"])


def test_shares_are_of_one_batch():
  """Gradients over two devices equal those of the whole batch."""
  layout = rmc.make_layout()
  call, arguments = rmc._shares(SMALL, layout)
  (loss, of_params), of_inputs = call(*arguments)
  params, inputs = rmc._arguments(SMALL, rmc._core(SMALL))
  expected = jax.jit(rmc._gradients(rmc._core(SMALL), rmc._unroll))(
      params, inputs)
  for one, several in zip(
      jax.tree.leaves((expected[0], expected[1][0])),
      jax.tree.leaves(layout.first((loss, of_params))), strict=True):
    np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(
      np.concatenate(list(of_inputs), 1), 2 * np.asarray(expected[1][1]),
      rtol=1e-4, atol=1e-6)


def test_one_slot_can_be_chosen(monkeypatch, tmp_path):
  """The second size has one slot."""
  asked = []
  monkeypatch.setattr(rmc, "_rows", lambda size, *_: asked.append(size) or [])
  one = dataclasses.replace(SMALL, num_slots=1)
  monkeypatch.setattr(rmc, "SIZES", (SMALL, one))
  assert run(benchmark, "--suite=rmc", "--sizes=1",
             f"--output={tmp_path}") == 0
  assert asked == [one]


def test_products_are_those_of_the_program(monkeypatch):
  """The traced program has these products, and a few more of attention."""
  monkeypatch.setattr(rmc, "NUM_STEPS", 100)
  size = rmc.Size(num_slots=3, num_heads=2, head_size=64, batch_size=32)
  params, inputs = rmc._arguments(size, rmc._core(size))
  for unroll, model in ((hk.dynamic_unroll, "RMC step by step"),
                        (rmc._unroll, "RMC unroll")):
    jaxpr = jax.make_jaxpr(rmc._gradients(rmc._core(size), unroll))(
        params, inputs)
    done = operations(jaxpr.jaxpr)
    counted = rmc.NUM_STEPS * rmc.products(size, model)
    assert counted < done < 1.05 * counted


def operations(jaxpr):
  """Counts the operations of all matrix products, in each turn of a loop."""
  total = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      left = equation.invars[0].aval.shape
      total += 2 * equation.outvars[0].aval.size * np.prod(
          [left[axis] for axis in contracted])
    turns = equation.params.get("length", 1)
    for value in equation.params.values():
      inner = getattr(value, "jaxpr", value)
      if hasattr(inner, "eqns"):
        total += turns * operations(inner)
  return total


def test_some_models(monkeypatch, tmp_path):
  """Other models are not even compiled."""
  monkeypatch.setattr(rmc, "_product", None)
  monkeypatch.setattr(rmc, "_torch_pass", lambda size: lambda: 10.)
  assert run(benchmark, "--suite=rmc", "--models=RMC unroll,PyTorch RMC",
             "--repeats=1", f"--output={tmp_path}") == 0
  rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
  assert [row["model"] for row in rows] == ["RMC unroll", "PyTorch RMC"]
  for row in rows:
    assert row["times_faster"] > 0
    assert "share_of_ceiling" not in row  # There is no ceiling.


def test_every_model_can_be_chosen(monkeypatch, tmp_path):
  """The command line takes all labels, separated by commas."""
  monkeypatch.setattr(rmc, "_torch_pass", lambda size: lambda: 10.)
  labels = [row["model"] for row in rmc.rmc(benchmarks.Options(
      repeats=1))["rows"]]
  assert "RMC unroll on 2 devices" in labels
  assert run(benchmark, "--suite=rmc", f"--models={','.join(labels)}",
             "--repeats=1", f"--output={tmp_path}") == 0
  rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
  assert [row["model"] for row in rows] == labels


@pytest.mark.parametrize("size", [
    rmc.Size(8, 4, 32, 32), rmc.Size(1, 8, 64, 32), rmc.Size(4, 8, 128, 64)])
def test_the_lstm_has_as_many_parameters(size):
  def number(make_core):
    def step():
      core = make_core()
      core(jax.numpy.zeros([1, rmc.INPUT_SIZE]), core.initial_state(1))

    params = jax.eval_shape(hk.transform(step).init, jax.random.key(0))
    return sum(p.size for p in jax.tree.leaves(params))

  assert number(rmc._lstm(size)) == pytest.approx(
      number(rmc._core(size)), rel=1e-3)


def test_unknown_model():
  with pytest.raises(ValueError, match=r"unknown model 'RMC'; valid: matmul, "):
    rmc.rmc(benchmarks.Options(models=["RMC"]))


def test_every_program_has_a_turn_when_time_is_up(monkeypatch):
  monkeypatch.setattr(rmc, "_torch_pass", lambda size: lambda: 10.)
  rows = rmc.rmc(benchmarks.Options(
      time_limit=-1, models=["matmul", "PyTorch RMC"]))["rows"]
  assert [row["time"]["turns"] for row in rows] == [1, 1]


def test_unknown_size():
  with pytest.raises(ValueError, match="this suite has the sizes 2, got 3"):
    rmc.rmc(benchmarks.Options(sizes=[3]))
  # An unknown size beside a known size is refused, too.
  with pytest.raises(ValueError, match="this suite has the sizes 2, got 2, 3"):
    rmc.rmc(benchmarks.Options(sizes=[2, 3]))


def test_products_are_counted():
  """Each layer has three products a row, forward and backward together."""
  width, rows = 6, 3
  assert rmc.products(SMALL, "PyTorch RMC") == 3 * 2 * 4 * (
      64 * width + rows * 3 * width**2 + rows * 2 * width**2
      + 2 * rows * width**2)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None,
                    reason="PyTorch is not installed (extra 'benchmark')")
def test_pytorch_computes_the_same():
  import torch

  from launch.benchmarks import rmc_torch
  assert rmc._torch_pass(SMALL)() > 0
  params, inputs = rmc._arguments(SMALL, rmc._core(SMALL))
  params = {name.split("/")[-1]: layer for name, layer in params.items()}
  peer = rmc_torch.RMC(rmc.INPUT_SIZE, **SMALL.core_args)
  names = {"qkv": "qkv_0", "qkv_norm": "qkv_norm_0", "mlp_norm": "mlp_norm_0",
           "attention_norm": "attention_norm_0", "mlp.0": "mlp_0",
           "mlp.2": "mlp_1"}
  state = {}
  for name in peer.state_dict():
    layer, kind = name.rsplit(".", 1)
    leaf = (("scale", "offset") if "norm" in layer else ("w", "b"))[
        kind == "bias"]
    # Initial biases are zeros. Other values show that each is in its place.
    value = np.asarray(params[names.get(layer, layer)][leaf]) + .1
    params[names.get(layer, layer)][leaf] = value
    state[name] = torch.tensor(value.T.copy())
  peer.load_state_dict(state)

  def ours(inputs):
    core = rmc._core(SMALL)()
    return core.unroll(inputs, core.initial_state(inputs.shape[1]))[0]

  net = hk.without_apply_rng(hk.transform(ours))
  expected = jax.jit(net.apply)(
      {f"rmc/~/{name}": layer for name, layer in params.items()}, inputs)
  theirs = torch.tensor(np.asarray(inputs), requires_grad=True)
  found = peer(theirs)
  np.testing.assert_allclose(found.detach(), expected, atol=1e-5)
  found.square().mean().backward()
  of_params, of_inputs = jax.jit(jax.grad(
      lambda *args: jax.numpy.square(net.apply(*args)).mean(), (0, 1)))(
          {f"rmc/~/{name}": layer for name, layer in params.items()}, inputs)
  np.testing.assert_allclose(theirs.grad, of_inputs, atol=1e-6)
  for name, parameter in peer.named_parameters():
    layer, kind = name.rsplit(".", 1)
    leaf = (("scale", "offset") if "norm" in layer else ("w", "b"))[
        kind == "bias"]
    gradient = of_params[f"rmc/~/{names.get(layer, layer)}"][leaf]
    np.testing.assert_allclose(
        parameter.grad, np.asarray(gradient).T, atol=1e-6, err_msg=name)
