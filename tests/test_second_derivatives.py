"""Gradients of gradients, of every core, against differences in float64.

A gradient penalty is the squared norm of the gradient for the inputs. Its own
gradient is a second derivative, through the custom derivatives of the stores
too. A step of MAML is another one.
"""

import functools

import core_cases
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_cases import draw, transform

from rmc_nalu_sam.memory import allocation, sparse_links
from rmc_nalu_sam.registry import attribute
from rmc_nalu_sam.zoo import CORES

pytestmark = pytest.mark.usefixtures("x64")

T, B, F = 7, 3, 13
# So few slots that rows which were written and read are erased.
FEW_SLOTS = dict(num_slots=5)
WITH_STORES = [core for core in CORES
               if attribute(CORES.get(core), "CAN_FORGET", False)]
CASES = {name: (core, arguments | (
    FEW_SLOTS if core in WITH_STORES else {}))
         for name, (core, arguments) in core_cases.CASES.items()}
# On a tape as long as the sequence, no gradient is lost.
TAPES = {f"{core} with a tape": (core, CASES[core][1] | dict(gradient_steps=T))
         for core in WITH_STORES}
OPTIONS = {
    f"{core} {tape} {index} {recompute}": (core, CASES[core][1] | dict(
        gradient_steps=tape, index=index, recompute=recompute))
    for core in WITH_STORES for tape in (None, T)
    for index in ("exact", "lsh") for recompute in (False, True)} | {
    f"{core} {recompute}": (core, CASES[core][1] | dict(recompute=recompute))
    for core in ("dam", "ntm") for recompute in (False, True)} | {
    f"{core} {tape} recall": (core, CASES[core][1] | dict(
        gradient_steps=tape, measure_recall=True))
    for core in WITH_STORES for tape in (None, T)}
ALL = CASES | TAPES | OPTIONS



def loss_of(case, batch=B, remat=False):
  """Returns a loss of the outputs of an unroll, `(params, inputs) -> []`."""
  def loss(inputs):
    core, arguments = ALL[case]
    core = CORES.get(core)(**arguments)
    outputs, _ = hk.dynamic_unroll(
        hk.remat(core) if remat else core, inputs, core.initial_state(batch))
    return jnp.sin(outputs).sum()
  return transform(loss).apply


def penalty(loss):
  def penalized(params, inputs):
    return jnp.square(jax.grad(loss, 1)(params, inputs)).sum()
  return penalized


def adapted_loss(loss):
  """Returns the loss after one inner step of MAML."""
  def after_step(params, inputs):
    gradients = jax.grad(loss)(params, inputs)
    params = jax.tree.map(lambda p, g: p - .001 * g, params, gradients)
    return loss(params, inputs[::-1])
  return after_step


def variables_of(case):
  """Draws larger parameters than the initial ones: gates and words vary."""
  def first_step(inputs):
    core, arguments = ALL[case]
    core = CORES.get(core)(**arguments)
    return core(inputs, core.initial_state(B))

  params = jax.eval_shape(
      transform(first_step).init, jax.random.key(0), draw(B, F))
  return (jax.tree.map(lambda p: .4 * draw(*p.shape, seed=p.size), params),
          draw(T, B, F))


def compiled(function):
  return jax.jit(jax.value_and_grad(function, (0, 1)))


@functools.cache
def penalty_gradients(case):
  return compiled(penalty(loss_of(case)))(*variables_of(case))[1]


def quantize(weights):
  return jnp.round(weights * 8) / 8


@pytest.fixture
def constant_stops(monkeypatch):
  """Makes locally constant what no gradient flows through.

  Otherwise it would change in the differences only. It is the links of SDNC,
  and the writes in the usage of DNC.
  """
  update, update_usage = sparse_links.update, allocation.update_usage
  monkeypatch.setattr(sparse_links, "update", lambda links, rows, weights: (
      update(links, rows, quantize(weights))))
  monkeypatch.setattr(allocation, "update_usage", lambda usage, writes, kept: (
      update_usage(usage, quantize(writes), kept)))


# Steps of the differences, by case: NALU's logarithms curve more than the rest.
STEPS = {"controlled_nalu": 1e-7}


def check_by_differences(case, derived):
  """Checks gradients along random directions of parameters and of inputs.

  Halving the step must change nothing: no choice of slots, and no kink, lies
  within it. From both steps follows a value without the error of the second
  order.
  """
  variables, step = variables_of(case), STEPS.get(case, 1e-6)
  value_and_gradients = compiled(derived(loss_of(case)))
  gradients = value_and_gradients(*variables)[1]
  for i in range(len(variables)):
    direction = jax.tree.map(
        lambda x: draw(*x.shape, seed=x.size + 1), variables[i])

    def slope(step, i=i, direction=direction):
      low, high = (value_and_gradients(*variables[:i], jax.tree.map(
          lambda x, d: x + sign * step * d, variables[i], direction),  # noqa: B023
          *variables[i + 1:])[0] for sign in (-1, 1))
      return (high - low) / (2 * step)

    whole, half = slope(step), slope(step / 2)
    expected = sum(map(jnp.vdot, jax.tree.leaves(gradients[i]),
                       jax.tree.leaves(direction)))
    assert abs(expected) > .1
    np.testing.assert_allclose(whole, half, rtol=1e-5)
    np.testing.assert_allclose(expected, (4 * half - whole) / 3, rtol=1e-6)


def slow_except(cases, kept):
  return [case if case in kept else pytest.param(case, marks=pytest.mark.slow)
          for case in cases]


# These are differentiated by JAX's own rules alone.
OF_JAX = {"controlled_nalu", "conv_lstm", "gru", "lstm", "mogrifier",
          "nac_lstm", "rnn", "stack", "ugrnn", "unit_rnn", "unit_sum"}


# A DNC compiles for long.
@pytest.mark.parametrize("case", slow_except(ALL, [
    *({*CORES} - OF_JAX - {"dnc"}), "sam with a tape"]))
def test_gradients_of_a_penalty_are_slopes(constant_stops, case):
  check_by_differences(case, penalty)


@pytest.mark.parametrize("case", slow_except((*CASES, *TAPES), ["sam"]))
def test_gradients_of_a_step_of_maml_are_slopes(constant_stops, case):
  check_by_differences(case, adapted_loss)


def without_batch(case, remat):
  """Returns the loss as a sum over a batch of unrolls without a batch axis."""
  def loss(params, inputs):
    losses = jax.vmap(loss_of(case, None, remat), (None, 1))(params, inputs)
    return losses.sum()
  return loss


@pytest.mark.parametrize("case", slow_except(
    (*CASES, *TAPES), ["sam with a tape"]))
@pytest.mark.parametrize("vmap, remat", [
    (True, True), pytest.param(True, False, marks=pytest.mark.slow),
    pytest.param(False, True, marks=pytest.mark.slow)])
def test_vmap_and_remat_change_nothing(case, vmap, remat):
  loss = (without_batch(case, remat) if vmap
          else loss_of(case, remat=remat))
  found = compiled(penalty(loss))(*variables_of(case))[1]
  for a, b in zip(*map(jax.tree.leaves, (found, penalty_gradients(case))),
                  strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    assert np.any(a != 0)


@pytest.mark.parametrize("core", slow_except(WITH_STORES, ["sam"]))
def test_a_tape_has_the_second_derivatives_of_the_whole_memory(core):
  for a, b in zip(*map(jax.tree.leaves, map(
      penalty_gradients, (core, f"{core} with a tape"))), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


# Forward mode. The docstrings of SAM and SDNC name what it cannot do.


@pytest.mark.parametrize("case", slow_except(
    (*CASES, *TAPES), [*WITH_STORES, *TAPES, "rnn"]))
def test_forward_mode_is_refused_by_the_stores_alone(case):
  params, inputs = variables_of(case)
  loss = functools.partial(loss_of(case), params)
  lower = jax.jit(lambda x: jax.jvp(loss, (x,), (x,))).lower
  if ALL[case][0] in WITH_STORES:
    with pytest.raises(TypeError, match="forward-mode"):
      lower(inputs)
  else:
    lower(inputs)


@pytest.mark.slow
@pytest.mark.parametrize("case", [
    case for case in CASES if CASES[case][0] not in WITH_STORES])
def test_forward_over_reverse_equals_reverse_over_reverse(case):
  params, inputs = variables_of(case)
  gradient = jax.grad(functools.partial(loss_of(case), params))
  along = draw(*inputs.shape, seed=2)
  forward = jax.jit(lambda x: jax.jvp(gradient, (x,), (along,))[1])
  reverse = jax.jit(jax.grad(lambda x: jnp.vdot(gradient(x), along)))
  np.testing.assert_allclose(
      forward(inputs), reverse(inputs), rtol=1e-8, atol=1e-8)
  assert np.any(reverse(inputs) != 0)
