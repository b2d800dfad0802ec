"""The trainer: devices, chunks, donation, and that every core learns."""

import functools
import math

import jax
import launch_helpers
import numpy as np
import optax
import pytest
from core_cases import has_state
from learning_helpers import (
  COPY,
  COPY_OF_LENGTHS,
  LSTM,
  SAM,
  make_trainer,
  start,
)

import tasks
from launch.learning import evaluators
from launch.learning.learner import RunState
from launch.learning.penalties import Discrete
from rmc_nalu_sam import CORES

pytestmark = pytest.mark.usefixtures("strict_ranks")

close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


@functools.cache
def of_one_device(core):
  """Returns a small trainer, and its initial state on the host."""
  trainer = make_trainer(core, launch_helpers.small_core(core), devices=1,
                         batch_size=16, optimizer=optax.adam(.02))
  return trainer, trainer.initial_state()


def evaluate(trainer, state, **kwargs):
  return trainer.evaluate(state.train.params, None, **kwargs)


# SGD without clipping is sensitive to the gradient's size (a sum instead of a
# mean). Adam is sensitive to errors in its state.
@pytest.mark.parametrize("kwargs", [
    dict(optimizer=optax.sgd(.5), max_grad_norm=1e9),
    dict(optimizer=optax.adam(.01)),
    pytest.param(dict(core="sam", core_args=SAM, optimizer=optax.sgd(.5),
                      max_grad_norm=1e9), marks=pytest.mark.slow),
    dict(core="sam", core_args=SAM | dict(bypass_dropout=.5),
         optimizer=optax.sgd(.5), max_grad_norm=1e9),
    dict(unit="nau", penalty=Discrete(input_weight=100.),
         optimizer=optax.sgd(.5), max_grad_norm=1e9),
], ids=["lstm-sgd", "lstm-adam", "sam-sgd", "dropout", "input_penalty"])
def test_number_of_devices_does_not_matter(kwargs):
  results = {}
  for number in (1, 4):
    trainer, state = start(task=COPY_OF_LENGTHS, devices=number, **kwargs)
    initial = trainer.initial_state().train.params
    for leaf in jax.tree.leaves(state):
      assert len(leaf.sharding.device_set) == number
    metrics = []
    for _ in range(3):
      state, last = trainer.train(state, None, 1)
      metrics.append(last)
    params = trainer.get(state).train.params
    for leaf in jax.tree.leaves(state):
      assert len(leaf.addressable_shards) == number
      for shard in leaf.addressable_shards:  # All devices agree.
        np.testing.assert_array_equal(
            shard.data, leaf.addressable_shards[0].data)
    results[number] = [*metrics, params,
                       evaluate(trainer, state, num_episodes=24)]
    # The parameters moved by more than the tolerance.
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), params, initial)
    assert max(jax.tree.leaves(moved)) > 0.01
  assert results[1][0]["loss"] != results[1][1]["loss"]
  jax.tree.map(close, results[1], results[4])


def test_in_chunks_equals_in_one_go():
  trainer, state = start(optimizer=optax.adam(.01))
  state, whole = trainer.train(state, None, 6)
  _, other = start(optimizer=optax.adam(.01))
  parts = []
  for chunk in (2, 4):
    other, metrics = trainer.train(other, None, chunk)
    parts.append((chunk, metrics))
  assert trainer.get(state).train.step == 6
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5,
                                 atol=1e-7),
               trainer.get(state), trainer.get(other))
  # The metrics are means over the updates.
  assert set(whole) == {"loss", "grad_norm", "bits_wrong", "bit_accuracy",
                        "sequence_accuracy"}
  assert {(x.shape, x.dtype) for x in whole.values()} == {
      ((1,), np.dtype(np.float64))}
  assert parts[0][1]["loss"] != parts[1][1]["loss"]
  for name, value in whole.items():
    mean = sum(chunk * metrics[name] for chunk, metrics in parts) / 6
    assert value == pytest.approx(mean, rel=1e-5)


def test_state_is_donated_and_keeps_its_spec():
  trainer, state = start()
  spec = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
  old, before = jax.tree.leaves(state), spec(state)
  assert len(old) > 3
  assert not any(leaf.is_deleted() for leaf in old)
  state, _ = trainer.train(state, None, 2)
  assert all(leaf.is_deleted() for leaf in old)
  assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
  assert spec(state) == before


def test_compiles_once(monkeypatch):
  traces = []
  score = type(COPY.score)
  loss = score.loss

  def traced(*args):
    traces.append(1)
    return loss(*args)

  monkeypatch.setattr(score, "loss", traced)
  trainer, state = start()
  for _ in range(2):
    state, _ = trainer.train(state, None, 2)
    evaluate(trainer, state)
    first = len(traces) if "first" not in locals() else first  # noqa: F821
  assert len(traces) == first >= 2


# A core without a state cannot copy. The outputs of 'controlled_nalu' are
# numbers, not logits.
@pytest.mark.parametrize("core", [
    pytest.param(core, marks=[pytest.mark.slow] * (core in (
        "conv_lstm", "sdnc"))) for core in CORES
    if has_state(core) and core != "controlled_nalu"])
def test_a_short_run_lowers_the_loss(core):
  trainer, state = of_one_device(core)
  state = trainer.put(state)
  # Chunks of 5 updates need one compiled program. Metrics are means of a chunk.
  means = []
  for _ in range(60):
    state, metrics = trainer.train(state, None, 5)
    means.append(metrics)
  # The initial loss is that of guessing.
  assert means[0]["loss"] == pytest.approx(math.log(2), rel=0.2)
  assert means[-1]["loss"] < 0.75 * means[0]["loss"]
  assert means[-1]["bits_wrong"] < means[0]["bits_wrong"]


def test_every_update_and_seed_has_its_own_episodes():
  losses = []
  for seed in (3, 4):
    # The learning rate is 0, so only the episodes differ.
    trainer, state = start(seed=seed, optimizer=optax.sgd(0.))
    initial = trainer.get(state)
    for _ in range(3):
      state, metrics = trainer.train(state, None, 1)
      losses.append(float(metrics["loss"][0]))
    jax.tree.map(np.testing.assert_array_equal, initial.train.params,
                 trainer.get(state).train.params)
  assert len(set(losses)) == 6


def test_evaluation_is_fixed():
  trainer, state = start()
  found = [evaluate(trainer, state, num_episodes=number)
           for number in (16, 9, 16)]  # Batches of 8.
  assert found[0] == found[2]
  assert len({float(metrics["loss"][0]) for metrics in found}) == 2
  assert set(found[0]) == {"loss", "bits_wrong", "bit_accuracy",
                           "sequence_accuracy"}
  state, _ = trainer.train(state, None, 2)
  assert evaluate(trainer, state, num_episodes=16) != found[0]


def of_each_episode(trainer, params, task, num_episodes):
  """Returns the metrics of the first episodes of an evaluation, `[E]`.

  They are those of whole batches of training.
  """
  found = []
  for number in range(-(-num_episodes // trainer.learner.batch_size)):
    batch = task.sample(jax.random.fold_in(trainer.keys().evaluate, number),
                        trainer.learner.batch_size)
    outputs = trainer.model.unroll(
        params, None, batch.inputs,
        trainer.model.initial_state(params, batch.mask.shape[1])).outputs
    found.append(task.score.metrics(outputs, batch) | {
        "loss": task.score.loss(outputs, batch)})
  return jax.tree.map(lambda *x: np.concatenate(x)[:num_episodes], *found)


@pytest.mark.parametrize("num_devices, generator", [
    (1, "threefry"), (3, "rbg"), (4, "threefry"), *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in ((1, "rbg"), (3, "threefry"), (4, "rbg")))])
def test_evaluation_depends_on_neither_batch_nor_devices(
    generator, num_devices):
  """The float32 sums are in another order, so the last bits may differ."""
  # 8 is the batch of training, 5 and 7 begin within one, and 64 is of several.
  # 19 episodes fill none of these.
  task = tasks.Copy(num_bits=7, max_length=5)
  trainer, state = start(task=task, devices=num_devices, generator=generator)
  params = trainer.get_params(state.train.params)
  expected = of_each_episode(trainer, params, task, 19)
  assert np.unique(expected["loss"]).size == 19
  for batch_size in (None, 5, 64) if num_devices == 1 else (None, 7):
    metrics = evaluate(trainer, state, num_episodes=19, batch_size=batch_size)
    assert set(metrics) == set(expected)
    for name, values in expected.items():
      assert metrics[name] == pytest.approx(
          np.mean(values, dtype=np.float64), rel=2e-6)


@pytest.mark.parametrize("numbers", [
    dict(num_episodes=0), dict(batch_size=0), dict(num_episodes=-3)])
def test_empty_evaluations_are_refused(numbers):
  trainer, state = start()
  with pytest.raises(ValueError, match="must be at least 1, got"):
    evaluate(trainer, state, **numbers)


def test_evaluations_of_a_training_are_of_whole_batches():
  """Their `input_penalty` is that of a batch of training."""
  trainer, state = start(unit="nau", penalty=Discrete(input_weight=1.))
  found = [evaluators.evaluate_all(trainer, state.train.params, None, COPY, n)
           for n in (16, 9)]
  assert found[0] == found[1] == evaluate(trainer, state, num_episodes=16)
  assert found[0]["input_penalty"] > 0
  assert "input_penalty" not in evaluate(trainer, state, num_episodes=9)


@pytest.mark.parametrize("number", [1, 3])
def test_countable_episodes_are_evaluated_once_each(number):
  task = tasks.LanguageNumbers(split="validation", split_seed=3)
  assert task.num_examples == 200
  trainer, state = start(task=tasks.LanguageNumbers(split_seed=3),
                         batch_size=12, devices=number)
  params = trainer.get(state).train.params
  batch = jax.vmap(task.example, out_axes=1)(np.arange(200))
  outputs = jax.jit(trainer.model.unroll)(
      params, None, batch.inputs,
      trainer.model.initial_state(params, 200)).outputs
  expected = task.score.metrics(outputs, batch) | {
      "loss": task.score.loss(outputs, batch)}
  for batch_size in (12, 7):  # The last batch is not full.
    assert task.num_examples % batch_size
    metrics = evaluate(trainer, state, task=task, num_episodes=1,
                       batch_size=batch_size)
    assert set(metrics) == {*expected, "solved"}
    for name, values in expected.items():
      assert np.unique(values).size > 100
      assert metrics[name] == pytest.approx(np.asarray(values).mean(), rel=1e-5)


def test_evaluation_of_another_level():
  trainer, state = start()
  # The model is untrained, so half of the bits are wrong at each level.
  for level in (2, 5):
    metrics = evaluate(trainer, state, task=COPY.at_level(level),
                       num_episodes=200)
    bits = level * COPY.num_bits
    assert metrics["bits_wrong"] == pytest.approx(bits / 2, rel=0.2)
    assert metrics["bits_wrong"] == pytest.approx(
        bits * (1 - metrics["bit_accuracy"]), rel=1e-5)


# The states of all cores are tested in test_model.py.
@pytest.mark.parametrize("core", [
    pytest.param(core, marks=[pytest.mark.slow] * (core not in (
        "lstm", "ntm", "rmc", "sam", "stack"))) for core in CORES])
def test_trace_shows_every_step_of_one_episode(core):
  trainer, state = of_one_device(core)
  params = state.train.params
  batch, outputs, states = evaluators.trace(trainer, params, None, COPY)
  steps = batch.inputs.shape[0]
  assert steps == 6
  assert batch.inputs.shape[1] == outputs.shape[1] == 1
  assert outputs.shape == batch.targets.shape
  assert {x.shape[:2] for x in jax.tree.leaves(states)} == (
      {(steps, 1)} if has_state(core) else set())
  # The last state is that of the whole unroll.
  whole = jax.jit(trainer.model.unroll)(
      params, None, batch.inputs, trainer.model.initial_state(params, 1))
  close(outputs, whole.outputs)
  jax.tree.map(lambda x, y: close(x[-1], y), states, whole.state)


def test_initial_state_is_on_the_host():
  state = make_trainer().initial_state()
  assert isinstance(state, RunState)
  assert state.train.step == 0
  assert state.source == ()
  assert {type(x) for x in jax.tree.leaves(state)} == {np.ndarray}


@pytest.mark.parametrize("kwargs", [
    {}, dict(num_seeds=4), dict(core="sam", core_args=SAM | dict(
        index="lsh"), reuse_memory=True)])
def test_empty_state_has_the_spec_of_the_initial_one(kwargs):
  trainer = make_trainer(**kwargs)
  empty, initial = trainer.empty_state(), trainer.initial_state()
  spec = lambda tree: jax.tree.map(lambda x: (np.shape(x), x.dtype), tree)  # noqa: E731
  assert spec(empty) == spec(initial)
  assert not any(np.any(x) for x in jax.tree.leaves(empty.train))
  assert bool(jax.tree.leaves(empty.source)) == ("reuse_memory" in kwargs)


def test_batches_of_updates_must_divide_over_devices():
  trainer, state = start(batch_size=6, core_args=LSTM)
  assert evaluate(trainer, state, num_episodes=6)["loss"] > 0
  with pytest.raises(ValueError, match="batch_size=6 does not divide over 4"):
    trainer.train(state, None, 1)
