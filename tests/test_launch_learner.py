"""Updates of one seed: penalties, constraints, clipping, the generator."""

import jax
import jax.numpy as jnp
import launch_helpers
import numpy as np
import pytest
from launch_helpers import make_trainer, tiny_config

from launch import devices, optimisers

ARITHMETIC = dict(operation="mul", input_size=12)


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  with launch_helpers.fast_compilation():
    yield


def nmu_config(**fields):
  return tiny_config("stack", dict(hidden_size=2, hidden_unit="nau"),
                     ARITHMETIC, task="arithmetic", unit="nmu", **fields)


def run(config, *updates):
  """Metrics of chunks of so many updates, and the parameters after them."""
  trainer = make_trainer(config)
  state = trainer.put(trainer.initial_state())
  metrics = []
  for number in updates:
    state, means = trainer.train(state, None, number)
    metrics.append(means)
  return metrics, devices.first_replica(state.params), trainer


def test_weight_of_the_penalty_grows():
  config = nmu_config(penalty_weight=10., penalty_start=1, penalty_end=5)
  metrics, _, _ = run(config, 1, 1, 1, 1, 1, 1, 1)
  assert [m["penalty_weight"] for m in metrics] == pytest.approx(
      [0, 0, 2.5, 5, 7.5, 10, 10])
  assert all(0 < m["penalty"] <= 1 for m in metrics)
  at_once = nmu_config(penalty_weight=10., penalty_start=1, penalty_end=1)
  assert [m["penalty_weight"] for m in run(at_once, 1, 1, 1)[0]] == [0, 10, 10]
  assert "penalty" not in run(nmu_config(), 1)[0][0]


def test_loss_is_without_the_penalty_and_gradients_are_with_it():
  plain, params, _ = run(nmu_config(), 1)
  metrics, other, trainer = run(nmu_config(penalty_weight=1e9), 1)
  assert metrics[0]["loss"] == plain[0]["loss"]
  assert metrics[0]["grad_norm"] > 2 * plain[0]["grad_norm"]
  assert launch_helpers.differ(params, other)
  start = trainer.initial_state().params
  assert metrics[0]["penalty"] == pytest.approx(
      float(trainer.model.penalty(start)), rel=1e-5)


def test_input_penalty_moves_what_comes_before_the_unit():
  def config(weight):
    return tiny_config(unit="nau", input_penalty_weight=weight,
                       optimizer="sgd", learning_rate=1e-6)

  _, plain, _ = run(config(0.), 1)
  metrics, other, trainer = run(config(1e6), 1)
  start = trainer.initial_state().params
  assert metrics[0]["input_penalty"] > 0
  (unit,) = trainer.model.units
  (before,) = set(start) - {unit}
  for name in (unit, before):
    assert launch_helpers.differ(plain[name], other[name]), name
  # The metric is the penalty without its weight, and so in an evaluation.
  one, two = (run(config(weight), 1)[0][0] for weight in (1., 2.))
  assert one["input_penalty"] == two["input_penalty"]
  assert one["loss"] == two["loss"] == metrics[0]["loss"]
  found = trainer.evaluate(devices.replicate(start), None)
  assert found["input_penalty"] == pytest.approx(one["input_penalty"], rel=.5)
  assert "input_penalty" not in run(config(0.), 1)[0][0]


def test_penalty_makes_weights_discrete():
  # The gradient of the error is clipped to little beside it.
  _, params, trainer = run(nmu_config(penalty_weight=1e9, learning_rate=.03),
                           40)
  before = trainer.model.sparsity_error(trainer.initial_state().params)
  assert trainer.model.sparsity_error(params) < .06 < before


def test_parameters_stay_where_they_are_allowed():
  config = nmu_config(optimizer="sgd", learning_rate=1e6)
  _, params, trainer = run(config, 1)
  ranges = {name.split("/")[-1]: (weights["w"].min(), weights["w"].max())
            for name, weights in params.items()}
  assert set(ranges) == {"nau", "nmu"}
  for name, low in (("nau", -1), ("nmu", 0)):
    assert low <= ranges[name][0] <= ranges[name][1] <= 1
    # It had to be clipped.
    assert {*ranges[name]} & {low, 1}
  assert trainer.model.units


@pytest.mark.parametrize("norm, value, expected", [
    (0., 0., [3., -4.]), (1., 0., [.6, -.8]), (0., 3.5, [3., -3.5]),
    (.5, 1., [.5 / 2**.5, -.5 / 2**.5])])
def test_clipping(norm, value, expected):
  optimizer = optimisers.make_optimizer("sgd", "constant", 1., 10, norm, value)
  params = jnp.zeros(2)
  updates, _ = optimizer.update(jnp.array([3., -4.]), optimizer.init(params))
  np.testing.assert_allclose(updates, -np.array(expected), rtol=1e-6)


def test_evaluation_says_whether_it_is_solved_and_how_sparse(monkeypatch):
  config = nmu_config()
  trainer = make_trainer(config)
  task = trainer._task
  state = trainer.put(trainer.initial_state())
  metrics = trainer.evaluate(state.params, None)
  assert metrics["solved"] == 0
  assert metrics["mse"] > task.solved_below > 0
  assert metrics["sparsity_error"] == pytest.approx(float(
      trainer.model.sparsity_error(trainer.initial_state().params)), rel=1e-5)
  monkeypatch.setattr(type(task), "solved_below", np.inf)
  fresh = make_trainer(config)
  assert fresh.evaluate(state.params, None)["solved"] == 1
  assert "solved" not in make_trainer(tiny_config()).evaluate(
      devices.replicate(make_trainer(tiny_config()).initial_state().params),
      None)


def test_each_generator_has_its_numbers(use_devices):
  use_devices(1)
  losses = [run(nmu_config(rng=rng), 1)[0][0]["loss"]
            for rng in ("threefry", "rbg", "threefry")]
  assert losses[0] == losses[2] != losses[1]
  assert jax.local_device_count() == 1


@pytest.mark.parametrize("name, args", [
    ("nth_farthest", dict(num_objects=5, num_dims=3, min_objects=2)),
    ("learning_to_execute", dict(operation="control")),
    ("learning_to_execute", dict(operation="double"))])
def test_read_out_where_it_is_asked_for(x64, monkeypatch, name, args):
  """Metrics and gradients are those of a read-out at all steps."""
  config = tiny_config("lstm", {}, args, task=name, unit="mlp")
  config.unit_args = dict(hidden_size=11, num_layers=2)
  trainer = make_trainer(config)
  task, learner = trainer._task, trainer._learner
  batch = task.sample(jax.random.key(0), 64)
  assert batch.mask.sum(0).max() == task.num_answers
  num_steps = task.num_steps
  params = jax.tree.map(
      lambda p: jax.random.normal(jax.random.key(p.size), p.shape),
      trainer.initial_state().params)

  def score(params, batch):
    episodes, *_ = learner._score(learner.model, params, None, batch, task)
    return episodes["loss"].sum(), episodes

  results, texts = [], []
  for everywhere in (False, True):
    if everywhere:
      monkeypatch.setattr(type(task), "num_answers", num_steps)
    score_again = jax.jit(jax.value_and_grad(
        lambda *args: score(*args), has_aux=True))
    results.append(score_again(params, batch))
    texts.append(score_again.lower(params, batch).as_text())
  jax.tree.map(lambda *both: np.testing.assert_allclose(
      *both, rtol=1e-9, atol=1e-9), *results)
  # A layer of 11 at all steps.
  whole = f"tensor<{num_steps}x64x11xf64>"
  assert [whole in text for text in texts] == [False, True]


def test_ratios_are_of_means():
  """Neither in training nor in evaluation are their parts shown."""
  trainer = make_trainer(tiny_config(
      "lstm", dict(hidden_size=4), dict(max_length=2, max_nesting=1),
      task="learning_to_execute"))
  state = trainer.put(trainer.initial_state())
  evaluated = trainer.evaluate(state.params, None)
  _, trained = trainer.train(state, None, 3)
  for metrics in (evaluated, trained):
    assert not {"characters", "characters_right"} & set(metrics)
    assert 0 < metrics["character_accuracy"] < 1
