"""Tests of agents: acting, the loss of an unroll, and playing."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from launch_helpers import small_core
from small_environments import Cue
from test_vtrace import naive

import tasks
from launch.learning import layout
from launch.learning.agents import acting, playing
from launch.learning.agents.actor import ActorSource
from launch.learning.agents.actor_critic import ActorCritic
from launch.learning.agents.vtrace import vtrace
from launch.learning.layout import Share
from launch.learning.learner import Learner
from launch.learning.trainer import Trainer
from rmc_nalu_sam import CORES as all_cores
from rmc_nalu_sam import make_model
from tasks.environments import resetting

CORES = {
    "lstm": dict(hidden_size=7),
    "gru": dict(hidden_size=7),
    "rmc": dict(num_slots=2, head_size=4, num_heads=2),
    "sam": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2, top_k=3),
    "ntm": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=1),
}
AGENT = ActorCritic(unroll_length=6)


def make_model_of(task: tasks.Environment, core: str = "lstm"):
  return make_model(core, task.output_size, encoder="none",
                    input_size=task.input_size, **CORES[core])


def make_trainer(task: Any = None, core: str = "lstm", devices: int = 1,
                 num_seeds: int = 1, batch_size: int = 4,
                 agent: ActorCritic = AGENT, seed: int = 0,
                 rate: float = 1e-3) -> Trainer:
  task = task or Cue()
  model = make_model_of(task, core)
  learner = Learner(
      model, task, optax.adam(rate), batch_size=batch_size, agent=agent,
      source=ActorSource(model, task, agent))
  chosen = jax.local_devices()[:devices]
  chosen_layout = (layout.SplitSeeds(chosen, num_seeds=num_seeds)
                   if num_seeds > 1 else layout.SplitBatch(chosen))
  return Trainer(learner, chosen_layout, seed=seed)


class Unrolls(NamedTuple):
  """Holds unrolls, one after the other."""

  model: Any
  params: Any
  batches: list[acting.Trajectory]


def act(task=None, core="lstm", count=3, batch_size=4, agent=AGENT,
        share=None) -> Unrolls:
  """Returns unrolls of a network that does not learn."""
  task = task or Cue()
  model = make_model_of(task, core)
  source = ActorSource(model, task, agent)
  params = model.init(jax.random.key(1), jnp.zeros((1, 1, task.input_size)))
  share = share or Share()
  state = source.initial_state(params, batch_size // share.num_parts)
  following = jax.jit(lambda state, key: source.next(
      state, params, key, task, None, None, batch_size, share))
  batches = []
  for number in range(count):
    batch, state = following(state, jax.random.key(number))
    batches.append(jax.tree.map(np.asarray, batch))
  return Unrolls(model, params, batches)


def joined(batches, name) -> np.ndarray:
  """Returns an attribute of unrolls in a row; the observation that two have in
  common once."""
  arrays = [getattr(batch, name) for batch in batches]
  length = len(batches[0].actions)
  return np.concatenate([*(x[:length] for x in arrays), arrays[-1][length:]])


def test_unrolls_go_on_where_the_last_one_ended():
  batches = act().batches
  for name in ("inputs", "is_first", "is_last"):
    for before, after in itertools.pairwise(batches):
      np.testing.assert_array_equal(
          getattr(before, name)[-1], getattr(after, name)[0])


@pytest.mark.parametrize("is_dear", [False, True])
def test_a_first_step_follows_a_last_step_and_nothing_else(is_dear):
  agent = dataclasses.replace(AGENT, ready_levels=2)
  batches = act(Cue(is_dear=is_dear), count=4, agent=agent).batches
  first, last = joined(batches, "is_first"), joined(batches, "is_last")
  # At the beginning all environments wait for their first episode.
  assert last[0].all()
  np.testing.assert_array_equal(first[1:], last[:-1])
  # An episode has 1 + delay actions, and one step more to begin anew.
  assert np.diff(np.flatnonzero(first[:, 0])).tolist() == [5] * 4


def test_rewards_and_ends_are_those_of_the_environment():
  task = Cue(delay=2)
  batches = act(task).batches
  inputs, actions = joined(batches, "inputs"), joined(batches, "actions")
  rewards, ends = joined(batches, "rewards"), joined(batches, "terminated")
  firsts = np.argwhere(joined(batches, "is_first")[:-3])
  assert len(firsts) > 10
  for step, number in firsts:
    cue = inputs[step, number, :2].argmax()
    answer = actions[step + 2, number]
    np.testing.assert_array_equal(
        rewards[step:step + 3, number], [0, 0, cue == answer])
    assert ends[step:step + 3, number].tolist() == [False, False, True]


def test_inputs_hold_the_last_action_and_reward():
  batches = act().batches
  inputs, actions = joined(batches, "inputs"), joined(batches, "actions")
  rewards, first = joined(batches, "rewards"), joined(batches, "is_first")
  shown = np.where(first[1:, :, None], 0, np.eye(2)[actions])
  np.testing.assert_array_equal(inputs[1:, :, 2:4], shown)
  np.testing.assert_array_equal(inputs[1:, :, 4], rewards)


def test_rewards_are_cut_for_the_network_and_reported_whole():
  whole = act(agent=AGENT)
  cut = act(agent=dataclasses.replace(AGENT, reward_clip=.25))
  assert joined(cut.batches, "rewards").max() == 1
  assert joined(cut.batches, "inputs")[:, :, 4].max() == .25
  assert sum(b.episodes["episode/return"].sum() for b in whole.batches) > 1


def test_episodes_are_counted_where_they_end():
  task = Cue(delay=2)
  batches = act(task, count=4).batches
  sums = {name: sum(batch.episodes[name] for batch in batches)
          for name in batches[0].episodes}
  ends = joined(batches, "terminated").sum(0)
  np.testing.assert_array_equal(sums["episode/count"], ends)
  np.testing.assert_array_equal(sums["episode/length"], 3 * ends)
  np.testing.assert_array_equal(
      sums["episode/return"], joined(batches, "rewards").sum(0))
  assert 0 < sums["episode/cue"].sum() < ends.sum()


@pytest.mark.parametrize("core", [
    pytest.param(core, marks=[pytest.mark.slow] * (
        core in ("gru", "ntm", "sam"))) for core in CORES])
def test_learning_sees_what_acting_saw(core):
  # The ratios of V-trace are 1, across the ends of episodes and of unrolls.
  model, params, batches = act(Cue(delay=2), core)
  assert any(batch.is_first[1:-1].any() for batch in batches)
  for batch in batches:
    outputs = model.unroll(params, None, batch.inputs, batch.start,
                           resets=batch.is_first).outputs
    log_probs = acting.log_prob_of(
        acting.log_policy(outputs[:-1]), batch.actions)
    np.testing.assert_allclose(log_probs, batch.log_probs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("core", sorted(all_cores))
def test_any_core_acts_and_learns(core):
  task = Cue(delay=2)
  model = make_model(core, task.output_size, encoder="none",
                     input_size=task.input_size, **small_core(core))
  learner = Learner(model, task, optax.adam(1e-3), batch_size=4, agent=AGENT,
                    source=ActorSource(model, task, AGENT))
  _, metrics = run(Trainer(learner, layout.SplitBatch(jax.devices()[:1])), 2)
  assert all(np.isfinite(value).all() for value in metrics.values())


def test_each_episode_is_as_from_a_new_state():
  model, params, batches = act(Cue(delay=2), count=4)
  inputs, log_probs = joined(batches, "inputs"), joined(batches, "log_probs")
  actions, first = joined(batches, "actions"), joined(batches, "is_first")
  for step, number in np.argwhere(first[:-3]):
    state = model.initial_state(params, 1)
    for t in range(step, step + 3):
      unrolled = model.unroll(
          params, None, inputs[t][None, number:number + 1], state)
      state = unrolled.state
      logs = acting.log_policy(unrolled.outputs[0, 0])
      np.testing.assert_allclose(
          logs[actions[t, number]], log_probs[t, number], atol=1e-5)


def test_loss_is_that_of_the_equations():
  agent = dataclasses.replace(
      AGENT, discount=.9, trace_decay=.8, entropy_cost=.1, baseline_cost=.3,
      reward_clip=.25)
  # Some episodes end by their rules, others are cut off.
  for task in (Cue(delay=2), Cue(delay=5, limit=2)):
    model, params, batches = act(task, agent=agent)
    batch = batches[-1]
    loss, metrics, _ = agent.mean_loss(
        model, params, None, None, batch, task, Share())
    outputs = np.asarray(model.unroll(
        params, None, batch.inputs, batch.start,
        resets=batch.is_first).outputs, np.float64)
    values, logits = outputs[..., -1], outputs[:-1, :, :-1]
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mask = 1. - batch.is_last[:-1]
    targets, advantages = naive(
        values, np.clip(batch.rewards, -.25, .25),
        .9 * (1 - batch.terminated), mask, .8, 1., 1.)
    log_probs = np.log(np.take_along_axis(
        probs, batch.actions[..., None], -1)[..., 0])
    def mean(x, mask=mask):
      return (x * mask).sum() / mask.sum()

    wanted = dict(
        policy_loss=mean(-advantages * log_probs),
        value_loss=mean((targets - values[:-1]) ** 2 / 2),
        entropy=mean(-(probs * np.log(probs)).sum(-1)))
    for name, value in wanted.items():
      np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        loss, wanted["policy_loss"] + .3 * wanted["value_loss"]
        - .1 * wanted["entropy"], rtol=1e-4)


def test_what_is_cut_off_is_valued():
  task = Cue(delay=5, limit=2)
  batches = act(task).batches
  assert not any(batch.terminated.any() for batch in batches)
  assert joined(batches, "is_last").sum() > 8


def test_gradients_are_of_log_policy_and_values_alone():
  # Targets and advantages are constants: the gradient is that of the loss with
  # them as numbers.
  task = Cue(delay=2)
  model, params, batches = act(task)
  batch = batches[-1]

  def outputs_of(params):
    return model.unroll(params, None, batch.inputs, batch.start,
                        resets=batch.is_first).outputs

  values = outputs_of(params)[..., -1]
  found = vtrace(values, batch.rewards, .99 * (1 - batch.terminated),
                 jnp.asarray(batch.mask))

  def loss(params):
    outputs = outputs_of(params)
    logs = acting.log_policy(outputs[:-1])
    each = (-found.advantages * acting.log_prob_of(logs, batch.actions)
            + .5 * (found.targets - outputs[:-1, :, -1]) ** 2 / 2
            + .01 * (jnp.exp(logs) * logs).sum(-1))
    return (each * batch.mask).sum() / batch.mask.sum()

  wanted = jax.grad(loss)(params)
  gradient = jax.grad(lambda params: AGENT.mean_loss(
      model, params, None, None, batch, task, Share())[0])(params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
               gradient, wanted)


class NumberedState(NamedTuple):
  """Holds the number of a level."""

  level: jax.Array
  time: jax.Array


@dataclasses.dataclass(frozen=True)
class Numbered(Cue):
  """Draws a number for each level; episodes have one to three steps."""

  is_dear: bool = True

  def reset(self, key):
    return NumberedState(jax.random.bits(key), jnp.zeros((), jnp.int32))

  def observe(self, state):
    return tasks.Observation(
        jnp.zeros((0, 0, 0)), jnp.stack([state.level / 2.**32, 0.]))

  def step(self, state, action, key):
    time = state.time + 1
    ended = (time >= 3) | (jax.random.uniform(key) < .5)
    return NumberedState(state.level, time), tasks.TimeStep(
        self.observe(state), jnp.ones(()), ended, jnp.zeros((), bool),
        jnp.zeros((), bool))

  def outcome(self, state):
    return {}


@pytest.mark.parametrize("number", [1, 2, 40])
def test_no_level_is_played_twice(number):
  task, size, num_steps = Numbered(), 16, 30
  ready = jax.vmap(lambda key: resetting.ready_levels(task, key, number))(
      jax.random.split(jax.random.key(0), size))
  state = jax.tree.map(lambda x: x[:, 0] * 0, ready)

  def one(carry, key):
    state, is_last, used = carry
    keys = jax.random.split(key, size)
    state, timestep, used = jax.vmap(
        lambda *args: resetting.step(task, *args))(
            state, is_last, jnp.zeros(size, jnp.int32), keys, ready, used)
    return (state, timestep.is_last, used), (state, timestep)

  start = (state, jnp.ones(size, bool), jnp.zeros(size, jnp.int32))
  (_, _, used), (states, timesteps) = jax.lax.scan(
      one, start, jax.random.split(jax.random.key(1), num_steps))
  begun = np.asarray(states.level)[np.asarray(timesteps.is_first)]
  assert len(set(begun.tolist())) == len(begun) == used.sum()
  assert used.max() <= number
  # After the last level an environment stays where it is, without rewards.
  waits = np.asarray(timesteps.truncated)
  assert waits.any() == (number < 40)
  assert not np.asarray(timesteps.reward)[waits].any()
  assert (np.diff(waits.astype(int), axis=0) >= 0).all()


def test_no_environment_gets_the_level_of_another():
  batches = act(Numbered(), count=4, batch_size=16).batches
  shown, first = joined(batches, "inputs"), joined(batches, "is_first")
  begun = shown[..., 0][first]
  assert len(begun) > 50
  assert len(np.unique(begun)) == len(begun)


@pytest.mark.parametrize("is_dear", [False, True])
def test_one_device_draws_as_two(is_dear):
  task = Cue(is_dear=is_dear)
  whole = act(task).batches
  parts = [act(task, share=Share(part, 2, lambda tree: tree)).batches
           for part in range(2)]
  for number, batch in enumerate(whole):
    both = np.concatenate(
        [parts[part][number].actions for part in range(2)], 1)
    np.testing.assert_array_equal(batch.actions, both)


def run(trainer, num_updates, state=None):
  state = trainer.put(state or trainer.initial_state())
  state, metrics = trainer.train(state, trainer.put_data(None), num_updates)
  return trainer.get(state), metrics


def assert_equal(one, other, atol=0.):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      np.asarray(a, np.float64), np.asarray(b, np.float64), atol=atol),
               one, other)


def test_one_device_learns_as_four():
  one, of_one = run(make_trainer(), 8)
  four, of_four = run(make_trainer(devices=4), 8)
  assert_equal(one.train.params, four.train.params, 1e-5)
  for name in ("loss", "return", "entropy", "acting"):
    np.testing.assert_allclose(of_one[name], of_four[name], rtol=1e-4)
  np.testing.assert_array_equal(one.source.length, four.source.length)


def test_a_resumed_run_equals_one_that_went_on():
  trainer = make_trainer(Cue(is_dear=True))
  half, _ = run(trainer, 5)
  resumed, _ = run(make_trainer(Cue(is_dear=True)), 5, half)
  whole, _ = run(make_trainer(Cue(is_dear=True)), 10)
  assert_equal(whole, resumed)


def test_many_seeds_are_each_alone():
  both, metrics = run(make_trainer(num_seeds=2), 6)
  for number in range(2):
    alone, of_one = run(make_trainer(seed=number), 6)
    assert_equal(jax.tree.map(lambda x, i=number: x[i], both.train.params),
                 alone.train.params, 1e-5)
    np.testing.assert_allclose(metrics["return"][number], of_one["return"][0])


def test_an_agent_learns_what_its_core_must_remember():
  agent = dataclasses.replace(AGENT, unroll_length=10)
  trainer = make_trainer(batch_size=32, agent=agent, rate=1e-2)
  state, _ = run(trainer, 400)
  found = trainer.evaluate(
      trainer.put_params(state.train.params), trainer.put_data(None),
      num_episodes=256)
  assert found["return"] > .95
  assert found["length"] == 4


def test_evaluations_play_the_same_episodes_in_any_batches():
  trainer = make_trainer(batch_size=8)
  params = trainer.put_params(trainer.initial_state().train.params)
  data = trainer.put_data(None)
  wanted = trainer.evaluate(params, data, num_episodes=50)
  for size in (3, 8, 64):
    found = trainer.evaluate(params, data, num_episodes=50, batch_size=size)
    assert found == wanted
  four = make_trainer(devices=4)
  params = four.put_params(four.initial_state().train.params)
  assert four.evaluate(params, four.put_data(None), num_episodes=50) == wanted
  # 50 episodes that are right or wrong.
  np.testing.assert_allclose(
      50 * wanted["return"], np.round(50 * wanted["return"]), atol=1e-4)


def test_playing_equals_a_loop():
  task = Cue(delay=2)
  model, params, _ = act(task)
  keys = jax.random.split(jax.random.key(5), 6)
  found = playing.play(model, params, keys, task, AGENT.clip)
  for number, key in enumerate(keys):
    state = task.reset(jax.random.fold_in(key, 0))
    seen, core, total, time = task.first(state), None, 0., 0
    core, action = model.initial_state(params, 1), jnp.array(-1)
    while not seen.is_last:
      inputs = task.input_of(seen.observation, action, seen.reward)
      unrolled = model.unroll(params, None, inputs[None, None], core)
      core = unrolled.state
      of_action, of_world = jax.random.split(
          jax.random.fold_in(key, time + 1))
      action = jax.random.categorical(
          of_action, jax.nn.log_softmax(unrolled.outputs[0, 0, :-1]))
      state, seen = task.step(state, action, of_world)
      total, time = total + seen.reward, time + 1
    assert found["episode/return"][number] == total
    assert found["episode/length"][number] == time


def test_a_recorded_episode_is_the_played_one():
  task = Cue(delay=4, limit=3)
  model, params, _ = act(task)
  key = jax.random.key(3)
  played = playing.play(model, params, key[None], task, AGENT.clip)
  recorded = playing.record(model, params, key, task, AGENT.clip, 10)
  assert recorded.length == played["episode/length"][0] == 3
  assert recorded.rewards.sum() == played["episode/return"][0]
  assert recorded.worlds.time.tolist()[:4] == [0, 1, 2, 3]
  np.testing.assert_allclose(recorded.probabilities.sum(1), 1, rtol=1e-5)
  assert recorded.is_over.tolist() == [False] * 3 + [True] * 8


def test_a_recording_that_is_cut_does_not_end_the_episode():
  task = Cue(delay=4)
  model, params, _ = act(task)
  recorded = playing.record(
      model, params, jax.random.key(3), task, AGENT.clip, 2)
  assert recorded.length == 2
  assert not recorded.is_over.any()


def test_greedy_actions_are_the_likeliest():
  outputs = jnp.array([[0., 3., 9.], [2., 1., -9.]])
  actions, _ = acting.choose(jax.random.split(jax.random.key(0), 2), outputs,
                             is_greedy=True)
  assert actions.tolist() == [1, 0]


def test_nothing_is_known_of_episodes_if_none_ended():
  _, metrics = run(make_trainer(Cue(delay=50)), 1)
  assert np.isnan(metrics["return"]).all()
  assert np.isfinite(metrics["loss"]).all()


@pytest.mark.parametrize("name, value, words", [
    ("unroll_length", 0, "unroll_length >= 1"),
    ("ready_levels", -1, "ready_levels >= 0"),
    ("discount", 1.5, "discount must be from 0 to 1, got 1.5"),
    ("trace_decay", -.1, "trace_decay must be from 0 to 1"),
    ("entropy_cost", -1, "entropy_cost must be 0"),
    ("reward_clip", float("nan"), "reward_clip must be 0")])
def test_bad_numbers_of_an_agent_are_refused(name, value, words):
  with pytest.raises(ValueError, match=words):
    ActorCritic(**{name: value})


@pytest.mark.parametrize("action", [-1, 2, 100])
def test_an_action_outside_the_range_is_refused(action):
  task = Cue()
  state = task.reset(jax.random.key(0))
  with pytest.raises(ValueError, match="valid: 0 left, 1 right"):
    task.step(state, action, jax.random.key(1))


def test_a_traced_action_is_moved_into_the_range():
  found = jax.jit(Cue().check_action)(jnp.array([7, -7, 1]))
  assert found.tolist() == [1, 0, 1]
