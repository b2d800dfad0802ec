"""The curriculum: its rule, its levels, and training with it."""

import functools

import jax
import jax.numpy as jnp
import learning_helpers
import numpy as np
import optax
import pytest
from task_helpers import drawings

import tasks
from launch.learning import curriculum as curriculum_lib
from launch.learning.curriculum import STRETCH, Levels

COPY = tasks.Copy(num_bits=3)
# The bound always doubles: every loss is below the threshold.
ALWAYS = dict(start=1, threshold=10., patience=STRETCH, max_level=6)


def make(**kwargs) -> curriculum_lib.Exponential:
  return curriculum_lib.Exponential(**(dict(
      start=3, threshold=0.5, patience=20, max_level=10) | kwargs))


@pytest.mark.parametrize("arguments, match", [
    (dict(start=0), "start=0 and max_level=10"),
    (dict(start=11), "start=11 and max_level=10"),
    (dict(max_level=2**30 + 1), "max_level=1073741825"),
    (dict(threshold=0.), "need threshold > 0, got threshold=0"),
    (dict(patience=15), "patience must be a multiple of 10, got 15"),
    (dict(patience=0), "patience must be a multiple of 10, got 0")])
def test_arguments_are_checked(arguments, match):
  with pytest.raises(ValueError, match=match):
    make(**arguments)


# The rule.


def follow(curriculum, losses):
  """Returns the states after each of the losses."""
  update = jax.jit(curriculum.next_state)
  state, states = curriculum.initial_state(), []
  for step, loss in enumerate(losses):
    state = update(state, jnp.int32(step), jnp.float32(loss))
    states.append(jax.tree.map(np.asarray, state))
  return states


def test_the_bound_doubles_when_the_mean_loss_is_below_the_threshold():
  windows = [[0.49] * 20,               # Below: 6.
             [0.5] * 20,                # Not below.
             [0.875] * 10 + [0.0] * 10,  # Below: 12, but at most 10.
             [0.0] * 19 + [11.0],       # Not below: the last loss is high.
             [0.0] * 20]                # Below, but 10 is the maximum.
  states = follow(make(), np.concatenate(windows))
  levels = [int(state.level) for state in states]
  expected = 19 * [3] + 20 * [6] + 20 * [6] + 41 * [10]
  assert levels == expected
  # After 35 updates, the sum has 15 losses of the second window.
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


def test_blocks_of_a_judgement_draw_from_all_parts():
  curriculum = make(start=1, patience=4 * STRETCH, max_level=64)
  for window in range(50):
    rooms = [curriculum.draw_levels(2, step, 64).room for step in range(
        window * 4 * STRETCH, (window + 1) * 4 * STRETCH, STRETCH)]
    lowest, low, *high = sorted(rooms)
    assert lowest <= 16 and low == 32 and high == [64, 64]


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


# Training.


def start(devices=None, **kwargs):
  curriculum = curriculum_lib.Exponential(**(ALWAYS | kwargs.pop("rule", {})))
  return learning_helpers.start(task=COPY, devices=devices,
                                curriculum=curriculum, **kwargs)


def test_a_minibatch_has_one_level_and_all_levels_occur(monkeypatch):
  def lengths(self, outputs, batch):
    length = batch.mask.sum(0)
    return {"shortest": jnp.full_like(length, length.min()),
            "longest": jnp.full_like(length, length.max()),
            "num_steps": jnp.full_like(length, batch.mask.shape[0])}

  monkeypatch.setattr(type(COPY.score), "metrics", lengths)
  trainer, state = start(seed=3)
  bounds, seen = [], []
  for _ in range(150):
    bounds.append(trainer.level(state))
    state, metrics = trainer.train(state, None, 1)
    assert metrics["shortest"] == metrics["longest"]  # On all devices.
    # Padded to the smallest bucket that fits: 1, 2, 4 or 6.
    length = int(metrics["longest"][0])
    room = next(room for room in (1, 2, 4, 6) if length <= room)
    assert metrics["num_steps"] == 2 * room + 2
    seen.append(length)
  assert bounds == 10 * [1] + 10 * [2] + 10 * [4] + 120 * [6]
  assert all(length <= bound for length, bound in zip(
      seen, bounds, strict=True))
  assert set(seen[:10]) == {1}
  assert set(seen[30:]) == {1, 2, 3, 4, 5, 6}


def test_compiles_once_a_bucket(monkeypatch):
  compiled, score = [], type(COPY.score)
  loss = score.loss

  def traced(self, outputs, batch):
    compiled.append(outputs.shape[0])
    return loss(self, outputs, batch)

  monkeypatch.setattr(score, "loss", traced)
  trainer, state = start()
  state, _ = trainer.train(state, None, 10 * STRETCH)
  once = compiled.count(4)  # For the bucket of 1, drawn more than once.
  assert sorted(compiled) == sorted([4, 6, 10, 14] * once)
  state, _ = trainer.train(state, None, 10 * STRETCH)
  assert len(compiled) == 4 * once


@pytest.mark.parametrize("task, data, judged", [
    (COPY, None, "loss"),
    (tasks.Omniglot(num_classes=3, num_labels=5, image_size=7), drawings(7),
     "later_loss")])
def test_the_score_says_what_is_judged(task, data, judged):
  trainer, state = learning_helpers.start(
      task=task, devices=2, curriculum=make(patience=100, max_level=5))
  state, metrics = trainer.train(state, trainer.put_data(data), STRETCH)
  found = trainer.get(state).train.curriculum.loss_sum
  assert found == pytest.approx(STRETCH * metrics[judged][0], rel=1e-5)
  is_loss = found == pytest.approx(STRETCH * metrics["loss"][0], rel=1e-5)
  assert is_loss == (judged == "loss")


def test_in_chunks_equals_in_one_go():
  rule = dict(threshold=0.7, patience=20)
  trainer, state = start(rule=rule)
  state, whole = trainer.train(state, None, 50)
  _, other = start(rule=rule)
  parts = []
  for chunk in (13, 30, 7):
    other, metrics = trainer.train(other, None, chunk)
    parts.append((chunk, metrics))
  state, other = map(trainer.get, (state, other))
  assert state.train.curriculum.level == 4
  assert state.train.curriculum.loss_sum > 1
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4,
                                 atol=1e-6), state, other)
  for name, value in whole.items():
    mean = sum(chunk * metrics[name] for chunk, metrics in parts) / 50
    assert value == pytest.approx(mean, rel=1e-4)


def test_number_of_devices_does_not_matter():
  results = {}
  for number in (1, 4):
    trainer, state = start(
        number, rule=dict(threshold=0.7, patience=20), optimizer=optax.sgd(.5))
    metrics = []
    for _ in range(5):
      state, means = trainer.train(state, None, STRETCH)
      metrics.append(means | {"level": trainer.level(state)})
    curriculum = state.train.curriculum
    assert len(curriculum.level.sharding.device_set) == number
    for leaf in jax.tree.leaves(curriculum):  # All devices agree.
      for shard in leaf.addressable_shards:
        np.testing.assert_array_equal(
            shard.data, leaf.addressable_shards[0].data)
    results[number] = metrics, trainer.get(state)
  assert [means["level"] for means in results[1][0]] == [1, 2, 2, 4, 4]
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4,
                                 atol=1e-5), results[1], results[4])


def test_without_a_curriculum_there_is_no_level():
  trainer, state = learning_helpers.start()
  assert trainer.initial_state().train.curriculum == ()
  assert trainer.level(state) is None
