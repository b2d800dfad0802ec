"""BoxWorld: rules, what is seen, settings. Levels: test_boxworld_levels.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle_boxworld as oracle
import pytest
from boxworld_helpers import characters, play, reset

from tasks.environments.boxworld import drawing, rules
from tasks.environments.boxworld.boxworld import BoxWorld

pytestmark = pytest.mark.usefixtures("strict_promotion")
KEY = jax.random.key(0)

# A board of 5 x 5 within its border. North of the player is a key that opens
# the box of the gem and a dead end.
SMALL = """\
#######
#bA   #
#     #
#a  *A#
#.    #
#     #
#######"""


def small(**changes) -> tuple[BoxWorld, rules.State]:
  env = BoxWorld(**dict(solution_length=1, num_forward=0, grid_size=5, view=3)
                 | changes)
  board = np.array([[ord(c) for c in line] for line in SMALL.splitlines()])
  return env, env.from_record(board, np.array([[1, 2], [-1, -1]]))


def moves(env, state, actions):
  """Plays 'N', 'S', 'W', 'E'; returns the last state and all time steps."""
  step, found = jax.jit(env.step), []
  for letter in actions:
    state, timestep = step(state, jnp.int32("NSWE".index(letter)), KEY)
    found.append(timestep)
  return state, found


@pytest.fixture(name="golden")
def _golden(golden_root):
  with np.load(golden_root / "boxworld_pycolab.npz") as file:
    return dict(file)


@pytest.fixture(name="replay")
def _replay(golden):
  """Returns states and time steps `[E, T]`, and which steps are recorded."""
  starts = golden["episode_start"]
  lengths = np.diff(starts)
  env = BoxWorld(view=0)
  assert (golden["max_num_steps"] == env.max_steps).all()
  assert len(lengths) == 60 and lengths.max() == env.episode_limit
  actions = np.zeros((len(lengths), env.episode_limit), np.int32)
  mask = np.arange(env.episode_limit) < lengths[:, None]
  actions[mask] = golden["actions"]
  states = [env.from_record(board, locks) for board, locks in zip(
      golden["initial_board"], golden["distractor_lock"], strict=True)]
  states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
  np.testing.assert_array_equal(characters(states), golden["initial_board"])
  return *play(env, states, actions), mask


def test_games_of_pycolab(golden, replay):
  states, timesteps, mask = jax.tree.map(np.asarray, replay)
  assert mask.sum() > 3000
  states, timesteps = jax.tree.map(lambda x: x[mask], (states, timesteps))
  np.testing.assert_array_equal(
      drawing.CHARACTERS[jax.vmap(drawing.whole)(states)], golden["boards"])
  np.testing.assert_array_equal(timesteps.reward, golden["rewards"])
  np.testing.assert_array_equal(timesteps.is_last, golden["done"])
  held = np.where(golden["held"] == ord("#"), 0, golden["held"] - ord("a") + 1)
  np.testing.assert_array_equal(states.held, held)
  np.testing.assert_array_equal(
      np.stack(divmod(states.position, 14), 1), golden["player"])

  last = golden["episode_start"][1:] - 1
  np.testing.assert_array_equal(timesteps.terminated[last],
                                golden["ended_by"] < 2)
  np.testing.assert_array_equal(timesteps.truncated[last],
                                golden["ended_by"] == 2)
  outcome = jax.vmap(BoxWorld().outcome)(
      jax.tree.map(lambda x: jnp.asarray(x[last]), states))
  np.testing.assert_array_equal(outcome["gem"], golden["ended_by"] == 0)
  np.testing.assert_array_equal(outcome["dead_end"], golden["ended_by"] == 1)
  np.testing.assert_array_equal(outcome["boxes"], [
      (golden["rewards"][a:b + 1] == 1).sum()
      for a, b in zip(golden["episode_start"], last, strict=False)])


def test_views_of_games_of_pycolab(golden, replay):
  states, timesteps, mask = replay
  rgb = np.zeros((256, 3), np.float32)
  rgb[golden["colour_code"]] = golden["colour_0_999"] / 999
  boards = golden["boards"]
  np.testing.assert_allclose(timesteps.observation.image[mask], rgb[boards],
                             atol=1e-6)
  states = jax.tree.map(lambda x: x[mask], states)
  for view in (5, 13):
    seen = jax.jit(jax.vmap(BoxWorld(view=view).observe))(states).image
    around = boards.copy()
    around[:, 0, 0] = ord("#")
    around = np.pad(around, ((0, 0), *2 * [(view // 2, view // 2)]),
                    constant_values=ord("#"))
    crops = np.stack([
        board[y:y + view, x:x + view]
        for board, (y, x) in zip(around, golden["player"], strict=True)])
    np.testing.assert_allclose(seen[..., :3], rgb[crops], atol=1e-6)
    key = rgb[golden["held"]]
    assert (key.sum(1) > 0).mean() > 0.1
    np.testing.assert_allclose(seen[..., 3:], np.broadcast_to(
        key[:, None, None], (*crops.shape, 3)), atol=1e-6)


def test_solution():
  env, state = small()
  state, steps = moves(env, state, "NSSEEEEN")
  assert [float(s.reward) for s in steps] == [0] * 8
  assert env.text(state).splitlines()[4] == "#    .#"  # Beside the lock.
  assert env.text(state)[0] == "a"
  state, steps = moves(env, state, "NW")
  assert [float(s.reward) for s in steps] == [1, 10]
  assert [bool(s.terminated) for s in steps] == [False, True]
  assert not any(bool(s.truncated) for s in steps)
  assert {k: float(v) for k, v in env.outcome(state).items()} == {
      "gem": 1, "dead_end": 0, "boxes": 1}


def test_dead_end():
  env, state = small()
  state, steps = moves(env, state, "NEN")
  assert [float(s.reward) for s in steps] == [0, 0, 0]
  state, steps = moves(env, state, "N")
  assert (float(steps[0].reward), bool(steps[0].terminated)) == (-1, True)
  assert {k: float(v) for k, v in env.outcome(state).items()} == {
      "gem": 0, "dead_end": 1, "boxes": 0}
  assert env.text(state).splitlines()[:2] == ["#######", "#b.   #"]


@pytest.mark.parametrize("letters, place", [
    ("W", (4, 1)),  # The border.
    ("EEN", (3, 3)), ("EENE", (3, 3)),  # The gem in its box.
    ("EENNNW", (1, 3)),  # A lock without a key.
    ("EENNWWN", (2, 1)),  # A key in its box.
])
def test_what_cannot_be_entered(letters, place):
  env, state = small()
  new, steps = moves(env, state, letters)
  assert divmod(int(new.position), 7) == place
  np.testing.assert_array_equal(new.board, state.board)
  assert int(new.steps) == len(letters)
  assert not any(float(s.reward) or bool(s.is_last) for s in steps)


def test_a_new_key_replaces_the_held_one():
  env, state = small()
  board = np.array([[ord(c) for c in line] for line in SMALL.splitlines()])
  board[5, 1] = ord("c")
  state, _ = moves(env, env.from_record(board, np.zeros((0, 2))), "S")
  assert env.text(state)[0] == "c"
  state, _ = moves(env, state, "NN")
  assert env.text(state)[0] == "a"
  assert "c" not in env.text(state)


@pytest.mark.parametrize("max_steps", [1, 10])
def test_time_is_up_after_one_more_step(max_steps):
  env, state = small(max_steps=max_steps)
  assert env.episode_limit == max_steps + 1
  _, steps = moves(env, state, "W" * env.episode_limit)
  assert [bool(s.truncated) for s in steps] == [False] * max_steps + [True]
  assert not any(bool(s.terminated) for s in steps)


def test_an_end_at_the_limit_is_no_truncation():
  env, state = small(max_steps=9)
  state, steps = moves(env, state, "NSSEEEENNW")
  assert len(steps) == env.episode_limit
  assert bool(steps[-1].terminated) and not bool(steps[-1].truncated)


def test_actions():
  env, state = small()
  for action in (-1, 4):
    with pytest.raises(ValueError, match=rf"no action {action}; valid: 0 nor"):
      env.step(state, action, KEY)
  new, _ = jax.jit(env.step)(state, jnp.int32(9), KEY)
  assert int(new.position) == int(state.position) + 1  # As 3, east.


@pytest.mark.parametrize("view, shape", [
    (0, (14, 14, 3)), (5, (5, 5, 6)), (13, (13, 13, 6))])
def test_spec(view, shape):
  env = BoxWorld(view=view)
  state = jax.tree.map(lambda x: x[0], _walks()[1])
  assert env.image_shape == env.observe(state).image.shape == shape
  assert env.observe(state).image.dtype == jnp.float32
  assert env.observe(state).features.shape == (env.num_features,) == (0,)
  assert (env.num_actions, env.output_size) == (4, 5)
  assert env.input_of(env.observe(state), jnp.int32(-1),
                      jnp.float32(0)).shape == (env.input_size,)
  assert not env.has_cheap_reset and env.episode_limit == 121
  new, timestep = env.step(state, 0, KEY)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == jax.tree.map(
      lambda x: (x.shape, x.dtype), state)
  first = env.first(state)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), first) == jax.tree.map(
      lambda x: (x.shape, x.dtype), timestep)


@functools.cache
def _walks():
  """Returns random walks: their beginnings, states, steps and actions."""
  env = BoxWorld(solution_length=3, num_backward=1)
  states = reset(env, 64)
  actions = np.random.default_rng(0).integers(0, 4, (64, 121))
  return env, states, *play(env, states, actions), actions


def test_invariants():
  _, first, states, timesteps, _ = _walks()
  boards = np.concatenate([np.asarray(first.board)[:, None], states.board], 1)
  timesteps = jax.tree.map(np.asarray, timesteps)
  alive = np.cumsum(timesteps.is_last, 1) - timesteps.is_last == 0
  changed = (boards[:, 1:] != boards[:, :-1]).sum((2, 3))[alive]
  assert (changed <= 1).all() and changed.sum() > 20
  assert (boards[:, :, 0] == rules.BORDER).all()
  under = np.take_along_axis(
      boards[:, 1:].reshape(64, 121, -1),
      np.asarray(states.position)[..., None], -1)
  assert (under == rules.BACKGROUND).all()
  assert not (timesteps.terminated & timesteps.truncated).any()
  assert timesteps.is_last.any(1).all()
  assert set(np.unique(timesteps.reward[alive])) <= {-1, 0, 1, 10}
  held = np.asarray(states.held)
  assert held.any() and (held <= rules.NUM_COLOURS).all()


def test_alone_as_under_vmap():
  env, first, states, timesteps, actions = _walks()
  for b in (3, 17):
    state = jax.tree.map(lambda x, b=b: x[b], first)
    for t in range(29):
      state, timestep = env.step(state, int(actions[b, t]), KEY)
      jax.tree.map(lambda x, y, at=(b, t): np.testing.assert_array_equal(
          x, y[at]), (state, timestep), (states, timesteps))


def test_text_and_picture():
  env, state = small()
  assert env.text(state) == SMALL
  picture = env.picture(state)
  assert picture.shape == (7 * 16, 7 * 16, 3) and picture.dtype == np.uint8
  cells = picture[8::16, 8::16]
  assert cells[0, 0].tolist() == [0, 0, 0]
  assert cells[3, 4].tolist() == [255, 255, 255]  # The gem.
  assert cells[4, 1].tolist() == [128, 128, 128]  # The player.
  assert cells[2, 2].tolist() == [204, 204, 204]
  np.testing.assert_array_equal(cells[3, 1], cells[3, 5])  # A key, its lock.
  assert cells[3, 1].tolist() == [179, 89, 89]
  state, _ = moves(env, state, "N")
  assert env.picture(state)[0, 0].tolist() == [179, 89, 89]


@pytest.mark.parametrize("fields, message", [
    (dict(solution_length=0), r"1 <= min_solution_length <= solution_length, "
     r"got min_solution_length=1 and solution_length=0"),
    (dict(min_solution_length=0), "got min_solution_length=0"),
    (dict(num_forward=-1), "0 <= min_forward <= num_forward, got min_forward=0 "
     "and num_forward=-1"),
    (dict(min_forward=6), "got min_forward=6 and num_forward=5"),
    (dict(min_backward=-2), "got min_backward=-2"),
    (dict(num_backward=-1), "num_backward=-1"),
    (dict(branch_length=0), "branch_length >= 1, got branch_length=0"),
    (dict(max_steps=0), "max_steps >= 1, got max_steps=0"),
    (dict(grid_size=4), "grid_size >= 5, got grid_size=4"),
    (dict(view=4), "odd view from 3 to 14, the size of the board, got view=4"),
    (dict(view=1), "got view=1"), (dict(view=-1), "got view=-1"),
    (dict(view=15), "got view=15"),
    (dict(solution_length=10), r"<= 15, which fit on grid_size=12, got 16"),
    (dict(branch_length=2), "got 16"),
    (dict(num_backward=5), "got 16"),
    (dict(solution_length=19, grid_size=30),
     r"solution_length <= 18, since there are 20 colours, got solution_length"
     "=19"),
    (dict(solution_length=18, branch_length=2, grid_size=30), "<= 17"),
    (dict(solution_length=21, num_forward=0, grid_size=30), "<= 20"),
])
def test_refusals(fields, message):
  with pytest.raises(ValueError, match=message) as error:
    BoxWorld(**fields)
  assert "\n" not in str(error.value)


def test_levels():
  env = BoxWorld()
  assert (env.level_name, env.max_level) == ("solution length", 5)
  for level in (1, 9):  # Longer ones than in training have the same shapes.
    assert env.at_level(level) == BoxWorld(
        solution_length=level, min_solution_length=level)
  for level, message in ((0, "min_solution_length=0"), (10, "<= 15")):
    with pytest.raises(ValueError, match=message):
      env.at_level(level)


def test_bad_records():
  env, _ = small()
  board = np.array([[ord(c) for c in line] for line in SMALL.splitlines()])
  for bad, message in (
      (board[:5], "need a board of 7 rows for grid_size=5, got 5"),
      (board[:, :5], "square board with one player"),
      (np.where(board == ord("."), ord(" "), board), "0 players"),
      (np.where(board == ord("b"), ord("z"), board), "no 'z'; valid")):
    with pytest.raises(ValueError, match=message):
      env.from_record(bad, np.zeros((0, 2)))


def test_oracle_plays_a_small_board():
  _, state = small()
  assert "".join("NSWE"[a] for a in oracle.actions(
      np.array(characters(jax.tree.map(lambda x: x[None], state))[0]))
      ) == "NNEEEESW"
