"""Helpers shared by the tests of the dense cores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

# All sizes differ. Each test chooses its own N.
H, B, W, T, F, HIDDEN, OUT = 2, 5, 11, 13, 17, 19, 23
STEPS = 4  # Length of the unrolls that are differentiated.
SIZES = dict(hidden_size=HIDDEN, word_size=W, num_heads=H, output_size=OUT)


class Network(NamedTuple):
  """Holds pure functions of a core; `unroll` returns states of all steps."""

  init: Callable[..., Any]
  unroll: Callable[..., Any]
  initial_state: Callable[[int | None], Any]


def network(core_class, **kwargs) -> Network:
  kwargs = SIZES | kwargs

  def net():
    core = core_class(**kwargs)

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  return Network(init, lambda p, *args: unroll(p, None, *args), jax.jit(
      lambda batch_size: initial_state({}, None, batch_size),
      static_argnums=0))


def draw(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(
      jax.dtypes.canonicalize_dtype(float))


def with_pull_back(function):
  """Returns `(cotangent, *args) -> value, gradients of the args`, compiled."""
  def both(cotangent, *args):
    value, pull_back = jax.vjp(function, *args)
    return value, pull_back(cotangent)

  return jax.jit(both)


def make_params(net: Network, seed=0):
  """Returns parameters larger than initial ones, so gates and words vary."""
  params = jax.eval_shape(
      net.init, jax.random.key(0), draw(0, 1, B, F), net.initial_state(B))
  return jax.tree.map(lambda p: .4 * draw(p.size + seed, *p.shape), params)


def compare_with_reference(net: Network, initial, step, check):
  """Steps the core and its reference together, and compares them.

  Args:
    net: functions of the core.
    initial: the reference's first state.
    step: `(params, inputs [F], state) -> (output, state)` of the reference.
    check: `(state, reference's state)`; checks one step of one batch element.
  """
  params, inputs = make_params(net), draw(1, T, B, F)
  outputs, states = jax.device_get(
      jax.jit(net.unroll)(params, inputs, net.initial_state(B)))
  assert outputs.shape == (T, B, OUT)
  params, inputs = jax.device_get((params, inputs))
  for b in range(B):
    expected = initial
    for t in range(T):
      output, expected = step(params, inputs[t, b], expected)
      state = jax.tree.map(lambda x, t=t, b=b: x[t, b], states)
      np.testing.assert_allclose(outputs[t, b], output, rtol=1e-9, atol=1e-9)
      for value, name in ((state.controller.hidden, "hidden"),
                          (state.controller.cell, "cell"),
                          (state.access.memory, "memory"),
                          (state.access.read_words, "read_words"),
                          (state.access.read_weights, "read_weights"),
                          (state.access.write_weights, "write_weights")):
        np.testing.assert_allclose(
            value, getattr(expected, name), rtol=1e-9, atol=1e-9, err_msg=name)
      check(state, expected)
  assert np.ptp(np.asarray(states.access.read_weights)) > .1


def make_loss(net: Network, constants):
  """Returns a loss of all outputs and all states, except `constants`."""
  def loss(params, inputs, state):
    outputs, states = net.unroll(params, inputs, state)
    states = states._replace(access=states.access._replace(
        **dict.fromkeys(constants)))
    return sum(jnp.vdot(draw(i, *v.shape), v) / T
               for i, v in enumerate([outputs, *jax.tree.leaves(states)]))
  return jax.jit(loss)


def check_numerical_gradients(net: Network, state, constants=()):
  """Checks gradients of parameters, inputs and state against differences.

  Args:
    net: functions of the core.
    state: first state of the unroll.
    constants: names in `state.access` that gradients do not flow through.
  """
  loss = make_loss(net, constants)
  variables = jax.device_get(
      (make_params(net), draw(1, STEPS, B, F), state))
  gradients = jax.device_get(
      jax.jit(jax.grad(loss, (0, 1, 2)))(*variables))
  leaves, treedef = jax.tree.flatten_with_path(variables)
  eps, checked = 1e-5, 0
  for i, ((path, leaf), gradient) in enumerate(
      zip(leaves, jax.tree.leaves(gradients), strict=True)):
    name = jax.tree_util.keystr(path)
    if name.endswith(tuple(f".{c}" for c in constants)):
      continue
    direction = draw(i, *leaf.shape) / np.sqrt(leaf.size)
    values = [x for _, x in leaves]
    moved = [loss(*treedef.unflatten(
        [*values[:i], leaf + sign * eps * direction, *values[i + 1:]]))
             for sign in (1, -1)]
    slope = (moved[0] - moved[1]) / (2 * eps)
    np.testing.assert_allclose(np.vdot(gradient, direction), slope,
                               rtol=1e-5, atol=1e-7, err_msg=name)
    checked += 1
  assert checked >= 6 + 1 + 5  # Parameters, inputs, and most of the state.


def check_gradients_at_first(net: Network):
  """Checks that gradients from the first state are finite and not all 0."""
  params = make_params(net)
  outputs = lambda p, x: net.unroll(p, x, net.initial_state(B))[0]  # noqa: E731
  gradients = jax.jit(jax.grad(
      lambda p, x: jnp.square(outputs(p, x)).sum(), (0, 1)))(
          params, draw(1, STEPS, B, F))
  assert all(np.isfinite(g).all() and np.any(g != 0)
             for g in jax.tree.leaves(gradients))


def check_bfloat16(net: Network):
  """Checks that all stays bfloat16, and that outputs are near float32 ones."""
  params, inputs = make_params(net), draw(1, 3, B, F)
  single = jax.jit(net.unroll)(params, inputs, net.initial_state(B))
  half = jax.jit(net.unroll)(*jax.tree.map(
      lambda x: x.astype(jnp.bfloat16),
      (params, inputs, net.initial_state(B))))
  assert {x.dtype for x in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}
  np.testing.assert_allclose(
      np.asarray(half[0], np.float32), single[0], atol=.15)
  assert np.ptp(single[0]) > 2


def construct(core_class, **kwargs):
  hk.transform(lambda: core_class(**SIZES | kwargs) and None).init(None)
