"""Every property of a synthetic task, over all of them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks

# Each in a file of its own: real data, or no levels.
TESTED_ELSEWHERE = {
    "arithmetic", "identity", "language_numbers", "mnist_addition",
    "mnist_counting", "mnist_parity", "mnist_sequence_product",
    "mnist_sequence_sum", "omniglot", "program_evaluation"}


@dataclasses.dataclass(frozen=True)
class Case:
  """A small task, and what can be said of it from its documentation alone."""

  name: str
  kwargs: dict[str, Any]
  low: int  # The lowest level that its episodes are drawn at.
  high: int  # The highest.
  num_steps: Callable[[int], int]  # Level -> T.
  num_answers: Callable[[int], int]  # Level -> steps with an answer.
  lengths: Callable[[np.ndarray], np.ndarray]  # Inputs [T, B, F] -> [B].
  # What a perfect solver scores.
  perfect: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict(
      bits_wrong=0, bit_accuracy=1, sequence_accuracy=1))

  def make(self, **kwargs) -> tasks.Task:
    return tasks.make_task(self.name, **(self.kwargs | kwargs))


def first_one(channel: np.ndarray) -> np.ndarray:
  assert (channel == 1).any(axis=0).all()
  return np.argmax(channel == 1, axis=0)


BITS_CASES = (
    Case("copy", dict(num_bits=5, min_length=2, max_length=7), 2, 7,
         num_steps=lambda level: 2 * level + 2,
         num_answers=lambda level: level,
         lengths=lambda inputs: first_one(inputs[:, :, 6]) - 1),
    Case("associative_recall",
         dict(num_bits=5, item_length=3, min_pairs=2, max_pairs=7), 2, 7,
         num_steps=lambda level: 7 * level + 8,
         num_answers=lambda level: 3,
         lengths=lambda inputs: inputs[:, :, 5].sum(0)),
    Case("priority_sort", dict(num_bits=3, min_keys=2, max_keys=7), 2, 7,
         num_steps=lambda level: level + 1 + -(-4 * level // 5),
         num_answers=lambda level: -(-4 * level // 5),
         lengths=lambda inputs: first_one(inputs[:, :, 4])),
)

CLASS_CASES = (
    # Its other operations have a file of their own.
    Case("learning_to_execute",
         dict(operation="double", min_length=2, max_length=7, min_nesting=1,
              max_nesting=3), 2, 7,
         num_steps=lambda level: 3 * level + 1,
         num_answers=lambda level: 2 * level,
         lengths=lambda inputs: first_one(inputs[:, :, -1]),
         perfect=dict(accuracy=1, sequence_accuracy=1)),
    Case("nth_farthest",
         dict(num_objects=7, num_dims=5, min_objects=2, num_labels=13), 2, 7,
         num_steps=lambda level: level,
         num_answers=lambda level: 1,
         lengths=lambda inputs: inputs.any(-1).sum(0),
         perfect=dict(accuracy=1)),
)

CASES = (
    *BITS_CASES,
    *CLASS_CASES,
    Case("recurrent_arithmetic",
         dict(operation="mul", input_size=5, subset_ratio=0.6,
              overlap_ratio=0.4, train_range="1,2", min_length=2,
              max_length=7), 2, 7,
         num_steps=lambda level: level,
         num_answers=lambda level: 1,
         lengths=lambda inputs: inputs.any(-1).sum(0),
         perfect=dict(mse=0, mae=0)),
)

all_tasks = pytest.mark.parametrize(
    "case", CASES, ids=[case.name for case in CASES])
bits_tasks = pytest.mark.parametrize(
    "case", BITS_CASES, ids=[case.name for case in BITS_CASES])
exact_tasks = pytest.mark.parametrize(
    "case", (*BITS_CASES, *CLASS_CASES),
    ids=[case.name for case in (*BITS_CASES, *CLASS_CASES)])

EPISODES = 211  # So many that every level occurs.


# Sampling is slow to compile; optimised code would do no better here.
jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0})
_sample = jit(
    lambda task, key, episodes, level: task.sample(key, episodes, level),
    static_argnums=(0, 2))
oracle = jit(lambda task, batch: task.oracle(batch), static_argnums=0)
trivial = jit(lambda task, batch: task.trivial(batch), static_argnums=0)
metrics_of = jit(lambda task, outputs, batch: task.metrics(outputs, batch),
                 static_argnums=0)
loss_of = jit(lambda task, outputs, batch: task.loss(outputs, batch),
              static_argnums=0)


def sample(task: tasks.Task, seed: int, episodes: int = EPISODES,
           level: int | None = None) -> tasks.Batch:
  level = task.max_level if level is None else level
  # Traced, so that it is compiled once.
  batch = _sample(task, jax.random.key(seed), episodes, jnp.int32(level))
  assert batch.mask.sum() > 0  # Or there is nothing to compare.
  return jax.tree.map(np.asarray, batch)


def differ(a: tasks.Batch, b: tasks.Batch) -> bool:
  return any((x != y).any() for x, y in zip(a, b, strict=True))


def assert_equal(a: tasks.Batch, b: tasks.Batch) -> None:
  for x, y in zip(a, b, strict=True):
    assert x.size
    np.testing.assert_array_equal(x, y)


def test_every_task_is_tested():
  names = [case.name for case in CASES]
  assert len(names) == len(set(names))
  assert set(names) == set(tasks.TASKS) - TESTED_ELSEWHERE


@all_tasks
def test_sizes(case):
  task = case.make()
  batch = sample(task, 0, 11)
  assert task.max_level == case.high
  assert task.num_steps == case.num_steps(case.high)
  assert batch.inputs.shape == (task.num_steps, 11, task.input_size)
  assert batch.targets.shape == (task.num_steps, 11, task.output_size)
  assert batch.mask.shape == (task.num_steps, 11)
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  assert len({task.num_steps, 11, task.input_size}) == 3


@all_tasks
def test_default_sizes(case):
  task = tasks.make_task(case.name)
  batch = jax.eval_shape(lambda key: task.sample(key, 11), jax.random.key(0))
  assert batch.inputs.shape == (task.num_steps, 11, task.input_size)
  assert batch.targets.shape == (task.num_steps, 11, task.output_size)
  assert batch.mask.shape == (task.num_steps, 11)


@all_tasks
def test_the_key_is_the_only_randomness(case):
  task = case.make()
  assert_equal(sample(task, 3), sample(task, 3))
  assert differ(sample(task, 3), sample(task, 4))


@all_tasks
def test_episodes_of_a_batch_differ(case):
  # At one level, so that they do not differ by their length alone.
  batch = sample(case.make().at_level(11), 0)
  episodes = {batch.inputs[:, i].tobytes() for i in range(EPISODES)}
  assert len(episodes) == EPISODES


@all_tasks
def test_episode_depends_on_its_own_key_alone(case):
  task = case.make()
  keys = jax.random.split(jax.random.key(5), 11)
  from_keys = jit(task.sample_from_keys)
  whole, part = from_keys(keys), from_keys(keys[3:8])
  assert part.mask.sum() > 0
  assert_equal(jax.tree.map(lambda x: x[:, 3:8], whole), part)
  assert differ(jax.tree.map(lambda x: x[:, :5], whole), part)
  assert_equal(whole, sample(task, 5, 11))


@all_tasks
def test_sampling_under_jit_with_a_traced_level(case):
  task = case.make()
  traces = []

  @jit
  def jitted(key, level):
    traces.append(1)
    return task.sample(key, EPISODES, level)

  for level in (case.low, 4, case.high):
    assert_equal(jitted(jax.random.key(6), jnp.int32(level)),
                 sample(task, 6, level=level))
  assert len(traces) == 1


@all_tasks
def test_hashable_and_static_under_jit(case):
  task = case.make()
  assert hash(task) == hash(case.make())
  assert task == case.make()
  assert task != task.at_level(4)
  # Equal tasks compile once.
  traces = []

  def traced(task, key):
    traces.append(1)
    return task.sample(key, 11)

  jitted = jit(traced, static_argnums=0)
  assert_equal(jitted(task, jax.random.key(7)),
               jitted(case.make(), jax.random.key(7)))
  assert len(traces) == 1


@all_tasks
def test_level_defaults_to_the_highest(case):
  task = case.make()
  default = jit(lambda key: task.sample(key, EPISODES))(jax.random.key(8))
  assert_equal(default, sample(task, 8, level=case.high))
  assert differ(default, sample(task, 8, level=4))


@all_tasks
@pytest.mark.parametrize("level", [1, 2, 4, 7])
def test_level_bounds_the_episodes(case, level):
  batch = sample(case.make(), 9, level=level)
  # A level below the lowest of the task is had nevertheless: curricula start
  # there.
  expected = set(range(min(case.low, level), level + 1))
  lengths = case.lengths(batch.inputs)
  assert set(lengths) == expected
  np.testing.assert_array_equal(
      batch.mask.sum(0), [case.num_answers(int(n)) for n in lengths])
  assert batch.mask.sum(0).max() <= case.make().num_answers
  # Nothing happens after the steps that the level itself has need of.
  rest = jax.tree.map(lambda x: x[case.num_steps(level):], batch)
  assert rest.mask.shape[0] == case.num_steps(7) - case.num_steps(level)
  assert not any(x.any() for x in rest)


@all_tasks
def test_levels_are_uniform(case):
  episodes, levels = 4001, case.high - case.low + 1
  lengths = case.lengths(sample(case.make(), 10, episodes).inputs)
  counts = np.bincount(lengths.astype(int), minlength=8)[case.low:]
  assert counts.sum() == episodes
  error = np.sqrt(episodes / levels * (1 - 1 / levels))
  np.testing.assert_allclose(counts, episodes / levels, atol=4 * error)


@all_tasks
@pytest.mark.parametrize("level", [1, 3, 11])
def test_at_level(case, level):
  task = case.make().at_level(level)
  assert type(task) is type(case.make())
  assert (task.max_level, task.num_steps) == (level, case.num_steps(level))
  # The network that was trained at other levels must fit.
  assert task.input_size == case.make().input_size
  assert task.output_size == case.make().output_size
  batch = sample(task, 11)
  assert set(case.lengths(batch.inputs)) == {level}
  assert set(batch.mask.sum(0)) == {case.num_answers(level)}
  assert batch.mask[-1].all()  # No padding.


@all_tasks
@pytest.mark.parametrize("room, level", [(7, 1), (7, 4), (11, 3)])
def test_at_level_has_room_for_a_lower_level(case, room, level):
  task = case.make().at_level(room)
  batch = sample(task, 12, level=level)
  assert batch.mask.shape[0] == case.num_steps(room)
  assert set(case.lengths(batch.inputs)) == {level}
  assert set(batch.mask.sum(0)) == {case.num_answers(level)}


@exact_tasks
def test_mask_targets_and_silence(case):
  batch = sample(case.make(), 12)
  asked = batch.mask == 1
  assert asked.any()
  assert not asked.all()
  assert set(np.unique(batch.mask)) == {0, 1}
  assert set(np.unique(batch.targets)) == {0, 1}
  assert not batch.targets[~asked].any()
  # The answer cannot be read off the input, nor is there a hint. Except where
  # it is asked for at once.
  at_once = case.name == "nth_farthest"
  assert batch.inputs[asked].any() == at_once
  # Answers are asked for in one stretch, after all that is shown.
  assert (np.abs(np.diff(batch.mask, axis=0)).sum(0) <= 2).all()
  steps = np.arange(batch.mask.shape[0])[:, None]
  last_shown = np.where(batch.inputs.any(-1), steps, -1).max(0)
  first_asked = np.where(asked, steps, steps.size).min(0)
  np.testing.assert_array_equal(first_asked, last_shown + 1 - at_once)


@all_tasks
@pytest.mark.parametrize("at_level, level", [
    (None, None), (None, 1), (None, 4), (1, None), (3, None), (11, None),
    (11, 4)])
def test_the_oracle_is_perfect(case, at_level, level):
  task = case.make() if at_level is None else case.make().at_level(at_level)
  batch = sample(task, 13, level=level)
  outputs = oracle(task, batch)
  assert outputs.shape == batch.targets.shape
  assert outputs.dtype == jnp.float32
  metrics = metrics_of(task, outputs, batch)
  # What is only a part of a ratio is as large as the episode.
  parts = {part for ratio in task.ratios.values() for part in ratio}
  assert metrics.keys() == case.perfect.keys() | parts
  for above, below in task.ratios.values():
    np.testing.assert_array_equal(metrics[above], metrics[below])
  for name, value in case.perfect.items():
    assert metrics[name].shape == (EPISODES,)
    # Numbers are never quite right.
    np.testing.assert_allclose(
        metrics[name], value, atol=1e-4 if "mse" in case.perfect else 0)
  loss = np.asarray(loss_of(task, outputs, batch))
  assert loss.shape == (EPISODES,)
  assert loss.max() < 1e-6


@all_tasks
def test_is_drawn_on_several_devices(case):
  """Each its share of the batch; what one device draws."""
  task, count = case.make(), jax.local_device_count()
  assert count > 1
  keys = jax.random.split(jax.random.key(18), 2 * count)
  shares = jax.pmap(task.sample_from_keys)(keys.reshape(count, 2))
  whole = jax.jit(task.sample_from_keys)(keys)
  for share, part in zip(shares, whole, strict=True):
    np.testing.assert_allclose(
        np.concatenate(np.asarray(share), 1), part, rtol=1e-6, atol=1e-6)


@exact_tasks
def test_the_oracle_is_perfect_at_the_default_sizes(case):
  task = tasks.make_task(case.name)
  batch = sample(task, 14, 4001)
  metrics = metrics_of(task, oracle(task, batch), batch)
  np.testing.assert_array_equal(metrics[task.main_metric],
                                case.perfect[task.main_metric])


@all_tasks
def test_the_oracle_sees_the_inputs_alone(case):
  task = case.make()
  batch = sample(task, 15)
  blind = batch._replace(targets=np.zeros_like(batch.targets),
                         mask=np.zeros_like(batch.mask))
  np.testing.assert_array_equal(oracle(task, batch), oracle(task, blind))


@all_tasks
@pytest.mark.parametrize("default", [True, False])
def test_the_trivial_baseline(case, default):
  task = tasks.make_task(case.name) if default else case.make()
  episodes = 8009
  batch = sample(task, 16, episodes)
  outputs = trivial(task, batch)
  # It ignores the input.
  np.testing.assert_array_equal(outputs, trivial(
      task, sample(task, 17, episodes)))
  scores = np.asarray(metrics_of(task, outputs, batch)[task.main_metric])
  error = scores.std() / np.sqrt(episodes)
  assert 0 < error < 0.05 * task.trivial_score  # So that it says something.
  assert abs(scores.mean() - task.trivial_score) < 4 * error


@bits_tasks
def test_metrics_count_the_wrong_bits(case):
  task = case.make()
  batch = sample(task, 18)
  right = np.asarray(oracle(task, batch))
  # In each episode, answer its first asked step wrongly in two bits.
  step, episode = first_one(batch.mask), np.arange(EPISODES)
  outputs = right.copy()
  outputs[step, episode, :2] *= -1
  assert (outputs != right).sum() == 2 * EPISODES
  metrics = metrics_of(task, outputs, batch)
  bits = batch.mask.sum(0) * task.output_size
  np.testing.assert_array_equal(metrics["bits_wrong"], 2)
  np.testing.assert_allclose(metrics["bit_accuracy"], 1 - 2 / bits, rtol=1e-6)
  np.testing.assert_array_equal(metrics["sequence_accuracy"], 0)


@all_tasks
def test_loss_and_metrics_look_at_the_asked_steps_alone(case):
  task = case.make()
  batch = sample(task, 19)
  noise = np.random.default_rng(0).normal(size=batch.targets.shape)
  noise = noise.astype(np.float32)
  silent = np.where(batch.mask[:, :, None] == 1, noise, 0)
  assert (silent != noise).any()
  for score in (lambda x: {"loss": loss_of(task, x, batch)},
                lambda x: metrics_of(task, x, batch)):
    assert score(noise).keys() == score(silent).keys()
    for name, value in score(noise).items():
      if name != "sequence_accuracy":  # Which chance leaves at zero.
        assert np.unique(value).size > 1
      np.testing.assert_array_equal(value, score(silent)[name])


@bits_tasks
def test_loss_is_the_mean_cross_entropy_of_the_bits_asked_for(case):
  task = case.make()
  batch = sample(task, 20)
  np.testing.assert_allclose(
      loss_of(task, np.zeros_like(batch.targets), batch), np.log(2), rtol=1e-6)
  logits = np.random.default_rng(1).normal(size=batch.targets.shape)
  right = 1 / (1 + np.exp(-logits * (2 * batch.targets - 1)))
  expected = [-np.log(right[batch.mask[:, i] == 1, i]).mean()
              for i in range(EPISODES)]
  np.testing.assert_allclose(
      loss_of(task, logits.astype(np.float32), batch), expected, rtol=1e-5)


@all_tasks
def test_wrong_shapes_are_refused(case):
  task = case.make()
  batch = sample(task, 21)
  for outputs in (np.zeros_like(batch.mask), batch.targets[:, :1]):
    for score in (task.loss, task.metrics):
      with pytest.raises(AssertionError):
        score(outputs, batch)


@all_tasks
def test_synthetic_tasks_have_no_data(case):
  assert case.make().load("train") is None
  assert case.make().load("test", "/nowhere") is None


@pytest.mark.parametrize("name, kwargs, words", [
    ("copy", dict(num_bits=0), "num_bits=0"),
    ("recurrent_arithmetic", dict(input_size=0), "input_size=0"),
    ("recurrent_arithmetic", dict(min_length=0), "min_length=0"),
    ("recurrent_arithmetic", dict(min_length=11), "min_length=11"),
    ("recurrent_arithmetic", dict(operation="pow"), "'pow'.*add, sub, mul"),
    ("copy", dict(min_length=0), "min_length=0"),
    ("copy", dict(max_length=-3), "max_length=-3"),
    ("copy", dict(min_length=8, max_length=7), "min_length=8"),
    ("learning_to_execute", dict(operation="div"),
     "'div'.*addition, control, program, copy, reverse, double"),
    ("learning_to_execute", dict(min_length=0), "min_length=0"),
    ("learning_to_execute", dict(min_length=6), "min_length=6"),
    ("learning_to_execute", dict(min_nesting=0), "min_nesting=0"),
    ("learning_to_execute", dict(min_nesting=3), "min_nesting=3"),
    ("nth_farthest", dict(num_dims=0), "num_dims=0"),
    ("nth_farthest", dict(min_objects=0), "min_objects=0"),
    ("nth_farthest", dict(min_objects=9), "min_objects=9"),
    ("nth_farthest", dict(num_labels=7), "num_labels=7"),
    ("associative_recall", dict(num_bits=0), "num_bits=0"),
    ("associative_recall", dict(item_length=0), "item_length=0"),
    ("associative_recall", dict(min_pairs=0), "min_pairs=0"),
    ("associative_recall", dict(max_pairs=2), "max_pairs=2"),
    ("priority_sort", dict(num_bits=0), "num_bits=0"),
    ("priority_sort", dict(max_keys=0), "max_keys=0"),
    ("priority_sort", dict(min_keys=0), "min_keys=0"),
    ("priority_sort", dict(min_keys=8, max_keys=7), "min_keys=8"),
])
def test_bad_values_are_named(name, kwargs, words):
  with pytest.raises(ValueError, match=words):
    tasks.make_task(name, **kwargs)


@all_tasks
@pytest.mark.parametrize("level", [0, -1])
def test_impossible_levels_are_refused(case, level):
  with pytest.raises(ValueError, match=f"={level}"):
    case.make().at_level(level)


def test_unknown_tasks_and_arguments_are_refused_with_the_valid_ones():
  for refuse in (tasks.make_task, tasks.task_arguments):
    with pytest.raises(ValueError, match="unknown task 'sopy'") as error:
      refuse("sopy")
    for name in tasks.TASKS:
      assert name in str(error.value)
  with pytest.raises(ValueError, match="no argument 'bits'") as error:
    tasks.make_task("copy", bits=3)
  for name in ("num_bits", "min_length", "max_length"):
    assert name in str(error.value)


@all_tasks
def test_task_arguments_are_those_that_make_task_takes(case):
  assert set(tasks.task_arguments(case.name)) == set(case.kwargs)
  for name, value in case.kwargs.items():
    assert getattr(case.make(), name) == value
    if isinstance(value, int):
      assert case.make(**{name: value + 1}) != case.make()


# What each task is, spelt out on episodes that NumPy takes apart.


def test_copy_markers_and_answers():
  batch = sample(tasks.make_task("copy", **CASES[0].kwargs), 30)
  seen = set()
  for i in range(EPISODES):
    length = int(batch.mask[:, i].sum())
    seen.add(length)
    inputs, targets = batch.inputs[:, i], batch.targets[:, i]
    start, end = np.eye(7)[5], np.eye(7)[6]
    np.testing.assert_array_equal(inputs[0], start)
    np.testing.assert_array_equal(inputs[length + 1], end)
    shown = inputs[1:length + 1]
    assert not shown[:, 5:].any()
    np.testing.assert_array_equal(
        targets[length + 2:2 * length + 2], shown[:, :5])
    assert batch.mask[length + 2:2 * length + 2, i].all()
    assert not inputs[length + 2:].any()
  assert seen == set(range(2, 8))


@pytest.mark.parametrize("num_bits, item_length", [(5, 3), (1, 1)])
def test_recall_answers_with_the_last_value_of_the_key(num_bits, item_length):
  task = tasks.make_task(
      "associative_recall", num_bits=num_bits, item_length=item_length,
      min_pairs=2, max_pairs=7)
  batch = sample(task, 31)
  step, repeated, asked_for = 2 * item_length + 1, 0, set()
  for i in range(EPISODES):
    inputs, item = batch.inputs[:, i], batch.inputs[:, i, num_bits]
    starts, queries = np.flatnonzero(item), np.flatnonzero(inputs[:, -1])
    # Item markers before each pair; a query marker on both sides of the query.
    np.testing.assert_array_equal(starts, step * np.arange(starts.size))
    end = step * starts.size
    np.testing.assert_array_equal(queries, [end, end + item_length + 1])
    np.testing.assert_array_equal(
        np.flatnonzero(batch.mask[:, i]),
        end + item_length + 2 + np.arange(item_length))
    markers = np.append(starts, queries)
    assert not inputs[markers, :num_bits].any()
    vectors = np.delete(inputs[:end + item_length + 1], markers[:-1], axis=0)
    items = vectors[:, :num_bits].reshape(-1, item_length, num_bits)
    query, keys, values = items[-1], items[:-1:2], items[1:-1:2]
    found = [n for n, key in enumerate(keys) if (key == query).all()]
    assert found
    asked_for.add(found[-1])
    answers = {values[n].tobytes() for n in found}
    repeated += len(answers) > 1
    np.testing.assert_array_equal(
        batch.targets[batch.mask[:, i] == 1, i], values[found[-1]])
  assert asked_for == set(range(7))  # Every pair is asked for at times.
  if num_bits == 1:
    assert repeated > 50  # Keys of one bit repeat.


def test_recall_tells_apart_what_comes_after_the_last_pair():
  # Episodes shorter than the longest: a key beyond the last pair shown must
  # not count, though the shapes have room for it.
  task = tasks.make_task("associative_recall", num_bits=1, item_length=1,
                         min_pairs=1, max_pairs=7)
  batch = sample(task, 32, level=1)
  # One pair: the value is at step 2, the answer at step 6.
  np.testing.assert_array_equal(batch.mask[6], 1)
  np.testing.assert_array_equal(batch.targets[6, :, 0], batch.inputs[2, :, 0])
  assert set(batch.targets[6, :, 0]) == {0, 1}


def test_sort_answers_by_falling_priority():
  task = tasks.make_task("priority_sort", **CASES[2].kwargs)
  batch = sample(task, 33)
  for i in range(EPISODES):
    number = int(np.flatnonzero(batch.inputs[:, i, 4])[0])
    bits = batch.inputs[:number, i, :3]
    priorities = batch.inputs[:number, i, 3]
    assert len(set(priorities)) == number
    answers = -(-4 * number // 5)
    order = np.argsort(priorities)[::-1][:answers]
    np.testing.assert_array_equal(
        batch.targets[number + 1:number + 1 + answers, i], bits[order])
  shown = batch.inputs[:, :, 3]
  assert shown.min() < -0.9
  assert shown.max() > 0.9
  assert np.abs(shown).max() <= 1


def test_sort_asks_for_16_of_20():
  task = tasks.make_task("priority_sort")
  batch = sample(task, 34, 4001)
  assert task.num_steps == 20 + 1 + 16
  np.testing.assert_array_equal(batch.mask.sum(0), 16)
  np.testing.assert_array_equal(batch.inputs[20, :, -1], 1)
  # Four fifths, rounded up; the rest of the steps are the keys and the marker.
  answers = [task.at_level(n).num_steps - n - 1 for n in range(1, 8)]
  assert answers == [1, 2, 3, 4, 4, 5, 6]
