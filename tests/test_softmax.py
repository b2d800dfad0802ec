"""The head of a full softmax."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw
from mixed_precision import bfloat16_policy, every_output

from rmc_nalu_sam import Softmax
from rmc_nalu_sam.heads import linear_log_probs

N, F, V = 307, 23, 41


def functions(**kwargs):
  def net():
    head = Softmax(V, **kwargs)
    return head, (head, head.log_prob_of)

  init, applies = hk.multi_transform(net)
  return init, *(jax.jit(lambda params, *args, f=f: f(params, None, *args))
                 for f in applies)


def case(**kwargs):
  """Returns functions, parameters that vary, inputs and targets."""
  init, *applies = functions(**kwargs)
  params = jax.tree.map(
      lambda p: .7 * draw(p.size, *p.shape),
      jax.eval_shape(init, jax.random.key(0), draw(0, 1, F)))
  targets = jnp.asarray(np.random.default_rng(1).integers(V, size=N))
  return *applies, params, draw(2, N, F), targets


@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("chunk", [1000, 256, 7])
def test_equals_its_reference_and_its_gradients_are_slopes(monkeypatch, chunk):
  monkeypatch.setattr(linear_log_probs, "CHUNK", chunk)
  logits, some, params, x, targets = case()
  (layer,) = params.values()
  expected = np.asarray(x) @ np.asarray(layer["w"]) + np.asarray(layer["b"])
  np.testing.assert_allclose(logits(params, x), expected, rtol=1e-9)
  shares = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
  np.testing.assert_allclose(
      some(params, x, targets), np.log(shares)[np.arange(N), targets],
      rtol=1e-9)
  weights = draw(3, N)
  gradients = jax.grad(lambda p, x: jnp.vdot(
      some(p, x, targets), weights), (0, 1))(params, x)
  slopes = np.asarray(weights)[:, None] * (np.eye(V)[targets] - shares)
  (of_layer,) = gradients[0].values()
  for found, reference in (
      (of_layer["w"], x.T @ slopes), (of_layer["b"], slopes.sum(0)),
      (gradients[1], slopes @ layer["w"].T)):
    np.testing.assert_allclose(found, reference, rtol=1e-8, atol=1e-11)


def test_no_array_holds_the_logits_of_all_tokens(monkeypatch):
  """If they are beyond the bound."""
  monkeypatch.setattr(linear_log_probs, "MAX_SAVED_BYTES", N * V * 4 - 1)
  _, some, params, x, targets = case()
  assert N > linear_log_probs.CHUNK
  text = jax.jit(jax.grad(lambda p: some(p, x, targets).sum())).lower(
      params).compile().as_text()
  assert f"f32[{-(-N // 2)},{V}]" in text
  assert f"[{N},{V}]" not in text and f"[2,{-(-N // 2)},{V}]" not in text


@pytest.mark.parametrize("num", [N, 5])
def test_a_target_that_is_no_class_gives_nan_and_no_gradient(num):
  _, some, params, x, targets = case()
  x, targets = x[:num], targets[:num].at[:3].set(jnp.array([-1, V, 10 * V]))

  def loss(params, x, targets):
    outputs = some(params, x, targets)
    return jnp.where(jnp.isnan(outputs), 0, outputs).sum(), outputs

  gradients, outputs = jax.grad(loss, has_aux=True)(params, x, targets)
  np.testing.assert_array_equal(np.isnan(outputs), np.arange(num) < 3)
  expected, _ = jax.grad(loss, has_aux=True)(params, x[3:], targets[3:])
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3),
               gradients, expected)


def test_axes_are_kept_and_may_be_empty():
  logits, some, params, x, targets = case()
  whole = some(params, x[:30], targets[:30])
  np.testing.assert_allclose(some(
      params, x[:30].reshape(2, 3, 5, F), targets[:30].reshape(2, 3, 5)),
      whole.reshape(2, 3, 5), rtol=1e-5)
  np.testing.assert_allclose(jax.vmap(some, (None, 0, 0))(
      params, x[:30].reshape(5, 6, F), targets[:30].reshape(5, 6)),
      whole.reshape(5, 6), rtol=1e-5)
  assert some(params, x[:0], targets[:0]).shape == (0,)
  assert some(params, x[0], targets[0]).shape == ()
  assert logits(params, x[:0]).shape == (0, V)


@every_output
@pytest.mark.parametrize("tied", [False, True])
def test_bfloat16_policy(output, tied):
  def net(x, targets):
    head = Softmax(V, tied_to=draw(0, V, F) if tied else None)
    return head(x), head.log_prob_of(x, targets)

  net, args = hk.transform(net), (draw(0, N, F), jnp.zeros([N], int))
  with bfloat16_policy(Softmax, output):
    params = jax.eval_shape(net.init, jax.random.key(0), *args)
    found = jax.eval_shape(net.apply, params, None, *args)
  assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
  assert {x.dtype for x in found} == {jnp.dtype(output)}


def test_numbers_of_a_sequence_are_dropped_at_all_steps():
  """Shown by the weights of an embedding of unit vectors."""
  head = hk.transform(lambda x: Softmax(
      F, dropout=.4, tied_to=lambda: jnp.eye(F))(x))
  x = jnp.ones([5, 7, F])
  params = head.init(jax.random.key(0), x)
  outputs = np.asarray(head.apply(params, jax.random.key(1), x))
  is_kept = outputs > 0
  np.testing.assert_allclose(outputs, is_kept / .6, rtol=1e-5)
  assert np.all(is_kept == is_kept[0]) and .4 < is_kept.mean() < .8
  assert np.any(is_kept[:, 1:] != is_kept[:, :1])
  np.testing.assert_array_equal(head.apply(params, None, x), x)


@pytest.mark.parametrize("kwargs, words", [
    (dict(output_size=0), "output_size must be at least 1, got 0"),
    (dict(dropout=1.), r"dropout must be in \[0, 1\), got 1.0"),
    (dict(tied=True), "a tied head needs an encoder with an embedding")])
def test_errors(kwargs, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: Softmax(**dict(output_size=V) | kwargs) and None
                 ).init(None)
