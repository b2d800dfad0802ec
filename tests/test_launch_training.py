"""The trainer: devices, chunks, donation, and that it learns."""

import functools
import math

import jax
import launch_helpers
import numpy as np
import pytest
from launch_helpers import make_trainer, tiny_config

import rmc_nalu_sam
import tasks
from launch import devices, training

CORES = sorted(rmc_nalu_sam.CORES)


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  with launch_helpers.fast_compilation():
    yield


def start(config):
  trainer = make_trainer(config)
  return trainer, devices.replicate(trainer.initial_state())


# SGD without clipping sees the gradient's size (a sum instead of a mean), Adam
# sees what becomes of its state.
@pytest.mark.parametrize("core, fields", [
    ("lstm", dict(optimizer="sgd", learning_rate=0.5, max_grad_norm=1e9)),
    ("lstm", dict(optimizer="adam", learning_rate=0.01)),
    ("sam", dict(optimizer="sgd", learning_rate=0.5, max_grad_norm=1e9)),
    ("lstm", dict(unit="nau", input_penalty_weight=100., optimizer="sgd",
                  learning_rate=0.5, max_grad_norm=1e9)),
], ids=["lstm-sgd", "lstm-adam", "sam-sgd", "input_penalty"])
def test_number_of_devices_does_not_matter(use_devices, core, fields):
  # Lengths differ, so that devices have shares of different losses.
  config = tiny_config(core, task_args=dict(num_bits=3, max_length=3), **fields)
  results = {}
  for number in (1, 4):
    use_devices(number)
    trainer, state = start(config)
    initial = jax.tree.map(np.asarray, trainer.initial_state().params)
    for leaf in jax.tree.leaves(state):
      assert len(leaf.sharding.device_set) == number
    state, first = trainer.train(state, None, 1)
    state, then = trainer.train(state, None, 1)
    state, last = trainer.train(state, None, 1)
    params = devices.first_replica(state.params)
    for leaf in jax.tree.leaves(state):
      assert len(leaf.addressable_shards) == number
      for shard in leaf.addressable_shards:  # All devices agree.
        np.testing.assert_array_equal(
            shard.data, leaf.addressable_shards[0].data)
    results[number] = [first, then, last, params,
                       trainer.evaluate(state.params, None)]
    # More than the tolerance below has happened.
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), params, initial)
    assert max(jax.tree.leaves(moved)) > 0.01
  assert results[1][0]["loss"] != results[1][1]["loss"]
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4,
                                 atol=1e-5), results[1], results[4])


def test_in_chunks_equals_in_one_go():
  config = tiny_config(optimizer="adam", learning_rate=0.01)
  trainer, state = start(config)
  state, whole = trainer.train(state, None, 6)
  _, other = start(config)
  parts = []
  for chunk in (2, 4):
    other, metrics = trainer.train(other, None, chunk)
    parts.append((chunk, metrics))
  assert devices.first_replica(state.step) == 6
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5,
                                 atol=1e-7),
               devices.first_replica(state), devices.first_replica(other))
  # The metrics are means over the updates.
  assert set(whole) == {"loss", "grad_norm", "bits_wrong", "bit_accuracy",
                        "sequence_accuracy"}
  assert parts[0][1]["loss"] != parts[1][1]["loss"]
  for name, value in whole.items():
    mean = sum(chunk * metrics[name] for chunk, metrics in parts) / 6
    assert value == pytest.approx(mean, rel=1e-5)


def test_state_is_donated():
  trainer, state = start(tiny_config())
  old = jax.tree.leaves(state)
  assert len(old) > 3
  assert not any(leaf.is_deleted() for leaf in old)
  state, _ = trainer.train(state, None, 2)
  assert all(leaf.is_deleted() for leaf in old)
  assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_state_keeps_its_dtypes_and_shapes():
  trainer, state = start(tiny_config())
  spec = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
  before = spec(state)
  state, _ = trainer.train(state, None, 2)
  assert spec(state) == before


def test_compiles_once(monkeypatch):
  traces = []
  loss = tasks.TASKS["copy"].loss

  def traced(*args):
    traces.append(1)
    return loss(*args)

  monkeypatch.setattr(tasks.TASKS["copy"], "loss", traced)
  trainer, state = start(tiny_config())
  state, _ = trainer.train(state, None, 2)
  trainer.evaluate(state.params, None)
  first = len(traces)
  assert first >= 2
  state, _ = trainer.train(state, None, 2)
  trainer.evaluate(state.params, None)
  assert len(traces) == first


# Without a memory there is no copy, and numbers are no logits.
@pytest.mark.parametrize(
    "core", sorted({*CORES} - {"controlled_nalu", "stack"}))
def test_a_short_run_lowers_the_loss(core):
  config = tiny_config(core, learning_rate=0.02, batch_size=16)
  trainer, state = start(config)
  before = trainer.evaluate(state.params, None)
  # Nothing is known at the start.
  assert before["loss"] == pytest.approx(math.log(2), rel=0.1)
  for _ in range(3):
    state, metrics = trainer.train(state, None, 100)
  after = trainer.evaluate(state.params, None)
  assert after["loss"] < 0.7 * before["loss"]
  assert after["bits_wrong"] < before["bits_wrong"]
  assert metrics["loss"] < 0.7 * before["loss"]


def test_a_short_run_teaches_registers_to_add():
  config = tiny_config(
      "controlled_nalu", dict(hidden_size=11, num_registers=3, num_values=1),
      dict(max_value=9), task="program_evaluation", learning_rate=0.02,
      batch_size=16)
  trainer, state = start(config)
  before = trainer.evaluate(state.params, None)
  for _ in range(3):
    state, _ = trainer.train(state, None, 100)
  assert trainer.evaluate(state.params, None)["mae"] < 0.3 * before["mae"]


def test_seed_decides_parameters_and_episodes():
  def losses(seed):
    trainer, state = start(tiny_config(seed=seed))
    params = devices.first_replica(state.params)
    evaluation = trainer.evaluate(state.params, None)
    _, metrics = trainer.train(state, None, 2)
    return params, evaluation["loss"], metrics["loss"]

  first, again, other = losses(3), losses(3), losses(5)
  launch_helpers.assert_same(first, again)
  assert launch_helpers.differ(first[0], other[0])
  assert first[1] != other[1]
  assert first[2] != other[2]


def test_every_update_sees_new_episodes():
  # Updates of no size, so that losses differ by their episodes alone.
  config = tiny_config(optimizer="sgd", learning_rate=1e-30)
  trainer, state = start(config)
  before = devices.first_replica(state.params)
  losses = []
  for _ in range(5):
    state, metrics = trainer.train(state, None, 1)
    losses.append(metrics["loss"])
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-20),
               before, devices.first_replica(state.params))
  assert len(set(losses)) == 5


def test_evaluation_is_fixed_and_of_whole_batches():
  config = tiny_config(eval_episodes=16)
  trainer, state = start(config)
  evaluate = functools.partial(trainer.evaluate, state.params, None)
  default = evaluate()
  assert default == evaluate()
  assert default == evaluate(num_episodes=9)  # Batches of 8.
  assert default == evaluate(num_episodes=16)
  assert default["loss"] != evaluate(num_episodes=8)["loss"]
  assert set(default) == {"loss", "bits_wrong", "bit_accuracy",
                          "sequence_accuracy"}
  state, _ = trainer.train(state, None, 2)
  assert trainer.evaluate(state.params, None) != default


@pytest.mark.parametrize("number", [1, 4])
def test_episodes_that_can_be_counted_are_evaluated_once_each(
    use_devices, number):
  use_devices(number)
  config = tiny_config(task="language_numbers", task_args={"split_seed": 3})
  task = tasks.make_task("language_numbers", split="validation", split_seed=3)
  config.batch_size = 12
  assert task.num_examples % 12  # The last batch is not full.
  trainer, state = start(config)
  params = devices.first_replica(state.params)
  batch = jax.vmap(task.example, out_axes=1)(np.arange(200))
  outputs, _ = jax.jit(trainer.model.unroll)(
      params, batch.inputs, trainer.model.initial_state(params, 200))
  expected = task.metrics(outputs, batch) | {"loss": task.loss(outputs, batch)}
  metrics = trainer.evaluate(state.params, None, task, num_episodes=1)
  assert set(metrics) == {*expected, "solved"}
  for name, values in expected.items():
    assert np.unique(values).size > 100
    assert metrics[name] == pytest.approx(
        np.asarray(values).mean(), rel=1e-5)


def test_evaluation_of_another_level():
  config = tiny_config()
  trainer, state = start(config)
  task = tasks.make_task("copy", **config.task_args)
  # Untrained, so that half the bits are wrong, of each level's number.
  for level in (2, 5):
    metrics = trainer.evaluate(state.params, None, task.at_level(level), 200)
    bits = level * task.num_bits
    assert metrics["bits_wrong"] == pytest.approx(bits / 2, rel=0.2)
    assert metrics["bits_wrong"] == pytest.approx(
        bits * (1 - metrics["bit_accuracy"]), rel=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_trace_shows_every_step_of_one_episode(core):
  config = tiny_config(core)
  trainer = make_trainer(config)
  params = trainer.initial_state().params
  batch, outputs, states = trainer.trace(params, None)
  steps = batch.inputs.shape[0]
  assert steps == 6
  assert batch.inputs.shape[1] == outputs.shape[1] == 1
  assert outputs.shape == batch.targets.shape
  assert {x.shape[:2] for x in jax.tree.leaves(states)} == (
      set() if core == "stack" else {(steps, 1)})
  # The last of the states is that of the whole unroll.
  whole, state = trainer.model.unroll(
      params, batch.inputs, trainer.model.initial_state(params, 1))
  np.testing.assert_allclose(outputs, whole, rtol=1e-4, atol=1e-5)
  jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x[-1], y, rtol=1e-4, atol=1e-5),
      states, state)


def test_replicas_go_there_and_back():
  tree = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "b": np.float32(5)}
  replicated = devices.replicate(tree)
  for leaf, original in zip(jax.tree.leaves(replicated), jax.tree.leaves(tree),
                            strict=True):
    assert leaf.shape == (4, *np.shape(original))
    assert len(leaf.addressable_shards) == 4
    for shard in leaf.addressable_shards:
      np.testing.assert_array_equal(shard.data[0], original)
  launch_helpers.assert_same(devices.first_replica(replicated), tree)
  assert devices.replicate(None) is None


def test_initial_state_is_on_the_host():
  state = make_trainer(tiny_config()).initial_state()
  assert isinstance(state, training.TrainState)
  assert state.step == 0
  assert {type(x) for x in jax.tree.leaves(state)} == {np.ndarray}
