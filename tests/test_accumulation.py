"""Gradient accumulation gives the numbers of a whole batch in less memory."""

import dataclasses
import functools

import config_helpers
import jax
import learning_helpers
import numpy as np
import optax
import pytest
import stream_helpers
import test_agents
from small_environments import Cue
from test_streams import DROPS

import tasks
from launch.configs import build
from launch.learning.layout import Share
from launch.learning.penalties import Discrete
from launch.learning.updates.accumulation import part_of

close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


@dataclasses.dataclass(frozen=True)
class Uneven(Cue):
  """Ends three steps earlier for one of the cues."""

  def step(self, state, action, key):
    new, seen = super().step(state, action, key)
    return new, seen._replace(
        terminated=new.time > self.delay - 3 * state.cue)


# Name -> a function that makes a trainer, and the data.
RUNS = {
    # Sequences differ in length, and weights have a penalty.
    "episodes": (lambda: learning_helpers.make_trainer(
        task=learning_helpers.COPY_OF_LENGTHS, devices=2, max_grad_norm=1e9,
        optimizer=optax.sgd(.5), unit="nau", penalty=Discrete(weight=1.)),
                 None),
    "seeds": (lambda: learning_helpers.make_trainer(
        devices=2, num_seeds=2, batch_size=4), None),
    # The last rows are short; dropout draws for each row, and for all.
    "text": (lambda: stream_helpers.make_trainer(
        devices=2, task=stream_helpers.Digits(drop_state=.3), batch_size=8,
        **DROPS), stream_helpers.text(77)),
    # Some environments wait for a level, so that they have fewer steps.
    "environment": (lambda: test_agents.make_trainer(
        Uneven(is_dear=True)), None),
}


def run(name, accumulate, num_updates=6):
  """Returns metrics and the last state, and each update's metrics."""
  make, data = RUNS[name]
  trainer = make()
  trainer.learner.accumulate = accumulate  # Nothing is compiled yet.
  data = trainer.put_data(data)
  state, found = trainer.put(trainer.initial_state()), []
  for _ in range(num_updates):
    state, metrics = trainer.train(state, data, 1)
    found.append(metrics)
  return trainer.get(state), found


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name == "seeds" else ())
    for name in RUNS])
def test_parts_give_what_the_whole_gives(name):
  whole, of_whole = run(name, 1)
  parts, of_parts = run(name, 2)
  jax.tree.map(close, whole, parts)
  jax.tree.map(close, of_whole, of_parts)
  if name == "environment":  # Not all steps count, and not the same ones.
    assert 0 < of_whole[-1]["acting"] < 1
    assert any(round(6 * 4 * float(metrics["acting"][0])) % 4
               for metrics in of_whole)


def test_parts_of_the_text_differ_in_their_targets():
  """So the test above fails if parts are not weighed."""
  corpus = tasks.Corpus(RUNS["text"][1])
  batch = stream_helpers.Digits().window(
      corpus, np.arange(8), 8, np.full(8, 6))
  of_parts = batch.mask.sum(0).reshape(2, 2, 2).sum((0, 2))
  assert of_parts[0] != of_parts[1]


def test_a_part_is_a_share_of_its_own():
  share = part_of(Share(2, 3, lambda tree: "of the shares"), 1, 5)
  assert share[:2] == (11, 15)
  assert share.mean(None) == "of the shares"


def test_the_clip_comes_after_all_means():
  """The norm that is clipped is that of the whole batch's gradient."""
  limit, found = 0.05, []
  for devices, accumulate in ((1, 1), (1, 2), (2, 2), (4, 1)):
    trainer, state = learning_helpers.start(
        task=learning_helpers.COPY_OF_LENGTHS, devices=devices,
        accumulate=accumulate, optimizer=optax.sgd(.5), max_grad_norm=limit)
    before = trainer.get(state).train.params
    for _ in range(2):
      state, metrics = trainer.train(state, None, 1)
      assert metrics["grad_norm"] > 1.2 * limit  # The clip is active.
    after = trainer.get(state).train.params
    found.append(after)
  moved = optax.tree.norm(jax.tree.map(np.subtract, after, before))
  assert 0.5 * limit < moved <= 2 * 0.5 * limit * (1 + 1e-5)
  tight = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
  for other in found[1:]:
    jax.tree.map(tight, found[0], other)


def test_activations_take_the_memory_of_one_part():
  """The compiled program needs less, by what the compiler reports."""
  needed = {}
  for accumulate in (1, 2, 4):
    trainer, state = learning_helpers.start(
        task=tasks.Copy(num_bits=3, min_length=40, max_length=40),
        batch_size=64, devices=1, accumulate=accumulate)
    analysis = trainer._train.lower(
        trainer._inputs, state, None, 1, None).compile().memory_analysis()
    needed[accumulate] = analysis.temp_size_in_bytes
  state_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
  assert needed[1] > 20 * state_bytes  # Activations are most of it.
  for accumulate in (2, 4):
    assert needed[accumulate] < 1.15 * needed[1] / accumulate


def test_a_batch_that_does_not_divide():
  trainer, state = learning_helpers.start(
      devices=2, batch_size=8, accumulate=3)
  with pytest.raises(ValueError, match="batch_size=8 does not divide over 2 "
                     "devices, each in 3 parts; valid: multiples of 6"):
    trainer.train(state, None, 1)


def test_the_flag_reaches_the_learner():
  config = config_helpers.resolve("--accumulate=2")
  assert build.make_learner(config, build.make_task(config)).accumulate == 2
