"""Levels of BoxWorld: their boxes, places, colours, and that all are solvable.

Statistics are compared with 12,000 levels of the released generator.
"""

import numpy as np
import oracle_boxworld as oracle
import pytest
from boxworld_helpers import characters, reset, returns

from tasks.environments.boxworld import layout
from tasks.environments.boxworld.boxworld import BoxWorld

NUMBER = 4096


def levels(env: BoxWorld, number: int) -> np.ndarray:
  return characters(reset(env, number))


def is_key(boards: np.ndarray) -> np.ndarray:
  """Returns whether a cell has a key or the gem."""
  return (boards == ord("*")) | (boards >= ord("a"))


def is_lock(boards: np.ndarray) -> np.ndarray:
  return (boards >= ord("A")) & (boards <= ord("T"))


def is_solution_lock(env: BoxWorld, number: int) -> np.ndarray:
  boards = np.asarray(reset(env, number).board)
  return (boards >= 32) & (boards < 64)


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
  assert (boards[:, 0] == ord("#")).all() and (boards[:, :, 0] == ord("#")).all()
  assert (boards[:, -1] == ord("#")).all()
  assert (boards[:, :, -1] == ord("#")).all()
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
  right = is_solution_lock(BoxWorld(), NUMBER)
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
  right = is_solution_lock(env, NUMBER)
  for board, own in zip(levels(env, 1024), right, strict=False):
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
  right, numbers = is_solution_lock(env, 128), []
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
  """Checks that the oracle reaches the gem of each level."""
  states = reset(env, number)
  routes = [oracle.actions(board) for board in characters(states)]
  assert max(map(len, routes)) <= env.episode_limit
  actions = np.zeros((number, env.episode_limit), int)
  for row, route in zip(actions, routes, strict=True):
    row[:len(route)] = route
  lengths = is_solution_lock(env, number).sum((1, 2))
  total, steps, outcome = returns(env, states, actions)
  np.testing.assert_array_equal(total, lengths + 10)
  np.testing.assert_array_equal(steps, [len(route) for route in routes])
  assert outcome["solved"].all() and not outcome["dead_end"].any()
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
  assert (is_solution_lock(env, 64).sum((1, 2)) == level).all()


# The range of solutions and of distractors; return, share solved, and length of
# random actions, each with its uncertainty. The last ones are pycolab's game.
FLOORS = [
    (BoxWorld(), None, None, None),
    (BoxWorld(solution_length=4, num_forward=4), .12, .01, 118),
    (BoxWorld(solution_length=1, num_forward=0), .35, .03, None)]


@pytest.mark.parametrize("env, mean, solved, length", FLOORS)
def test_random_actions(env, mean, solved, length):
  number = 8192
  actions = np.random.default_rng(1).integers(0, 4, (number, 121))
  total, steps, outcome = returns(env, reset(env, number, seed=1), actions)
  error = 3 * total.std() / np.sqrt(number)
  assert error < .15
  assert abs(total.mean() - env.trivial_score) < error
  if mean is not None:
    assert abs(total.mean() - mean) < error + .005  # The rounding of `mean`.
    assert abs(outcome["solved"].mean() - solved) < .005 + 3 * (
        outcome["solved"].std() / np.sqrt(number))
  if length is not None:
    assert abs(steps.mean() - length) < .5 + 3 * steps.std() / np.sqrt(number)


def test_trivial_score_depends_on_the_settings():
  scores = [env.trivial_score for env, *_ in FLOORS]
  assert len(set(scores)) == 3
  assert BoxWorld(solution_length=9).trivial_score > 0  # Not measured.
