"""Mini-Pacman against the released code's recordings, and by its rules."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import oracle_minipacman as oracle
import pytest

from tasks.environments.minipacman import maze, rules, views
from tasks.environments.minipacman.minipacman import MiniPacman

pytestmark = pytest.mark.usefixtures("strict_promotion")

MODES = ("regular", "avoid", "hunt", "ambush", "rush")
MANY = 1000  # Steps at once, so that tests share what they compile.


@functools.cache
def jitted(env):
  return jax.jit(jax.vmap(env.step))


def stepping(env):
  """Returns `step(states, actions, keys)` of a batch, with NumPy results."""
  return lambda *args: jax.tree.map(np.asarray, jitted(env)(*args))


def stacked(states):
  return jax.tree.map(lambda *x: np.stack(x), *states)


def repeated(state):
  return jax.tree.map(lambda x: np.repeat(np.asarray(x)[None], MANY, 0), state)


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
  for number, mode in enumerate(file["modes"]):
    env = MiniPacman(mode=str(mode))
    rows = np.flatnonzero(comparable & (file["mode"] == number))
    states, expected = (stacked([env.from_record(of[i]) for i in rows])
                        for of in (before, after))
    # Steps from each of them some dozens of times.
    index = np.resize(np.arange(len(rows)), MANY)
    rows = rows[index]
    found, ts = stepping(env)(
        jax.tree.map(lambda x, index=index: x[index], states),
        file["action"][rows].astype(np.int32),
        jax.random.split(jax.random.key(number), MANY))
    known = file["forced_reward"][rows]
    np.testing.assert_allclose(
        ts.reward[known], file["reward"][rows][known], atol=1e-6)
    np.testing.assert_array_equal(
        ts.is_last[known], file["pcontinue"][rows][known] == 0)
    assert not (ts.terminated & ts.truncated).any()
    forced = file["forced"][rows]
    jax.tree.map(
        lambda x, y, index=index, forced=forced: np.testing.assert_array_equal(
            x[forced], y[index[forced]]), compact(found), expected)
    np.testing.assert_allclose(ts.observation.image[forced],
                               file["next_rgb"][rows][forced], atol=1e-6)


def as_drawn(file, row, exploring):
  """Returns the draws by which ghosts decided as recorded.

  Where the original drew nothing, a draw that is used would move the ghost.
  """
  moves = np.where(file["ghost_moved"][row] == 0, 0.9999, 0.)
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
    state, ts = stepping(env)(
        repeated(env.from_record(before[row])),
        np.full(MANY, file["action"][row], np.int32),
        jax.random.split(jax.random.key(row), MANY))
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
  sizes = []
  for i in np.flatnonzero(file["category"] != "first_direction"):
    env = MiniPacman(mode=str(file["modes"][file["mode"][i]]))
    these = slice(*file["outcome_start"][i:i + 2])
    state, ts = stepping(env)(
        repeated(env.from_record(before[i])),
        np.full(MANY, file["action"][i], np.int32),
        jax.random.split(jax.random.key(i), MANY))
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
    error = np.abs(observed / MANY - p) / np.sqrt(p * (1 - p) / MANY)
    # Rare outcomes are counted in ones.
    assert (error < 4 + 1 / np.sqrt(p * MANY)).all(), (i, p, observed)
    sizes.append(len(known))
  assert len(sizes) == 55
  assert max(sizes) > 5


def check_returns(golden_root, mode, level, cap, number, errors=3.):
  entries = json.loads((golden_root / "minipacman_stats.json").read_text())[
      "random_policy"]
  entry, = [entry for entry in entries if (
      entry["mode"], entry["start_level"], entry["frame_cap"]) == (
          mode, level, cap)]
  env = MiniPacman(mode=mode, max_steps=cap).at_level(level)
  game = oracle.play(env, oracle.random_policy, jax.random.key(level), number)
  total = np.asarray(game.total)
  error = total.std() / np.sqrt(number)
  assert abs(total.mean() - entry["return_mean"]) < errors * np.hypot(
      error, entry["return_se"])


@pytest.mark.parametrize("mode, level, cap", [
    ("regular", 1, 300), ("avoid", 2, 3000), ("hunt", 8, 3000),
    ("ambush", 5, 3000), ("rush", 8, 3000)])
def test_returns_of_the_random_policy(golden_root, mode, level, cap):
  check_returns(golden_root, mode, level, cap, 500)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", range(1, 9))
def test_returns_of_the_random_policy_at_all_levels(golden_root, mode, level):
  """Allows for 40 comparisons: one of them exceeds 3 errors by chance."""
  heavy_tail = mode == "regular" and level == 1
  check_returns(golden_root, mode, level, 300 if heavy_tail else 3000, 2000,
                errors=3.5)


@pytest.mark.parametrize("number, cap, whole, part", [
    pytest.param(20, 300, (170, 250), (100, 190), id="few"),
    pytest.param(128, 3000, (622 - 3 * 45, 622 + 3 * 45),
                 (460 - 3 * 31, 460 + 3 * 31), id="many",
                 marks=pytest.mark.slow)])
def test_a_greedy_policy(number, cap, whole, part):
  """Plays a few games of 300 steps, or many of 3000.

  In 20 games of 3000 steps, a greedy policy scored 622 +- 43 in the released
  code with the whole view, and 460 +- 28 with 5 x 5 cells; the random policy
  scores 10. The tolerance is three standard errors of theirs and ours.
  """
  for view, (low, high) in ((0, whole), (5, part)):
    env = MiniPacman(view=view, max_steps=cap)
    game = oracle.play(env, oracle.greedy(view), jax.random.key(0), number)
    assert low < np.mean(game.total) < high
    assert env.outcome(jax.tree.map(np.max, game.state))["last_level"] > 1


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def random_walk(env, batch, num_steps, key):
  """Returns states before random actions, the actions, and what follows."""
  def one(state, key):
    act, move, new = jax.random.split(key, 3)
    action = jax.random.randint(act, (), 0, 5)
    after, ts = env.step(state, action, move)
    following = jax.tree.map(
        lambda a, b: jnp.where(ts.is_last, a, b), env.reset(new), after)
    return following, (state, action, after, ts._replace(observation=()))

  def all_of_them(states, key):
    return jax.vmap(one)(states, jax.random.split(key, batch))

  first, key = jax.random.split(key)
  states = jax.vmap(env.reset)(jax.random.split(first, batch))
  walked = jax.lax.scan(all_of_them, states,
                        jax.random.split(key, num_steps))[1]
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), walked)


@pytest.mark.parametrize("mode", MODES)
def test_what_holds_after_each_step(mode):
  env = MiniPacman(mode=mode, level=5, max_steps=40, max_ghosts=3)
  before, action, after, ts = jax.tree.map(
      np.asarray, random_walk(env, 128, 90, jax.random.key(3)))
  pays = rules.MODES[mode]
  raised = after.level > before.level
  assert (raised | (after.level == before.level)).all()
  assert raised.any() == (mode == "rush")
  np.testing.assert_array_equal(after.frame, before.frame + 1)
  np.testing.assert_array_equal(after.timer,
                                np.where(raised, 0, before.timer + 1))
  walked = maze.NEXT[before.pacman, action]
  np.testing.assert_array_equal(after.pacman[~raised], walked[~raised])
  # Food, pills and ghosts only go, and pay when they go.
  assert not (after.food & ~before.food)[~raised].any()
  assert not after.food[np.arange(len(walked)), walked][~raised].any()
  gone = [a.sum(1) - b.sum(1) for a, b in (
      (before.food, after.food), (before.pills >= 0, after.pills >= 0),
      (before.ghosts >= 0, after.ghosts >= 0))]
  kept = ~raised & ~ts.terminated
  reward = pays.step + gone[0] * pays.food + gone[1] * pays.pill + (
      gone[2] * pays.ghost)
  np.testing.assert_allclose(ts.reward[kept], reward[kept], atol=1e-5)
  deaths = (ts.reward - reward)[ts.terminated & ~raised]
  assert deaths.size > 100
  if pays.death:
    deaths /= pays.death
    np.testing.assert_allclose(deaths, np.round(deaths), atol=1e-5)
    assert set(np.round(deaths)) >= {1, 2}  # One ghost may kill twice.
  # Power and ghosts.
  power = np.where(gone[1] > 0, 20, np.maximum(before.power - 1, 0))
  np.testing.assert_array_equal(after.power[~raised], power[~raised])
  assert (gone[2][~raised] <= 1).all()
  assert ((gone[2] == 0) | (after.power > 0))[~raised].all()
  there = (before.ghosts >= 0) & (after.ghosts >= 0) & ~raised[:, None]
  old, new = before.ghosts[there], after.ghosts[there]
  went = maze.NEXT[old >> 2, new % 4 + 1]
  np.testing.assert_array_equal(new >> 2, np.where(new == old, old >> 2, went))
  assert 0.5 < np.mean(old != new) < 0.95
  # Ends.
  assert not (ts.terminated & ts.truncated).any()
  np.testing.assert_array_equal(ts.is_last,
                                ts.terminated | (after.frame == 40))
  assert ts.truncated.any()


def test_ghosts_turn_back_in_no_corridor():
  env = MiniPacman(level=6, max_steps=40)
  before, _, after, _ = jax.tree.map(
      np.asarray, random_walk(env, 64, 60, jax.random.key(4)))
  old, new = before.ghosts[:, 0], after.ghosts[:, 0]
  moved = (old >= 0) & (new >= 0) & (after.level == before.level) & (
      before.timer > 0)  # A new ghost may look at a wall.
  exits = (maze.NEXT[:, 1:] != maze.NEXT[:, :1])
  assert set(exits.sum(1)) == {2, 3, 4}  # There is no dead end.
  back = moved & ((old - new) % 4 == 2) & ((old >> 2) != (new >> 2))
  stuck = ~exits[old >> 2, old % 4]
  assert moved.sum() > 1000
  assert not (back & ~stuck).any()


def test_ghosts_hunt_and_flee():
  """A ghost at a crossing sees the pacman below, and to the right of it."""
  env = MiniPacman()
  crossing = [3, 3]  # Four exits.
  record = {"level": 6, "frame": 9, "timer": 9, "power": 0, "pillman": [9, 4],
            "food": ~maze.WALLS, "pills": [], "ghosts": [[*crossing, 2]]}
  shares = {}
  for power in (0, 15):
    state = env.from_record(record | {"power": power})
    after, _ = stepping(env)(
        repeated(state), np.zeros(MANY, np.int32),
        jax.random.split(jax.random.key(power), MANY))
    poses, counts = np.unique(after.ghosts[:, 0], return_counts=True)
    shares[power] = {
        (*maze.CELLS[pose >> 2].tolist(), int(pose % 4)): count / MANY
        for pose, count in zip(poses, counts, strict=True)}
  # It came from the left. Down is nearest; 5 % go anywhere.
  assert set(shares[0]) == {(4, 3, 3), (3, 4, 0), (2, 3, 1)}
  assert 0.94 < shares[0][(4, 3, 3)] < 0.985
  # With power it always goes up, half of the time.
  assert set(shares[15]) == {(*crossing, 0), (2, 3, 1)}
  assert 0.45 < shares[15][(2, 3, 1)] < 0.55


@pytest.mark.parametrize("level, number", [(1, 1), (2, 1), (3, 2), (8, 4)])
def test_new_levels(level, number):
  env = MiniPacman(max_ghosts=4).at_level(level)
  states = jax.tree.map(np.asarray, jax.vmap(env.reset)(
      jax.random.split(jax.random.key(level), 400)))
  assert states.food.shape == (400, 138)
  assert states.food.all()
  assert (states.level == level).all()
  assert not (states.frame.any() or states.timer.any() or states.power.any())
  assert len(np.unique(states.pacman)) > 120
  assert len(np.unique(states.pills)) > 120
  assert (states.pills[:, 0] != states.pills[:, 1]).any()
  assert ((states.ghosts >= 0).sum(1) == number).all()
  pose = states.ghosts[:, :number]
  y, x = np.moveaxis(maze.CELLS[pose >> 2] - maze.CELLS[states.pacman][:, None],
                     -1, 0)
  assert ((y < -5) | (y > 4) | (x < -5) | (x > 4)).all()
  assert ((y == 5) & (x == 5)).any() or number < 4
  assert set(np.unique(pose % 4)) == {0, 1, 2, 3}


def test_levels_beyond_the_ghosts_that_fit():
  env = MiniPacman(mode="rush", max_ghosts=2, level=4)
  record = {"level": 9, "frame": 5, "timer": 5, "power": 0, "pillman": [1, 1],
            "food": ~maze.WALLS, "pills": [[1, 2]], "ghosts": []}
  state, ts = env.step(env.from_record(record), 1, jax.random.key(0))
  assert int(state.level) == 10
  assert (state.ghosts >= 0).all()
  assert float(ts.reward) == pytest.approx(9.9)


@pytest.mark.parametrize("view, pixels", [
    (0, "rgb"), (0, "planes"), (1, "planes"), (5, "rgb"), (15, "planes")])
def test_views(view, pixels):
  env = MiniPacman(view=view, pixels=pixels, level=5)
  after = random_walk(MiniPacman(level=5), 4, 30, jax.random.key(5))[2]
  seen = jax.vmap(env.observe)(after)
  assert seen.image.shape[1:] == env.image_shape == (
      view or 15, view or 19, 3 if pixels == "rgb" else 6)
  assert seen.image.dtype == seen.features.dtype == jnp.float32
  assert seen.features.shape[1:] == (env.num_features,) == (0,)
  for i in range(0, 120, 7):
    expected = drawn(jax.tree.map(lambda x, i=i: np.asarray(x[i]), after),
                     pixels, view)
    np.testing.assert_allclose(seen.image[i], expected, atol=1e-6)


def drawn(state, pixels, view):
  """Draws one state cell by cell, `[height, width, C]`."""
  edible = state.power / 20
  planes = np.zeros((15, 19, 6))
  planes[..., 0] = maze.WALLS
  for channel, places, value in (
      (1, np.flatnonzero(state.food), 1), (2, [state.pacman], 1),
      (3, state.ghosts[state.ghosts >= 0] // 4, 1 - edible),
      (4, state.ghosts[state.ghosts >= 0] // 4, edible),
      (5, state.pills[state.pills >= 0], 1)):
    for place in places:
      planes[(*maze.CELLS[place], channel)] = value
  image = planes
  if pixels == "rgb":
    image = np.zeros((15, 19, 3))
    for y, x in np.ndindex(15, 19):
      wall, food, pacman, ghost, edible, pill = planes[y, x]
      image[y, x] = ((0, 1, 0) if pacman else (1, edible, 0)
                     if ghost + edible else (0, 1, 1) if pill else
                     (0, 0, 1) if food else (wall, wall, wall))
  if view:
    outside = np.ones(3) if pixels == "rgb" else np.eye(6)[0]
    padded = np.broadcast_to(outside, (45, 49, len(outside))).copy()
    padded[15:30, 15:34] = image
    y, x = maze.CELLS[state.pacman] + 15
    half = view // 2
    image = padded[y - half:y + half + 1, x - half:x + half + 1]
  return image


def test_a_game_alone_equals_the_same_game_among_others():
  env = MiniPacman(mode="avoid", level=3, view=5)
  keys = jax.random.split(jax.random.key(6), 7)
  states = jax.vmap(env.reset)(keys)
  step = jax.jit(env.step)
  for action in (1, 4, 0, 3, 2):
    actions = jnp.full(7, action, jnp.int32)
    after, ts = jitted(env)(states, actions, keys)
    for i in (0, 5):
      alone = step(jax.tree.map(lambda x, i=i: x[i], states), actions[i],
                   keys[i])
      jax.tree.map(np.testing.assert_array_equal, alone, jax.tree.map(
          lambda x, i=i: x[i], (after, ts)))
    states = after
  first = env.first(jax.tree.map(lambda x: x[0], states))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), first) == jax.tree.map(
      lambda x: (x.shape[1:], x.dtype), ts)


def test_text_and_picture():
  env = MiniPacman()
  record = {"level": 3, "frame": 7, "timer": 7, "power": 4, "pillman": [1, 1],
            "food": np.zeros((15, 19)), "pills": [[1, 3]],
            "ghosts": [[3, 1, 5]]}
  record["food"][3, 2] = 1
  state = env.from_record(record)
  lines = env.text(state).splitlines()
  assert lines[:5] == [
      "level 3, step 7, power 4", "###################",
      "#P o#         #   #", "# # # ####### # # #", "#g.               #"]
  assert "G" in env.text(state._replace(power=jnp.zeros((), jnp.int32)))
  picture = env.picture(state)
  assert picture.dtype == np.uint8
  size = views.CELL_SIZE
  assert picture.shape == (15 * size, 19 * size, 3)
  cells = picture[size // 2::size, size // 2::size]
  np.testing.assert_array_equal(cells[3, :4], [
      [255, 255, 255], [255, 51, 0], [0, 0, 255], [0, 0, 0]])
  np.testing.assert_array_equal(cells[1, 1:4:2], [[0, 255, 0], [0, 255, 255]])


def test_specifications():
  env = MiniPacman(view=5, max_steps=50)
  assert env.action_names == ("stay", "right", "up", "left", "down")
  assert env.input_size == 5 * 5 * 3 + 5 + 1
  assert env.output_size == 6
  assert (env.episode_limit, env.max_level, env.level_name) == (50, 12, "level")
  assert hash(env) == hash(MiniPacman(view=5, max_steps=50))
  state = env.at_level(4).reset(jax.random.key(0))
  assert env.outcome(state) == {"last_level": 4}
  scores = {mode: MiniPacman(mode=mode).trivial_score for mode in MODES}
  assert len(set(scores.values())) == 5
  assert MiniPacman(level=7).trivial_score < scores["regular"]


def test_the_random_policys_published_score(golden_root):
  for entry in json.loads((golden_root / "minipacman_stats.json").read_text())[
      "random_policy"]:
    if entry["frame_cap"] == 3000:
      env = MiniPacman(mode=entry["mode"], level=entry["start_level"])
      error = 3 * entry["return_se"]
      assert abs(env.trivial_score - entry["return_mean"]) < 2 * error


@pytest.mark.parametrize("fields, message", [
    ({"mode": "race"}, "unknown mode 'race'; valid modes: regular, avoid, "),
    ({"pixels": "grey"}, "unknown pixels 'grey'"),
    ({"view": 4}, "odd view from 1 to 15, got view=4"),
    ({"view": 17}, "odd view from 1 to 15, got view=17"),
    ({"view": -1}, "odd view from 1 to 15, got view=-1"),
    ({"max_steps": 0}, "need max_steps >= 1"),
    ({"max_ghosts": 0}, "need max_ghosts >= 1"),
    ({"level": 0}, "need 1 <= level <= 12"),
    ({"level": 5, "max_ghosts": 2}, "need 1 <= level <= 4")])
def test_refused_fields(fields, message):
  with pytest.raises(ValueError, match=message) as error:
    MiniPacman(**fields)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("fields, message", [
    ({"pillman": [0, 0]}, r"not all of the cells \[0, 0\] \(y, x\) are free"),
    ({"pills": [[1, 1], [1, 40]]}, r"\[1, 40\]\] \(y, x\) are free"),
    ({"ghosts": [[1, 1, 0]]}, r"directions \[0\]; valid: 2 right"),
    ({"pills": [[1, 1]] * 3}, "need at most 2 pills, got 3"),
    ({"ghosts": [[1, 1, 2]] * 7}, "at most 6 ghosts .max_ghosts., got 7")])
def test_refused_records(fields, message):
  record = {"level": 1, "frame": 0, "timer": 0, "power": 0, "pillman": [1, 1],
            "food": ~maze.WALLS, "pills": [], "ghosts": []}
  env = MiniPacman()
  env.from_record(record)
  with pytest.raises(ValueError, match=message):
    env.from_record(record | fields)


def test_refused_levels_and_actions():
  env = MiniPacman()
  with pytest.raises(ValueError, match="level=13"):
    env.at_level(13)
  state = env.reset(jax.random.key(0))
  with pytest.raises(ValueError, match="has no action 5; valid: 0 stay, 1 "):
    env.step(state, 5, jax.random.key(0))
