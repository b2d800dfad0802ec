"""The time-tracking environment of the NALU paper."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle_time_tracking as oracle
import pytest

from tasks import random_policy
from tasks.environments import time_tracking
from tasks.environments.time_tracking import TimeTracking

pytestmark = pytest.mark.usefixtures("strict_promotion")

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
EPISODES = 2003
# Sizes that coincide with no other.
SMALL = TimeTracking(min_time=2, max_time=6, margin=3, max_steps=11,
                     num_cells=3, cell_pixels=7)


def state_of(agent, target, time=9, steps=0):
  return time_tracking.State(
      jnp.array(agent, jnp.int32), jnp.array(target, jnp.int32),
      jnp.int32(time), jnp.int32(steps))


@functools.partial(jax.jit, static_argnums=(0, 1, 3))
def play(task, policy, key, episodes):
  """Plays to the last step of the longest episode, `[B, T]`; no images."""
  def one(key):
    reset_key, *keys = jax.random.split(key, task.max_steps + 1)
    def step(state, key):
      action = policy(state, key)
      new, out = task.step(state, action, key)
      seen = out.observation._replace(image=())
      return new, (new, action, out._replace(observation=seen))
    start = task.reset(reset_key)
    return start, jax.lax.scan(step, start, jnp.stack(keys))[1]
  return jax.vmap(one)(jax.random.split(key, episodes))


def at_random(state, key):
  return jax.random.randint(key, (), 0, 5)


def perfectly(state, key):
  return oracle.act(state)


def reference(task, start, actions):
  """Plays one episode in Python; yields agent, reward and end of each step."""
  agent, target = list(start.agent), list(start.target)
  for t, action in enumerate(actions, 1):
    for axis in (0, 1):
      moved = agent[axis] + MOVES[action][axis]
      agent[axis] = moved if 0 <= moved < task.num_cells else agent[axis]
    arrived = agent == target
    reward = 1 - abs(start.time - t) / task.margin if arrived else 0
    yield tuple(agent), reward, arrived or t == task.max_steps
    if arrived:
      return


def test_spec():
  task = TimeTracking()
  assert (task.image_shape, task.num_features) == ((56, 56, 3), 1)
  assert task.input_size == 56 * 56 * 3 + 1 + 5 + 1
  assert (task.output_size, task.episode_limit) == (6, 30)
  for env in (task, SMALL):
    state = env.reset(jax.random.key(0))
    image, features = env.observe(state)
    assert (image.shape, image.dtype) == (env.image_shape, np.float32)
    assert (features.shape, features.dtype) == ((1,), np.float32)
    _, step = env.step(state, 4, jax.random.key(0))
    assert {x.dtype for x in jax.tree.leaves(step)} == {
        np.dtype(np.float32), np.dtype(bool)}
    assert step.reward.shape == step.terminated.shape == ()


@pytest.mark.parametrize("task", [TimeTracking(cell_pixels=4), SMALL])
def test_random_steps_follow_the_rules(task):
  start, (states, actions, steps) = jax.tree.map(
      np.asarray, play(task, at_random, jax.random.key(0), 211))
  ends, checked = [], 0
  for i in range(len(actions)):
    first = jax.tree.map(lambda x, i=i: x[i], start)
    for t, (agent, reward, is_last) in enumerate(
        reference(task, first, actions[i])):
      assert tuple(states.agent[i, t]) == agent
      np.testing.assert_allclose(steps.reward[i, t], reward, atol=1e-6)
      assert steps.terminated[i, t] == is_last
      checked += 1
    ends.append(t + 1)
  assert checked > 1000
  assert 1 <= min(ends) < max(ends) == task.max_steps
  assert not steps.truncated.any()
  assert not steps.is_first.any()
  assert (states.target == start.target[:, None]).all()
  assert (steps.observation.features[..., 0] == start.time[:, None]).all()


def test_one_environment_equals_many():
  starts, (states, actions, steps) = play(
      SMALL, at_random, jax.random.key(1), 7)
  keys = jax.random.split(jax.random.split(jax.random.key(1), 7)[3], 12)
  state = SMALL.reset(keys[0])
  jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[3]), state,
               starts)
  for t in range(5):
    action = at_random(state, keys[t + 1])
    state, step = SMALL.step(state, int(action), keys[t + 1])
    step = step._replace(observation=step.observation._replace(image=()))
    many = jax.tree.map(lambda x, t=t: x[3, t], (states, actions, steps))
    jax.tree.map(np.testing.assert_array_equal, (state, action, step), many)


def test_first_states_are_uniform():
  task = TimeTracking()
  states = jax.vmap(task.reset)(jax.random.split(jax.random.key(2), 60000))
  agent, target = (np.asarray(x) @ (5, 1) for x in (states.agent,
                                                    states.target))
  pairs = np.zeros((25, 25), int)
  np.add.at(pairs, (agent, target), 1)
  assert not pairs.diagonal().any()
  assert abs(pairs[~np.eye(25, dtype=bool)] - 100).max() < 50  # 5 deviations.
  times = np.bincount(states.time)
  assert times[:5].sum() == 0
  assert len(times) == 13
  assert abs(times[5:] - 7500).max() < 410  # 5 deviations.
  assert not states.steps.any()


def test_picture_of_figure_5():
  task = TimeTracking()
  image, features = task.observe(state_of((1, 3), (4, 0), time=13))
  expected = np.zeros((56, 56, 3), np.float32)
  expected[12:22, 34:44] = 0.5
  expected[47:53, 3:9] = (1, 0, 0)
  np.testing.assert_array_equal(image, expected)
  assert features.tolist() == [13]
  arrived = task.picture(state_of((4, 0), (4, 0)))
  assert arrived.dtype == np.uint8
  expected[:] = 0
  expected[45:55, 1:11] = 128
  expected[47:53, 3:9] = (255, 0, 0)
  np.testing.assert_array_equal(arrived, expected)


@pytest.mark.parametrize("num_cells, cell_pixels", [(2, 4), (3, 7), (7, 5)])
def test_pictures_of_other_sizes(num_cells, cell_pixels):
  """Both squares are seen everywhere, the red one inside the grey one."""
  task = TimeTracking(num_cells=num_cells, cell_pixels=cell_pixels)
  cells = [(y, x) for y in range(num_cells) for x in range(num_cells)]
  images = np.asarray(jax.vmap(lambda place: task.observe(
      state_of((0, 0), (0, 0))._replace(agent=place, target=place)).image)(
          jnp.array(cells)))
  seen = {image.tobytes() for image in images}
  assert len(seen) == num_cells ** 2
  for (y, x), image in zip(cells, images, strict=True):
    cell = image[1 + y * cell_pixels:, 1 + x * cell_pixels:][
        :cell_pixels - 1, :cell_pixels - 1]
    assert cell.sum() == image.sum()
    assert (cell[..., 0] > 0).all()
    red = (cell == (1, 0, 0)).all(-1)
    assert 0 < red.sum() < red.size
    assert (red == red[::-1, ::-1]).all()
    assert ((cell == 0.5).all(-1) == ~red).all()


def test_text():
  for state in (state_of((0, 1), (2, 0), 6, 2),
                jax.device_get(state_of((0, 1), (2, 0), 6, 2))):
    assert SMALL.text(state) == ("step 2, instructed 6\n"
                                 ". A .\n. . .\nR . .")
    assert SMALL.text(state._replace(agent=state.target)).endswith("* . .")


def test_oracle_gets_the_best_return():
  task = TimeTracking(min_time=1, max_time=30, cell_pixels=4)
  start, (states, _, steps) = jax.tree.map(np.asarray, play(
      task, perfectly, jax.random.key(3), EPISODES))
  assert set(start.time) == set(range(1, 31))
  going = np.cumsum(steps.terminated, 1) - steps.terminated == 0
  returns = np.sum(steps.reward * going, 1)
  distance = np.abs(start.target - start.agent).sum(1)
  assert set(distance) == set(range(1, 9))
  np.testing.assert_allclose(
      returns, 1 - np.maximum(distance - start.time, 0) / 7, atol=1e-6)
  assert (returns[start.time >= distance] == 1).all()
  last = jax.tree.map(lambda x: x[np.arange(EPISODES), going.sum(1) - 1],
                      states)
  outcome = jax.device_get(jax.vmap(task.outcome)(last))
  assert (outcome["arrived"] == 1).all()
  assert (outcome["on_time"] == (returns == 1)).all()
  assert (outcome["error"] == np.maximum(distance - start.time, 0)).all()
  assert (outcome["arrival"] == np.maximum(distance, start.time)).all()


@pytest.mark.parametrize("steps, reward", [
    (0, 1 - 12 / 7), (11, 1 - 1 / 7), (12, 1.), (13, 1 - 1 / 7),
    (29, 1 - 17 / 7)])
def test_reward_falls_at_both_sides(steps, reward):
  state, step = TimeTracking().step(
      state_of((2, 2), (2, 3), 13, steps), 3, jax.random.key(0))
  np.testing.assert_allclose(step.reward, reward, atol=1e-6)
  assert step.terminated
  outcome = TimeTracking().outcome(state)
  assert outcome == dict(arrived=1, on_time=float(steps == 12),
                         arrival=steps + 1, error=abs(steps - 12))
  assert {x.dtype for x in outcome.values()} == {np.dtype(np.float32)}


def test_running_out_of_time_ends_with_nothing():
  state, step = TimeTracking().step(
      state_of((0, 0), (2, 3), 13, 29), 0, jax.random.key(0))
  assert step.terminated
  assert not step.truncated
  assert step.reward == 0
  assert TimeTracking().outcome(state) == dict(
      arrived=0, on_time=0, arrival=30, error=17)


@pytest.mark.parametrize("task", [TimeTracking(), SMALL])
def test_trivial_score_is_that_of_random_actions(task):
  returns = random_policy.returns(task, jax.random.key(4), 20011)
  error = returns.std() / np.sqrt(len(returns))
  assert abs(returns.mean() - task.trivial_score) < 4 * error < 0.05
  # With the default settings.
  assert abs(TimeTracking().trivial_score + 0.062806) < 1e-6
  # A limit that is never reached costs nothing.
  scores = [TimeTracking(max_steps=steps).trivial_score
            for steps in (10_000, 2**31 - 1)]
  assert scores[0] == pytest.approx(scores[1]) != TimeTracking().trivial_score


def test_levels():
  task = TimeTracking()
  assert task.max_level == 12
  assert task.at_level(25) == TimeTracking(min_time=25, max_time=25)
  states = jax.vmap(task.at_level(25).reset)(
      jax.random.split(jax.random.key(5), 101))
  assert set(states.time.tolist()) == {25}
  for level in (0, 31):
    with pytest.raises(ValueError, match=rf"1 <= time <= .* 30.*time={level}$"):
      task.at_level(level)


@pytest.mark.parametrize("kwargs, match", [
    (dict(min_time=0), "min_time=0 and max_time=12"),
    (dict(min_time=13), "min_time=13 and max_time=12"),
    (dict(margin=0), "margin >= 1, got margin=0"),
    (dict(max_steps=11), "max_steps >= max_time.*=11 and max_time=12"),
    (dict(num_cells=1), "num_cells >= 2, got num_cells=1"),
    (dict(cell_pixels=3), "cell_pixels >= 4, got cell_pixels=3")])
def test_refusals(kwargs, match):
  with pytest.raises(ValueError, match=match) as caught:
    TimeTracking(**kwargs)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("action", [-1, 5])
def test_actions_outside_the_range(action):
  with pytest.raises(ValueError, match=f"no action {action}; valid: 0 up, 1"):
    SMALL.step(state_of((0, 0), (1, 1)), action, jax.random.key(0))
