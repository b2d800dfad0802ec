"""Training with a reused memory: the state of a source."""

import jax
import launch_helpers
import learning_helpers
import numpy as np
import optax
import pytest
from learning_helpers import COPY, start

from launch.learning import trainer as trainer_lib

# More slots than all heads use in two episodes, so no slot is used twice.
SDNC = dict(learning_helpers.SAM, num_slots=64, num_links=2, delta=0.)
KWARGS = dict(core="sdnc", core_args=SDNC, optimizer=optax.adam(.01))


@pytest.mark.parametrize("number", [
    pytest.param(1, marks=pytest.mark.slow), 2])
def test_used_memory_gives_the_same_losses(number):
  losses = []
  for reuse_memory in (False, True):
    trainer, state = start(devices=number, reuse_memory=reuse_memory, **KWARGS)
    metrics = []
    for _ in range(3):
      state, last = trainer.train(state, None, 2)
      metrics.append((float(last["loss"][0]), float(last["grad_norm"][0])))
    losses.append(metrics)
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5, atol=1e-5)
  assert len(set(losses[0])) == 3


def test_source_state_is_split_over_devices_and_comes_back():
  """The source state is saved, and training resumes from it bit by bit."""
  trainer, state = start(devices=2, reuse_memory=True, **KWARGS)
  state, _ = trainer.train(state, None, 2)
  assert jax.tree.leaves(state.source)
  for leaf in jax.tree.leaves(state.source):
    assert leaf.shape[:2] == (2, 4)
    assert {s.data.shape[0] for s in leaf.addressable_shards} == {1}
    assert len(leaf.sharding.device_set) == 2
  # Shards are not copies of one another.
  memory = max(jax.tree.leaves(state.source), key=lambda x: x.size)
  assert not np.array_equal(*(s.data for s in memory.addressable_shards))
  saved = trainer.get(state)
  assert {x.shape[0] for x in jax.tree.leaves(saved.source)} == {8}
  other = learning_helpers.make_trainer(devices=2, reuse_memory=True, **KWARGS)
  like = other.initial_state()
  assert jax.tree.map(np.shape, like) == jax.tree.map(np.shape, saved)
  again = other.put(saved)
  state, first = trainer.train(state, None, 2)
  again, second = other.train(again, None, 2)
  assert first == second
  launch_helpers.assert_same(trainer.get(state), other.get(again))


def test_a_large_source_state_is_not_saved(monkeypatch):
  monkeypatch.setattr(trainer_lib, "MAX_SAVED_BYTES", 1000)
  trainer, state = start(devices=2, reuse_memory=True, **KWARGS)
  state, _ = trainer.train(state, None, 1)
  assert jax.tree.leaves(state.source)
  saved = trainer.get(state)
  assert saved.source == trainer.initial_state().source == ()
  state, metrics = trainer.train(trainer.put(saved), None, 1)
  assert np.isfinite(metrics["loss"]).all()


def test_used_memory_is_made_anew_before_its_versions_run_out(monkeypatch):
  """All rows would seem empty if the version numbers ran out."""
  trainer, state = start(devices=2, reuse_memory=True, **KWARGS)
  made, new = [], type(trainer)._new_source
  monkeypatch.setattr(type(trainer), "_new_source", lambda self, params: (
      made.append(1), new(self, params))[1])
  source = trainer.learner.source
  assert not source.is_spent(state.source, COPY, 2)
  left = trainer.model.with_core_args(gradient_steps=1).steps_left(state.source)
  assert left > 10**6
  most = left // COPY.num_steps
  assert source.is_spent(state.source, COPY, most + 1)
  assert not source.is_spent(state.source, COPY, most)
  state, _ = trainer.train(state, None, 2)
  after = trainer.model.with_core_args(gradient_steps=1).steps_left(
      state.source)
  assert after == left - 2 * COPY.num_steps
  assert not made
  monkeypatch.setattr(type(source), "is_spent", lambda self, state, *args: (
      args == (COPY, 2)))
  state, metrics = trainer.train(state, None, 2)
  assert made == [1]
  assert np.isfinite(metrics["loss"]).all()
