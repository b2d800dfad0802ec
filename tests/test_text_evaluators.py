"""Other ways to score a text: dynamic, with a cache, in short contexts."""

import dataclasses

import jax
import numpy as np
import pytest
from stream_helpers import V, make_trainer, text

from launch.learning.text import evaluators as text_evaluators

TOKENS = text(40)


@pytest.fixture(name="network", scope="module")
def _network():
  trainer = make_trainer()
  params = jax.tree.map(np.asarray, trainer.initial_state().train.params)
  return trainer, jax.device_put(params)


def _plain(network, tokens, **kwargs):
  trainer, params = network
  return trainer.evaluate(trainer.put_params(jax.device_get(params)),
                          trainer.put_data(tokens), **kwargs)


def test_ways_without_an_effect_give_the_plain_metrics(network):
  trainer, params = network
  task, model = trainer.learner.task, trainer.model
  wanted = _plain(network, TOKENS, batch_size=1)
  still = text_evaluators.Dynamic(learning_rate=0., decay=0.)
  ways = [
      text_evaluators.dynamic(
          model, params, task, TOKENS, still,
          text_evaluators.gradient_scale(model, params, task, TOKENS, still)),
      text_evaluators.cached(model, params, task, TOKENS,
                             text_evaluators.Cache(length=4, weight=0.)),
      text_evaluators.in_context(model, params, task, TOKENS, 39, 2)]
  for found in ways:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
      np.testing.assert_allclose(found[name], value[0], rtol=1e-5)


@pytest.mark.parametrize("length, batch_size", [(1, 4), (5, 3), (13, 64)])
def test_a_context_is_a_row_of_its_own(network, length, batch_size):
  """Rows of exactly `length` targets, as many as there are."""
  trainer, params = network
  num_rows = -(-39 // length)
  wanted = _plain(network, TOKENS, batch_size=num_rows)
  found = text_evaluators.in_context(
      trainer.model, params, trainer.learner.task, TOKENS, length, batch_size)
  np.testing.assert_allclose(found["loss"], wanted["loss"][0], rtol=1e-5)


def test_both_learn_a_phrase_that_repeats(network):
  trainer, params = network
  repeated = np.tile(text(12, seed=3), 40)
  task, model = trainer.learner.task, trainer.model
  plain = _plain(network, repeated, batch_size=1)["loss"][0]
  cached = text_evaluators.cached(
      model, params, task, repeated, text_evaluators.Cache(
          length=24, sharpness=200., weight=.5))
  quick = text_evaluators.Dynamic(learning_rate=3e-4, segment=4)
  scale = text_evaluators.gradient_scale(model, params, task, TOKENS, quick)
  dynamic = text_evaluators.dynamic(model, params, task, repeated, quick, scale)
  assert plain > .9 * np.log(V)
  assert cached["loss"] < .9 * plain
  assert dynamic["loss"] < .8 * plain


def test_the_scale_may_come_from_the_first_windows_alone(network):
  trainer, params = network
  task, model = trainer.learner.task, trainer.model
  long = text(100 * 40)
  options = text_evaluators.Dynamic(max_windows=1)
  same = text_evaluators.Dynamic()
  few, all_ = (text_evaluators.gradient_scale(model, params, task, long, each)
               for each in (options, same))
  leaves = zip(jax.tree.leaves(few), jax.tree.leaves(all_), strict=True)
  assert any(not np.allclose(a, b, rtol=1e-3) for a, b in leaves)
  every = dataclasses.replace(options, max_windows=1000)
  again = text_evaluators.gradient_scale(model, params, task, long, every)
  for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(all_), strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_context_beyond_the_text_is_the_whole_text(network):
  trainer, params = network
  wanted = _plain(network, TOKENS, batch_size=1)
  found = text_evaluators.in_context(
      trainer.model, params, trainer.learner.task, TOKENS, 2_000_000_000, 32)
  np.testing.assert_allclose(found["loss"], wanted["loss"][0], rtol=1e-5)


def test_networks_of_a_run_share_a_program(network):
  """Nothing is traced again for the second network."""
  trainer, params = network
  task, traced = trainer.learner.task, []

  def unroll(*args, **kwargs):
    traced.append(1)
    return trainer.model.unroll(*args, **kwargs)

  model = dataclasses.replace(trainer.model, unroll=unroll)
  options = text_evaluators.Dynamic(segment=2)

  def losses(params):
    scale = text_evaluators.gradient_scale(model, params, task, TOKENS, options)
    return [found["loss"].item() for found in (
        text_evaluators.dynamic(model, params, task, TOKENS, options, scale),
        text_evaluators.cached(model, params, task, TOKENS,
                               text_evaluators.Cache(length=3)),
        text_evaluators.in_context(model, params, task, TOKENS, 7, 4))]

  first, count = losses(params), len(traced)
  second = losses(jax.tree.map(lambda x: x * 2, params))
  assert len(traced) == count > 0
  assert all(a != b for a, b in zip(first, second, strict=True))
