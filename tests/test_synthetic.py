"""Copy, associative recall, priority sort and nth farthest, spelt out."""

import numpy as np
import oracles
import pytest
from task_helpers import FEW, sample, small

import tasks

pytestmark = pytest.mark.usefixtures("strict_promotion")


@pytest.mark.parametrize("name", [
    "associative_recall", "copy", "learning_to_execute", "nth_farthest",
    "priority_sort"])
def test_answers_follow_in_silence(name):
  batch = sample(small(name))
  asked = batch.mask == 1
  assert not asked.all()
  assert set(np.unique(batch.targets)) == {0, 1}
  # Inputs are zeros at steps with mask = 1: they contain neither the answer nor
  # a hint. The exception is the task with mask = 1 at the last input.
  at_once = name == "nth_farthest"
  assert batch.inputs[asked].any() == at_once
  # The steps with mask = 1 form one stretch at the end of all inputs.
  assert (np.abs(np.diff(batch.mask, axis=0)).sum(0) <= 2).all()
  steps = np.arange(batch.mask.shape[0])[:, None]
  last_shown = np.where(batch.inputs.any(-1), steps, -1).max(0)
  first_asked = np.where(asked, steps, steps.size).min(0)
  np.testing.assert_array_equal(first_asked, last_shown + 1 - at_once)


def test_copy_markers_and_answers():
  batch = sample(small("copy"), 30, FEW)
  seen = set()
  for i in range(FEW):
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
  task = tasks.AssociativeRecall(num_bits=num_bits, item_length=item_length,
                                 min_pairs=2, max_pairs=7)
  batch = sample(task, 31, FEW)
  step, repeated, asked_for = 2 * item_length + 1, 0, set()
  for i in range(FEW):
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
  assert asked_for == set(range(7))  # Every pair is queried at times.
  if num_bits == 1:
    assert repeated > 50  # Keys of one bit repeat.


def test_recall_tells_apart_what_comes_after_the_last_pair():
  # These episodes are shorter than the longest. A key after the last pair must
  # not count, although the shapes have room for it.
  task = tasks.AssociativeRecall(num_bits=1, item_length=1, min_pairs=1,
                                 max_pairs=7)
  batch = sample(task, 32, FEW, level=1)
  # One pair: the value is at step 2, the answer at step 6.
  np.testing.assert_array_equal(batch.mask[6], 1)
  np.testing.assert_array_equal(batch.targets[6, :, 0], batch.inputs[2, :, 0])
  assert set(batch.targets[6, :, 0]) == {0, 1}


def test_sort_answers_by_falling_priority():
  batch = sample(small("priority_sort"), 33, FEW)
  for i in range(FEW):
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
  task = tasks.PrioritySort()
  batch = sample(task, 0, FEW)
  assert task.num_steps == 20 + 1 + 16
  np.testing.assert_array_equal(batch.mask.sum(0), 16)
  np.testing.assert_array_equal(batch.inputs[20, :, -1], 1)
  # Four fifths, rounded up; the rest of the steps are the keys and the marker.
  answers = [task.at_level(n).num_steps - n - 1 for n in range(1, 8)]
  assert answers == [1, 2, 3, 4, 4, 5, 6]


# Nth farthest.

OBJECTS, DIMS, LABELS, EPISODES = 7, 5, 11, 4001


@pytest.fixture(scope="module")
def farthest():
  task = tasks.NthFarthest(num_objects=OBJECTS, num_dims=DIMS, min_objects=2,
                           num_labels=LABELS)
  return sample(task, 0, EPISODES)


def take_apart(inputs):
  """Splits an episode `[k, F]` into vectors, labels, n and m (from 0)."""
  one_hot = inputs[:, DIMS:].reshape(-1, 3, LABELS)
  assert set(np.unique(one_hot)) == {0, 1}
  assert (one_hot.sum(2) == 1).all()
  labels, n, m = one_hot.argmax(2).T
  assert len(set(n)) == len(set(m)) == 1
  return inputs[:, :DIMS], labels, n[0], m[0]


def test_answers_with_the_label_of_the_nth_farthest(farthest):
  batch, asked_for, places, own = farthest, set(), set(), 0
  for i in range(EPISODES):
    k = int(batch.inputs[:, i].any(1).sum())
    assert not batch.inputs[k:, i].any()
    vectors, labels, n, m = take_apart(batch.inputs[:k, i])
    assert len(set(labels)) == k
    place = list(labels).index(m)
    distances = np.linalg.norm(
        vectors.astype(np.float64) - vectors[place], axis=1)
    farthest_first = np.argsort(distances)[::-1]
    answer = labels[farthest_first[n]]
    np.testing.assert_array_equal(batch.mask[:, i], np.arange(OBJECTS) == k - 1)
    assert batch.targets[k - 1, i].argmax() == answer
    assert batch.targets[:, i].sum() == 1
    if n == k - 1:
      assert answer == m  # The object nearest to m is m.
      own += 1
    asked_for.add((k, int(n)))
    places.add((k, place))
  assert own > EPISODES / 10
  every = {(k, j) for k in range(2, OBJECTS + 1) for j in range(k)}
  assert asked_for == places == every


def test_what_is_drawn_is_uniform(farthest):
  batch = farthest
  shown = batch.inputs[:, :, :DIMS][batch.inputs.any(2)]
  assert shown.size > 4 * EPISODES
  assert abs(shown.mean()) < 4 * np.sqrt(1 / 3 / shown.size)
  np.testing.assert_allclose((shown**2).mean(), 1 / 3, rtol=0.02)
  assert -1 <= shown.min() < -0.99
  assert 0.99 < shown.max() < 1
  full = batch.inputs[:, batch.inputs[-1].any(1)]
  number = full.shape[1]
  assert number > EPISODES / 10
  for name, drawn, values in (
      ("labels", full[0, :, DIMS:DIMS + LABELS].argmax(1), LABELS),
      ("n", full[0, :, DIMS + LABELS:-LABELS].argmax(1), OBJECTS),
      ("m", full[0, :, -LABELS:].argmax(1), LABELS)):
    counts = np.bincount(drawn, minlength=values)
    assert counts.size == values, name
    error = np.sqrt(number / values)
    np.testing.assert_allclose(counts, number / values, atol=4.5 * error,
                               err_msg=name)


def test_sizes_of_nth_farthest_in_the_paper():
  task = tasks.NthFarthest()
  assert (task.num_steps, task.input_size, task.output_size) == (8, 40, 8)
  assert task.trivial_score == 1 / 8
  batch = sample(task, 0, FEW)
  np.testing.assert_array_equal(batch.mask.sum(0), 1)
  np.testing.assert_array_equal(batch.mask[-1], 1)


def test_labels_are_as_many_as_the_network_has():
  task = tasks.NthFarthest(num_objects=5)
  assert task.at_level(3).output_size == 5
  with pytest.raises(ValueError, match=r"num_objects=7.*num_labels=5"):
    task.at_level(7)


@pytest.mark.parametrize("objects, dims", [(4, 4), (8, 16)])
def test_samples_of_sonnet(golden_root, objects, dims):
  golden = np.load(golden_root / "task_nth_farthest_sonnet1.npz")
  inputs = golden[f"x_k{objects}d{dims}"].swapaxes(0, 1)
  labels = golden[f"label_k{objects}d{dims}"]
  assert inputs.shape == (objects, 256, dims + 3 * objects)
  task = tasks.NthFarthest(num_objects=objects, num_dims=dims)
  # In Sonnet's inputs, m stands before n. The target is the n-th nearest
  # object, where m itself is the 0-th.
  objects_and_labels, m, nth = np.split(
      inputs, (dims + objects, dims + 2 * objects), axis=2)
  ours = np.concatenate([objects_and_labels, nth[:, :, ::-1], m], axis=2)
  same_way = np.concatenate([objects_and_labels, nth, m], axis=2)

  def accuracy(inputs):
    answers = oracles.solve(task, tasks.Batch(inputs, inputs, inputs))
    return (answers[-1].argmax(1) == labels).mean()

  assert accuracy(ours) == 1
  assert accuracy(same_way) < 0.5  # The direction matters.
