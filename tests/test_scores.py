"""The loss of tasks answered in classes, and what they count as wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks import classification

CASES = {
    "learning_to_execute": dict(operation="double", max_length=3),
    "nth_farthest": dict(num_objects=5, num_dims=2, min_objects=2),
}
EPISODES = 31


@pytest.fixture(params=sorted(CASES), scope="module")
def drawn(request):
  task = tasks.make_task(request.param, **CASES[request.param])
  batch = jax.jit(lambda key: task.sample(key, EPISODES))(jax.random.key(0))
  batch = jax.tree.map(np.asarray, batch)
  assert len(set(batch.mask.argmax(0))) > 1  # Their lengths differ.
  return task, batch


@pytest.mark.parametrize("drawn", ["nth_farthest"], indirect=True)
def test_loss_is_the_mean_cross_entropy_of_the_classes_asked_for(drawn):
  task, batch = drawn
  np.testing.assert_allclose(
      task.loss(jnp.zeros_like(batch.targets), batch),
      np.log(task.output_size), rtol=1e-6)
  logits = np.random.default_rng(0).normal(size=batch.targets.shape)
  share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
  nats = -np.log((share * batch.targets).sum(2), where=batch.mask > 0,
                 out=np.zeros_like(batch.mask, np.float64))
  expected = nats.sum(0) / batch.mask.sum(0)
  np.testing.assert_allclose(
      task.loss(logits.astype(np.float32), batch), expected, rtol=1e-5)


def test_one_wrong_class_is_counted(drawn):
  task, batch = drawn
  right = np.asarray(task.oracle(batch))
  last = batch.mask.shape[0] - 1 - batch.mask[::-1].argmax(0)
  episode = np.arange(EPISODES)
  outputs = right.copy()
  # The right class is only the second.
  answer = batch.targets[last, episode].argmax(1)
  outputs[last, episode, (answer + 1) % task.output_size] = right.max() + 1
  metrics = task.metrics(outputs, batch)
  np.testing.assert_allclose(
      metrics["accuracy"], 1 - 1 / batch.mask.sum(0), rtol=1e-6)
  if "sequence_accuracy" in metrics:
    assert not metrics["sequence_accuracy"].any()
    # Nothing is wrong where nothing is asked.
    outside = right + 100 * (1 - batch.mask[:, :, None]) * np.eye(
        task.output_size)[3]
    assert (outside != right).any()
    assert task.metrics(outside, batch)["sequence_accuracy"].all()


def test_an_episode_that_asks_for_nothing_scores_nothing():
  values, mask = jnp.ones((3, 2)), jnp.array([[0., 1], [0, 1], [0, 0]])
  np.testing.assert_array_equal(
      classification.mean_over_steps(values, mask), [0, 1])


def test_logits_of_a_sure_solver():
  logits = classification.classes_to_logits(jnp.array([2, -1]), 3)
  np.testing.assert_array_equal(logits, [[0, 0, 20], [0, 0, 0]])
