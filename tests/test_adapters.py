"""Environments of this package for other libraries, and the other way round."""

import dataclasses
import sys
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import oracle_time_tracking as oracle
import pytest

from launch.configs import members
from tasks import base, random_policy
from tasks.environments.adapters.gymnax_adapter import GymnaxTask
from tasks.environments.time_tracking import TimeTracking

TASK = TimeTracking(cell_pixels=4)
SHAPES = {"image": (21, 21, 3), "features": (1,)}


@dataclasses.dataclass(frozen=True)
class Cut(base.Environment):
  """Has no image, and is cut off after three steps."""

  action_names = ("wait", "end")
  image_shape = (0, 0, 0)
  num_features = 2
  episode_limit = 3
  trivial_score = 0.

  def reset(self, key):
    return jnp.int32(0)

  def observe(self, state):
    return base.Observation(jnp.zeros((0, 0, 0)), state * jnp.array([1., -1]))

  def step(self, state, action, key):
    action = self.check_action(action)
    state = state + 1
    return state, base.TimeStep(
        self.observe(state), action * 2., action == 1,
        (action == 0) & (state == 3), jnp.zeros((), bool))


def need(package):
  return pytest.importorskip(
      package, reason=f"needs the package {package}: pip install -e '.[test]'")


def dm(task, **kwargs):
  need("dm_env")
  from tasks.environments.adapters import dm_env_adapter
  return dm_env_adapter.DmEnvironment(task, **kwargs)


def gym(task, **kwargs):
  need("gymnasium")
  from tasks.environments.adapters import gymnasium_adapter
  return gymnasium_adapter.GymnasiumEnvironment(task, **kwargs)


@pytest.mark.parametrize("task", [TASK, Cut()], ids=lambda task: type(task))
def test_dm_envs_own_checks(task):
  need("dm_env")
  from absl.testing import absltest
  from dm_env import test_utils

  class Test(test_utils.EnvironmentTestMixin, absltest.TestCase):

    def make_object_under_test(self):
      return dm(task)

    def make_action_sequence(self):
      rng = np.random.default_rng(0)
      yield from rng.integers(task.num_actions, size=2 * task.episode_limit + 2)

  names = [name for name in dir(Test) if name.startswith("test_")]
  assert len(names) >= 4
  for name in names:
    result = Test(name).run()
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.failures + result.errors


def test_dm_env_tells_an_end_from_a_cut():
  env = dm(Cut())
  assert list(env.observation_spec()) == ["features"]
  assert env.reset().first()
  steps = [env.step(0) for _ in range(3)]
  assert [(step.discount, step.last()) for step in steps] == [
      (1, False), (1, False), (1, True)]
  assert [step.observation["features"].tolist() for step in steps] == [
      [1, -1], [2, -2], [3, -3]]
  assert env.step(0).first()
  end = env.step(1)
  assert end.last()
  assert (end.reward, end.discount) == (2, 0)


def test_dm_env_plays_the_task():
  env = dm(TASK, seed=3)
  assert {name: spec.shape for name, spec in env.observation_spec().items()
          } == SHAPES
  times = set()
  for _ in range(11):
    step, total = env.reset(), 0
    time = step.observation["features"][0]
    while not step.last():
      step = env.step(int(oracle.act(env._episode.state)))
      total += step.reward
    assert total == 1 or time < 8
    times.add(time)
  assert len(times) > 3
  again = dm(TASK, seed=3).reset().observation
  jax.tree.map(np.testing.assert_array_equal,
               dm(TASK, seed=3).reset().observation, again)


# Nothing says how large the numbers of an observation are.
@pytest.mark.filterwarnings("ignore:.*A Box observation space m:UserWarning")
@pytest.mark.parametrize("task", [TASK, Cut()], ids=lambda task: type(task))
def test_gymnasiums_own_checks(task):
  gymnasium = need("gymnasium")
  from gymnasium.utils import env_checker
  modes = ["rgb_array", "ansi"] if task == TASK else []

  class Registered(type(gym(task))):
    metadata: ClassVar = {"render_modes": modes, "render_fps": 4}

    def __init__(self, **kwargs):
      super().__init__(task, **kwargs)

  gymnasium.register("Ours-v0", entry_point=Registered)
  try:
    env_checker.check_env(gymnasium.make("Ours-v0").unwrapped)
  finally:
    del gymnasium.registry["Ours-v0"]


def test_gymnasium_plays_the_task():
  env = gym(TASK)
  assert env.render() is None
  for seed in range(7):
    observation, info = env.reset(seed=seed)
    assert info == {}
    time, total, is_over = observation["features"][0], 0, False
    while not is_over:
      assert info == {}
      observation, reward, terminated, truncated, info = env.step(
          int(oracle.act(env._episode.state)))
      assert observation["features"] == time
      total, is_over = total + reward, terminated
      assert not truncated
    assert info["arrived"] == 1
    assert total == 1 - info["error"] / 7
    assert total == 1 or time < 8
  first = env.reset(seed=5)[0]
  assert all(array.flags.writeable for array in first.values())
  jax.tree.map(np.testing.assert_array_equal, first, env.reset(seed=5)[0])
  assert {name: box.shape for name, box in env.observation_space.items()
          } == SHAPES


def test_gymnasium_tells_an_end_from_a_cut():
  env = gym(Cut())
  env.reset(seed=0)
  assert [env.step(0)[2:4] for _ in range(3)] == [
      (False, False), (False, False), (False, True)]
  env.reset()
  assert env.step(1)[1:4] == (2, True, False)


def test_gymnasium_draws():
  env = gym(TASK, render_mode="rgb_array")
  env.reset(seed=0)
  assert env.render().shape == (21, 21, 3)
  env = gym(TASK, render_mode="ansi")
  env.reset(seed=0)
  assert env.render() == TASK.text(env._episode.state)
  with pytest.raises(ValueError, match="unknown render mode 'human'; valid"):
    gym(TASK, render_mode="human")


@pytest.mark.parametrize("adapter", [dm, gym])
def test_refusals(adapter):
  for other in (42, OldEnv(), TimeTracking):
    with pytest.raises(ValueError, match="need a tasks.Environment, got an obje"
                       f"ct of type {type(other).__name__}$"):
      adapter(other)
  env = adapter(TASK)
  if adapter is gym:  # In dm_env, the first step is a reset.
    with pytest.raises(ValueError, match="call reset before step"):
      env.step(0)
  env.reset()
  for action in (-1, 5, np.int64(5)):
    with pytest.raises(ValueError, match=f"no action {action}; valid: 0 up"):
      env.step(action)


@pytest.mark.parametrize("package", ["dm_env", "gymnasium"])
def test_without_the_package(package, monkeypatch):
  name = f"tasks.environments.adapters.{package}_adapter"
  monkeypatch.setitem(sys.modules, package, None)
  monkeypatch.delitem(sys.modules, name, raising=False)
  with pytest.raises(ImportError, match=f"needs the package {package} .*enviro"
                     r"nments\]'$"):
    __import__(name)


class Discrete(NamedTuple):
  n: int


@dataclasses.dataclass(frozen=True)
class Params:
  max_steps_in_episode: int = 5


class Inner(NamedTuple):
  time: Any
  place: jax.Array


class Walk:
  """Walks from 0 to the right (1) or stays (0); ends at place 3.

  What both versions of gymnax's interface share.
  """

  shape = (2,)  # Of an observation.

  @property
  def default_params(self):
    return Params()

  def action_space(self, params):
    return Discrete(2)

  def reset_env(self, key, params):
    state = Inner(0, jnp.int32(0))  # The time is Python's number, as in gymnax.
    return self.see(state), state

  def see(self, state):
    return jnp.full(self.shape, state.place)

  def walk(self, state, action):
    state = Inner(state.time + 1, state.place + action)
    return self.see(state), state, state.place / 10


class OldEnv(Walk):
  """Has the interface of gymnax before 1.0: an end and a cut are the same."""

  def step_env(self, key, state, action, params):
    seen, state, reward = self.walk(state, action)
    done = (state.place == 3) | (state.time >= params.max_steps_in_episode)
    return seen, state, reward, done, {}


class NewEnv(Walk):
  """Has the interface of gymnax 1.0."""

  def step_env(self, key, state, action, params):
    seen, state, reward = self.walk(state, action)
    return seen, state, reward, state.place == 3, {}

  def is_truncated(self, state, params):
    return state.time >= params.max_steps_in_episode


class Picture(NewEnv):
  shape = (2, 3, 5)


class Number(OldEnv):
  shape = ()


class Continuous(OldEnv):

  def action_space(self, params):
    return Params()


class Timeless(OldEnv):
  """Tells no limit, as some of popjym."""

  default_params = None

  def step_env(self, key, state, action, params):
    seen, state, reward = self.walk(state, action)
    return seen, state, reward, state.place == 3, {}


def make_old(env_name):
  assert env_name == "Walk-v0"
  return OldEnv(), Params()


def play(task, actions):
  """Returns observations, rewards and ends, up to the first last step."""
  step = jax.jit(task.step)
  state, rows = jax.jit(task.reset)(jax.random.key(0)), []
  assert not jax.tree.leaves(task.observe(state))[1].any()
  for action in actions:
    state, out = step(state, jnp.int32(action), jax.random.key(1))
    rows.append((out.observation.features.tolist(), round(float(out.reward), 4),
                 bool(out.terminated), bool(out.truncated)))
    if out.is_last:
      break
  return rows


@pytest.mark.parametrize("env", [OldEnv(), NewEnv()])
def test_both_interfaces_of_gymnax(env):
  task = GymnaxTask(env)
  assert (task.image_shape, task.num_features) == ((0, 0, 0), 2)
  assert (task.num_actions, task.episode_limit) == (2, 5)
  assert task.input_size == 2 + 2 + 1
  assert play(task, [1, 0, 1, 1]) == [
      ([1, 1], .1, False, False), ([1, 1], .1, False, False),
      ([2, 2], .2, False, False), ([3, 3], .3, True, False)]
  assert play(task, [0, 1, 0, 0, 0])[3:] == [
      ([1, 1], .1, False, False), ([1, 1], .1, False, True)]


@pytest.mark.parametrize("env, terminated", [(OldEnv(), False),
                                             (NewEnv(), True)])
def test_an_end_at_the_limit(env, terminated):
  """The old interface cannot tell it from a cut."""
  assert play(GymnaxTask(env), [0, 0, 1, 1, 1])[-1] == (
      [3, 3], .3, terminated, not terminated)


def test_a_limit_of_the_task():
  assert play(GymnaxTask(Timeless(), max_steps=2), [1, 0])[-1] == (
      [1, 1], .1, False, True)
  assert play(GymnaxTask(Timeless(), max_steps=3), [1, 1, 1])[-1] == (
      [3, 3], .3, True, False)
  assert play(GymnaxTask(OldEnv(), max_steps=2), [1, 0])[-1] == (
      [1, 1], .1, False, True)
  # Its own limit of 5 still holds, and is a cut.
  for env in (OldEnv(), NewEnv()):
    assert play(GymnaxTask(env, max_steps=9), 7 * [0])[4:] == [
        ([0, 0], 0, False, True)]


def test_observations_of_gymnax():
  task = GymnaxTask(Picture())
  assert (task.image_shape, task.num_features) == ((2, 3, 5), 0)
  state = task.reset(jax.random.key(0))
  assert {x.dtype for x in task.observe(state)} == {np.dtype(np.float32)}
  assert GymnaxTask(Number()).num_features == 1


def test_gymnax_under_vmap_and_scan():
  """States keep shapes and types, and many environments differ."""
  task = GymnaxTask(NewEnv())

  def step(states, key):
    keys = jax.random.split(key, 7)
    actions = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2))(keys)
    return jax.vmap(task.step)(states, actions, keys)

  keys = jax.random.split(jax.random.key(0), 7)
  _, steps = jax.lax.scan(step, jax.vmap(task.reset)(keys), keys[:3])
  assert steps.reward.shape == (3, 7)
  assert len(set(steps.reward[-1].tolist())) > 1


def test_gymnax_by_its_path():
  path = f"{__name__}:make_old"
  task = GymnaxTask(path, "Walk-v0")
  assert task == GymnaxTask(path, env_name="Walk-v0")
  assert hash(task) == hash(GymnaxTask(path, env_name="Walk-v0"))
  assert play(task, [1, 1, 1])[-1][2]
  assert play(GymnaxTask(f"{__name__}:NewEnv"), [1, 1, 1])[-1][2]
  # Flags give all of its fields.
  arguments = members.REGISTRIES["task"].arguments(GymnaxTask)
  assert {name: members.flag_type(argument) for name, argument in
          arguments.items()} == dict(path=str, env_name=str, max_steps=int)
  assert all(argument.help for argument in arguments.values())


def test_trivial_score_of_gymnax():
  """The chance to walk 3 steps, at the k-th of 5: 1/8, 3/16, 6/32."""
  task = GymnaxTask(OldEnv(), max_steps=3)
  assert abs(task.trivial_score - (.05 + .1 + .15)) < 0.02
  returns = random_policy.returns(task, jax.random.key(1), 10007)
  assert abs(float(returns.mean()) - .3) < 0.01


@pytest.mark.parametrize("kwargs, match", [
    (dict(path=42), "int has no interface of gymnax: it lacks reset_env, s"),
    (dict(path=TASK), "TimeTracking has no .* reset_env, step_env, action_space"
     "$"),
    (dict(path="walk"), "need path='package.module:attribute', got 'walk'"),
    (dict(path="nothing_here:make"), "cannot make the environment nothing_here:"
     r"make\(\): ModuleNotFoundError: No module named 'nothing_here'"),
    (dict(path=f"{__name__}:nothing"), "AttributeError: .*'nothing'"),
    (dict(path=f"{__name__}:make_old"), "TypeError: .*'env_name'"),
    (dict(path=f"{__name__}:Continuous"), "need discrete actions; those of Cont"
     "inuous are Params"),
    (dict(path=f"{__name__}:Timeless"), "Timeless tells no limit .* need max_st"
     "eps >= 1, got max_steps=0"),
    (dict(path=f"{__name__}:OldEnv", max_steps=-1), "max_steps >= 0.*=-1")])
def test_refusals_of_gymnax(kwargs, match):
  with pytest.raises(ValueError, match=match) as caught:
    GymnaxTask(**kwargs)
  assert "\n" not in str(caught.value)


def test_actions_of_gymnax():
  task = GymnaxTask(OldEnv())
  with pytest.raises(ValueError, match="GymnaxTask has no action 2; valid"):
    task.step(task.reset(jax.random.key(0)), 2, jax.random.key(0))
