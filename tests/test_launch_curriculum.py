"""The curriculum: its rule, its levels, and runs with it from end to end."""

import functools
import json

import jax
import jax.numpy as jnp
import launch_helpers
import numpy as np
import pytest
from launch_helpers import (
    assert_same,
    make_trainer,
    records,
    run,
    saved_state,
    saved_steps,
    tiny_config,
    tiny_flags,
)

import tasks
from launch import config as config_lib
from launch import curriculum as curriculum_lib
from launch import devices, evaluate, pictures, train
from launch.curriculum import STRETCH, Levels

# Always doubled: no loss is that high.
FIELDS = dict(curriculum="exponential", curriculum_start=1,
              curriculum_threshold=10., curriculum_patience=STRETCH,
              curriculum_max=6)


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  with launch_helpers.fast_compilation():
    yield


def make(**kwargs) -> curriculum_lib.Exponential:
  return curriculum_lib.Exponential(**(dict(
      start=3, threshold=0.5, patience=20, max_level=10) | kwargs))


# The rule.


def follow(curriculum, losses):
  """The states after each of the losses."""
  update = jax.jit(curriculum.next_state)
  state, states = curriculum.initial_state(), []
  for step, loss in enumerate(losses):
    state = update(state, jnp.int32(step), jnp.float32(loss))
    states.append(jax.tree.map(np.asarray, state))
  return states


def test_the_bound_doubles_when_the_mean_loss_is_below_the_threshold():
  windows = [[0.49] * 20,               # Below: 6.
             [0.5] * 20,                # Not below.
             [0.875] * 10 + [0.0] * 10,  # Below: 12, but for the maximum.
             [0.0] * 19 + [11.0],       # Not below, for its last update.
             [0.0] * 20]                # Below, but there is no more.
  states = follow(make(), np.concatenate(windows))
  levels = [int(state.level) for state in states]
  expected = 19 * [3] + 20 * [6] + 20 * [6] + 41 * [10]
  assert levels == expected
  # After the 35th update: 15 of the second window.
  assert states[34].loss_sum == 7.5
  assert states[39].loss_sum == 0


def test_the_state_keeps_its_dtypes_and_shapes():
  initial = make().initial_state()
  for state in (initial, *follow(make(patience=10), [0.0] * 10)):
    assert state.level.dtype == np.int32
    assert state.loss_sum.dtype == np.float32
    assert np.shape(state.level) == np.shape(state.loss_sum) == ()


def test_a_loss_that_is_not_finite_is_not_low():
  states = follow(make(patience=10), [float("nan")] + 19 * [0.0])
  assert [int(state.level) for state in states] == 19 * [3] + [6]


# The levels.


@pytest.mark.parametrize("level, rooms", [
    (3, [(0, 3)]), (6, [(0, 3), (3, 6)]), (10, [(0, 3), (3, 6), (6, 10)])])
def test_rooms_are_the_bounds_that_there_were(level, rooms):
  curriculum, stretches = make(), 3001
  drawn = [curriculum.draw_levels(5, i * STRETCH, level)
           for i in range(stretches)]
  assert set(drawn) == set(rooms)
  for below, room in rooms:
    share = (room - below) / level
    error = np.sqrt(share * (1 - share) / stretches)
    assert drawn.count((below, room)) / stretches == pytest.approx(
        share, abs=4 * error)


def test_a_stretch_has_one_room():
  draw = functools.partial(make().draw_levels, 7)
  rooms = [draw(step, 10) for step in range(50 * STRETCH)]
  for i in range(0, len(rooms), STRETCH):
    assert len(set(rooms[i:i + STRETCH])) == 1
  assert rooms == [draw(step, 10) for step in range(len(rooms))]
  other = [make().draw_levels(-7, step, 10) for step in range(len(rooms))]
  assert rooms != other


def test_every_level_is_as_likely():
  stretches = 4001
  drawn = np.array([make().draw_levels(3, i * STRETCH, 10)
                    for i in range(stretches)])
  levels = jax.vmap(curriculum_lib.draw_level)(
      jax.random.split(jax.random.key(0), stretches), Levels(*drawn.T))
  counts = np.bincount(levels, minlength=12)
  assert counts[1:11].sum() == stretches
  error = np.sqrt(stretches * 0.1 * 0.9)
  np.testing.assert_allclose(counts[1:11], stretches / 10, atol=4 * error)


# The trainer.


def start(**fields):
  config = tiny_config(task_args=dict(num_bits=3), **(FIELDS | fields))
  trainer = make_trainer(config)
  return trainer, devices.replicate(trainer.initial_state())


def test_a_minibatch_has_one_level_and_all_levels_occur(monkeypatch):
  copy = tasks.TASKS["copy"]

  def lengths(self, outputs, batch):
    length = batch.mask.sum(0)
    return {"shortest": jnp.full_like(length, length.min()),
            "longest": jnp.full_like(length, length.max()),
            "num_steps": jnp.full_like(length, batch.mask.shape[0])}

  monkeypatch.setattr(copy, "metrics", lengths)
  trainer, state = start()
  bounds, seen = [], []
  for _ in range(150):
    bounds.append(trainer.level(state))
    state, metrics = trainer.train(state, None, 1)
    assert metrics["shortest"] == metrics["longest"]  # On all devices.
    # In the least room: 1, 2, 4 or 6.
    length = metrics["longest"]
    room = next(room for room in (1, 2, 4, 6) if length <= room)
    assert metrics["num_steps"] == 2 * room + 2
    seen.append(int(length))
  assert bounds == 10 * [1] + 10 * [2] + 10 * [4] + 120 * [6]
  assert all(length <= bound for length, bound in zip(
      seen, bounds, strict=True))
  assert set(seen[:10]) == {1}
  assert set(seen[30:]) == {1, 2, 3, 4, 5, 6}


def test_compiles_once_a_room(monkeypatch):
  compiled, copy = [], tasks.TASKS["copy"]
  loss = copy.loss

  def traced(self, outputs, batch):
    compiled.append(outputs.shape[0])
    return loss(self, outputs, batch)

  monkeypatch.setattr(copy, "loss", traced)
  trainer, state = start()
  state, _ = trainer.train(state, None, 10 * STRETCH)
  once = compiled.count(4)  # The room of 1, which was not drawn only once.
  assert sorted(compiled) == sorted([4, 6, 10, 14] * once)
  state, _ = trainer.train(state, None, 10 * STRETCH)
  assert len(compiled) == 4 * once


def test_in_chunks_equals_in_one_go():
  trainer, state = start(curriculum_threshold=0.7, curriculum_patience=20)
  state, whole = trainer.train(state, None, 50)
  _, other = start(curriculum_threshold=0.7, curriculum_patience=20)
  parts = []
  for chunk in (13, 30, 7):
    other, metrics = trainer.train(other, None, chunk)
    parts.append((chunk, metrics))
  state, other = map(devices.first_replica, (state, other))
  assert state.curriculum.level == 4
  assert state.curriculum.loss_sum > 1
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4,
                                 atol=1e-6), state, other)
  for name, value in whole.items():
    mean = sum(chunk * metrics[name] for chunk, metrics in parts) / 50
    assert value == pytest.approx(mean, rel=1e-4)


def test_number_of_devices_does_not_matter(use_devices):
  results = {}
  for number in (1, 4):
    use_devices(number)
    trainer, state = start(curriculum_threshold=0.7, curriculum_patience=20,
                           optimizer="sgd", learning_rate=0.5)
    metrics = []
    for _ in range(5):
      state, means = trainer.train(state, None, STRETCH)
      metrics.append(means | {"level": trainer.level(state)})
    assert len(state.curriculum.level.sharding.device_set) == number
    for leaf in jax.tree.leaves(state.curriculum):  # All devices agree.
      for shard in leaf.addressable_shards:
        np.testing.assert_array_equal(
            shard.data, leaf.addressable_shards[0].data)
    results[number] = metrics, devices.first_replica(state)
  assert [means["level"] for means in results[1][0]] == [1, 2, 2, 4, 4]
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4,
                                 atol=1e-5), results[1], results[4])


def test_without_a_curriculum_there_is_no_level():
  trainer = make_trainer(tiny_config())
  state = trainer.initial_state()
  assert state.curriculum == ()
  assert trainer.level(devices.replicate(state)) is None


# Runs.

FLAGS = [*tiny_flags(**FIELDS, learning_rate=0.01), "--log_every=10",
         "--eval_every=30"]


def levels_of(workdir):
  return [record.get("level") for record in records(workdir, "train")]


@pytest.fixture
def no_pictures(monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)


@pytest.fixture(scope="module")
def reference(fast_compilation, tmp_path_factory):
  """The workdir of a run of 60 updates, and what it said."""
  workdir = tmp_path_factory.mktemp("reference")
  assert run(train, *FLAGS, "--steps=60", f"--workdir={workdir}") == 0
  return workdir


def test_records_have_level_and_seconds(reference, capsys):
  assert levels_of(reference) == [2, 4, 6, 6, 6, 6]
  evaluations = records(reference, "eval")
  assert [(r["step"], r["level"]) for r in evaluations] == [(30, 6), (60, 6)]
  for record in evaluations:  # At exactly that level.
    assert record["bits_wrong"] == pytest.approx(
        6 * 3 * (1 - record["bit_accuracy"]), rel=1e-4)
  seconds = [json.loads(line)["seconds"] for line in
             (reference / "metrics.jsonl").read_text().splitlines()]
  assert len(seconds) == 8
  assert seconds[0] > 0
  assert seconds == sorted(seconds)
  assert (reference / "learning_curve.png").exists()
  assert run(train, f"--workdir={reference}") == 0
  assert capsys.readouterr().out.splitlines()[0].endswith("level 6")


# With 10, the level itself must be kept; with 0.4 it would double, were the
# loss of the first half of a window forgotten.
@pytest.mark.parametrize("threshold, levels", [
    (10, [1, 2, 2, 4, 4, 6, 6]), (0.4, [1] * 7)])
def test_continued_equals_uninterrupted(
    no_pictures, tmp_path, threshold, levels):
  flags = [*FLAGS, f"--curriculum_threshold={threshold}",
           "--curriculum_patience=20", "--learning_rate=0.001"]
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  assert run(train, *flags, "--steps=70", f"--workdir={whole}") == 0
  assert run(train, *flags, "--steps=30", f"--workdir={parts}") == 0
  assert saved_state(parts).curriculum.loss_sum > 1
  assert run(train, "--steps=70", f"--workdir={parts}") == 0
  assert levels_of(whole) == levels
  assert records(parts) == records(whole)
  assert_same(saved_state(parts), saved_state(whole))


def test_max_minutes_ends_a_run_that_can_go_on(reference, tmp_path, capsys):
  argv = [*FLAGS, f"--workdir={tmp_path}"]
  # The time is looked at after each record, of which the first comes late.
  assert run(train, *argv, "--steps=60", "--max_minutes=1e-9") == 0
  assert "step 10, evaluation: " in capsys.readouterr().out
  assert saved_steps(tmp_path) == [10]
  assert (tmp_path / "learning_curve.png").exists()
  assert [r["step"] for r in records(tmp_path, "eval")] == [10]
  before = records(tmp_path)
  assert run(train, f"--workdir={tmp_path}") == 0  # No time is left.
  assert records(tmp_path) == before
  assert run(train, f"--workdir={tmp_path}", "--max_minutes=0") == 0
  assert records(tmp_path, "train") == records(reference, "train")
  assert_same(saved_state(tmp_path), saved_state(reference))


def test_enough_minutes_change_nothing(no_pictures, reference, tmp_path):
  assert run(train, *FLAGS, "--steps=60", "--max_minutes=100",
             f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(reference)


def test_evaluation_is_at_the_level_reached_and_beyond(reference, capsys):
  assert run(evaluate, f"--workdir={reference}", "--episodes=8") == 0
  result = json.loads((reference / "evaluation.json").read_text())
  assert [(row["level"], row["trained"]) for row in result["levels"]] == [
      (6, True), (12, False), (24, False)]
  capsys.readouterr()
  assert run(evaluate, f"--workdir={reference}",
             "--levels=0") == config_lib.EXIT_USAGE
  assert "min_length=0" in capsys.readouterr().err


@pytest.mark.parametrize("flag, levels", [
    ("--curriculum_start=3", [6, 6, 6]),
    ("--curriculum_threshold=1e-9", [1, 1, 1]),
    ("--curriculum_patience=20", [1, 2, 2]),
    ("--curriculum_max=3", [2, 3, 3]),
    ("--curriculum=none", [None, None, None]),
])
def test_flag_has_an_effect(no_pictures, tmp_path, flag, levels):
  argv = [f for f in FLAGS if not (
      f.startswith("--curriculum_") and flag == "--curriculum=none")]
  assert run(train, *argv, "--steps=30", "--eval_every=100", flag,
             f"--workdir={tmp_path}") == 0
  assert levels_of(tmp_path) == levels
