"""Locked dropout, dropout of words, and weight drop."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_cases import draw

from rmc_nalu_sam import dropout
from rmc_nalu_sam.cores import lstm

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, H, V, E = 5, 211, 7, 1009, 11
RATE = .3
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, B)
LOCKED = (dropout.locked_dropout, draw(T, B, H) + 9)
WORDS = (dropout.word_dropout, draw(V, E) + 9)
WEIGHTS = (dropout.weight_drop, draw(3 * H, 97) + 9)
every_function = pytest.mark.parametrize(
    "function, x", [LOCKED, WORDS, WEIGHTS], ids=["locked", "words", "weights"])


@every_function
def test_drops_at_the_rate_and_keeps_the_mean(function, x):
  outputs = np.asarray(jax.jit(function, static_argnums=2)(KEY, x, RATE))
  is_kept = outputs != 0
  assert outputs.shape == x.shape
  np.testing.assert_allclose(
      outputs, np.where(is_kept, x / (1 - RATE), 0), rtol=1e-6)
  np.testing.assert_allclose(is_kept.mean(), 1 - RATE, atol=.04)


@every_function
def test_drops_nothing_in_an_evaluation_or_at_rate_0(function, x):
  np.testing.assert_array_equal(function(None, x, RATE), x)
  np.testing.assert_array_equal(function(KEY, x, 0.), x)


@every_function
def test_same_key_drops_the_same_and_another_one_does_not(function, x):
  one, same, other = (
      function(key, x, RATE) for key in (KEY, KEY, jax.random.key(1)))
  np.testing.assert_array_equal(one, same)
  assert np.any(one != other)


@every_function
def test_keeps_the_type_and_gives_no_gradient_to_what_is_dropped(function, x):
  half = function(KEY, x.astype(jnp.bfloat16), RATE)
  assert half.dtype == jnp.bfloat16
  gradient = jax.grad(lambda x: function(KEY, x, RATE).sum())(x)
  np.testing.assert_allclose(
      gradient, np.asarray(function(KEY, x, RATE) != 0) / (1 - RATE),
      rtol=1e-6)


@every_function
@pytest.mark.parametrize("rate", [-.1, 1., float("nan")])
def test_bad_rates(function, x, rate):
  with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), got"):
    function(KEY, x, rate)


@pytest.mark.parametrize("keys", [KEY, KEYS], ids=["a key", "keys"])
def test_locked_dropout_is_the_same_at_all_steps(keys):
  is_kept = np.asarray(dropout.locked_dropout(keys, LOCKED[1], RATE) != 0)
  np.testing.assert_array_equal(is_kept, np.broadcast_to(is_kept[0], (T, B, H)))
  assert len(np.unique(is_kept[0], axis=0)) > 50  # Sequences differ.
  assert np.all(is_kept[0].mean(0) > .5)  # No unit is dropped everywhere.


def test_locked_dropout_of_a_sequence_does_not_depend_on_the_others():
  x = LOCKED[1]
  whole = dropout.locked_dropout(KEYS, x, RATE)
  part = dropout.locked_dropout(KEYS[7:9], x[:, 7:9], RATE)
  np.testing.assert_array_equal(whole[:, 7:9], part)


def test_words_are_dropped_whole():
  is_kept = np.asarray(dropout.word_dropout(KEY, WORDS[1], RATE) != 0)
  np.testing.assert_array_equal(is_kept.all(1), is_kept.any(1))
  assert 0 < is_kept[:, 0].sum() < V


def test_weight_drop_leaves_the_first_rows():
  x = WEIGHTS[1]
  outputs = dropout.weight_drop(KEY, x, RATE, num_rows=H)
  np.testing.assert_array_equal(outputs[:-H], x[:-H])
  assert np.any(outputs[-H:] == 0)
  np.testing.assert_array_equal(
      dropout.weight_drop(KEY, x, RATE, num_rows=0), x)
  for num_rows in (-1, 3 * H + 1):
    with pytest.raises(ValueError, match="num_rows must be from 0 to 21, the "
                       f"number of rows, got {num_rows}"):
      dropout.weight_drop(KEY, x, RATE, num_rows)


def test_recurrent_weights_of_an_lstm_are_the_last_rows():
  """At the first step, the last output is 0, so they have no effect."""
  def f(inputs):
    core = lstm(H)
    return hk.dynamic_unroll(core, inputs, core.initial_state(3))[0]

  net, inputs = hk.without_apply_rng(hk.transform(f)), draw(T, 3, E)
  params = net.init(KEY, inputs)
  layer = params["lstm/linear"]
  dropped = {"lstm/linear": layer | dict(
      w=dropout.weight_drop(KEY, layer["w"], RATE, num_rows=H))}
  plain, other = net.apply(params, inputs), net.apply(dropped, inputs)
  np.testing.assert_array_equal(plain[0], other[0])
  assert np.all(np.any(plain[1:] != other[1:], axis=(1, 2)))
