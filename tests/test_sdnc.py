"""SDNC against NumPy. For what SDNC shares with SAM, see test_sam.py."""

import functools

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_sdnc
from core_helpers import draw

from rmc_nalu_sam import SDNC
from rmc_nalu_sam.memory import sparse_links

pytestmark = pytest.mark.usefixtures("strict_promotion")

# All sizes differ. N is so small that rows are erased and linked repeatedly.
H, K, B, N, W, T, F, HIDDEN, OUT = 2, 3, 5, 7, 11, 13, 17, 19, 23
SIZES = dict(hidden_size=HIDDEN, num_slots=N, word_size=W, num_heads=H, top_k=K)
# Similarities are computed in float32 for all types of inputs.
TOLERANCE = 1e-5
NUMERICAL = 3e-3


def network(**kwargs):
  """Returns init, unroll (to all states), the first state, and forget."""
  def net():
    core = SDNC(**SIZES | dict(output_size=OUT) | kwargs)

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state, core.forget)

  init, (unroll, initial_state, forget) = hk.multi_transform(net)
  return (init, lambda params, *args: unroll(params, None, *args),
          initial_state({}, None, B), lambda state: forget({}, None, state))


def make_params(init, state):
  """Draws larger parameters than the initial ones: gates and words vary."""
  params = jax.eval_shape(init, jax.random.key(0), draw(0, 1, B, F), state)
  return jax.tree.map(lambda p: .4 * draw(p.size, *p.shape), params)


def to_dense(indices, weights):
  one_hot = np.eye(N + 1)[:, :-1]  # The last row is for -1.
  return np.einsum("...kn,...k->...n", one_hot[np.asarray(indices)],
                   np.asarray(weights))


def of_dicts(rows):
  dense = np.zeros([len(rows), N])
  for i, row in enumerate(rows):
    for j, weight in row.items():
      dense[i, j] = weight
  return dense


@pytest.mark.parametrize("arguments", [
    dict(num_links=N),  # All links.
    dict(num_links=2, delta=.2, write_bias=2., interpolation_bias=1.,
         strength_bias=.5),
    # The index looks at all rows.
    dict(num_links=2, index="lsh", index_args=dict(num_recent=T * H),
         gradient_steps=2),
], ids=["all links", "others", "lsh"])
def test_equals_the_numpy_reference(x64, arguments):
  init, unroll, start, _ = network(**arguments)
  arguments = {name: value for name, value in arguments.items()
               if name not in ("index", "index_args", "gradient_steps")}
  params, inputs = make_params(init, start), draw(1, T, B, F)
  outputs, states = jax.device_get(jax.jit(unroll)(params, inputs, start))
  params, inputs = jax.device_get((params, inputs))
  close = functools.partial(
      np.testing.assert_allclose, rtol=TOLERANCE, atol=TOLERANCE)
  linked = 0
  for b in range(B):
    ref = reference_sdnc.initial_state(*SIZES.values())
    for t in range(T):
      output, ref = reference_sdnc.step(params, inputs[t, b], ref, **arguments)
      access = jax.tree.map(lambda x, t=t, b=b: x[t, b], states.access)
      close(outputs[t, b], output)
      close(access.memory * (np.square(ref.sam.memory) > 0), ref.sam.memory)
      close(access.read_words, ref.sam.read_words)
      close(to_dense(access.read_rows, access.read_weights),
            ref.sam.read_weights)
      close(to_dense(access.write_rows, access.write_weights),
            ref.sam.write_weights)
      for name in ("before", "after"):
        links = getattr(access.links, name)
        expected = np.array(
            [of_dicts(getattr(head, name)) for head in ref.links])
        close(to_dense(*links), expected)
        linked += np.any(expected[0] != expected[1])
      close(to_dense(*access.links.precedence),
            of_dicts([head.precedence for head in ref.links]))
  assert linked > B * T  # Heads differ, too.
  assert np.ptp(np.asarray(states.access.read_weights)) > .3


def loss_of(unroll, start):
  """Returns a loss of every output and of the weights of all steps."""
  def loss(params, inputs):
    outputs, states = unroll(params, inputs, start)
    access = states.access
    values = [outputs, access.read_words, access.read_weights,
              access.write_weights]
    return sum(jnp.vdot(draw(i, *v.shape), v) / T
               for i, v in enumerate(values)), (outputs, states)
  return loss


def used_state(unroll, params, start):
  """Returns a state with links, and with rows that were read along links."""
  states = jax.jit(unroll)(params, draw(2, T, B, F), start)[1]
  return jax.tree.map(lambda x: x[-1], states)


def test_numerical_gradients(x64, monkeypatch):
  """The links have no gradients, so they are kept constant here."""
  init, unroll, start, _ = network(num_links=2)
  params = make_params(init, start)
  used = used_state(unroll, params, start)
  monkeypatch.setattr(
      sparse_links, "update", lambda links, *unused: links)
  loss = jax.jit(lambda *args: loss_of(unroll, used)(*args)[0])
  inputs = draw(1, 3, B, F)
  jax.test_util.check_grads(
      loss, (params, inputs), 1, modes=["rev"], eps=1e-5, rtol=NUMERICAL,
      atol=NUMERICAL)
  # The modes have gradients, too.
  (gradient,) = [g["w"][:, -3 * H:] for name, g in jax.grad(loss)(
      params, inputs).items() if name.endswith("interface")]
  assert np.all(np.any(np.abs(gradient) > 1e-3, axis=0))


def test_gradients_by_versions_and_hashing_change_nothing(x64):
  results = []
  for arguments in ({}, dict(
      gradient_steps=T, index="lsh", index_args=dict(num_recent=T * H))):
    init, unroll, start, _ = network(num_links=2, **arguments)
    gradients, (outputs, _) = jax.jit(jax.grad(
        loss_of(unroll, start), (0, 1), has_aux=True))(
            make_params(init, start), draw(1, T, B, F))
    results.append((gradients, outputs))
  chex.assert_trees_all_close(*results, rtol=TOLERANCE, atol=TOLERANCE)
  assert all(np.any(np.abs(g) > .01) for g in jax.tree.leaves(results[0]))


def test_sdnc_that_has_forgotten_is_as_good_as_new(x64):
  """This holds although rows are read that had links before `forget`."""
  init, unroll, start, forget = network(
      num_slots=101, gradient_steps=4, delta=0.)
  params, inputs = make_params(init, start), draw(1, T, B, F)
  used = used_state(unroll, params, start)
  forgotten = forget(used)
  chex.assert_trees_all_equal_shapes_and_dtypes(forgotten, start)
  unroll = jax.jit(unroll)
  fresh = unroll(params, inputs, start)
  again = unroll(params, inputs, forgotten)
  np.testing.assert_allclose(again[0], fresh[0], rtol=1e-5, atol=1e-5)
  for one, other in zip((again, fresh), (fresh, again), strict=True):
    access, reference = one[1].access, other[1].access
    np.testing.assert_allclose(
        access.read_weights, reference.read_weights, atol=1e-5)
    np.testing.assert_allclose(
        access.links.precedence.weights, reference.links.precedence.weights,
        atol=1e-5)
  # Rows that were read had links before `forget`. A mere reset keeps them.
  read = np.asarray(again[1].access.read_rows)
  links = np.asarray(used.access.links.after.weights)
  assert any(links[b, h, read[:, b, h]].any()
             for b in range(B) for h in range(H))


def test_new_state_has_links_for_each_head():
  links = network(num_links=4)[2].access.links
  assert links.before.weights.shape == (B, H, N, 4)
  assert links.precedence.rows.shape == (B, H, 4)


def test_links_are_needed():
  with pytest.raises(ValueError, match="num_links must be at least 1, got 0"):
    hk.transform(lambda: SDNC(**SIZES, num_links=0) and None).init(None)
