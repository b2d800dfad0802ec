"""Log-probabilities under a linear layer, against JAX's own derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmc_nalu_sam.heads import linear_log_probs as module
from rmc_nalu_sam.heads.linear_log_probs import linear_log_probs


def plain(w, b, x, index):
  logits = (x @ w.T + b[None]).astype("float32")
  return jax.nn.log_softmax(logits)[jnp.arange(len(x)), index]


def arguments(num_tokens, dtype="float32", num_classes=13, num_inputs=5):
  rng = np.random.default_rng(0)
  w, b, x = (jnp.asarray(rng.normal(size=shape), dtype) for shape in (
      (num_classes, num_inputs), (num_classes,), (num_tokens, num_inputs)))
  return (w, b, x), jnp.asarray(rng.integers(0, num_classes, num_tokens))


def value_and_gradients(function, floats, index):
  """Weighs tokens differently, one of them not at all."""
  weights = jnp.arange(len(index), dtype="float32") * .3 % 2

  def loss(*floats):
    values = function(*floats, index)
    return (weights * values).sum(), values

  (_, values), gradients = jax.value_and_grad(
      loss, (0, 1, 2), has_aux=True)(*floats)
  return values, *gradients


@pytest.mark.parametrize("is_saved", [True, False])
@pytest.mark.parametrize("num_tokens", [0, 1, 7, 17])
def test_equals_log_softmax_and_its_gradients(
    monkeypatch, num_tokens, is_saved):
  """Chunks are of 7 tokens, so that 17 have padding."""
  monkeypatch.setattr(module, "CHUNK", 7)
  if not is_saved:
    monkeypatch.setattr(module, "MAX_SAVED_BYTES", -1)
  floats, index = arguments(num_tokens)
  found, wanted = (jax.jit(lambda *args, function=function: value_and_gradients(
      function, *args))(floats, index) for function in (
          linear_log_probs, plain))
  for a, b in zip(found, wanted, strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_large_logits():
  floats, index = arguments(7)
  scaled = (floats[0] * 1e3, *floats[1:])
  for a in value_and_gradients(linear_log_probs, scaled, index):
    assert np.isfinite(a).all()


@pytest.mark.usefixtures("strict_promotion")
def test_bfloat16():
  floats, index = arguments(17, "bfloat16")
  found, wanted = (value_and_gradients(function, floats, index)
                   for function in (linear_log_probs, plain))
  assert [a.dtype for a in found] == ["float32"] + ["bfloat16"] * 3
  for a, b in zip(found, wanted, strict=True):
    np.testing.assert_allclose(*(np.asarray(c, np.float32) for c in (a, b)),
                               rtol=.1, atol=.1)


def test_under_vmap():
  """Many seeds train in one program."""
  floats, index = arguments(7)
  double = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), floats)
  found = jax.vmap(lambda *floats: value_and_gradients(
      linear_log_probs, floats, index))(*double)
  one = value_and_gradients(
      linear_log_probs, jax.tree.map(lambda a: a[1], double), index)
  for a, b in zip(found, one, strict=True):
    np.testing.assert_allclose(a[1], b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_saved", [True, False])
def test_memory_of_the_logits(monkeypatch, is_saved):
  """No more than one array of all tokens and classes; none beyond a bound."""
  num_tokens, num_classes = 1024, 5_003
  monkeypatch.setattr(module, "CHUNK", 64)
  if not is_saved:
    monkeypatch.setattr(module, "MAX_SAVED_BYTES", 2**20)
  floats, index = arguments(num_tokens, num_classes=num_classes)
  compiled = jax.jit(lambda *args: value_and_gradients(
      linear_log_probs, *args)).lower(floats, index).compile()
  size = compiled.memory_analysis().temp_size_in_bytes
  of_all = num_tokens * num_classes * 4
  assert .9 * of_all < size < 1.4 * of_all if is_saved else (
      size < .4 * of_all)


def test_second_derivatives():
  floats, index = arguments(7)

  def of(function):
    def norm(x):
      gradient = jax.grad(lambda x: function(*floats[:2], x, index).sum())(x)
      return (gradient**2).sum()
    return jax.grad(norm)(floats[2])

  np.testing.assert_allclose(of(linear_log_probs), of(plain), rtol=1e-4,
                             atol=1e-5)
