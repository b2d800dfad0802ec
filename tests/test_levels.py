"""Properties of every task with levels. A new task needs no edit here."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from task_helpers import (
    EPISODES,
    FEW,
    MARK,
    OF_EPISODES,
    assert_equal,
    differ,
    first_one,
    sample,
    small,
)
from test_tasks import assert_perfect

import tasks

pytestmark = pytest.mark.usefixtures("strict_promotion")

LEVELLED = sorted(name for name in OF_EPISODES
                  if issubclass(tasks.TASKS[name], tasks.Levelled))
levelled_tasks = pytest.mark.parametrize("name", LEVELLED)


def steps_shown(batch: tasks.Batch) -> np.ndarray:
  return batch.inputs.any(-1).sum(0)


# The level of each episode, `[B]`, from its inputs. Without an entry here, a
# task's levels are tested by its shapes only.
MEASURES: dict[str, Callable[[tasks.Batch], np.ndarray]] = {
    "associative_recall": lambda batch: batch.inputs[:, :, 5].sum(0),
    "copy": lambda batch: first_one(batch.inputs[:, :, 6]) - 1,
    "learning_to_execute": lambda batch: first_one(batch.inputs[:, :, -1]),
    "mnist_addition": steps_shown,
    "mnist_counting": steps_shown,
    "mnist_parity": lambda batch: (255 * batch.inputs[0] > MARK - .5).sum(1),
    "mnist_sequence_product": steps_shown,
    "mnist_sequence_sum": steps_shown,
    "nth_farthest": steps_shown,
    "omniglot": lambda batch: batch.mask.sum(0) / 11,
    "priority_sort": lambda batch: first_one(batch.inputs[:, :, 4]),
    # Kinds 3 to 5 are operations.
    "program_evaluation": lambda batch: batch.inputs[:, :, 4:7].sum((0, 2)),
    "recurrent_arithmetic": steps_shown,
}

# Level -> steps with an answer, for tasks whose level determines their number.
ANSWERS: dict[str, Callable[[int], int]] = {
    "associative_recall": lambda level: 3,
    "copy": lambda level: level,
    "learning_to_execute": lambda level: 2 * level,
    "mnist_addition": lambda level: 1,
    "mnist_counting": lambda level: 1,
    "mnist_parity": lambda level: 1,
    "mnist_sequence_product": lambda level: level,
    "mnist_sequence_sum": lambda level: level,
    "nth_farthest": lambda level: 1,
    "omniglot": lambda level: 11 * level,
    "priority_sort": lambda level: -(-4 * level // 5),
    "program_evaluation": lambda level: 1,
    "recurrent_arithmetic": lambda level: 1,
}

# Level -> steps of its longest episode.
STEPS: dict[str, Callable[[int], int]] = {
    "associative_recall": lambda level: 7 * level + 8,
    "copy": lambda level: 2 * level + 2,
    "learning_to_execute": lambda level: 3 * level + 1,
    "nth_farthest": lambda level: level,
    "omniglot": lambda level: 11 * level,
    "priority_sort": lambda level: level + 1 + -(-4 * level // 5),
    "program_evaluation": lambda level: 8 * level,
    "recurrent_arithmetic": lambda level: level,
}
LOW = {"mnist_parity": 1}  # 2 for other tasks.


def highest(task):
  """Returns the task at a higher level, for networks of the same sizes."""
  for level in (11, task.max_level + 1):
    try:
      return task.at_level(level)
    except ValueError:
      continue
  raise AssertionError("no higher level")


def check_levels(name, batch, levels):
  """Checks that exactly `levels` occur, each with its number of answers."""
  if name in MEASURES:
    found = MEASURES[name](batch)
    assert set(found) == set(levels)
    np.testing.assert_array_equal(
        batch.mask.sum(0), [ANSWERS[name](int(level)) for level in found])


@levelled_tasks
def test_level_bounds_the_episodes(name):
  task, low = small(name), LOW.get(name, 2)
  for level in sorted({1, 2, min(4, task.max_level), task.max_level}):
    batch = sample(task, 9, level=level)
    # A level may be below the task's lowest: curricula start there.
    check_levels(name, batch, range(min(low, level), level + 1))
    # All steps after those that the level needs are zeros.
    rest = jax.tree.map(lambda x, level=level: x[task.at_level(level).
                                                 num_steps:], batch)
    assert not any(x.any() for x in rest)
    if type(task) in oracles.ORACLES:
      assert_perfect(task, jax.tree.map(lambda x: x[:, :FEW], batch))


@levelled_tasks
def test_level_defaults_to_the_highest(name, monkeypatch):
  task, levels = small(name), []

  def episode(self, key, level, data):
    levels.append(int(level))
    return tasks.Batch(*[np.zeros(2)] * 3)

  assert differ(sample(task, 9), sample(task, 9, level=1))
  monkeypatch.setattr(type(task), "episode", episode)
  task.sample(jax.random.key(9), 3)
  assert levels == [task.max_level]


@levelled_tasks
def test_levels_are_uniform(name):
  if name not in MEASURES:
    pytest.skip("no measure")
  task = small(name)
  low = LOW.get(name, 2)
  levels = task.max_level - low + 1
  counts = np.bincount(MEASURES[name](sample(task)).astype(int))[low:]
  assert counts.sum() == EPISODES
  error = np.sqrt(EPISODES / levels * (1 - 1 / levels))
  np.testing.assert_allclose(counts, EPISODES / levels, atol=4 * error)


@levelled_tasks
@pytest.mark.parametrize("which", ["lowest", "higher"])
def test_at_level(name, which):
  task = small(name)
  only = task.at_level(1) if which == "lowest" else highest(task)
  level = only.max_level
  assert type(only) is type(task)
  # A network that was trained at other levels must fit.
  assert (only.input_size, only.output_size) == (
      task.input_size, task.output_size)
  assert only.at_level(level) == only
  if name in STEPS:
    assert only.num_steps == STEPS[name](level)
  batch = sample(only, 11, FEW)
  assert batch.mask.shape == (only.num_steps, FEW)
  if name != "program_evaluation":  # Its longest programs are rare.
    assert batch.mask[-1].any()  # No padding.
  check_levels(name, batch, [level])
  if type(task) in oracles.ORACLES:
    assert_perfect(only, batch)
  if level > 1:  # `sample` has exact lower levels too, same shapes.
    batch = sample(only, 11, FEW, level=level - 1)
    assert batch.mask.shape == (only.num_steps, FEW)
    check_levels(name, batch, [level - 1])


@levelled_tasks
def test_what_a_curriculum_is_judged_by_is_measured(name):
  task = small(name)
  batch = jax.tree.map(jnp.asarray, sample(task, 9))
  metrics = jax.eval_shape(task.score.metrics, batch.targets, batch)
  assert task.score.judged_metric in {"loss", *metrics}


@levelled_tasks
def test_impossible_levels_are_refused(name):
  for level in (0, -1):
    with pytest.raises(ValueError, match=f"={level}"):
      small(name).at_level(level)


@pytest.mark.parametrize("cls", [tasks.Omniglot, tasks.MnistParity,
                                 tasks.NthFarthest])
def test_levels_beyond_the_answers_are_refused(cls):
  task = cls()
  with pytest.raises(ValueError, match=f"={task.max_level + 1}"):
    task.at_level(task.max_level + 1)


@pytest.mark.parametrize("name", sorted(set(OF_EPISODES) - set(LEVELLED)))
def test_other_tasks_take_no_level(name):
  task = small(name)
  assert not hasattr(task, "at_level")
  with pytest.raises(ValueError, match="has no levels, got level=3; leave"):
    task.sample(jax.random.key(0), 2, level=3)


def test_levels_are_traced():
  task, traces = small("copy"), []

  @jax.jit
  def jitted(level):
    traces.append(1)
    return task.sample(jax.random.key(9), EPISODES, level)

  for level in (2, 4, 7):
    assert_equal(jitted(level), sample(task, 9, level=level))
  assert len(traces) == 1
