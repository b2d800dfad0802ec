"""Mini-Pacman against the released code's recordings, and by its rules."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.environments.minipacman import maze, rules, views
from tasks.environments.minipacman.minipacman import MiniPacman

pytestmark = pytest.mark.usefixtures("strict_promotion")

MODES = ("regular", "avoid", "hunt", "ambush", "rush")


@functools.cache
def jitted(env):
  return jax.jit(jax.vmap(env.step))


def stepping(env):
  """Returns `step(states, actions, keys)` of a batch, with NumPy results."""
  return lambda *args: jax.tree.map(np.asarray, jitted(env)(*args))


def stacked(states):
  return jax.tree.map(lambda *x: np.stack(x), *states)


def compact(state):
  """Moves the pills and ghosts that are left to the front, `[B, ...]`."""
  def front(rows):
    rows = np.asarray(rows)
    return np.take_along_axis(
        rows, np.argsort(rows < 0, axis=-1, kind="stable"), -1)
  return jax.tree.map(np.asarray, state)._replace(
      pills=front(state.pills), ghosts=front(state.ghosts))


def records(file, prefix=""):
  """Returns one dict for each row."""
  names = ("level", "frame", "timer", "power", "pillman", "food", "pills",
           "ghosts")
  return [dict(zip(names, row, strict=True))
          for row in zip(*(file[prefix + name] for name in names), strict=True)]


def test_recorded_steps_whatever_is_drawn(golden_root):
  file = np.load(golden_root / "minipacman_transitions.npz")
  before, after = records(file), records(file, "next_")
  # Directions of new ghosts are drawn in another way there.
  comparable = (file["forced"] | file["forced_reward"]) & (
      file["category"] != "first_direction")
  assert comparable.sum() > 170
  keys, rng = 5, np.random.default_rng(0)
  for number, mode in enumerate(file["modes"]):
    rows = np.flatnonzero(comparable & (file["mode"] == number))
    env = MiniPacman(mode=str(mode))
    states = stacked([env.from_record(before[i]) for i in rows])
    for _ in range(keys):
      found, ts = stepping(env)(
          states, file["action"][rows].astype(np.int32),
          jax.random.split(jax.random.key(rng.integers(1000)), len(rows)))
      known = file["forced_reward"][rows]
      np.testing.assert_allclose(
          ts.reward[known], file["reward"][rows][known], atol=1e-6)
      np.testing.assert_array_equal(
          ts.is_last[known], file["pcontinue"][rows][known] == 0)
      assert not (ts.terminated & ts.truncated).any()
      forced = file["forced"][rows]
      expected = stacked([env.from_record(after[i]) for i in rows[forced]])
      jax.tree.map(np.testing.assert_array_equal,
                   jax.tree.map(lambda x, which=forced: x[which],
                                compact(found)), expected)
      np.testing.assert_allclose(ts.observation.image[forced],
                                 file["next_rgb"][rows][forced], atol=1e-6)


def as_drawn(file, row, exploring):
  """Returns the draws by which ghosts decided as recorded."""
  moves = np.where(file["ghost_moved"][row] == 1, 0., 0.9999)
  share = (file["ghost_pick"][row] + 0.5) / np.maximum(
      file["ghost_pick_of"][row], 1)
  turns = np.where(file["ghost_explored"][row] == 1, exploring * share, 0.5)
  return jax.tree.map(np.float32, rules.Draws(
      moves, turns, np.full(3, 0.5), np.full(6, 0.5)))


def test_recorded_steps_with_the_recorded_decisions(golden_root):
  file = np.load(golden_root / "minipacman_transitions.npz")
  before, after = records(file), records(file, "next_")
  comparable = ~file["level_up"] & (file["category"] != "first_direction")
  assert comparable.sum() > 170
  assert (file["ghost_explored"][comparable] == 1).sum() > 3
  for number, mode in enumerate(file["modes"]):
    rows = np.flatnonzero(comparable & (file["mode"] == number))
    env = MiniPacman(mode=str(mode))
    found, reward, caught = jax.jit(jax.vmap(
        functools.partial(rules.step, rules.MODES[str(mode)])))(
            stacked([env.from_record(before[i]) for i in rows]),
            file["action"][rows].astype(np.int32),
            stacked([as_drawn(file, i, rules.EXPLORES) for i in rows]))
    jax.tree.map(np.testing.assert_array_equal, compact(found),
                 stacked([env.from_record(after[i]) for i in rows]))
    np.testing.assert_allclose(reward, file["reward"][rows], atol=1e-6)
    np.testing.assert_array_equal(caught | (found.frame >= 3000),
                                  file["pcontinue"][rows] == 0)


def test_recorded_ends_of_levels(golden_root):
  file = np.load(golden_root / "minipacman_transitions.npz")
  rows = np.flatnonzero(file["level_up"])
  assert set(file["category"][rows]) == {
      "level_up_food", "level_up_ghost", "level_up_pill", "level_up_timer"}
  before = records(file)
  for row in rows:
    env = MiniPacman(mode=str(file["modes"][file["mode"][row]]))
    many = 300
    state, ts = stepping(env)(
        stacked([env.from_record(before[row])] * many),
        np.full(many, file["action"][row], np.int32),
        jax.random.split(jax.random.key(row), many))
    for name in ("level", "frame", "timer"):
      assert (getattr(state, name) == file["next_" + name][row]).all()
    assert (state.level == file["level"][row] + 1).all()
    eaten = state.food.shape[1] - state.food.sum(1)
    assert (eaten == 0).all()
    found_pill = (state.pills == -1).any(1)
    np.testing.assert_array_equal(state.power, 20 * found_pill)
    # A pill is found at the new place by chance, if it is looked for.
    assert found_pill.any() == (file["category"][row] == "level_up_food")
    alive = ~ts.terminated & ~found_pill
    assert (ts.reward[alive] == ts.reward[alive][0]).all()
    number = (state.ghosts >= 0).sum(1)
    assert (number[alive] == 1 + (state.level[0] - 1) // 2).all()


def outcome_rows(state, reward, last):
  """Returns a step's outcome as one row of integers each."""
  state = compact(state)
  return np.concatenate([
      np.reshape(x, (len(reward), -1)).astype(np.int64)
      for x in (*state, np.round(reward * 1000), last)], axis=1)


def test_outcomes_have_the_frequencies_of_all_draws(golden_root):
  """Draws many times from states with several outcomes."""
  file = np.load(golden_root / "minipacman_outcomes.npz")
  before, after = records(file), records(file, "next_")
  many, sizes = 2000, []
  for i in np.flatnonzero(file["category"] != "first_direction"):
    env = MiniPacman(mode=str(file["modes"][file["mode"][i]]))
    these = slice(*file["outcome_start"][i:i + 2])
    state, ts = stepping(env)(
        stacked([env.from_record(before[i])] * many),
        np.full(many, file["action"][i], np.int32),
        jax.random.split(jax.random.key(i), many))
    found, counts = np.unique(
        outcome_rows(state, np.asarray(ts.reward), ts.is_last),
        axis=0, return_counts=True)
    known = outcome_rows(
        stacked([env.from_record(record) for record in after[these]]),
        file["reward"][these], file["pcontinue"][these] == 0)
    place = {row.tobytes(): n for n, row in enumerate(known)}
    assert len(place) == len(known)
    observed = np.zeros(len(known))
    for row, count in zip(found, counts, strict=True):
      observed[place[row.tobytes()]] = count  # KeyError: an unknown outcome.
    p = file["probability"][these]
    error = np.abs(observed / many - p) / np.sqrt(p * (1 - p) / many)
    # Rare outcomes are counted in ones.
    assert (error < 4 + 1 / np.sqrt(p * many)).all(), (i, p, observed)
    sizes.append(len(known))
  assert len(sizes) == 55
  assert max(sizes) > 5
