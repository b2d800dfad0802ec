"""Many seeds at once: each trains as in a run of its own."""

import functools

import jax
import launch_helpers
import numpy as np
import optax
import pytest
from learning_helpers import COPY_OF_LENGTHS, make_trainer, start

import tasks
from launch.learning import keys
from launch.learning.penalties import Discrete

SEED, NUM_SEEDS = 3, 8  # Two per device.
MULTIPLY = tasks.Arithmetic(operation="mul", input_size=12)
# The first kind has an instance per seed, a penalty, constraints, and an
# integer in Adam's state. The second has sequences of different lengths.
KINDS = {
    "arithmetic": dict(
        core="stack", core_args=dict(hidden_size=2, hidden_unit="nau"),
        task=MULTIPLY, unit="nmu", penalty=Discrete(weight=1.),
        optimizer=optax.adam(.01)),
    "copy": dict(task=COPY_OF_LENGTHS, optimizer=optax.sgd(.5),
                 max_grad_norm=0.),
}
close = functools.partial(
    jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=2e-4,
                                    atol=1e-6))


def history(**kwargs):
  """Returns metrics of two chunks and an evaluation, and the host's state."""
  trainer, state = start(**kwargs)
  state, first = trainer.train(state, None, 1)
  state, second = trainer.train(state, None, 2)
  evaluation = trainer.evaluate(state.train.params, None, num_episodes=24)
  return [first, second, evaluation], trainer.get(state)


def seed_of(tree, index):
  """Selects one seed from the values of many seeds."""
  return jax.tree.map(lambda x: x[index], tree)


@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=[pytest.mark.slow] * (kind != "copy"))
    for kind in KINDS])
def test_each_seed_is_as_in_a_run_of_its_own(kind):
  many, state = history(**KINDS[kind], seed=SEED, num_seeds=NUM_SEEDS)
  assert {len(value) for metrics in many for value in metrics.values()} == {
      NUM_SEEDS}
  for number in (0, 3, 7):  # On different devices. Run 3 has one device.
    metrics, alone = history(**KINDS[kind], seed=SEED + number,
                             devices=1 if number == 3 else None)
    close([seed_of(each, number) for each in many],
          [seed_of(each, 0) for each in metrics])
    close(seed_of(state, number), alone)
  # No two seeds have equal initial parameters or draw equal episodes.
  for metrics in many:
    assert len(set(metrics["loss"])) == NUM_SEEDS


def test_number_of_devices_does_not_matter():
  results = []
  for number in (4, 1):
    kwargs = dict(**KINDS["arithmetic"], num_seeds=4, devices=number)
    _, state = start(**kwargs)
    for leaf in jax.tree.leaves(state):
      assert len(leaf.sharding.device_set) == number
      assert leaf.shape[:2] == (number, 4 // number)
    results.append(history(**kwargs))
  close(*results)


def test_seeds_have_instances_of_their_own():
  offsets = {int(MULTIPLY.instance(keys.make_keys(seed, "threefry").instance))
             for seed in range(NUM_SEEDS)}
  assert len(offsets) > 2


def test_one_that_diverges_does_not_stop_the_others():
  trainer = make_trainer(**KINDS["arithmetic"], num_seeds=4)

  def histories(spoil):
    state = trainer.initial_state()
    if spoil:
      params = jax.tree.map(
          lambda x: np.where(np.arange(4).reshape(4, *[1] * (x.ndim - 1)) == 1,
                             np.nan, x), state.train.params)
      state = state._replace(train=state.train._replace(params=params))
    state, metrics = trainer.train(trainer.put(state), None, 3)
    evaluation = trainer.evaluate(state.train.params, None, num_episodes=24)
    return metrics, evaluation, trainer.get(state)._asdict()

  whole, spoilt = histories(False), histories(True)
  for index in (0, 2, 3):
    launch_helpers.assert_same(seed_of(whole, index), seed_of(spoilt, index))
  assert np.isnan(spoilt[0]["loss"][1])
  assert np.isnan(spoilt[1]["mse"][1])
  assert spoilt[1]["solved"][1] == 0
  assert np.isfinite(whole[0]["loss"]).all()
