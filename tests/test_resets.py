"""Unrolls in which the state of some sequences starts anew, over all cores."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_cases import CASES
from small_models import OUT, B, F, draw

from rmc_nalu_sam import make_model
from rmc_nalu_sam.dropout import Keys, dropout

pytestmark = pytest.mark.usefixtures("strict_promotion")

# Two segments of the same length. Sequence 0 never starts anew, sequence 1 does
# at the second segment, sequence 2 at both.
LENGTH, T = 2, 4
RESETS = np.zeros([T, B], bool)
RESETS[0, 2] = RESETS[LENGTH, 1:] = True
# A controller's state is reset as any other; DNC and SDNC compile for long.
# A SAM at a constant cost has all parts of a SAM.
SLOW = {case for case in CASES if case.endswith(("LSTM", "reads"))
        or "dnc" in case.lower()} | {"sam"}


def model_of(case):
  core, arguments = CASES[case]
  arguments = {name: value for name, value in arguments.items()
               if name != "output_size"}
  return make_model(core, OUT, input_size=F, **arguments)


class Unrolls:
  """Two ways to unroll a model with resets: whole, and by its segments.

  Attributes:
    whole: `(params, inputs, start, resets) -> (outputs, state), gradients`.
    segments: the same, without the resets.
  """

  def __init__(self, model, rng=None):
    def plain(params, inputs, state):
      return model.unroll(params, rng, inputs, state)[:2]

    def whole(params, inputs, state, resets):
      return model.unroll(params, rng, inputs, state, resets=resets)[:2]

    def segments(params, inputs, start):
      first = model.initial_state(params, B)
      unroll = jax.jit(plain)
      before, state = unroll(params, inputs[:LENGTH], rows(start, first, 2))
      after, state = unroll(params, inputs[LENGTH:], rows(state, first, 1))
      return jnp.concatenate([before, after]), state

    self.whole, self.segments = map(with_gradients, (whole, segments))
    self.inputs = draw(T, B, F)
    self.params = jax.tree.map(
        lambda p: .4 * draw(*p.shape, seed=p.size),
        jax.eval_shape(model.init, jax.random.key(0), self.inputs))
    # A start that differs from the initial state.
    first = model.initial_state(self.params, B)
    _, self.start = self.whole(
        self.params, self.inputs, first, np.zeros_like(RESETS))[0]

  def compare(self, tolerance=1e-5):
    """Compares outputs, last states and gradients; returns those of `whole`."""
    args = self.params, self.inputs, self.start
    result = self.whole(*args, RESETS)
    close(result, self.segments(*args), tolerance)
    return result


def rows(old, new, number):
  """Returns the first rows of `old`, and the rows of `new` from a number on."""
  return jax.tree.map(lambda old, new: jnp.concatenate(
      [old[:number], new[number:]]), old, new)


def with_gradients(unroll):
  """Returns `(params, inputs, ...) -> results, gradients`, compiled."""
  def loss(*args):
    results = unroll(*args)
    values = [x for x in jax.tree.leaves(results)
              if jnp.issubdtype(x.dtype, jnp.floating)]
    return sum(jnp.vdot(draw(*x.shape, seed=i), x)
               for i, x in enumerate(values)), results

  return jax.jit(lambda *args: jax.grad(loss, (0, 1), has_aux=True)(
      *args)[::-1])


def close(one, other, tolerance=1e-5):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
    scale = max(1., np.abs(np.asarray(b, float)).max(initial=0))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("case", [
    pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW))
    for case in CASES])
def test_resets_are_segments_unrolled_from_initial_states(case):
  unrolls = Unrolls(model_of(case))
  (outputs, state), _ = unrolls.compare(1e-4)
  (plain, _), _ = unrolls.whole(
      unrolls.params, unrolls.inputs, unrolls.start, np.zeros_like(RESETS))
  close(outputs[:, 0], plain[:, 0])
  differs = np.abs(outputs - plain).max((0, 2)) > 1e-5
  np.testing.assert_array_equal(
      differs, [False] + [bool(jax.tree.leaves(state))] * 2)


# Initial states with parameters.


class Trainable(hk.RNNCore):
  """Adds up the inputs, from a start that is learnt."""

  def __call__(self, inputs, prev_state):
    state = prev_state + hk.Linear(7, name="layer")(inputs)
    return jnp.tanh(state), state

  def initial_state(self, batch_size):
    start = hk.get_parameter("start", [7], init=jnp.ones)
    return jnp.broadcast_to(start, (batch_size, 7))


class Unrolled(Trainable):
  """Unrolls its steps by itself, and knows nothing of resets."""

  def unroll(self, inputs, state):
    return hk.static_unroll(self, inputs, state)


@pytest.mark.parametrize("core", [Trainable, Unrolled])
def test_parameters_of_an_initial_state_get_their_gradients(core):
  unrolls = Unrolls(make_model(core, OUT, input_size=F))
  _, (gradients, _) = unrolls.compare()
  (start,) = (layer["start"] for layer in gradients.values()
              if "start" in layer)
  assert np.all(start != 0)  # Only resets lead to it, not `unrolls.start`.


# Dropout.


def test_what_is_dropped_at_all_steps_does_not_change_at_a_reset():
  model = make_model("awd_lstm", OUT, input_size=F, hidden_size=7, dropout=.5,
                     weight_drop=.5)
  keys = Keys(jax.random.key(1), jax.random.split(jax.random.key(2), B))
  (dropped, _), _ = Unrolls(model, keys).compare()
  (whole, _), _ = Unrolls(model).compare()
  assert np.abs(dropped - whole).max() > .01


class Dropping(hk.RNNCore):
  """Adds up the inputs, some of them dropped at each step."""

  def __call__(self, inputs, prev_state):
    state = prev_state + dropout(inputs, .5)
    return state, state

  def initial_state(self, batch_size):
    return jnp.zeros([batch_size, F])


def test_what_is_dropped_step_by_step_is_that_of_the_step():
  model = make_model(Dropping, OUT, input_size=F)
  keys, inputs = jax.random.split(jax.random.key(2), B), draw(T, B, F)
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  plain = model.unroll(params, keys, inputs, start).core_outputs
  outputs = model.unroll(params, keys, inputs, start + 1, resets=RESETS
                         ).core_outputs
  close(outputs[:, :1], plain[:, :1] + 1)
  close(outputs[:LENGTH, 2], plain[:LENGTH, 2])
  close(outputs[LENGTH:, 1:], plain[LENGTH:, 1:] - plain[LENGTH - 1, None, 1:])
  assert np.abs(plain - jnp.cumsum(inputs, 0)).max() > .01


# The other arguments of an unroll.


class OfAll:
  """Doubles the inputs; refuses those of one step."""

  ENCODES_ALL_STEPS = True

  def __call__(self, inputs):
    assert inputs.ndim == 3
    return 2 * inputs


class OfUnrolled(OfAll):
  """Is called for all steps if the core has its own unroll."""

  ENCODES_ALL_STEPS = False

  def __call__(self, inputs):
    return super().__call__(inputs) if not hk.running_init() else 2 * inputs


@pytest.mark.parametrize("core, encoder", [
    (Trainable, OfAll), (Unrolled, OfUnrolled), ("rmc", OfUnrolled)])
def test_encodes_all_steps_at_once(core, encoder):
  args = {} if callable(core) else dict(num_slots=3, head_size=5)
  model = make_model(core, OUT, input_size=F, encoder=encoder, **args)
  inputs = draw(T, B, F)
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  outputs = jax.eval_shape(lambda p: model.unroll(
      p, None, inputs, model.initial_state(p, B), resets=RESETS).outputs,
                           params)
  assert outputs.shape == (T, B, OUT)


def test_with_all_states_and_selected_steps():
  """The core's own unroll equals its steps, also with a reset at the last."""
  model, inputs = model_of("rmc"), draw(T, B, F)
  params = model.init(jax.random.key(0), inputs)
  args = (params, None, inputs, model.initial_state(params, B))
  resets = RESETS.copy()
  resets[-1, 1] = True
  unroll = jax.jit(functools.partial(model.unroll, resets=resets),
                   static_argnames="return_all_states")
  whole, every = unroll(*args), unroll(*args, return_all_states=True)
  close(every.outputs, whole.outputs)
  close(jax.tree.map(lambda x: x[-1], every.state), whole.state)
  steps = jnp.array([[3, 0, 2], [1, 1, 3]])
  some = unroll(*args, steps=steps)
  close(some.outputs, whole.outputs[steps, jnp.arange(B)])


@pytest.mark.parametrize("resets", [
    np.zeros([T, B + 1], bool), np.zeros([T], bool),
    np.zeros([T, B], np.int32)])
def test_refuses_other_resets(resets):
  model, inputs = model_of("rnn"), draw(T, B, F)
  params = jax.eval_shape(model.init, jax.random.key(0), inputs)
  with pytest.raises(ValueError, match=r"resets must be booleans \[T, B\] = "
                     rf"\[4, 3\].* got {resets.dtype}"):
    model.unroll(params, None, inputs, None, resets=resets)
