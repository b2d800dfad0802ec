"""Where a state that has forgotten equals a new one, and where it does not.

Slots are numbered in another order afterwards. As long as every slot is taken
at most once, their numbers do not matter.
"""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw

from rmc_nalu_sam import SAM, SDNC

B, W, F, HIDDEN, OUT = 5, 7, 3, 11, 2
SEEDS = 4


def differences(core_class, num_steps, **sizes):
  """Returns how far outputs of a forgotten and a new state differ, `[S, T]`."""
  def network():
    core = core_class(hidden_size=HIDDEN, word_size=W, output_size=OUT,
                      gradient_steps=num_steps, **sizes)
    return functools.partial(hk.dynamic_unroll, core), (
        functools.partial(hk.dynamic_unroll, core), core.initial_state,
        core.forget)

  init, (unroll, initial_state, forget) = hk.multi_transform(network)
  new = initial_state({}, None, B)
  shapes = jax.eval_shape(init, jax.random.key(0), draw(0, 1, B, F), new)

  @jax.jit
  def difference(seed_params, inputs, others):
    _, used = unroll(seed_params, None, others, new)
    outputs, again = (unroll(seed_params, None, inputs, state)[0]
                      for state in (new, forget({}, None, used)))
    return jnp.abs(outputs - again).max((1, 2))

  return np.stack([difference(
      jax.tree.map(lambda x, s=seed: .6 * draw(x.size + s, *x.shape), shapes),
      draw(seed + 1, num_steps, B, F), draw(seed + 2, num_steps, B, F))
                   for seed in range(SEEDS)])


@pytest.mark.parametrize("core_class", [SAM, SDNC])
def test_equals_a_new_state_until_slots_run_out(x64, core_class):
  """14 slots are enough for 4 steps of 3 heads, and too few for 8."""
  found = differences(
      core_class, num_steps=8, num_slots=14, num_heads=3, top_k=2)
  assert found[:, :14 // 3].max() < 1e-9
  assert found.max() > 1e-3


def test_differs_at_once_if_heads_read_more_words_than_were_written(x64):
  """The first reads are of empty slots, whose numbers decide what is next."""
  found = differences(SAM, num_steps=4, num_slots=29, num_heads=1, top_k=5,
                      strength_bias=12.)
  assert found.max() > 1e-3
