"""Keys: each purpose has its own, and the learner uses each for its purpose."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import learning_helpers
import numpy as np
import pytest

import tasks
from launch.learning import keys as keys_lib
from launch.learning.curriculum import Exponential


def numbers(key) -> tuple[int, ...]:
  return tuple(np.ravel(jax.random.key_data(key)).tolist())


@pytest.mark.parametrize("generator", sorted(keys_lib.GENERATORS))
def test_no_two_keys_are_the_same(generator):
  found = [numbers(key) for seed in range(5)
           for key in keys_lib.make_keys(seed, generator)]
  assert len(found) == 5 * len(keys_lib.Keys._fields)
  assert len(set(found)) == len(found)
  assert found == [numbers(key) for seed in range(5)
                   for key in keys_lib.make_keys(seed, generator)]


def test_what_is_folded_in_makes_no_two_keys_the_same():
  """Keys of steps, batches and devices differ between purposes."""
  found = []
  for seed, name, number in itertools.product(
      range(3), keys_lib.Keys._fields, range(7)):
    key = getattr(keys_lib.make_keys(seed, "threefry"), name)
    found.append(numbers(jax.random.fold_in(key, number)))
  assert len(set(found)) == 3 * 6 * 7


def test_keys_go_to_devices_and_back():
  keys = keys_lib.make_keys(3, "threefry")
  back = keys_lib.wrap(keys_lib.unwrap(keys), "threefry")
  assert list(map(numbers, back)) == list(map(numbers, keys))


def test_generators_are_checked():
  keys_lib.check("rbg", is_split=False)
  keys_lib.check("threefry", is_split=True)
  with pytest.raises(ValueError, match="unknown rng 'mt'; valid: rbg, threef"):
    keys_lib.check("mt", is_split=False)
  with pytest.raises(ValueError, match="valid with them: threefry"):
    keys_lib.check("rbg", is_split=True)


@dataclasses.dataclass(frozen=True)
class Fingerprint:
  """Scores an episode by a number that its inputs determine."""

  inner: Any
  main_metric: str = "fingerprint"

  def loss(self, outputs, batch):
    return self.inner.loss(outputs, batch)

  def metrics(self, outputs, batch):
    inputs = batch.inputs.transpose(1, 0, 2).reshape(batch.mask.shape[1], -1)
    weights = jnp.sqrt(jnp.arange(inputs.shape[1]) + 2.)
    return {"fingerprint": inputs @ weights}

  def with_ratios(self, means):
    return dict(means)


@dataclasses.dataclass(frozen=True)
class Marked(tasks.Copy):
  """Copies; the metric is a fingerprint of each batch."""

  @property
  def score(self):
    return Fingerprint(super().score)


def fingerprints(seed, num_updates, num_batches, **kwargs):
  """Returns the fingerprints of training batches and of an evaluation."""
  trainer, state = learning_helpers.start(
      task=Marked(num_bits=3, min_length=5, max_length=5), devices=1,
      batch_size=1, seed=seed, **kwargs)
  trained = []
  for _ in range(num_updates):
    state, metrics = trainer.train(state, None, 1)
    trained.append(float(metrics["fingerprint"][0]))
  means = [float(trainer.evaluate(
      state.train.params, None, num_episodes=n + 1)["fingerprint"][0])
      for n in range(num_batches)]
  evaluated = np.diff([0, *(mean * (n + 1) for n, mean in enumerate(means))])
  return trained, evaluated.tolist()


def test_evaluation_and_training_draw_different_episodes():
  found = [fingerprints(seed, 6, 6) for seed in (0, 1)]
  assert found[0] == fingerprints(0, 6, 6)
  drawn = np.concatenate([part for each in found for part in each])
  assert drawn.size == 24
  gaps = np.abs(drawn[:, None] - drawn) + 9 * np.eye(24)
  assert gaps.min() > 1e-3  # 15 bits: no two are likely to agree.


def test_a_run_has_its_own_levels_and_network_key():
  """The keys of levels, of dropout and of episodes are all different."""
  used = []
  for seed in range(2):
    keys = keys_lib.make_keys(seed, "threefry")
    for step in range(4):
      episodes = jax.random.split(jax.random.fold_in(keys.train, step), 8)
      used += [numbers(key) for key in episodes]
      used += [numbers(jax.random.fold_in(keys.evaluate, step)),
               numbers(jax.random.fold_in(keys.level, step)),
               numbers(jax.random.fold_in(keys.network, step))]
  assert len(set(used)) == 2 * 4 * 11
  assert Exponential().draw_levels(0, 0, 5) is not None
