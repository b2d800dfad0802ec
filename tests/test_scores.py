"""Losses and metrics of bits, classes and numbers, against NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from task_helpers import FEW, first_one, loss_and_metrics, sample, small

import tasks
from tasks import scores

pytestmark = pytest.mark.usefixtures("strict_promotion")

SINGLE_CLASS = ("learning_to_execute", "nth_farthest")


@pytest.fixture(params=["associative_recall", "copy", "priority_sort"])
def bits(request):
  task = small(request.param)
  return task, sample(task, 18, FEW)


@pytest.fixture(params=SINGLE_CLASS)
def classes(request):
  task = small(request.param)
  batch = sample(task, 18, FEW)
  assert len(set(batch.mask.argmax(0))) > 1  # Their lengths differ.
  return task, batch


def test_metrics_count_the_wrong_bits(bits):
  task, batch = bits
  outputs = oracles.solve(task, batch).copy()
  # In each episode, two bits of the first answer are wrong.
  outputs[first_one(batch.mask), np.arange(FEW), :2] *= -1
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  total = batch.mask.sum(0) * task.output_size
  np.testing.assert_array_equal(metrics["bits_wrong"], 2)
  np.testing.assert_allclose(metrics["bit_accuracy"], 1 - 2 / total, rtol=1e-6)
  np.testing.assert_array_equal(metrics["sequence_accuracy"], 0)


def test_loss_is_the_mean_cross_entropy_of_the_bits(bits):
  task, batch = bits
  logits = np.random.default_rng(1).normal(size=batch.targets.shape)
  right = 1 / (1 + np.exp(-logits * (2 * batch.targets - 1)))
  expected = [-np.log(right[batch.mask[:, i] == 1, i]).mean()
              for i in range(FEW)]
  loss, _ = loss_and_metrics(task.score, logits.astype(np.float32), batch)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  loss, _ = loss_and_metrics(task.score, np.zeros_like(batch.targets), batch)
  np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)


@pytest.mark.parametrize("name", ["nth_farthest", "omniglot"])
def test_loss_is_the_mean_cross_entropy_of_the_classes(name):
  task = small(name)
  batch = sample(task, 18, FEW)
  assert len(set(batch.mask.argmax(0)) | set(batch.mask.sum(0))) > 1
  logits = np.random.default_rng(0).normal(size=batch.targets.shape)
  share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
  nats = -np.log((share * batch.targets).sum(2), where=batch.mask > 0,
                 out=np.zeros_like(batch.mask, np.float64))
  loss, _ = loss_and_metrics(task.score, logits.astype(np.float32), batch)
  np.testing.assert_allclose(loss, nats.sum(0) / batch.mask.sum(0), rtol=1e-5)
  loss, _ = loss_and_metrics(task.score, np.zeros_like(batch.targets), batch)
  np.testing.assert_allclose(loss, np.log(task.output_size), rtol=1e-5)


def test_one_wrong_class_is_counted(classes):
  task, batch = classes
  right = oracles.solve(task, batch)
  last = batch.mask.shape[0] - 1 - batch.mask[::-1].argmax(0)
  episode = np.arange(FEW)
  outputs = right.copy()
  # At the last step, the right class has only the second largest output.
  answer = batch.targets[last, episode].argmax(1)
  outputs[last, episode, (answer + 1) % task.output_size] = right.max() + 1
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  np.testing.assert_allclose(
      metrics["accuracy"], 1 - 1 / batch.mask.sum(0), rtol=1e-6)
  if "sequence_accuracy" in metrics:
    assert not metrics["sequence_accuracy"].any()
    # Outputs at steps with mask = 0 do not count.
    outside = right + 100 * (1 - batch.mask[:, :, None]) * np.eye(
        task.output_size, dtype=np.float32)[3]
    assert (outside != right).any()
    _, metrics = loss_and_metrics(task.score, outside, batch)
    assert metrics["sequence_accuracy"].all()


def test_errors_of_classes():
  batch = tasks.Batch(np.zeros((3, 2, 1)), np.eye(2)[[[0, 1], [1, 1], [0, 0]]],
                      np.array([[1, 0], [1, 1], [1, 0]], np.float32))
  metrics = scores.ClassErrors().metrics(
      jnp.eye(2)[jnp.array([[1, 0], [1, 1], [0, 1]])], batch)
  np.testing.assert_allclose(metrics["error"], [1 / 3, 0], rtol=1e-6)
  np.testing.assert_allclose(metrics["accuracy"], [2 / 3, 1], rtol=1e-6)


def test_an_episode_that_asks_for_nothing_scores_nothing():
  values, mask = jnp.ones((3, 2)), jnp.array([[0., 1], [0, 1], [0, 0]])
  np.testing.assert_array_equal(scores.mean_over_steps(values, mask), [0, 1])


def test_losses_and_metrics_of_a_regression():
  rng = np.random.default_rng(0)
  outputs, targets = rng.normal(size=(2, 7, 5, 3)).astype(np.float32)
  mask = (rng.uniform(size=(7, 5)) < 0.6).astype(np.float32)
  mask[:, 3] = 0  # An episode without answers.
  assert mask.sum() > 5
  batch = tasks.Batch(targets, targets, mask)
  errors = [(outputs - targets)[mask[:, i] == 1, i] for i in range(5)]
  outputs[mask == 0] = np.inf  # Steps without answers.
  score = tasks.Regression()
  loss, metrics = loss_and_metrics(score, outputs, batch)
  for i in range(5):
    mse, mae = (np.square(errors[i]).mean(), np.abs(errors[i]).mean()
                ) if i != 3 else (0, 0)
    np.testing.assert_allclose(metrics["mse"][i], mse, rtol=1e-6)
    np.testing.assert_allclose(metrics["mae"][i], mae, rtol=1e-6)
  np.testing.assert_array_equal(loss, metrics["mse"])
  gradients = jax.grad(lambda x: score.loss(x, batch).sum())(outputs)
  np.testing.assert_array_equal(gradients[mask == 0], 0)
  assert np.isfinite(gradients).all()


def test_scores_are_values():
  assert tasks.Regression(main_metric="mae") == tasks.Regression("mae")
  assert tasks.Regression() != tasks.Regression("mae")
  assert len({tasks.Bits(), tasks.Bits(), tasks.Classes()}) == 2
  with pytest.raises(dataclasses.FrozenInstanceError):
    tasks.Bits().main_metric = "loss"
  assert tasks.Bits().with_ratios({"loss": 2., "bits_wrong": 3.}) == {
      "loss": 2., "bits_wrong": 3.}
