"""Updates of one seed: penalties, constraints, clipping, the generator."""

import dataclasses

import jax
import jax.numpy as jnp
import launch_helpers
import learning_helpers
import numpy as np
import optax
import pytest
from learning_helpers import make_trainer, start

import tasks
from launch.learning import optimizers, scoring
from launch.learning.penalties import Discrete

pytestmark = pytest.mark.usefixtures("strict_ranks")

MULTIPLY = tasks.Arithmetic(operation="mul", input_size=12)


def nmu(**kwargs):
  return dict(core="stack", core_args=dict(hidden_size=2, hidden_unit="nau"),
              task=MULTIPLY, unit="nmu") | kwargs


def run(kwargs, *updates):
  """Returns metrics of chunks of `updates`, final parameters, the trainer."""
  trainer, state = start(**kwargs)
  metrics = []
  for number in updates:
    state, means = trainer.train(state, None, number)
    metrics.append({name: float(value[0]) for name, value in means.items()})
  return metrics, trainer.get(state).train.params, trainer


def test_weight_of_the_penalty_grows():
  grows = nmu(penalty=Discrete(weight=10., start=1, end=5))
  metrics, _, _ = run(grows, 1, 1, 1, 1, 1, 1, 1)
  assert [m["penalty_weight"] for m in metrics] == pytest.approx(
      [0, 0, 2.5, 5, 7.5, 10, 10])
  assert all(0 < m["penalty"] <= 1 for m in metrics)
  at_once = nmu(penalty=Discrete(weight=10., start=1, end=1))
  assert [m["penalty_weight"] for m in run(at_once, 1, 1, 1)[0]] == [0, 10, 10]
  assert "penalty" not in run(nmu(), 1)[0][0]


@pytest.mark.parametrize("arguments, match", [
    (dict(weight=-1.), "need weight >= 0 .* got weight=-1"),
    (dict(input_weight=float("nan")), "need input_weight >= 0"),
    (dict(weight=1., start=3, end=2), "start=3 and end=2"),
    (dict(start=1, end=2), "need a weight above 0")])
def test_penalties_are_checked(arguments, match):
  with pytest.raises(ValueError, match=match):
    Discrete(**arguments)


def test_loss_is_without_the_penalty_and_gradients_are_with_it():
  plain, params, _ = run(nmu(), 1)
  metrics, other, trainer = run(nmu(penalty=Discrete(weight=1e9)), 1)
  assert metrics[0]["loss"] == plain[0]["loss"]
  assert metrics[0]["grad_norm"] > 2 * plain[0]["grad_norm"]
  assert launch_helpers.differ(params, other)
  first = trainer.initial_state().train.params
  assert metrics[0]["penalty"] == pytest.approx(
      float(trainer.model.penalty(first)), rel=1e-5)


def test_input_penalty_moves_what_comes_before_the_unit():
  def arguments(weight):
    return dict(unit="nau", penalty=Discrete(input_weight=weight),
                optimizer=optax.sgd(1e-6))

  _, plain, _ = run(arguments(0.), 1)
  metrics, other, trainer = run(arguments(1e6), 1)
  first = trainer.initial_state().train.params
  assert metrics[0]["input_penalty"] > 0
  (unit,) = trainer.model.units
  (before,) = set(first) - {unit}
  for name in (unit, before):
    assert launch_helpers.differ(plain[name], other[name]), name
  # The metric is the penalty without its weight, in an evaluation too.
  one, two = (run(arguments(weight), 1)[0][0] for weight in (1., 2.))
  assert one["input_penalty"] == two["input_penalty"]
  assert one["loss"] == two["loss"] == metrics[0]["loss"]
  found = trainer.evaluate(trainer.layout.put(first), None, num_episodes=24)
  assert found["input_penalty"] == pytest.approx(one["input_penalty"], rel=.5)
  assert "input_penalty" not in run(arguments(0.), 1)[0][0]


def test_penalty_makes_weights_discrete():
  # Clipping makes the error's gradient small beside that of the penalty.
  _, params, trainer = run(
      nmu(penalty=Discrete(weight=1e9), optimizer=optax.adam(.03)), 40)
  first = trainer.initial_state().train.params
  assert trainer.model.sparsity_error(params) < .06 < (
      trainer.model.sparsity_error(first))


def test_parameters_stay_where_they_are_allowed():
  _, params, trainer = run(nmu(optimizer=optax.sgd(1e6)), 1)
  ranges = {name.split("/")[-1]: (weights["w"].min(), weights["w"].max())
            for name, weights in params.items()}
  assert set(ranges) == {"nau", "nmu"}
  for name, low in (("nau", -1), ("nmu", 0)):
    assert low <= ranges[name][0] <= ranges[name][1] <= 1
    # At least one weight was clipped.
    assert {*ranges[name]} & {low, 1}
  assert trainer.model.units


@pytest.mark.parametrize("norm, value, expected", [
    (0., 0., [3., -4.]), (1., 0., [.6, -.8]), (0., 3.5, [3., -3.5]),
    (.5, 1., [.5 / 2**.5, -.5 / 2**.5])])
def test_clipping(norm, value, expected):
  optimizer = optimizers.clipped(optimizers.sgd(1.), norm, value)
  params = jnp.zeros(2)
  updates, _ = optimizer.update(jnp.array([3., -4.]), optimizer.init(params))
  np.testing.assert_allclose(updates, -np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
def test_optimizers_follow_a_schedule(name):
  """The learning rate of update i is the schedule's value at i."""
  rates = optimizers.cosine(0.5, steps=4)
  assert [float(rates(i)) for i in (0, 4)] == [0.5, 0]
  assert optimizers.cosine(0.5, 4, final_fraction=.2)(4) == pytest.approx(.1)
  assert optimizers.constant(0.5, 4)(3) == 0.5
  stairs = optimizers.staircase(0.5, 4, every=3, factor=.2)
  np.testing.assert_allclose(
      [stairs(i) for i in (0, 2, 3, 5, 6)], [.5, .5, .1, .1, .02], rtol=1e-6)
  make = optimizers.OPTIMIZERS[name]
  gradient = jnp.array([2.])
  moved = {}
  for label, rate in (("schedule", rates), ("constant", 0.5)):
    optimizer = make(learning_rate=rate)
    state, moved[label] = optimizer.init(gradient), []
    for _ in range(3):
      updates, state = optimizer.update(gradient, state, gradient)
      moved[label].append(float(updates[0]))
  assert moved["schedule"][0] == moved["constant"][0] != 0
  assert abs(moved["schedule"][2]) < abs(moved["constant"][2])


def test_evaluation_reports_success_and_sparsity():
  trainer, state = start(**nmu())
  metrics = trainer.evaluate(state.train.params, None, num_episodes=24)
  assert metrics["solved"] == 0
  assert metrics["mse"] > MULTIPLY.solved_below > 0
  assert metrics["sparsity_error"] == pytest.approx(float(
      trainer.model.sparsity_error(trainer.initial_state().train.params)),
      rel=1e-5)
  easy = Easy(operation="mul", input_size=12)
  assert trainer.evaluate(state.train.params, None, easy)["solved"] == 1
  # A linear layer has no discrete values, though the task has a criterion.
  linear, state = start(**nmu(unit="linear", core_args=dict(hidden_size=2)))
  assert linear.model.units
  found = linear.evaluate(state.train.params, None, num_episodes=24)
  assert "solved" in found
  assert "sparsity_error" not in found
  plain, state = start()
  assert not {"solved", "sparsity_error"} & set(
      plain.evaluate(state.train.params, None))


@dataclasses.dataclass(frozen=True)
class Easy(tasks.Arithmetic):

  @property
  def solved_below(self):
    return np.inf


def test_each_generator_has_its_numbers():
  losses = [run(nmu(generator=rng, devices=1), 1)[0][0]["loss"]
            for rng in ("threefry", "rbg", "threefry")]
  assert losses[0] == losses[2] != losses[1]


@pytest.mark.parametrize("task", [
    tasks.NthFarthest(num_objects=5, num_dims=3, min_objects=2),
    tasks.LearningToExecute(operation="control"),
    tasks.LearningToExecute(operation="double")])
def test_read_outs_are_computed_where_the_mask_is_one(x64, task):
  """Metrics and gradients equal those of a read-out at all steps."""
  trainer = make_trainer(task=task, unit="mlp",
                         unit_args=dict(hidden_size=11, num_layers=2))
  batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 64)
  assert batch.mask.sum(0).max() == task.num_answers
  params = jax.jit(lambda params: jax.tree.map(
      lambda p: jax.random.normal(jax.random.key(p.size), p.shape), params))(
          trainer.initial_state().train.params)
  model, scorer = trainer.model, scoring.Scorer()
  start_state = model.initial_state(params, 64)

  def at_answers(params, batch):
    episodes, _ = scorer.score(model, params, None, start_state, batch, task)
    return episodes["loss"].sum(), episodes

  def at_all_steps(params, batch):
    outputs = model.unroll(params, None, batch.inputs, start_state).outputs
    loss = task.score.loss(outputs, batch)
    return loss.sum(), task.score.metrics(outputs, batch) | {"loss": loss}

  results, texts = [], []
  for function in (at_answers, at_all_steps):
    gradient = jax.jit(jax.value_and_grad(function, has_aux=True))
    lowered = gradient.lower(params, batch)
    results.append(lowered.compile()(params, batch))
    texts.append(lowered.as_text())
  jax.tree.map(lambda *both: np.testing.assert_allclose(
      *both, rtol=1e-9, atol=1e-9), *results)
  # The type of the read-out's layer of 11 units at all steps.
  whole = f"tensor<{task.num_steps}x64x11xf64>"
  assert [whole in text for text in texts] == [False, True]


def test_ratios_replace_their_parts():
  trainer, state = start(
      core_args=dict(hidden_size=4),
      task=tasks.LearningToExecute(max_length=2, max_nesting=1))
  evaluated = trainer.evaluate(state.train.params, None, num_episodes=24)
  _, trained = trainer.train(state, None, 3)
  for metrics in (evaluated, trained):
    assert not {"characters", "characters_right"} & set(metrics)
    assert 0 < metrics["character_accuracy"] < 1


@pytest.mark.parametrize("core, rate, arguments", [
    ("learning_helpers:Dropped", "rate", {}),
    pytest.param("sam", "bypass_dropout", learning_helpers.SAM,
                 marks=pytest.mark.slow)])
def test_a_key_reaches_the_network_in_training_alone(core, rate, arguments):
  """Dropout changes the loss of an update, but no evaluation."""
  trainer, state = start(core, arguments | {rate: .5})
  plain, plain_state = start(core, arguments | {rate: 0.})
  both = ((trainer, state), (plain, plain_state))
  first, second = (t.evaluate(s.train.params, None) for t, s in both)
  assert first["loss"] == second["loss"]
  first, second = (t.train(s, None, 1)[1] for t, s in both)
  assert first["loss"] != second["loss"]
  assert learning_helpers.Dropped
