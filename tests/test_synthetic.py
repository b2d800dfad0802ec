"""Nth farthest: what is asked, and Sonnet's samples of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks

OBJECTS, DIMS, LABELS, EPISODES = 7, 5, 11, 4001


@pytest.fixture(scope="module")
def batch():
  task = tasks.make_task("nth_farthest", num_objects=OBJECTS, num_dims=DIMS,
                         min_objects=2, num_labels=LABELS)
  drawn = jax.jit(lambda key: task.sample(key, EPISODES))(jax.random.key(0))
  return jax.tree.map(np.asarray, drawn)


def take_apart(inputs):
  """Vectors, labels, n and m (counted from 0) of an episode `[k, F]`."""
  one_hot = inputs[:, DIMS:].reshape(-1, 3, LABELS)
  assert set(np.unique(one_hot)) == {0, 1}
  assert (one_hot.sum(2) == 1).all()
  labels, n, m = one_hot.argmax(2).T
  assert len(set(n)) == len(set(m)) == 1
  return inputs[:, :DIMS], labels, n[0], m[0]


def test_answers_with_the_label_of_the_nth_farthest(batch):
  asked_for, places, own = set(), set(), 0
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
      assert answer == m  # Nothing is nearer to it than itself.
      own += 1
    asked_for.add((k, int(n)))
    places.add((k, place))
  assert own > EPISODES / 10
  every = {(k, j) for k in range(2, OBJECTS + 1) for j in range(k)}
  assert asked_for == places == every


def test_what_is_drawn_is_uniform(batch):
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


def test_sizes_of_the_paper():
  task = tasks.make_task("nth_farthest")
  assert (task.num_steps, task.input_size, task.output_size) == (8, 40, 8)
  assert task.trivial_score == 1 / 8
  batch = jax.jit(lambda key: task.sample(key, 13))(jax.random.key(1))
  np.testing.assert_array_equal(batch.mask.sum(0), 1)
  np.testing.assert_array_equal(batch.mask[-1], 1)


def test_labels_are_as_many_as_the_network_has():
  task = tasks.make_task("nth_farthest", num_objects=5)
  assert task.at_level(3).output_size == 5
  with pytest.raises(ValueError, match=r"need num_objects >= 1, got .*=0"):
    tasks.make_task("nth_farthest", num_objects=0)
  with pytest.raises(ValueError, match=r"num_objects=7.*num_labels=5"):
    task.at_level(7)


@pytest.mark.parametrize("objects, dims", [(4, 4), (8, 16)])
def test_samples_of_sonnet(golden_root, objects, dims):
  golden = np.load(golden_root / "task_nth_farthest_sonnet1.npz")
  inputs = golden[f"x_k{objects}d{dims}"].swapaxes(0, 1)
  labels = golden[f"label_k{objects}d{dims}"]
  assert inputs.shape == (objects, 256, dims + 3 * objects)
  task = tasks.make_task("nth_farthest", num_objects=objects, num_dims=dims)
  # There m stands before n, and the n-th nearest is asked for, m itself being
  # the 0-th.
  objects_and_labels, m, nth = np.split(
      inputs, (dims + objects, dims + 2 * objects), axis=2)
  ours = np.concatenate([objects_and_labels, nth[:, :, ::-1], m], axis=2)
  same_way = np.concatenate([objects_and_labels, nth, m], axis=2)

  def accuracy(inputs):
    batch = tasks.Batch(jnp.asarray(inputs), jnp.tile(
        jax.nn.one_hot(labels, objects), (objects, 1, 1)),
        jnp.zeros((objects, 256)).at[-1].set(1))
    return task.metrics(task.oracle(batch), batch)["accuracy"].mean()

  assert accuracy(ours) == 1
  assert accuracy(same_way) < 0.5  # It matters.
