"""Content addressing over all rows, and what the dense cores keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw, network
from reference_layers import cosine

from rmc_nalu_sam import CORES
from rmc_nalu_sam.memory import dense

H, N, W = 2, 7, 5


def test_content_weights_are_a_softmax_of_cosines(x64):
  queries, memory = draw(0, H, W), draw(1, N, W).at[3].set(0)
  strengths = jnp.array([1.5, 7.])
  expected = np.array([[s * cosine(q, row) for row in np.asarray(memory)]
                       for q, s in zip(np.asarray(queries), strengths,
                                       strict=True)])
  expected = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
  np.testing.assert_allclose(
      dense.content_weights(queries, memory, strengths), expected, rtol=1e-9)


def test_content_weights_do_not_overflow():
  memory = 1e4 * draw(1, N, W)
  weights = dense.content_weights(memory[:H], memory, jnp.full([H], 1e4))
  np.testing.assert_allclose(weights, np.eye(N)[:H], atol=1e-6)


@pytest.mark.parametrize("zero", ["queries", "memory", "strengths"])
def test_gradients_at_zero_are_finite(zero):
  arguments = dict(queries=draw(0, H, W), memory=draw(1, N, W),
                   strengths=jnp.ones(H))
  arguments[zero] *= 0
  gradients = jax.grad(
      lambda x: dense.content_weights(**x)[:, 0].sum())(arguments)
  assert all(np.isfinite(g).all() for g in gradients.values())
  assert np.any(gradients[zero])


def test_at_least_float32():
  memory = draw(1, N, W).astype(jnp.bfloat16)
  weights = dense.content_weights(memory[:H], memory, jnp.ones(H, jnp.bfloat16))
  assert weights.dtype == jnp.float32
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["ntm", "dam"])
def test_a_gradient_keeps_one_memory_a_step(name):
  """And a few weights over its rows: no erase matrices, nor memories twice."""
  num_slots, word_size = 4096, 32
  net = network(CORES[name], num_slots=num_slots, word_size=word_size)
  inputs = [draw(1, steps, 1, 3) for steps in (8, 24)]
  state = net.initial_state(1)
  params = jax.jit(net.init)(jax.random.key(0), inputs[0], state)

  def kept(inputs):
    def loss(params):
      outputs, _ = net.unroll(params, inputs, state)
      return jnp.square(outputs).sum()
    compiled = jax.jit(jax.grad(loss)).lower(params).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  memories = (kept(inputs[1]) - kept(inputs[0])) / 16 / (
      num_slots * word_size * 4)
  assert 1 <= memories < 1.5
