"""Properties of every task in `TASKS`. A new task needs no edit here.

What a batch holds is tested of tasks made of episodes.
"""

import dataclasses
import functools
import inspect

import docstring_parser
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from task_helpers import (
    EPISODES,
    FEW,
    OF_EPISODES,
    assert_equal,
    data_of,
    differ,
    loss_and_metrics,
    sample,
    small,
    take,
)

import tasks

pytestmark = pytest.mark.usefixtures("strict_promotion")

all_tasks = pytest.mark.parametrize("name", OF_EPISODES)
solved_tasks = pytest.mark.parametrize("name", sorted(
    name for name, cls in tasks.TASKS.items() if cls in oracles.ORACLES))
with_data = pytest.mark.parametrize("name", sorted(
    name for name in OF_EPISODES
    if tasks.TASKS[name].load is not tasks.Task.load))


@all_tasks
def test_batches_match_the_spec(name):
  task = small(name)
  batch = sample(task)
  assert batch.inputs.shape == (task.num_steps, EPISODES, task.input_size)
  assert batch.targets.shape == (task.num_steps, EPISODES, task.output_size)
  assert batch.mask.shape == (task.num_steps, EPISODES)
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  assert all(np.isfinite(x).all() for x in batch)
  assert set(np.unique(batch.mask)) <= {0, 1}
  assert not batch.targets[batch.mask == 0].any()
  assert 1 <= batch.mask.sum(0).min() <= batch.mask.sum(0).max() <= (
      task.num_answers)


@all_tasks
def test_inputs_and_outputs_have_names(name):
  task = small(name)
  for names, size in ((task.input_names, task.input_size),
                      (task.output_names, task.output_size)):
    assert len(names) == len(set(names)) == size
    assert all(isinstance(name, str) and name for name in names)
  # Nothing is called input or output: a picture would tell nothing.
  assert not {"input", "output", "input 1", "output 1"} & {
      *task.input_names, *task.output_names}


@pytest.mark.parametrize("name", [
    name for name in OF_EPISODES
    if issubclass(tasks.TASKS[name], tasks.Symbolic)])
def test_symbols_are_of_the_steps_that_show_something(name):
  task = small(name)
  batch = sample(task)
  inputs = np.asarray(batch.inputs[:, 0])
  assert [bool(text) for text in task.spell_inputs(inputs)] == list(
      inputs.any(1))
  assert all(task.spell_answers(np.asarray(batch.targets[:, 0])[
      np.asarray(batch.mask[:, 0]) > 0]))


@all_tasks
def test_the_key_is_the_only_randomness(name):
  task = small(name)
  again = sample.__wrapped__(task)
  assert_equal(sample(task), again)
  assert differ(sample(task), sample(task, seed=1))
  episodes = {again.inputs[:, i].tobytes() for i in range(FEW)}
  assert len(episodes) > FEW / 2


@all_tasks
def test_an_episode_depends_on_its_own_key_alone(name):
  """One episode under jit equals that of a batch under vmap and jit."""
  task = small(name)
  key = jax.random.split(jax.random.key(0), EPISODES)[5]
  level = (jnp.int32(task.max_level) if isinstance(task, tasks.Levelled)
           else None)
  episode = jax.jit(task.episode)(key, level, data_of(task))
  assert_equal(episode, take(sample(task), 5), tolerance=1e-6)


@all_tasks
def test_is_drawn_on_several_devices(name):
  """Each device draws its share of the batch that one device would draw."""
  task, count = small(name), jax.local_device_count()
  assert count > 1
  keys = jax.random.split(jax.random.key(0), EPISODES)[:2 * count]
  shares = jax.pmap(
      functools.partial(task.sample_from_keys, data=data_of(task)))(
          keys.reshape(count, 2))
  whole = jax.tree.map(lambda x: np.concatenate(np.asarray(x), 1), shares)
  assert_equal(whole, take(sample(task), slice(2 * count)), tolerance=1e-6)


@all_tasks
def test_hashable_and_static_under_jit(name):
  task, traces = small(name), []
  assert small(name) is not task
  assert small(name) == task
  assert hash(small(name)) == hash(task)
  assert dataclasses.replace(task) == task
  assert task.score == small(name).score
  assert hash(task.score) == hash(small(name).score)

  @functools.partial(jax.jit, static_argnums=(0, 1))
  def traced(task, score, x):
    traces.append(1)
    return x + task.input_size + int(score == task.score)

  for _ in range(2):
    assert traced(small(name), small(name).score, 0) == task.input_size + 1
  assert len(traces) == 1
  with pytest.raises(dataclasses.FrozenInstanceError):
    task.encoder = "none"


@all_tasks
def test_the_trivial_answer_scores_its_baseline(name):
  task, scores = small(name), []
  trivial = jax.jit(task.trivial)
  for seed in range(8):  # Many episodes, in the program of the other tests.
    batch = sample(task, seed)
    outputs = np.asarray(trivial(batch))
    assert outputs.shape == batch.targets.shape
    assert (outputs == outputs[0, 0]).all()  # It ignores the inputs.
    _, metrics = loss_and_metrics(task.score, outputs, batch)
    scores.append(metrics[task.score.main_metric])
  scores = np.concatenate(scores)
  error = scores.std() / np.sqrt(scores.size)
  # The standard error is small enough for the comparison below.
  assert 0 < error < 0.05 * task.trivial_score
  assert abs(scores.mean() - task.trivial_score) < 4 * error


@all_tasks
def test_no_episodes_and_no_steps(name):
  """Nothing is drawn, and nothing scores 0 (a share of right answers: 1)."""
  task = small(name)
  batch = jax.eval_shape(
      lambda key: task.sample(key, 0, data=data_of(task)), jax.random.key(0))
  assert batch.inputs.shape == (task.num_steps, 0, task.input_size)
  assert batch.targets.shape == (task.num_steps, 0, task.output_size)
  assert batch.mask.shape == (task.num_steps, 0)
  whole = take(sample(task), slice(3))
  for empty in (take(whole, slice(0)), jax.tree.map(lambda x: x[:0], whole)):
    loss, metrics = loss_and_metrics(task.score, empty.targets, empty)
    assert task.trivial(empty).shape == empty.targets.shape
    assert loss.shape == (empty.mask.shape[1],)
    assert not np.any(loss)
    for metric, values in metrics.items():
      assert values.shape == loss.shape, metric
      assert np.isin(values, [0, 1]).all(), metric
  if isinstance(task, tasks.Transcribable):
    assert task.transcribe(take(whole, slice(0)), whole.targets[:, :0]) == []


def assert_perfect(task, batch):
  outputs = oracles.solve(task, batch)
  assert outputs.shape == batch.targets.shape
  loss, metrics = loss_and_metrics(task.score, outputs, batch)
  # Numbers are right up to rounding.
  scale = 2e-6 * np.abs(batch.targets).max()
  assert loss.shape == (batch.mask.shape[1],)
  assert loss.max() < 1e-6 + scale
  parts = [part for ratio in task.score.ratios.values() for part in ratio]
  assert task.score.main_metric in metrics
  for metric, values in metrics.items():
    assert values.shape == loss.shape
    if metric not in parts:
      np.testing.assert_allclose(
          values, float(metric.endswith("accuracy")),
          atol=scale if metric in ("mse", "mae", "final_mse") else 0)
  for numerator, denominator in task.score.ratios.values():
    np.testing.assert_array_equal(metrics[numerator], metrics[denominator])


@solved_tasks
def test_the_oracle_is_perfect_from_the_inputs_alone(name):
  task = small(name)
  batch = take(sample(task), slice(FEW))
  assert_perfect(task, batch)
  blind = batch._replace(targets=np.zeros_like(batch.targets))
  np.testing.assert_array_equal(oracles.solve(task, batch),
                                oracles.solve(task, blind))


@solved_tasks
def test_the_oracle_is_better_than_guessing(name):
  task = small(name)
  batch = take(sample(task), slice(FEW))
  _, metrics = loss_and_metrics(task.score, oracles.solve(task, batch), batch)
  best = task.score.with_ratios(
      {key: value.mean() for key, value in metrics.items()})[
          task.score.main_metric]
  assert best != task.trivial_score
  assert (best < task.trivial_score) == task.score.lower_is_better


@all_tasks
def test_default_sizes(name):
  task = tasks.TASKS[name]()
  batch = sample(task, episodes=FEW)
  assert batch.inputs.shape == (task.num_steps, FEW, task.input_size)
  assert batch.targets.shape == (task.num_steps, FEW, task.output_size)
  if task.solved_below is not None:
    assert 0 < task.solved_below < task.trivial_score
  if type(task) in oracles.ORACLES:
    assert_perfect(task, batch)


def test_most_tasks_have_an_oracle():
  """A new task needs no edit here, but existing oracles must remain."""
  assert len(set(tasks.TASKS.values()) & set(oracles.ORACLES)) >= 15


@all_tasks
def test_the_score_looks_at_the_asked_steps_alone(name):
  task = small(name)
  batch = take(sample(task), slice(FEW))
  noise = np.random.default_rng(0).normal(size=batch.targets.shape)
  noise = noise.astype(np.float32)
  silent = np.where(batch.mask[:, :, None] == 1, noise, 0)
  loss, metrics = loss_and_metrics(task.score, noise, batch)
  assert np.unique(loss).size > FEW / 10
  again = loss_and_metrics(task.score, silent, batch)
  np.testing.assert_array_equal(loss, again[0])
  assert metrics.keys() == again[1].keys()
  for metric, values in metrics.items():
    np.testing.assert_array_equal(values, again[1][metric])


@all_tasks
def test_wrong_shapes_are_refused(name):
  task = small(name)
  batch = take(sample(task), slice(FEW))
  for outputs in (batch.mask, batch.targets[:, :1]):
    for score in (task.score.loss, task.score.metrics):
      with pytest.raises(AssertionError):
        score(outputs, batch)


@all_tasks
def test_variants_fit_the_same_network_and_data(name):
  task = tasks.TASKS[name]()
  for variant in task.extrapolations.values():
    assert variant != task
    assert isinstance(variant, tasks.Episodes)
    assert (variant.input_size, variant.output_size) == (
        task.input_size, task.output_size)
    assert variant.score.main_metric == task.score.main_metric
    batch = jax.eval_shape(lambda key, variant=variant: variant.sample(
        key, 3, data=data_of(task)), jax.random.key(0))
    assert batch.inputs.shape == (variant.num_steps, 3, task.input_size)


@all_tasks
def test_examples_are_counted_and_drawn(name):
  task = tasks.TASKS[name]()
  if not isinstance(task, tasks.Countable):
    assert not hasattr(task, "num_examples")
    return
  batch = jax.jit(jax.vmap(task.example, out_axes=1))(
      jnp.arange(task.num_examples))
  examples = {np.asarray(batch.inputs[:, i]).tobytes()
              for i in range(task.num_examples)}
  assert len(examples) == task.num_examples
  drawn = sample(task, episodes=FEW).inputs
  assert {drawn[:, i].tobytes() for i in range(FEW)} <= examples


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_every_argument_is_documented(name):
  """The sentence that describes an argument is the help of its flag."""
  cls, described = tasks.TASKS[name], {}
  for parent in reversed(cls.__mro__):
    parsed = docstring_parser.parse(inspect.cleandoc(parent.__doc__ or ""))
    described |= {param.arg_name: param.description for param in parsed.params}
  for field in dataclasses.fields(cls):
    assert described[field.name].endswith("."), field.name
    assert field.default is not dataclasses.MISSING


@with_data
def test_missing_data_are_named(name):
  task = small(name)
  with pytest.raises(FileNotFoundError, match="needs --data_dir"):
    task.load("train")
  with pytest.raises(ValueError, match=r"got None.*; pass what `load` returns"):
    task.sample(jax.random.key(0), 2)


def test_synthetic_tasks_have_no_data():
  assert tasks.Copy().load("train") is None
  assert tasks.Copy().load("test", "/nowhere") is None
  assert tasks.Copy().instance(jax.random.key(0)) is None


def test_names_are_exported():
  assert list(tasks.TASKS) == sorted(tasks.TASKS)
  assert all(issubclass(cls, tasks.Task) for cls in tasks.TASKS.values())
  for cls in tasks.TASKS.values():
    assert getattr(tasks, cls.__name__) is cls
    assert cls.__name__ in tasks.__all__


@pytest.mark.parametrize("name, kwargs, words", [
    ("arithmetic", dict(operation="pow"),
     "'pow'; valid operations: add, sub, mul, div"),
    ("arithmetic", dict(train_range="1"), "'1' is not of the form"),
    ("arithmetic", dict(train_range="1,two"), "'1,two' is not"),
    ("arithmetic", dict(train_range="2,1"), "'2,1' do not rise"),
    ("arithmetic", dict(train_range="1,3;2,4"), "do not rise"),
    ("arithmetic", dict(train_range="3,4"),
     "set test_range.*'3,4'.*'1.1,1.2'"),
    ("arithmetic", dict(test_range="1,1"), "'1,1' do not rise"),
    ("arithmetic", dict(operation="sqrt", train_range="-2,2"),
     "'sqrt'.*'-2,2'"),
    ("arithmetic", dict(subset_ratio=0.), "subset_ratio=0.0"),
    ("arithmetic", dict(subset_ratio=0.9), "subset_ratio=0.9"),
    ("arithmetic", dict(second_ratio=0.9), "second_ratio=0.9"),
    ("arithmetic", dict(second_ratio=0.1, overlap_ratio=1.),
     "25 and 10 inputs with 25 in common"),
    ("arithmetic", dict(second_ratio=-1.), "second_ratio=-1.0"),
    ("arithmetic", dict(input_size=2, subset_ratio=1., overlap_ratio=1.,
                        criterion="module"), "criterion='layers'"),
    ("arithmetic", dict(overlap_ratio=-0.1), "overlap_ratio=-0.1"),
    ("arithmetic", dict(input_size=0), "input_size=0"),
    ("arithmetic", dict(criterion="strict"),
     "'strict'; valid criteria: layers, module"),
    ("arithmetic", dict(criterion="module"), "25 inputs with 12 in common"),
    ("arithmetic", dict(input_size=2, subset_ratio=0.5, overlap_ratio=0.,
                        criterion="module", operation="sqrt"), "got sqrt"),
    ("associative_recall", dict(num_bits=0), "num_bits=0"),
    ("associative_recall", dict(item_length=0), "item_length=0"),
    ("associative_recall", dict(min_pairs=0), "min_pairs=0"),
    ("associative_recall", dict(max_pairs=2), "max_pairs=2"),
    ("babi", dict(tasks="1,21"), "'21' is not.*valid: all, or some of 1, 2, 3"),
    ("babi", dict(tasks=""), "'' is not a number"),
    ("babi", dict(tasks="2,2"), "'2,2' names a task twice"),
    ("babi", dict(size="hn"), "'hn'; valid sizes: en, en-10k"),
    ("babi", dict(max_length=0), "max_length=0"),
    ("catbabi", dict(tasks="0"), "'0' is not.*valid: all, or some of 1, 2, 3"),
    ("catbabi", dict(size="hn"), "'hn'; valid sizes: en, en-10k"),
    ("catbabi", dict(mode="qa"), "'qa'; valid modes: qm, lm"),
    ("catbabi", dict(num_steps=0), "num_steps=0"),
    ("copy", dict(num_bits=0), "num_bits=0"),
    ("copy", dict(min_length=0), "min_length=0"),
    ("copy", dict(max_length=-3), "max_length=-3"),
    ("copy", dict(min_length=8, max_length=7), "min_length=8"),
    ("identity", dict(train_range="5,-5"), "range '5,-5' do not rise"),
    ("language_numbers", dict(split="dev"), "'dev'.*train, validation, test"),
    ("language_numbers", dict(split_seed=-3), "split_seed=-3"),
    ("learning_to_execute", dict(operation="div"),
     "'div'.*addition, control, program, copy, reverse, double"),
    ("learning_to_execute", dict(min_length=0), "min_length=0"),
    ("learning_to_execute", dict(min_length=6), "min_length=6"),
    ("learning_to_execute", dict(min_nesting=0), "min_nesting=0"),
    ("learning_to_execute", dict(min_nesting=3), "min_nesting=3"),
    ("learning_to_execute", dict(max_nesting=2**31 - 1),
     "max_nesting <= 1000, got max_nesting=2147483647"),
    ("mnist_addition", dict(min_length=11), "min_length=11 and max_length=10"),
    ("mnist_addition", dict(max_test_length=0), "max_test_length=0"),
    ("mnist_counting", dict(max_length=0), "max_length=0"),
    ("mnist_counting", dict(min_length=0), "min_length=0"),
    ("mnist_parity", dict(max_digits=0), "max_digits=0"),
    ("mnist_parity", dict(min_digits=0), "min_digits=0"),
    ("mnist_parity", dict(max_digits=6), "room for 5 digits, got max_digits=6"),
    ("mnist_parity", dict(image_size=27), "image_size=27"),
    ("mnist_parity", dict(image_size=60), "image_size=60 has room for 2 dig"),
    ("mnist_parity", dict(num_classes=5), "num_classes=5"),
    ("mnist_sequence_product", dict(max_length=21), "max_length=21"),
    ("nth_farthest", dict(num_objects=0), "num_objects=0"),
    ("nth_farthest", dict(num_dims=0), "num_dims=0"),
    ("nth_farthest", dict(min_objects=0), "min_objects=0"),
    ("nth_farthest", dict(min_objects=9), "min_objects=9"),
    ("nth_farthest", dict(num_labels=7), "num_labels=7"),
    ("omniglot", dict(num_classes=0), "num_classes=0"),
    ("omniglot", dict(num_classes=5, min_classes=6),
     "min_classes=6 and num_classes=5"),
    ("omniglot", dict(min_classes=0), "min_classes=0"),
    ("omniglot", dict(num_labels=4), "num_classes=5 and num_labels=4"),
    ("omniglot", dict(num_presentations=0), "num_presentations=0"),
    ("omniglot", dict(image_size=106), "image_size=106"),
    ("omniglot", dict(image_size=0), "image_size=0"),
    ("omniglot", dict(max_angle=-1.0), "max_angle=-1"),
    ("omniglot", dict(max_stretch=-0.5), "max_stretch=-0.5"),
    ("omniglot", dict(max_stretch=float("nan")), "max_stretch=nan"),
    ("priority_sort", dict(num_bits=0), "num_bits=0"),
    ("priority_sort", dict(max_keys=0), "max_keys=0"),
    ("priority_sort", dict(min_keys=0), "min_keys=0"),
    ("priority_sort", dict(min_keys=8, max_keys=7), "min_keys=8"),
    ("program_evaluation", dict(program="loops"), "'loops'.*addition, full"),
    ("program_evaluation", dict(min_operations=0), "min_operations=0"),
    ("program_evaluation", dict(min_operations=3, max_operations=2),
     "max_operations=2"),
    ("program_evaluation", dict(min_value=-1), "min_value=-1"),
    ("program_evaluation", dict(min_value=8, max_value=7), "min_value=8"),
    ("program_evaluation", dict(max_value=2**23 + 1), "max_value=8388609"),
    ("recurrent_arithmetic", dict(input_size=0), "input_size=0"),
    ("recurrent_arithmetic", dict(min_length=0), "min_length=0"),
    ("recurrent_arithmetic", dict(min_length=11), "min_length=11"),
    ("recurrent_arithmetic", dict(operation="pow"), "'pow'.*add, sub, mul"),
])
def test_bad_values_are_named(name, kwargs, words):
  with pytest.raises(ValueError, match=words):
    tasks.TASKS[name](**kwargs)
