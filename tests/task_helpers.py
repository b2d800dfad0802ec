"""Small tasks, made-up data, and cached batches for the tests of tasks."""

import functools
import pathlib
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from data_helpers import write_babi

import tasks
from tasks import scores
from tasks.mnist import reader, series

OF_EPISODES = sorted(name for name, cls in tasks.TASKS.items()
                     if issubclass(cls, tasks.Episodes))
EPISODES = 1009  # Enough for every level to occur, and for mean scores.
FEW = 211

# Tests use the default sizes of tasks that are not listed here.
SMALL: dict[str, dict[str, Any]] = {
    "arithmetic": dict(input_size=23, subset_ratio=0.31, overlap_ratio=0.43),
    "associative_recall": dict(
        num_bits=5, item_length=3, min_pairs=2, max_pairs=7),
    "babi": dict(tasks="1,8", max_length=15),
    "copy": dict(num_bits=5, min_length=2, max_length=7),
    "learning_to_execute": dict(
        operation="double", min_length=2, max_length=7, min_nesting=1,
        max_nesting=3),
    "mnist_addition": dict(min_length=2, max_length=7),
    "mnist_counting": dict(min_length=2, max_length=7),
    "mnist_parity": dict(max_digits=3, num_classes=5, image_size=84),
    "mnist_sequence_product": dict(min_length=2, max_length=3),
    "mnist_sequence_sum": dict(min_length=2, max_length=7),
    "nth_farthest": dict(
        num_objects=7, num_dims=5, min_objects=2, num_labels=13),
    "omniglot": dict(
        num_classes=3, min_classes=2, num_labels=5, num_presentations=11,
        image_size=7),
    "priority_sort": dict(num_bits=3, min_keys=2, max_keys=7),
    "program_evaluation": dict(
        program="full", min_operations=2, max_operations=3, min_value=3,
        max_value=17),
    "recurrent_arithmetic": dict(
        operation="mul", input_size=5, subset_ratio=0.6, overlap_ratio=0.4,
        train_range="1,2", min_length=2, max_length=7),
}

MARK = 100  # The first pixel of an image is this plus its label.


def _make_digits() -> reader.Digits:
  """Returns digits with ink everywhere; 23 of each label, so equally likely."""
  rng = np.random.default_rng(0)
  labels = rng.permutation(np.arange(230, dtype=np.int32) % 10)
  images = rng.integers(1, MARK, (230, 28, 28), np.uint8)
  images[:, 0, 0] = MARK + labels
  return reader.Digits(images, labels)


DIGITS = _make_digits()
NO_ZEROS = reader.Digits(*(array[DIGITS.labels > 0] for array in DIGITS))


@functools.cache
def drawings(size: int) -> np.ndarray:
  """Returns 23 characters of 20 drawings each, in the format of Omniglot."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (23, 20, size, size), np.uint8)


@functools.cache
def stories(task: tasks.Babi) -> Any:
  """Returns stories that tell their answers, see `babi_text`."""
  with tempfile.TemporaryDirectory() as folder:
    write_babi(pathlib.Path(folder), task.numbers)
    return task.load("test", folder)


def data_of(task: tasks.Task) -> Any:
  """Returns the data from which a task draws; None for synthetic tasks."""
  if isinstance(task, tasks.MnistSequenceProduct):
    return NO_ZEROS
  if isinstance(task, (series.MnistSeries, tasks.MnistParity)):
    return DIGITS
  if isinstance(task, tasks.Omniglot):
    return drawings(task.image_size)
  if isinstance(task, tasks.Babi):
    return stories(task)
  return None


def small(name: str, **kwargs: Any) -> Any:
  """Returns the task of this name, in small sizes."""
  return tasks.TASKS[name](**(SMALL.get(name, {}) | kwargs))


_sample = jax.jit(
    lambda task, key, episodes, level, data: task.sample(
        key, episodes, level, data), static_argnums=(0, 2))


@functools.cache
def sample(task: Any, seed: int = 0, episodes: int = EPISODES,
           level: int | None = None) -> tasks.Batch:
  """Draws a batch in NumPy. Levels are traced, so they share one program."""
  if isinstance(task, tasks.Levelled):
    level = jnp.int32(task.max_level if level is None else level)
  batch = _sample(task, jax.random.key(seed), episodes, level, data_of(task))
  batch = jax.tree.map(np.asarray, batch)
  assert batch.mask.sum() > 0  # Otherwise there is nothing to compare.
  return batch


def take(batch: tasks.Batch, episodes: Any) -> tasks.Batch:
  """Returns some episodes of a batch."""
  return jax.tree.map(lambda x: x[:, episodes], batch)


_score = jax.jit(
    lambda score, outputs, batch: (score.loss(outputs, batch),
                                   score.metrics(outputs, batch)),
    static_argnums=0)


def loss_and_metrics(score: scores.Score, outputs: Any, batch: tasks.Batch
                     ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Returns the loss and the metrics of episodes, in NumPy."""
  return jax.tree.map(np.asarray, _score(score, outputs, batch))


def assert_equal(a: tasks.Batch, b: tasks.Batch, tolerance: float = 0) -> None:
  for x, y in zip(a, b, strict=True):
    assert np.size(x)
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def differ(a: tasks.Batch, b: tasks.Batch) -> bool:
  return any((x != y).any() for x, y in zip(a, b, strict=True))


def first_one(channel: np.ndarray) -> np.ndarray:
  """Returns the first step with a one, `[T, B]` to `[B]`."""
  assert (channel == 1).any(axis=0).all()
  return np.argmax(channel == 1, axis=0)
