"""The identity: numbers, the range, single numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks.arithmetic.identity import IdentityAt

pytestmark = pytest.mark.usefixtures("strict_promotion")

EPISODES = 4001


@functools.partial(jax.jit, static_argnums=0)
def sample(task, key):
  return task.sample(key, EPISODES)


@pytest.mark.parametrize("text, low, high", [
    ("-5,5", -5, 5), ("1,2", 1, 2), ("-6,-2;2,6", -6, 6)])
def test_numbers_of_the_range(text, low, high):
  task = tasks.Identity(train_range=text)
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
def test_trivial_answer(text):
  task = tasks.Identity(train_range=text)
  batch = sample(task, jax.random.key(2))
  blind = batch._replace(targets=jnp.zeros_like(batch.targets))
  scores = task.score.metrics(task.trivial(blind), batch)["mae"]
  error = scores.std() / EPISODES**0.5
  assert 0 < error < .05 * task.trivial_score
  assert abs(scores.mean() - task.trivial_score) < 4 * error
  # No other constant is better.
  for other in (-1, 1):
    answers = jnp.full_like(batch.targets, task.trivial_answer + other)
    assert scores.mean() < jnp.abs(answers - batch.targets).mean()


def test_extrapolations_are_single_numbers():
  task = tasks.Identity()
  variants = task.extrapolations
  assert [float(name) for name in variants] == list(np.arange(-20, 21, 2.5))
  for name, variant in variants.items():
    assert variant == IdentityAt(float(name))
    assert variant.score == task.score
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
  assert not isinstance(task, tasks.Countable)
