"""Updates that are not finite: found, named, or skipped and counted."""

import dataclasses
import functools
import json
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launch_helpers import (
  TINY_TASK,
  assert_same,
  make_trainer,
  records,
  run,
  saved_state,
  saved_steps,
  tiny_config,
)
from small_environments import Cue

import tasks
from launch import train
from launch.learning.layout import Share
from launch.learning.learner import RunState, TrainState
from launch.learning.updates import skipping


@dataclasses.dataclass(frozen=True)
class Poisoned(tasks.Copy):
  """Copies inputs, some of which are NaN.

  Attributes:
    rate: share of such episodes.
  """

  rate: float = .05

  def episode(self, key, level, data):
    batch = super().episode(key, level, data)
    is_bad = jax.random.bernoulli(jax.random.fold_in(key, 9), self.rate)
    return batch._replace(inputs=jnp.where(is_bad, jnp.nan, batch.inputs))


class FarState(NamedTuple):
  """Holds the state of `Cue`, and a number that is infinite."""

  cue: jax.Array
  time: jax.Array
  far: jax.Array


@dataclasses.dataclass(frozen=True)
class Endless(Cue):
  """Has an infinite number in its state."""

  def reset(self, key):
    return FarState(*super().reset(key), jnp.array(jnp.inf))

  def step(self, state, action, key):
    new, timestep = super().step(state, action, key)
    return FarState(*new, state.far), timestep


POISONED = "test_not_finite:Poisoned"


def config(num_devices=1, rate=.05, **fields):
  return tiny_config(task=POISONED, task_args=TINY_TASK | dict(rate=rate),
                     num_devices=num_devices, **fields)


def bad_updates(trainer, count, index=0):
  """Returns which updates draw a NaN, by the keys alone."""
  key = trainer.keys(index).train
  return [bool(np.isnan(trainer.learner.task.sample(
      jax.random.fold_in(key, step), trainer.learner.batch_size).inputs).any())
          for step in range(count)]


def assert_close(a, b):
  """Compares results of two programs, whose last bits may differ."""
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4), a, b)


@pytest.mark.parametrize("num_devices", [
    pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_skipped_update_changes_nothing_but_step_and_counts(num_devices):
  parts = dict(accumulate=num_devices)
  trainer = make_trainer(config(num_devices, skip_nonfinite=9, **parts),
                         num_devices)
  plain = make_trainer(config(num_devices, **parts), num_devices)
  bad = bad_updates(trainer, 12)
  assert 1 < sum(bad) < 9
  before = trainer.initial_state()
  losses = []
  for step, is_bad in enumerate(bad):
    state, metrics = trainer.train(trainer.put(before), None, 1)
    after = trainer.get(state)
    assert after.train.step == step + 1
    assert after.train.skips.total == sum(bad[:step + 1])
    if is_bad:
      assert np.isnan(metrics["loss"]).all()
      assert_same(after.train.params, before.train.params)
      assert_same(after.train.opt_state, before.train.opt_state)
    else:
      same, of_plain = plain.train(plain.put(
          before._replace(train=before.train._replace(skips=()))), None, 1)
      assert_close(after.train.params, plain.get(same).train.params)
      assert of_plain["loss"] == pytest.approx(metrics["loss"], rel=1e-5)
      losses.append(metrics["loss"])
    before = after
  state, metrics = trainer.train(
      trainer.put(trainer.initial_state()), None, len(bad))
  assert_close(trainer.get(state), before)
  np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-5)
  runs = "".join("x" if each else " " for each in bad).split()
  assert trainer.skips(state).longest == max(map(len, runs))


def test_each_seed_skips_on_its_own():
  trainer = make_trainer(config(num_seeds=3, skip_nonfinite=9), 1)
  wanted = [sum(bad_updates(trainer, 6, index)) for index in range(3)]
  assert len(set(wanted)) > 1
  state, metrics = trainer.train(
      trainer.put(trainer.initial_state()), None, 6)
  np.testing.assert_array_equal(trainer.skips(state).total, wanted)
  assert np.isfinite(metrics["loss"]).all()


def states(**fields):
  """Returns a state before an update, drawn source, and a state after it."""
  def of(step, number, core):
    return RunState(TrainState(
        jnp.array(step), jnp.array(number), (), (),
        skipping.Skips(*jnp.array([5, 1, 2]))),
                    {"core": jnp.array(core), "position": jnp.array(step)})

  given = dict(gradient=1., params=2., core=2., drawn=1.) | fields
  after = of(4, given["params"], given["core"])
  drawn = {"core": jnp.array(given["drawn"]), "position": jnp.array(4)}
  return skipping.kept_if_finite(
      lambda source: source["core"], of(3, 1., 1.), drawn, after,
      jnp.array(given["gradient"]), Share())


@pytest.mark.parametrize("fields, position", [
    (dict(gradient=np.nan), 4), (dict(params=np.inf), 4),
    (dict(core=np.nan), 4), (dict(core=np.nan, drawn=np.nan), 3)])
def test_what_skips_an_update(fields, position):
  state, is_kept = states(**fields)
  assert not is_kept
  assert state.train.step == 4
  assert state.train.params == 1
  assert state.source == {"core": 1, "position": position}
  assert state.train.skips == (6, 2, 2)


def test_what_is_finite_is_kept():
  state, is_kept = states()
  assert is_kept
  assert state.train.params == 2
  assert state.source == {"core": 2, "position": 4}
  assert state.train.skips == (5, 0, 2)


FLAGS = [f"--task={POISONED}", "--core=lstm", "--core.hidden_size=7",
         *(f"--task.{name}={value}" for name, value in TINY_TASK.items()),
         "--batch_size=8", "--eval_episodes=8", "--cpu_devices=4",
         "--log_every=3", "--checkpoint_every=3", "--steps=12"]


def test_the_first_update_and_its_parameters_are_named(tmp_path, capsys):
  argv = [*FLAGS, "--task.rate=.02", f"--workdir={tmp_path}"]
  assert run(train, *argv) == train.EXIT_DIVERGED
  line = capsys.readouterr().err.splitlines()[-1]
  bad = bad_updates(make_trainer(config(rate=.02), 1), 12).index(True)
  assert bad > 3  # There is a checkpoint before it.
  assert bad % 3  # It is not the first one after a record.
  first = bad // 3 * 3
  for words in (f"between steps {first} and {first + 3}; update {bad + 1} is "
                "the first, in which the gradients of ",
                " and 1 more are not finite; the last good checkpoint is that "
                f"of step {first}",
                "--skip_nonfinite"):
    assert words in line
  assert saved_steps(tmp_path)[-1] == first


def test_skips_are_in_the_records_and_the_end_line(tmp_path, capsys):
  argv = [*FLAGS, "--task.rate=.02", "--skip_nonfinite=5"]
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  assert run(train, *argv, f"--workdir={whole}") == 0
  count = sum(bad_updates(make_trainer(config(rate=.02), 1), 12))
  assert count
  assert re.search(rf"^skipped +{count}$", capsys.readouterr().out,
                   re.MULTILINE)
  assert records(whole)[-1]["skipped"] == count
  assert records(whole, "train")[0]["skipped"] <= count
  assert run(train, *argv, "--steps=6", f"--workdir={parts}") == 0
  assert run(train, "--steps=12", f"--workdir={parts}") == 0
  assert records(parts, "train") == records(whole, "train")
  assert_same(saved_state(parts), saved_state(whole))


@pytest.mark.parametrize("seeds", [
    pytest.param(1, marks=pytest.mark.slow), 4])
def test_too_many_in_a_row_end_the_run(tmp_path, capsys, seeds):
  argv = [*FLAGS, "--task.rate=1", "--skip_nonfinite=5",
          f"--num_seeds={seeds}", f"--workdir={tmp_path}"]
  assert run(train, *argv) == train.EXIT_DIVERGED
  line = capsys.readouterr().err.splitlines()[-1]
  of_seed = " of seed 0" if seeds > 1 else ""
  for words in ("diverged: 5 updates in a row were not finite up to step 6; ",
                f"update 1{of_seed} is the first, in which the gradients of ",
                " are not finite; the last good checkpoint is that of step 3."):
    assert words in line


def test_an_infinite_number_in_an_environment_is_no_divergence(tmp_path):
  argv = ["--task=test_not_finite:Endless", "--task.delay=1", "--core=lstm",
          "--core.hidden_size=5", "--agent.unroll_length=3", "--batch_size=8",
          "--log_every=2", "--eval_episodes=8", f"--workdir={tmp_path}"]
  assert run(train, *argv, "--steps=2") == 0
  assert run(train, "--steps=4", f"--workdir={tmp_path}") == 0
  assert not list(tmp_path.glob("damaged-*"))
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [2, 2, 4, 4]
