"""Levels of BoxWorld: their boxes, places, colours, and that all are solvable.

Statistics are compared with 12,000 levels of the released generator.
"""

import jax
import numpy as np
import oracle_boxworld as oracle
import pytest
from boxworld_helpers import characters, reset, returns

from tasks.environments.boxworld import layout, rules
from tasks.environments.boxworld.boxworld import BoxWorld

pytestmark = pytest.mark.usefixtures("strict_promotion")
NUMBER = 4096


def levels(env: BoxWorld, number: int) -> np.ndarray:
  return characters(reset(env, number))


def is_key(boards: np.ndarray) -> np.ndarray:
  """Returns whether a cell has a key or the gem."""
  return (boards == ord("*")) | (boards >= ord("a"))


def is_lock(boards: np.ndarray) -> np.ndarray:
  return (boards >= ord("A")) & (boards <= ord("T"))


def is_solution_lock(states: rules.State) -> np.ndarray:
  """Returns whether a cell, `[B, n, n]`, has a lock of the solution."""
  boards = np.asarray(states.board)
  return (boards >= rules.LOCK) & (boards < rules.DISTRACTOR)


def assert_alike(counts: np.ndarray, expected: np.ndarray, wide: float = 1.
                 ) -> None:
  """Compares two counts, of which both may be random, by their chi-square.

  Args:
    counts: of any shape.
    expected: of that shape; only its proportions count.
    wide: by how much the chi-square may exceed that of independent counts.
  """
  counts, expected = counts.ravel() + 0., expected.ravel() + 0.
  np.testing.assert_array_equal(counts > 0, expected > 0)
  counts, expected = counts[counts > 0], expected[expected > 0]
  ratio = np.sqrt(expected.sum() / counts.sum())
  square = ((counts * ratio - expected / ratio)**2 / (counts + expected)).sum()
  freedom = len(counts) - 1
  assert freedom > 3
  assert square < wide * (freedom + 5 * np.sqrt(2 * freedom)), square


def test_boards():
  """No box touches another one, or the border."""
  boards = levels(BoxWorld(), NUMBER)
  keys, locks = is_key(boards), is_lock(boards)
  for edge in (boards[:, 0], boards[:, -1], boards[:, :, 0], boards[:, :, -1]):
    assert (edge == ord("#")).all()
  inner = boards[:, 1:-1, 1:-1]
  assert ((inner == ord(".")).sum((1, 2)) == 1).all()
  assert ((boards == ord("*")).sum((1, 2)) == 1).all()
  # Each lock has a key on its left; one key of a level has no lock.
  assert keys[:, :, :-1][locks[:, :, 1:]].all()
  assert (keys.sum((1, 2)) - locks.sum((1, 2)) == 1).all()
  filled = keys | locks
  neighbours = np.zeros(filled.shape, int)
  for down in (-1, 0, 1):
    for right in (-1, 0, 1):
      neighbours += np.roll(filled, (down, right), (1, 2))
  has_lock = np.zeros_like(keys)
  has_lock[:, :, :-1] = locks[:, :, 1:]
  loose = keys & ~has_lock
  assert (loose[:, :, :-2] & filled[:, :, 2:]).any()  # It is narrower.
  own = 1 + (locks | (keys & has_lock))
  np.testing.assert_array_equal(neighbours[filled], own[filled])
  assert not filled[:, [1, -2]].any() and not filled[:, :, [1, -2]].any()


def test_places_as_in_pycolab(golden_root):
  with np.load(golden_root / "boxworld_pycolab_levels.npz") as file:
    golden = dict(file)
  boards = levels(BoxWorld(), NUMBER)
  assert_alike(is_key(boards).sum(0), golden["item_position_count"])
  assert_alike((boards == ord(".")).sum(0), golden["player_position_count"])
  locks = is_lock(boards)
  right = is_solution_lock(reset(BoxWorld(), NUMBER))
  lengths, forward = right.sum((1, 2)), (locks & ~right).sum((1, 2))
  counts = np.zeros((6, 6), int)
  np.add.at(counts, (lengths, forward), 1)
  assert_alike(counts, golden["count_solution_x_distractors"])
  assert_alike(np.bincount(locks.sum((1, 2)), minlength=12),
               golden["locks_per_level_count"])
  assert_alike(counts[1:], np.ones((5, 6)))  # Uniform.
  # Several locks of a level share a colour.
  for letter, name in (("A", "lock_colour_count"), ("a", "key_colour_count")):
    colours = np.array([(boards[:, 1:] == ord(letter) + i).sum()
                        for i in range(20)])
    assert_alike(colours, golden[name], wide=3)


def test_problems():
  """Each distractor has a lock of the solution and another key."""
  env, equal = BoxWorld(), 0
  right = is_solution_lock(reset(env, NUMBER))
  for board, own in zip(levels(env, NUMBER)[:1024], right, strict=False):
    chain = oracle.solution(board)
    length = own.sum()
    assert len(chain) == length + 1 and len(set(chain)) == length + 1
    assert all(own[y, x + 1] for y, x, _, lock in chain if lock)
    keys = {key for _, _, key, _ in chain}
    assert len(keys) == length + 1
    others = set(oracle.boxes(board)) - set(chain)
    assert all(lock.lower() in keys for *_, lock in others)
    assert all(key not in keys for _, _, key, _ in others)
    equal += len({key for _, _, key, _ in others}) < len(others)
  assert 0.1 < equal / 1024 < 0.26  # 2141 of 12,000 in pycolab.


def test_distractors_lack_one_colour():
  env = BoxWorld(solution_length=17, min_solution_length=17, num_forward=8,
                 min_forward=8, grid_size=20)
  for board in levels(env, 16):
    chain = oracle.solution(board)
    others = set(oracle.boxes(board)) - set(chain)
    assert len(chain) == 18 and len(others) == 8
    assert len({key for _, _, key, _ in others}) <= 2  # Not 3.


def test_branches():
  env = BoxWorld(solution_length=2, num_forward=3, min_forward=3,
                 branch_length=3)
  for board in levels(env, 128):
    chain = oracle.solution(board)
    keys = {key for _, _, key, _ in chain}
    others = set(oracle.boxes(board)) - set(chain)
    assert len(others) == 9
    assert sum(lock.lower() in keys for *_, lock in others) == 3
    locks = {lock.lower() for *_, lock in others}
    assert all(key not in keys for _, _, key, _ in others)
    assert all(lock.lower() != key for _, _, key, lock in others)
    assert len(locks & {key for _, _, key, _ in others}) > 0


def test_backward_distractors():
  env = BoxWorld(solution_length=3, num_forward=0, num_backward=3,
                 min_backward=1)
  right, numbers = is_solution_lock(reset(env, 128)), []
  for board, own in zip(levels(env, 128), right, strict=True):
    there = oracle.boxes(board)
    path = [box for box in there if own[box[0], box[1] + 1] or not box[3]]
    keys = {key for _, _, key, _ in path}
    others = set(there) - set(path)
    numbers.append(len(others))
    assert all(key in keys - {"*"} and lock.lower() not in keys
               for _, _, key, lock in others)
  assert np.unique(numbers).tolist() == [1, 2, 3]


def solve(env: BoxWorld, number: int) -> None:
  """Checks that the oracle reaches the gem of some levels."""
  states = jax.tree.map(lambda x: x[:number], reset(env, max(number, NUMBER)))
  routes = [oracle.actions(board) for board in characters(states)]
  assert max(map(len, routes)) <= env.episode_limit
  actions = np.zeros((number, env.episode_limit), int)
  for row, route in zip(actions, routes, strict=True):
    row[:len(route)] = route
  lengths = is_solution_lock(states).sum((1, 2))
  total, steps, outcome = returns(env, states, actions)
  np.testing.assert_array_equal(total, lengths + 10)
  np.testing.assert_array_equal(steps, [len(route) for route in routes])
  assert outcome["gem"].all() and not outcome["dead_end"].any()
  np.testing.assert_array_equal(outcome["boxes"], lengths)


@pytest.mark.parametrize("env", [
    BoxWorld(max_steps=200),
    # As many boxes as fit; most are on the regular grid.
    BoxWorld(solution_length=14, min_solution_length=14, num_forward=0,
             max_steps=300),
    BoxWorld(solution_length=1, num_forward=0, grid_size=5)], ids=str)
def test_every_level_is_solvable(env):
  solve(env, 300)


@pytest.mark.slow
def test_ten_thousand_levels_are_solvable():
  solve(BoxWorld(max_steps=200), 10_000)


def test_the_fullest_boards():
  """Boxes on the regular grid are in random order."""
  env = BoxWorld(solution_length=14, min_solution_length=14, num_forward=0)
  boards = levels(env, 300)
  assert layout.capacity(12) == 15
  places = is_key(boards)
  assert (places.sum((1, 2)) == 15).all()
  regular = places[:, 2:11:2, 2:9:3].all((1, 2))
  assert 0.4 < regular.mean() < 0.95  # The others were found at random.
  gems = np.argwhere(boards[regular] == ord("*"))[:, 1:]
  assert len(np.unique(gems, axis=0)) == 15


@pytest.mark.parametrize("level", [1, 4, 9])
def test_levels_are_exact(level):
  env = BoxWorld().at_level(level)
  assert (is_solution_lock(reset(env, 64)).sum((1, 2)) == level).all()


def test_random_actions_in_games_of_any_size():
  env, number = BoxWorld(), 16384
  total, steps, outcome, sizes = random_games(env, number)
  assert_mean(total, env.trivial_score)
  # The numbers of the released game.
  chosen = (sizes <= 4).all(0)
  assert 0.6 < chosen.mean() < 0.73
  smaller = BoxWorld(solution_length=4, num_forward=4)
  assert_mean(total[chosen], smaller.trivial_score)
  assert_mean(total[chosen], .061, .0082)
  assert_mean(outcome["gem"][chosen], .0060, .0007)
  assert_mean(steps[chosen], 118.52, .12)


def test_random_actions_in_the_smallest_games():
  env = BoxWorld(solution_length=1, num_forward=0)
  total, steps, outcome, sizes = random_games(env, 4096)
  assert (sizes == np.array([[1], [0]])).all()
  assert_mean(total, env.trivial_score)
  assert_mean(total, .364, .0174)
  assert_mean(outcome["gem"], .0308, .0016)
  assert_mean(steps, 119.73, .08)


def random_games(env, number):
  """Returns returns, lengths, outcomes, and the sizes `[2, number]`."""
  actions = np.random.default_rng(1).integers(
      0, 4, (number, env.episode_limit))
  states = reset(env, number, seed=1)
  sizes = np.stack([
      is_solution_lock(states).sum((1, 2)),
      (np.asarray(states.board) >= rules.DISTRACTOR).sum((1, 2))])
  return *returns(env, states, actions), sizes


def assert_mean(values: np.ndarray, expected: float, error: float = 0.
                ) -> None:
  """Compares with a measured mean and its standard error.

  Means with an error are of 12,000 games of a plain Python version of the
  rules, with the released generator's rejection of places.
  """
  error = np.hypot(error, values.std() / np.sqrt(len(values)))
  assert abs(values.mean() - expected) < 3 * error


def test_trivial_score_depends_on_the_settings():
  environments = [BoxWorld(), BoxWorld(num_forward=4),
                  BoxWorld(solution_length=1, num_forward=0)]
  assert len({env.trivial_score for env in environments}) == 3
  # Beyond what is measured, the nearest number that is.
  assert BoxWorld(solution_length=9).at_level(9).trivial_score == (
      BoxWorld(solution_length=6).at_level(6).trivial_score)
