"""Both ways to compile for several devices give the same numbers."""

import functools

import config_helpers
import jax
import learning_helpers
import numpy as np
import pytest
import stream_helpers
import test_agents

from launch.configs import build
from launch.learning import layout
from launch.learning.trainer import Trainer

TEXT = stream_helpers.text(4 * 29)
# Name -> a function that makes a trainer, and the data.
RUNS = {
    "episodes": (lambda: learning_helpers.make_trainer(
        task=learning_helpers.COPY_OF_LENGTHS, devices=2), None),
    "seeds": (lambda: learning_helpers.make_trainer(
        devices=2, num_seeds=4, batch_size=3), None),
    "used_memory": (lambda: learning_helpers.make_trainer(
        "sam", learning_helpers.SAM, reuse_memory=True, devices=2,
        batch_size=4), None),
    "text": (lambda: stream_helpers.make_trainer(devices=2), TEXT),
    "environment": (lambda: test_agents.make_trainer(devices=2), None),
}


def compiled_by(name, trainer):
  """Returns a trainer like this one, compiled by `PARALLEL[name]`."""
  old = trainer.layout
  seeds = {} if old.num_seeds == 1 else dict(num_seeds=old.num_seeds)
  return Trainer(trainer.learner,
                 type(old)(old.devices, parallel=name, **seeds))


def run(trainer, data):
  """Returns metrics, the last state and an evaluation, on the host."""
  data = trainer.put_data(data)
  state, found = trainer.put(trainer.initial_state()), []
  for count in (2, 1):
    before = jax.tree.leaves(state)
    state, metrics = trainer.train(state, data, count)
    assert all(leaf.is_deleted() for leaf in before)  # They were donated.
    found.append(metrics)
  evaluation = trainer.evaluate(state.train.params, data, num_episodes=8)
  return trainer.get(state), found, evaluation


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in (
        "environment", "seeds") else pytest.mark.slow)
    for name in RUNS])
def test_pmap_and_shard_map_give_the_same_bits(name):
  make, data = RUNS[name]
  trainer = make()
  states = {way: run(compiled_by(way, trainer), data)
            for way in ("pmap", "shard_map")}
  assert set(states) == set(layout.PARALLEL)
  old = trainer.initial_state().train.params
  state, *_ = states["pmap"]
  assert all(np.any(a != b) for a, b in zip(
      jax.tree.leaves(old), jax.tree.leaves(state.train.params), strict=True))
  # A source with a state returns it.
  assert bool(jax.tree.leaves(state.source)) == (name in (
      "used_memory", "text", "environment"))
  jax.tree.map(np.testing.assert_array_equal, *states.values())


@pytest.mark.parametrize("flags", [[], ["--num_seeds=4"]])
def test_the_flag_chooses_the_way(flags, monkeypatch):
  used = []
  monkeypatch.setattr(layout, "PARALLEL", {
      name: functools.partial(lambda name, *_: used.append(name), name)
      for name in layout.PARALLEL})
  for argv in ([], ["--parallel=shard_map"]):
    config = config_helpers.resolve(*flags, *argv)
    build.make_layout(config).compile(lambda *_: None)
  assert used == ["pmap", "shard_map"]


def test_a_way_that_does_not_exist():
  with pytest.raises(ValueError, match="unknown parallel 'pjit'; valid: pmap, "
                                       "shard_map"):
    layout.SplitBatch(parallel="pjit")
