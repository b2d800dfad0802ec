"""The encoder of integer tokens, and the models that have one."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw
from mixed_precision import bfloat16_policy, products

from rmc_nalu_sam import CORES, ENCODERS, HEADS, make_model
from rmc_nalu_sam.arrays import Rows
from rmc_nalu_sam.dropout import Keys, locked
from rmc_nalu_sam.encoders import Tokens

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, V, E, H = 11, 5, 29, 13, 7
KEY = jax.random.key(3)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(V, size=(T, B)))
TARGETS = jnp.asarray(np.random.default_rng(1).integers(V, size=(T, B)))
KEYS = Keys(KEY, jax.random.split(jax.random.key(4), B))
EVERYTHING = dict(
    hidden_size=H, last_size=E, dropout=.4, weight_drop=.4,
    encoder_args=dict(output_size=E, dropout=.4, word_dropout=.3),
    head_args=dict(tied=True, dropout=.4))


def encode(**kwargs):
  return hk.transform(lambda x: Tokens(V, E, **kwargs)(x))


def model_of(core="awd_lstm", head="softmax", **kwargs):
  """Returns a model of tokens, and parameters that vary."""
  model = make_model(core, V, head=head, input_size=None, **dict(
      encoder="tokens") | kwargs)
  params = jax.tree.map(
      lambda p: .5 * draw(p.size, *p.shape).astype(p.dtype),
      jax.eval_shape(model.init, KEY, TOKENS))
  return model, params


def log_probs(model, **kwargs):
  def unroll(params, rng, inputs, targets):
    return model.unroll(params, rng, inputs, model.initial_state(
        params, inputs.shape[1]), targets=targets, **kwargs).outputs
  return jax.jit(unroll)


# The encoder.


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_a_vector_is_a_row_of_the_table(dtype):
  params = encode().init(KEY, TOKENS)
  (table,) = jax.tree.leaves(params)
  assert table.shape == (V, E) and np.abs(table).max() <= .1
  np.testing.assert_array_equal(
      encode().apply(params, None, TOKENS.astype(dtype)), table[TOKENS])


def test_a_token_beyond_the_vocabulary_is_nan_and_no_other_row():
  params = encode().init(KEY, TOKENS)
  bad = jnp.array([[-1, V, 0, -V, 10 * V]])
  rows = encode().apply(params, None, bad)[0]
  np.testing.assert_array_equal(
      np.isnan(rows).all(1), [True, True, False, True, True])
  assert np.isfinite(rows[2]).all()
  grads = jax.grad(lambda p: jnp.nansum(encode().apply(p, None, bad)))(params)
  assert np.isfinite(jax.tree.leaves(grads)[0]).all()


@pytest.mark.parametrize("kwargs", [{}, dict(word_dropout=.5)])
def test_rows_are_the_vectors(kwargs):
  params = encode().init(KEY, TOKENS)
  tokens = TOKENS.at[0, :2].set(jnp.array([-1, V]))
  as_rows = hk.transform(lambda x: Tokens(V, E, **kwargs).as_rows(x))
  rows = as_rows.apply(params, KEY, tokens)
  assert isinstance(rows, Rows) and rows.table.shape == (V, E)
  assert rows.shape == (T, B, E) and rows.dtype == rows.take().dtype
  np.testing.assert_array_equal(
      rows.take(), encode(**kwargs).apply(params, KEY, tokens))
  assert np.isnan(rows.take()[0, :2]).all()


@pytest.mark.parametrize("kwargs, num_steps", [({}, 5), (dict(dropout=.1), T)])
def test_there_are_no_rows_of_a_larger_table_or_of_dropped_numbers(
    kwargs, num_steps):
  as_rows = hk.transform(lambda x: Tokens(V, E, **kwargs).as_rows(x))
  tokens = TOKENS[:num_steps]
  params = encode().init(KEY, tokens)
  np.testing.assert_array_equal(as_rows.apply(params, KEY, tokens),
                                encode(**kwargs).apply(params, KEY, tokens))


@pytest.mark.parametrize("method", ["__call__", "as_rows"])
def test_dropped_words_keep_the_type_of_a_policy(method):
  def f(x):
    return getattr(Tokens(V, E, word_dropout=.5), method)(x)

  params = encode().init(KEY, TOKENS)
  with bfloat16_policy(Tokens, "bfloat16"):
    found = hk.transform(f).apply(params, KEY, TOKENS)
  assert found.dtype == jnp.bfloat16


def test_words_are_dropped_wherever_they_occur():
  params = encode().init(KEY, TOKENS)
  rows = encode().apply(params, None, TOKENS)
  dropped = np.asarray(encode(word_dropout=.4).apply(params, KEY, TOKENS))
  is_kept = dropped.any(-1)
  np.testing.assert_allclose(
      dropped, np.where(is_kept[..., None], rows / .6, 0), rtol=1e-5)
  words = np.asarray(TOKENS)
  by_word = [is_kept[words == word] for word in np.unique(words)]
  assert all(np.all(kept == kept[0]) for kept in by_word)
  assert .2 < np.mean([kept[0] for kept in by_word]) < .9


def test_numbers_are_dropped_at_all_steps_of_a_sequence():
  params = encode().init(KEY, TOKENS)
  rows = encode().apply(params, None, TOKENS)
  dropped = np.asarray(encode(dropout=.4).apply(params, KEY, TOKENS))
  is_kept = dropped != 0
  np.testing.assert_allclose(dropped, np.where(is_kept, rows / .6, 0),
                             rtol=1e-5)
  assert np.all(is_kept == is_kept[:1])
  assert np.any(is_kept[0] != is_kept[0, :1])
  assert .4 < is_kept.mean() < .8


@pytest.mark.parametrize("kwargs, words", [
    (dict(output_size=0), "output_size must be at least 1, got 0"),
    (dict(vocabulary_size=0), "vocabulary_size must be at least 1, got 0"),
    (dict(dropout=1.), r"dropout must be in \[0, 1\), got 1.0"),
    (dict(word_dropout=-.1), r"word_dropout must be in \[0, 1\), got -0.1")])
def test_bad_arguments(kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: Tokens(**dict(vocabulary_size=V) | kwargs) and None
                 ).init(None)


# Models.


@pytest.mark.parametrize("core", CORES)
def test_every_core_takes_tokens(core):
  model = make_model(core, V, encoder="tokens", head="softmax",
                     input_size=None)
  params = jax.eval_shape(model.init, KEY, TOKENS)
  unrolled = jax.eval_shape(lambda p: model.unroll(
      p, None, TOKENS, model.initial_state(p, B)), params)
  assert unrolled.outputs.shape == (T, B, V)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_an_encoder_of_tokens_takes_them(encoder):
  def make():
    return make_model("lstm", V, encoder=encoder, input_size=None)

  if encoder == "tokens":
    assert "model/~/tokens" in jax.eval_shape(make().init, KEY, TOKENS)
    with pytest.raises(ValueError, match=r"takes integer tokens, got inputs of "
                       r"type float32; .* input_size=None"):
      make_model("lstm", V, encoder=encoder)
  else:
    with pytest.raises(ValueError, match=r"such as 'tokens'|square images"):
      make()


@pytest.mark.parametrize("core", ["lstm", "rmc", "awd_lstm"])
def test_tokens_are_encoded_outside_of_the_scan(core):
  """Also if the core has no unroll of its own."""
  calls = []

  class Counted(Tokens):

    def __call__(self, inputs):
      calls.append(inputs.shape)
      return super().__call__(inputs)

    def as_rows(self, inputs):
      calls.append(inputs.shape)
      return super().as_rows(inputs)

  model, params = model_of(core, encoder=Counted)
  assert {shape[0] for shape in calls} == {1}  # To make parameters.
  calls.clear()
  for more in ({}, dict(return_all_states=True), dict(
      return_unit_inputs=True)):
    jax.eval_shape(lambda p, more=more: model.unroll(
        p, None, TOKENS, model.initial_state(p, B), **more), params)
  assert calls == 3 * [(T, B)]


class OfRows(hk.RNNCore):
  """Adds up the inputs; its own unroll takes rows, and no resets."""

  UNROLLS_ROWS = True

  def __call__(self, inputs, prev_state):
    return (prev_state + inputs,) * 2

  def unroll(self, inputs, state):
    assert isinstance(inputs, Rows)
    outputs = state[None] + jnp.cumsum(inputs.take(), 0)
    return outputs, outputs[-1]

  def initial_state(self, batch_size):
    return jnp.zeros([batch_size, E])


def test_a_core_of_ones_own_gets_rows_if_its_unroll_runs():
  model = make_model(OfRows, V, encoder="tokens", input_size=None,
                     encoder_args=dict(output_size=E))
  params = model.init(KEY, TOKENS)
  state = model.initial_state(params, B)
  plain = model.unroll(params, None, TOKENS, state).core_outputs
  never = model.unroll(params, None, TOKENS, state,
                       resets=jnp.zeros([T, B], bool)).core_outputs
  np.testing.assert_allclose(plain, never, rtol=1e-5, atol=1e-6)


def test_a_small_table_is_multiplied_in_place_of_its_vectors():
  """In the forward pass, and so in the backward pass."""
  model, params = model_of(hidden_size=H, num_layers=1)
  jaxpr = jax.make_jaxpr(jax.grad(lambda p: log_probs(model)(
      p, None, TOKENS, TARGETS).sum()))(params)
  size = params["model/~/tokens"]["embeddings"].shape[1]
  shapes = {tuple(v.shape for v in product[:2]) for product in products(jaxpr)}
  assert ((V, size), (size, 4 * H)) in shapes
  assert not any((T, B, size) in pair for pair in shapes)


@pytest.mark.parametrize("head, kwargs", [
    ("softmax", {}), ("unit", {}), ("none", dict(hidden_size=V)),
    ("adaptive_softmax", dict(head_args=dict(cutoffs="5,17")))])
def test_targets_give_their_log_probabilities(head, kwargs):
  model, params = model_of("lstm", head, **kwargs)
  answers = model.unroll(
      params, None, TOKENS, model.initial_state(params, B)).outputs
  expected = jax.nn.log_softmax(answers)
  targets = TARGETS.at[0, :2].set(jnp.array([-1, V]))
  found = np.asarray(log_probs(model)(params, None, TOKENS, targets))
  assert found.shape == (T, B) and found.dtype == np.float32
  assert np.isnan(found[0, :2]).all() and np.isnan(found).sum() == 2
  picked = np.take_along_axis(
      np.asarray(expected), np.asarray(TARGETS)[..., None], -1)[..., 0]
  np.testing.assert_allclose(found[1:], picked[1:], rtol=1e-5, atol=1e-5)
  steps = jnp.asarray(np.random.default_rng(2).integers(1, T, size=(3, B)))
  some = log_probs(model, steps=steps)(
      params, None, TOKENS, jnp.take_along_axis(targets, steps, 0))
  np.testing.assert_allclose(
      some, np.take_along_axis(found, np.asarray(steps), 0), rtol=1e-5)


# What is dropped.


@pytest.mark.parametrize("head", ["softmax", "adaptive_softmax"])
def test_a_sequence_does_not_depend_on_the_others(head):
  model, params = model_of(head=head, **EVERYTHING)
  unroll = log_probs(model)
  whole = unroll(params, KEYS, TOKENS, TARGETS)
  part = unroll(params, Keys(KEY, KEYS.sequences[1:3]), TOKENS[:, 1:3],
                TARGETS[:, 1:3])
  np.testing.assert_allclose(part, whole[:, 1:3], rtol=1e-5, atol=1e-5)
  other = unroll(params, Keys(KEY, KEYS.sequences.at[1].set(KEY)), TOKENS,
                 TARGETS)
  np.testing.assert_array_equal(
      np.abs(other - whole).max(0) > 1e-3, np.arange(B) == 1)


def test_each_dropout_is_drawn_by_its_key_and_by_no_other():
  """Each changes the numbers; those of sequences do not need the shared key."""
  plain, params = model_of(**EVERYTHING | dict(
      dropout=0., weight_drop=0., encoder_args=dict(output_size=E),
      head_args=dict(tied=True)))
  assert not plain.draws
  expected = log_probs(plain)(params, KEYS, TOKENS, TARGETS)
  cases = {
      "core": (dict(dropout=.4), False),
      "weights": (dict(weight_drop=.4), True),
      "encoder": (dict(encoder_args=dict(output_size=E, dropout=.4)), False),
      "words": (dict(encoder_args=dict(output_size=E, word_dropout=.4)), True),
      "head": (dict(head_args=dict(tied=True, dropout=.4)), False)}
  for name, (more, is_shared) in cases.items():
    model, _ = model_of(hidden_size=H, last_size=E, **dict(
        encoder_args=dict(output_size=E), head_args=dict(tied=True)) | more)
    assert model.draws, name
    unroll = log_probs(model)
    found = unroll(params, KEYS, TOKENS, TARGETS)
    assert np.abs(found - expected).max() > 1e-2, name
    for keys, changes in (
        (KEYS._replace(shared=jax.random.key(9)), is_shared),
        (KEYS._replace(sequences=KEYS.sequences[::-1]), not is_shared)):
      other = unroll(params, keys, TOKENS, TARGETS)
      assert (np.abs(found - other).max() > 1e-3) == changes, name
    # The encoder with `dropout` gives vectors, without it rows of its table.
    tolerance = 1e-6 if name == "encoder" else 0
    np.testing.assert_allclose(unroll(params, None, TOKENS, TARGETS), expected,
                               rtol=tolerance, atol=0, err_msg=name)
    one = unroll(params, KEY, TOKENS, TARGETS)  # A library user's.
    assert np.abs(one - expected).max() > 1e-2, name


def test_an_array_of_keys_is_keys_with_the_first_one_shared():
  model, params = model_of(**EVERYTHING)
  keys = KEYS.sequences
  np.testing.assert_array_equal(*(log_probs(model)(params, rng, TOKENS, TARGETS)
                                  for rng in (keys, Keys(keys[0], keys))))


def test_modules_drop_independently():
  """By their names, and by the names of their calls."""
  kept = {}

  class Wide(hk.RNNCore):
    """Passes its input on, and drops twice."""

    def unroll(self, inputs, state):
      ones = jnp.ones([1, B, 1009])
      kept["a"], kept["b"] = (locked(ones, .5, name) for name in "ab")
      return inputs, state

    def __call__(self, inputs, state):
      return inputs, state

    def initial_state(self, batch_size):
      return jnp.zeros([] if batch_size is None else [batch_size])

  class Other(Wide):

    def unroll(self, inputs, state):
      result = super().unroll(inputs, state)
      kept["other"] = kept["a"]
      return result

  masks = []
  for core in (Wide, Other):
    model, params = model_of(core, encoder_args=dict(output_size=E))
    model.unroll(params, KEYS, TOKENS, model.initial_state(params, B))
    masks.append(dict(kept))
  pairs = [(masks[0]["a"], masks[0]["b"]), (masks[0]["a"], masks[1]["other"])]
  for a, b in pairs:
    np.testing.assert_allclose(np.mean((a != 0) == (b != 0)), .5, atol=.05)


# Tied heads.


@pytest.mark.parametrize("head", ["softmax", "adaptive_softmax"])
def test_a_tied_head_has_the_rows_of_the_encoder(head):
  kwargs = dict(hidden_size=E, encoder_args=dict(output_size=E))
  tied, params = model_of("lstm", head, head_args=dict(tied=True), **kwargs)
  free, own = model_of("lstm", head, **kwargs)
  name, table = f"model/~/{head}", params["model/~/tokens"]["embeddings"]
  weights = "w" if head == "softmax" else "head"
  own = dict(params) | {name: params.get(name, {}) | {weights: table.T}}
  outputs = [log_probs(model)(p, None, TOKENS, TARGETS)
             for model, p in ((tied, params), (free, own))]
  np.testing.assert_allclose(*outputs, rtol=1e-5)
  assert weights not in params.get(name, {})
  gradient = jax.grad(lambda p: log_probs(tied)(
      p, None, TOKENS, TARGETS).sum())(params)["model/~/tokens"]["embeddings"]
  assert np.all(np.any(gradient != 0, axis=1))  # Also words that do not occur.


@pytest.mark.parametrize("head", [
    name for name in HEADS if "tied" in HEADS.arguments(name)])
def test_a_tied_head_says_what_does_not_fit(head):
  with pytest.raises(ValueError, match="a tied head needs an encoder with an "
                     "embedding, such as 'tokens'; take that encoder, or tied"):
    make_model("lstm", V, head=head, head_args=dict(tied=True))
  with pytest.raises(ValueError, match=rf"shape \({V}, {H}\), .* got "
                     rf"\({V}, {E}\); set encoder.output_size={H}, or .* {E}"):
    make_model("lstm", V, encoder="tokens", encoder_args=dict(output_size=E),
               head=head, head_args=dict(tied=True), hidden_size=H,
               input_size=None)
