"""The identity: numbers, the range, single numbers, the network of Figure 1."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from launch import config as config_lib
from tasks import regression

EPISODES = 4001


@functools.partial(jax.jit, static_argnums=0)
def sample(task, key):
  return task.sample(key, EPISODES)


@pytest.mark.parametrize("text, low, high", [
    ("-5,5", -5, 5), ("1,2", 1, 2), ("-6,-2;2,6", -6, 6)])
def test_numbers_of_the_range(text, low, high):
  task = tasks.make_task("identity", train_range=text)
  batch = sample(task, jax.random.key(0))
  assert {x.shape for x in batch} == {(1, EPISODES, 1), (1, EPISODES)}
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  numbers = np.ravel(batch.inputs)
  assert low < numbers.min() < low + .02
  assert high - .02 < numbers.max() < high
  assert np.unique(numbers).size > EPISODES / 2
  if ";" in text:
    assert np.abs(numbers).min() > 2
  np.testing.assert_array_equal(batch.targets, batch.inputs)
  np.testing.assert_array_equal(batch.mask, 1)
  other = sample(task, jax.random.key(1))
  assert not np.isin(other.inputs[0, :9], batch.inputs[0, :9]).any()


@pytest.mark.parametrize("text", ["-5,5", "1,2", "-6,-2;3,6", "-7,-6;1,4"])
def test_oracle_and_trivial_answer(text):
  task = tasks.make_task("identity", train_range=text)
  batch = sample(task, jax.random.key(2))
  blind = batch._replace(targets=jnp.zeros_like(batch.targets))
  assert not task.metrics(task.oracle(blind), batch)["mae"].any()
  scores = task.metrics(task.trivial(blind), batch)[task.main_metric]
  error = scores.std() / EPISODES**0.5
  assert 0 < error < .05 * task.trivial_score
  assert abs(scores.mean() - task.trivial_score) < 4 * error
  # No other constant is better.
  for other in (-1, 1):
    answers = jnp.full_like(batch.targets, task.trivial_answer + other)
    assert scores.mean() < jnp.abs(answers - batch.targets).mean()


def test_extrapolations_are_single_numbers():
  task = tasks.make_task("identity")
  variants = task.extrapolations
  assert [float(name) for name in variants] == list(np.arange(-20, 21, 2.5))
  for name, variant in variants.items():
    assert isinstance(variant, regression.RegressionTask)
    assert not variant.extrapolations
    assert variant.num_examples == 1
    batch = sample(variant, jax.random.key(3))
    np.testing.assert_array_equal(batch.inputs, float(name))
    np.testing.assert_array_equal(batch.targets, float(name))
    one = variant.example(jnp.int32(0))
    assert (one.inputs.shape, one.targets.shape, one.mask.shape) == (
        (1, 1), (1, 1), (1,))
    assert one.inputs == float(name)
    np.testing.assert_array_equal(variant.trivial(batch), batch.targets)
    assert variant.trivial_score == 0
  assert task.num_examples is None


def test_refused_arguments():
  with pytest.raises(ValueError, match="the ends of range '5,-5' do not rise"):
    tasks.make_task("identity", train_range="5,-5")
  with pytest.raises(ValueError, match="level 1 alone, not level=2"):
    tasks.make_task("identity").at_level(2)
  assert tasks.make_task("identity").at_level(1).max_level == 1


def test_the_network_of_the_figure():
  """Three hidden layers of 8 with the activation, and a linear one."""
  config = config_lib.resolve("nalu_identity", {},
                              {"unit": {"activation": "tanh"}})
  config_lib.check(config, 1)
  task = tasks.make_task(config.task, **config.task_args)
  model = config_lib.make_model(config, task)
  batch = jax.tree.map(lambda x: x[:, :5], sample(task, jax.random.key(4)))
  params = model.init(jax.random.key(5), batch.inputs)
  layers = list(params.values())
  assert [layer["w"].shape for layer in layers] == [
      (1, 8), (8, 8), (8, 8), (8, 1)]
  x = np.asarray(batch.inputs, np.float64)
  for layer in layers[:-1]:
    x = np.tanh(x @ layer["w"] + layer["b"])
  x = x @ layers[-1]["w"] + layers[-1]["b"]
  outputs, _ = model.unroll(params, batch.inputs, ())
  np.testing.assert_allclose(outputs, x, rtol=1e-5, atol=1e-6)
