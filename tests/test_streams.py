"""Streams: windows of a text, and a state that is carried between them."""

import hlo
import jax
import jax.numpy as jnp
import launch_helpers
import numpy as np
import pytest
from stream_helpers import Digits, make_trainer, start, text

import tasks
from launch.learning import layout
from launch.learning import trainer as trainer_lib
from launch.learning.learner import RunState

DROPS = dict(core="awd_lstm", core_args=dict(
    hidden_size=6, num_layers=2, dropout=.3, weight_drop=.3),
             encoder_args=dict(dropout=.3, word_dropout=.3),
             head_args=dict(dropout=.3))


@pytest.mark.parametrize("length, num_rows, num_steps", [
    (20, 1, 3), (20, 4, 3), (21, 4, 5), (20, 7, 2), (3, 5, 4), (2, 1, 1)])
def test_windows_show_every_target_once(length, num_rows, num_steps):
  task, tokens = Digits(num_steps=num_steps), text(length)
  corpus = tasks.Corpus(tokens)
  row = tasks.row_length(corpus, num_rows)
  found = []
  for number in range(tasks.num_windows(task, corpus, num_rows)):
    inputs, targets, mask = task.window(
        corpus, jnp.arange(num_rows), num_rows,
        jnp.full(num_rows, number * num_steps))
    assert inputs.dtype == targets.dtype == jnp.int32
    assert inputs.shape == targets.shape == mask.shape == (num_steps, num_rows)
    for step, one in np.argwhere(np.asarray(mask) > 0):
      place = one * row + number * num_steps + step
      assert (inputs[step, one], targets[step, one]) == tuple(
          tokens[place:place + 2])
      found.append(place)
  assert sorted(found) == list(range(length - 1))


def test_rows_beyond_the_last_are_empty():
  task, corpus = Digits(), tasks.Corpus(text(20))
  batch = task.window(corpus, jnp.arange(4), 3, jnp.zeros(4, jnp.int32))
  np.testing.assert_array_equal(batch.mask.sum(0), [3, 3, 3, 0])


def test_targets_that_do_not_count_are_masked():
  task, tokens = Digits(num_steps=19), text(20)
  corpus = tasks.Corpus(tokens, scored=tokens == 2)
  batch = task.window(corpus, jnp.zeros(1, int), 1, jnp.zeros(1, int))
  np.testing.assert_array_equal(batch.mask[:, 0], tokens[1:] == 2)


def test_a_probability_beyond_1_is_refused():
  with pytest.raises(ValueError, match="drop_state must be from 0 to 1, got 2"):
    Digits(drop_state=2)


def _log_probs(trainer, params, inputs):
  """Returns the log-probabilities `[T, V]` after each input, step by step."""
  model = trainer.model
  step = jax.jit(lambda x, state: model.unroll(params, None, x, state))
  state, found = model.initial_state(params, 1), []
  for token in inputs:
    unrolled = step(np.array([[token]], np.int32), state)
    state = unrolled.state
    found.append(jax.nn.log_softmax(unrolled.outputs[0, 0]))
  return np.array(found)


def test_the_loss_carries_the_state_and_starts_anew_with_the_text():
  """Two rows of 6 and 5 targets in windows of 4; nothing is learned."""
  trainer, state = start(task=Digits(num_steps=4, drop_state=0.), batch_size=2,
                         learning_rate=0.)
  tokens = text(12)
  params = trainer.get_params(state.train.params)
  rows = [_log_probs(trainer, params, row) for row in (tokens[:6], tokens[6:])]
  targets = tokens[1:7], tokens[7:]
  data = trainer.put_data(tokens)
  for window in (slice(0, 4), slice(4, 6)) * 2:
    state, metrics = trainer.train(state, data, 1)
    nats = [-row[np.arange(len(of_row)), of_row][window]
            for row, of_row in zip(rows, targets, strict=True)]
    np.testing.assert_allclose(
        metrics["loss"][0], np.concatenate(nats).mean(), rtol=1e-5)


def test_a_dropped_state_starts_anew_in_its_row_alone():
  trainer, state = start(task=Digits(drop_state=.5), batch_size=8)
  data, starts = trainer.put_data(text(1000)), []
  for _ in range(20):
    state, _ = trainer.train(state, data, 1)
    starts.append(trainer.get(state).source.begins)
  assert starts[0].all()
  assert .3 < np.mean(starts[1:]) < .7
  # Rows are dropped one by one, not all of a batch together.
  assert np.std(starts[1:], axis=1).max() > 0
  trainer, state = start(task=Digits(drop_state=1.), batch_size=2,
                         learning_rate=0.)
  tokens = text(12)
  params = trainer.get_params(state.train.params)
  data = trainer.put_data(tokens)
  state, _ = trainer.train(state, data, 1)
  _, metrics = trainer.train(state, data, 1)
  nats = [-_log_probs(trainer, params, tokens[i:i + 3])[
      np.arange(len(tokens[i + 1:i + 4])), tokens[i + 1:i + 4]]
          for i in (3, 9)]
  np.testing.assert_allclose(
      metrics["loss"][0], np.concatenate([nats[0], nats[1][:2]]).mean(),
      rtol=1e-5)


@pytest.mark.parametrize("num_rows, devices", [
    (1, 1), (1, 2), (4, 1), (3, 2), (40, 2)])
def test_an_evaluation_counts_every_target_of_every_row(num_rows, devices):
  """The number of devices does not change the rows."""
  trainer, state = start(devices=devices)
  tokens = text(24)
  params = trainer.get_params(state.train.params)
  metrics = trainer.evaluate(
      state.train.params, trainer.put_data(tokens), batch_size=num_rows)
  length, nats = -(-23 // num_rows), []
  for first in range(0, 23, length):
    inputs, targets = (tokens[i:][first:first + length] for i in (0, 1))
    inputs = inputs[:len(targets)]
    nats += list(-_log_probs(trainer, params, inputs)[
        np.arange(len(targets)), targets])
  assert len(nats) == 23
  np.testing.assert_allclose(metrics["loss"], [np.mean(nats)], rtol=1e-5)
  np.testing.assert_allclose(
      metrics["perplexity"], [np.exp(np.mean(nats))], rtol=1e-5)


@pytest.mark.parametrize("kwargs", [
    pytest.param({}, marks=pytest.mark.slow), DROPS,
    dict(core="sam", core_args=dict(
        hidden_size=6, num_slots=9, word_size=4, num_heads=1, top_k=2))],
                         ids=["lstm", "drops", "sam"])
def test_devices_do_not_change_what_is_learned(kwargs):
  losses = []
  for devices in (1, 2, 4):
    trainer, state = start(devices=devices, task=Digits(drop_state=.3),
                           **kwargs)
    data = trainer.put_data(text(50))
    found = []
    for _ in range(6):
      state, metrics = trainer.train(state, data, 1)
      found.append(metrics["loss"][0])
    losses.append(found)
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
  np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_a_resumed_stream_goes_on_bit_by_bit(num_seeds):
  kwargs = dict(task=Digits(drop_state=.3), num_seeds=num_seeds, **DROPS)
  trainer, state = start(**kwargs)
  tokens = text(50)
  state, _ = trainer.train(state, trainer.put_data(tokens), 3)
  saved = trainer.get(state)
  other = make_trainer(**kwargs)
  like = other.empty_state()
  assert jax.tree.map(np.shape, like) == jax.tree.map(np.shape, saved)
  state, first = trainer.train(state, trainer.put_data(tokens), 3)
  again, second = other.train(other.put(saved), other.put_data(tokens), 3)
  assert {name: x.tolist() for name, x in first.items()} == {
      name: x.tolist() for name, x in second.items()}
  launch_helpers.assert_same(trainer.get(state), other.get(again))


def test_seeds_of_one_program_are_those_of_programs_of_their_own():
  together, state = start(num_seeds=2)
  state, metrics = together.train(state, together.put_data(text(50)), 4)
  alone, state = start()
  state, of_first = alone.train(state, alone.put_data(text(50)), 4)
  np.testing.assert_allclose(metrics["loss"][0], of_first["loss"][0], rtol=1e-5)
  assert metrics["loss"][0] != metrics["loss"][1]


def test_the_state_of_a_stream_is_always_saved(monkeypatch):
  monkeypatch.setattr(trainer_lib, "MAX_SAVED_BYTES", 10)
  trainer, state = start()
  state, _ = trainer.train(state, trainer.put_data(text(50)), 2)
  saved = trainer.get(state)
  np.testing.assert_array_equal(saved.source.position, [6] * 4)


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_another_vocabulary_is_refused(num_seeds):
  trainer, state = start(vocabulary=0xabcdef01, num_seeds=num_seeds)
  saved = trainer.get(state).source
  trainer.learner.source.check(saved)
  with pytest.raises(ValueError, match=r"another vocabulary .digest abcdef01"):
    make_trainer(vocabulary=7).learner.source.check(saved)


def test_no_gradient_reaches_the_window_before():
  """The second window's gradient is that of its start as a constant."""
  trainer, state = start(batch_size=1, learning_rate=0.)
  tokens = text(50)
  data = trainer.put_data(tokens)
  params = trainer.get_params(state.train.params)
  state, _ = trainer.train(state, data, 1)
  carried = jax.tree.map(jnp.asarray, trainer.get(state).source.core)
  _, metrics = trainer.train(state, data, 1)

  def loss(params):
    unrolled = trainer.model.unroll(
        params, None, tokens[3:6, None].astype(np.int32), carried,
        targets=tokens[4:7, None].astype(np.int32))
    return -unrolled.outputs.mean()

  gradient = jax.grad(loss)(params)
  norm = np.sqrt(sum(np.square(x).sum() for x in jax.tree.leaves(gradient)))
  np.testing.assert_allclose(metrics["grad_norm"][0], norm, rtol=1e-5)


def test_a_window_that_goes_on_writes_no_array_of_a_large_memory():
  """Only the branch of a new state writes the memory, and nothing copies it."""
  num_slots, batch_size = 8191, 2
  trainer = make_trainer(
      "sam", dict(hidden_size=7, num_slots=num_slots, word_size=5, num_heads=2,
                  top_k=3, index="lsh", index_args=dict(max_bits=8),
                  gradient_steps=3),
      task=Digits(drop_state=.01), batch_size=batch_size)
  learner, keys = trainer.learner, trainer.keys()

  def begin():
    train = learner.initial_state(keys)
    return RunState(train, learner.source.initial_state(
        train.params, batch_size))

  compiled = jax.jit(
      lambda state, data: learner.train(
          keys, state, data, 3, None, layout.Share()),
      donate_argnums=0).lower(jax.eval_shape(begin), text(50)).compile()
  size = batch_size * num_slots
  of_all, without_branches = (hlo.writes_in_loops(
      compiled.as_text(), size, counts_branches)[1]
                              for counts_branches in (True, False))
  assert of_all
  assert not without_branches, "\n".join(without_branches)
  memory = compiled.memory_analysis()
  assert memory.alias_size_in_bytes > size * 5 * 4
  assert memory.temp_size_in_bytes < size * 5 * 4
