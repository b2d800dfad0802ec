"""Arithmetic: sums, ranges, subsets, uniform numbers and criteria."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.extend import random as jax_random
from oracles import OPERATIONS

from tasks import Arithmetic, RecurrentArithmetic
from tasks.arithmetic import criteria, operations, ranges, uniform

pytestmark = pytest.mark.usefixtures("strict_promotion")

EPISODES = 211
SMALL = dict(input_size=23, subset_ratio=0.31, overlap_ratio=0.43)  # 7, 3.
MODULE = dict(input_size=2, subset_ratio=0.5, overlap_ratio=0.,
              criterion="module")

all_operations = pytest.mark.parametrize("operation", OPERATIONS)


@functools.partial(jax.jit, static_argnums=(0, 2))
def sample(task, key, episodes=EPISODES, data=None):
  return task.sample(key, episodes, data=data)


def test_every_operation_is_tested():
  assert set(OPERATIONS) == set(operations.OPERATIONS)


@all_operations
@pytest.mark.parametrize("offset", [None, 0, 5, 12])
def test_answers_are_of_two_overlapping_runs_of_inputs(operation, offset):
  task = Arithmetic(operation=operation, **SMALL)
  batch = sample(task, jax.random.key(0),
                 data=None if offset is None else jnp.int32(offset))
  assert batch.inputs.shape == (1, EPISODES, 23)
  assert batch.targets.shape == (1, EPISODES, 1)
  np.testing.assert_array_equal(batch.mask, np.ones((1, EPISODES)))
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  np.testing.assert_allclose(
      batch.targets, oracles.arithmetic(task, batch, offset or 0), rtol=1e-5,
      atol=1e-5)
  assert np.unique(batch.targets).size > EPISODES / 2


@pytest.mark.parametrize("offset", [0, 9])
@pytest.mark.parametrize("second, overlap, num_offsets", [
    (.1, .25, 16), (.7, .25, 2), (.1, 0., 15), (.2, .5, 16), (.31, 1., 17)])
def test_subsets_of_two_sizes(second, overlap, num_offsets, offset):
  task = Arithmetic(operation="sub", input_size=23, subset_ratio=.31,
                    overlap_ratio=overlap, second_ratio=second)
  offset = min(offset, num_offsets - 1)
  batch = sample(task, jax.random.key(0), data=jnp.int32(offset))
  np.testing.assert_allclose(
      batch.targets, oracles.arithmetic(task, batch, offset), rtol=1e-5,
      atol=1e-5)
  drawn = jax.vmap(task.instance)(jax.random.split(jax.random.key(5), 499))
  assert set(np.asarray(drawn)) == set(range(num_offsets))


def test_four_inputs_of_the_paper_s_introduction():
  task = Arithmetic(operation="mul", input_size=4, subset_ratio=.5,
                    second_ratio=1., overlap_ratio=1.)
  inputs = jnp.array([[1., 2., 3., 5.], [-1., 3., 0., 1.]])
  assert task.answer(inputs).tolist() == [[3. * 11.], [2. * 3.]]


@all_operations
@pytest.mark.parametrize("offset", [None, 12])
def test_recurrent_answers_are_of_sums_over_time(operation, offset):
  task = RecurrentArithmetic(operation=operation, min_length=3, max_length=11,
                             train_range="1,2", **SMALL)
  batch = sample(task, jax.random.key(1),
                 data=None if offset is None else jnp.int32(offset))
  lengths = batch.inputs.any(-1).sum(0)
  assert set(np.asarray(lengths)) == set(range(3, 12))
  asked = np.asarray(batch.mask == 1)
  # The answer is at the last step with inputs, and only there.
  np.testing.assert_array_equal(asked.sum(0), 1)
  np.testing.assert_array_equal(asked.argmax(0), lengths - 1)
  assert not batch.targets[~asked].any()
  np.testing.assert_allclose(
      batch.targets[asked],
      oracles.arithmetic(task, batch, offset or 0)[asked], rtol=1e-5,
      atol=1e-4)


@all_operations
def test_trivial_answer(operation):
  task = Arithmetic(operation=operation, **SMALL)
  targets = np.ravel(sample(task, jax.random.key(2), 4001).targets)
  errors = np.square(targets - task.trivial_answer)
  error = errors.std() / np.sqrt(errors.size)
  assert 0 < error < 0.05 * task.trivial_score
  assert abs(errors.mean() - task.trivial_score) < 4 * error


@pytest.mark.parametrize("cls", [Arithmetic, RecurrentArithmetic])
def test_each_run_has_subsets_of_its_own(cls):
  task = cls(**SMALL)
  offsets = jax.vmap(task.instance)(jax.random.split(jax.random.key(5), 499))
  assert offsets.dtype == jnp.int32
  # 7 + 7 - 3 inputs fit into 23 at 13 places.
  assert set(np.asarray(offsets)) == set(range(13))
  assert task.load("train") is None
  # Many seeds at once give the same batches as each seed alone.
  keys = jax.random.split(jax.random.key(6), 3)
  batches = jax.vmap(lambda key, data: task.sample(key, 11, data=data))(
      keys, offsets[:3])
  for i in range(3):
    for x, y in zip(batches, sample(task, keys[i], 11, offsets[i]),
                    strict=True):
      np.testing.assert_allclose(x[i], y, rtol=1e-6)


@pytest.mark.parametrize("rng", ["threefry2x32", "rbg"])
def test_uniform_numbers(rng):
  keys = jax.random.split(jax.random.key(7, impl=rng), 1009)
  numbers = np.asarray(jax.jit(jax.vmap(
      lambda key: uniform.uniform(key, 97)))(keys))
  assert numbers.shape == (1009, 97)
  assert numbers.dtype == np.float32
  assert 0 < numbers.min() < 1e-4
  assert 1 - 1e-4 < numbers.max() < 1
  assert np.unique(numbers).size > 49_000  # Of 65,536 values; 97,873 drawn.
  counts = np.histogram(numbers, 53, (0, 1))[0]
  expected = numbers.size / 53
  assert (np.square(counts - expected) / expected).sum() < 52 + 4 * 104**0.5
  # Neither inputs nor episodes are correlated.
  for table in (numbers, numbers.T):
    between = np.corrcoef(table.T) - np.eye(table.shape[1])
    assert np.abs(between).max() < 6 / np.sqrt(len(table))
  # The numbers of a key do not depend on other keys in the batch.
  np.testing.assert_array_equal(uniform.uniform(keys[5], 97), numbers[5])
  np.testing.assert_array_equal(uniform.uniform(keys[5], 5).shape, 5)


def test_threefry_is_that_of_jax():
  key = jax.random.key_data(jax.random.key(11))
  counts = jnp.arange(26, dtype=jnp.uint32)
  expected = jax_random.threefry_2x32(key, counts)
  actual = uniform.threefry(key[0], key[1], counts[:13], counts[13:])
  np.testing.assert_array_equal(np.concatenate(actual), expected)


@pytest.mark.parametrize("text, intervals", [
    ("1,2", [(1, 2)]), ("-0.2,-0.1", [(-0.2, -0.1)]), ("-2,2", [(-2, 2)]),
    ("-6,-2;2,6", [(-6, -2), (2, 6)]), ("0,1;2,3;5,9", [(0, 1), (2, 3), (5, 9)])
])
def test_ranges_are_uniform(text, intervals):
  drawn = ranges.parse_range(text)
  assert str(drawn) == text
  shares = (np.arange(6000) + 0.5) / 6000
  numbers = drawn.place(shares)
  np.testing.assert_allclose(jax.jit(drawn.place)(shares.astype(np.float32)),
                             numbers, rtol=1e-4, atol=1e-5)
  total = sum(high - low for low, high in intervals)
  inside = 0
  for low, high in intervals:
    here = numbers[(numbers > low) & (numbers < high)]
    inside += here.size
    assert abs(here.size - 6000 * (high - low) / total) <= 1
    np.testing.assert_allclose(here.mean(), (low + high) / 2, atol=1e-3)
  assert inside == 6000
  assert drawn.times(10).lows[0] == 10 * intervals[0][0]


def test_published_ranges():
  for train, test in ranges.TEST_RANGES.items():
    task = Arithmetic(train_range=train, **SMALL)
    variants = task.extrapolations
    assert list(variants) == ["extrapolation", *(
        f"extrapolation_x{factor}" for factor in (3, 10, 100))]
    assert variants["extrapolation"].train_range == test
    assert variants["extrapolation_x10"].train_range == str(
        ranges.parse_range(test).times(10))
    for variant in variants.values():
      assert dataclasses.replace(variant, train_range=train,
                                 test_range="") == task
  task = Arithmetic(train_range="3,4", test_range="5,7")
  assert task.extrapolations["extrapolation"].train_range == "5,7"
  # The same range, written in another way.
  task = Arithmetic(train_range="1.0, 2")
  assert task.extrapolations["extrapolation"].train_range == "2,6"


def test_longer_sequences():
  variants = RecurrentArithmetic().extrapolations
  assert list(variants) == ["length_100", "length_1000"]
  assert [v.num_steps for v in variants.values()] == [100, 1000]
  batch = sample(variants["length_100"], jax.random.key(8), 11)
  np.testing.assert_array_equal(batch.mask[-1], 1)
  assert batch.inputs.shape == (100, 11, 10)


@all_operations
def test_a_nearly_perfect_first_layer_just_solves_it(operation):
  task = Arithmetic(operation=operation, **SMALL).extrapolations[
      "extrapolation"]
  x = np.random.default_rng(0).uniform(2, 6, size=(20011, 23))
  first = np.isin(np.arange(23), np.arange(0, 7))
  second = np.isin(np.arange(23), np.arange(4, 11))

  def error(epsilon):
    sums = [np.where(subset, 1 - epsilon, epsilon) @ x.T
            for subset in (first, second)]
    right = OPERATIONS[operation](x[:, first].sum(1), x[:, second].sum(1))
    return np.square(OPERATIONS[operation](*sums) - right).mean()

  assert error(0.9e-5) < task.solved_below < error(1.1e-5)


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_a_nearly_perfect_module_just_solves_it(operation):
  task = Arithmetic(operation=operation, train_range="-2,2",
                    **MODULE).extrapolations["extrapolation"]
  rng = np.random.default_rng(0)
  x, y = rng.uniform(2, 6, (2, 20011)) * rng.choice([-1, 1], (2, 20011))
  expected = {
      "add": 1e-5 * (abs(x) + abs(y)),
      "sub": 1e-5 * (abs(x) + abs(y)),
      "mul": x * y * ((1 - 1e-5)**2 - 1),
      "div": x / y * ((1 - 1e-5) / (1 + 1e-5) - 1)}[operation]
  np.testing.assert_allclose(task.solved_below, np.square(expected).mean(),
                             rtol=0.05)


def test_other_inputs_of_a_module_are_factors():
  x = np.random.default_rng(0).uniform(1, 2, size=(101, 3))
  weights = np.array([[1, 0], [0, 1], [0, 0]])
  eps = 1e-5
  expected = x[:, 0] * x[:, 1] * ((1 - eps)**2 * (1 - eps * x[:, 2]) - 1)
  np.testing.assert_allclose(criteria.module_error("mul", x, weights),
                             np.square(expected).mean(), rtol=1e-9)
