"""Mistakes in calls of cores and models get one line that says what to do.

Checks are of shapes and types, so nothing here is computed.
"""

import re

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_cases import B, F, T, draw, has_state, make, transform
from small_models import OUT, small_args, small_model

import rmc_nalu_sam
from rmc_nalu_sam import CORES, ENCODERS, HEADS, UNITS, make_model
from rmc_nalu_sam import core as core_lib
from rmc_nalu_sam.registry import attribute

every_core = pytest.mark.parametrize("name", CORES)
# A core that has no state is never given a wrong one.
WITH_STATE = [name for name in CORES if has_state(name)]
every_state = pytest.mark.parametrize("name", WITH_STATE)


def step(name, shape, make_state):
  """Traces one step of a core on inputs of a shape."""
  def net():
    core = make(name)
    return core(jnp.zeros(shape), make_state(core))
  return jax.eval_shape(transform(net).init, jax.random.key(0))


def unroll(model, params, inputs, batch_size):
  return jax.eval_shape(lambda: model.unroll(
      params, None, inputs, model.initial_state(params, batch_size)))


# States.


@every_state
@pytest.mark.parametrize("shape, batch_size, message", [
    ((B, F), B + 1, "the inputs have the batch size 3 and the state has the "
     r"batch size 4; pass .*'s initial_state\(3\)"),
    ((B, F), None, "the inputs have the batch size 3 and the state has no "
     r"batch axis; pass .*'s initial_state\(3\)"),
    ((F,), B, "the inputs have no batch axis and the state has the batch size "
     r"3; pass .*'s initial_state\(None\)")])
def test_a_state_of_another_batch_size(name, shape, batch_size, message):
  with pytest.raises(ValueError, match=message):
    step(name, shape, lambda core: core.initial_state(batch_size))
  if shape == (B, F):  # The same through a model.
    model, params, inputs = small_model(name)
    with pytest.raises(ValueError, match=message):
      unroll(model, params, inputs, batch_size)


@every_core
def test_a_state_of_another_core(name):
  other = "rmc" if name != "rmc" else "sam"
  message = r"the state is not one of \w+: expected .*, got .*State\(.* arrays"
  with pytest.raises(ValueError, match=message):
    step(name, (B, F), lambda _: make(other).initial_state(B))
  model, params, inputs = small_model(name)
  strange, of_strange, _ = small_model(other)
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(lambda: model.unroll(
        params, None, inputs, strange.initial_state(of_strange, B)))


@pytest.mark.parametrize("name", ["rnn", "sam", "rmc"])
def test_a_state_of_other_sizes(name):
  with pytest.raises(ValueError, match="the state has other sizes than "):
    step(name, (B, F), lambda _: CORES.get(name)().initial_state(B))


def test_a_state_for_unroll_is_checked_as_for_a_step():
  for name in CORES:
    if not hasattr(make_class(name), "unroll"):
      continue

    def net(name=name):
      core = make(name)
      return core.unroll(jnp.zeros([T, B, F]), core.initial_state(B + 1))

    with pytest.raises(ValueError, match="batch size 3 and the state has the"):
      jax.eval_shape(transform(net).init, jax.random.key(0))


def make_class(name):
  made = []
  transform(lambda: made.append(type(make(name)))).init(None)
  return made[0]


def test_cores_with_an_unroll_are_among_those_above():
  assert {name for name in CORES if hasattr(make_class(name), "unroll")} >= {
      "rmc", "awd_lstm"}


class Own(hk.RNNCore):
  """Is a user's core, which takes a batch only."""

  seen: list = []  # noqa: RUF012

  def __call__(self, inputs, prev_state):
    self.seen.append(isinstance(inputs, jax.core.Tracer))
    return inputs, prev_state

  def initial_state(self, batch_size):
    return jnp.zeros([batch_size, 2])


def test_a_state_of_a_users_core_is_checked_by_the_model():
  model = make_model(Own, OUT)
  params = model.init(jax.random.key(0), draw(T, B, F))
  with pytest.raises(ValueError, match=r"pass Own's initial_state\(3\)"):
    unroll(model, params, draw(T, B, F), B + 1)
  assert unroll(model, params, draw(T, B, F), B).outputs.shape == (T, B, OUT)


# Inputs, and batch sizes.


# A core with a `batch_of` of its own takes other ranks.
@pytest.mark.parametrize("name", [
    name for name in CORES if attribute(
        CORES.get(name), "batch_of", core_lib.Core.batch_of
        ) is core_lib.Core.batch_of])
@pytest.mark.parametrize("shape", [(T, B, F), ()])
def test_inputs_of_another_rank(name, shape):
  with pytest.raises(ValueError, match=re.escape(
      f"takes inputs [B, F] or [F], got {list(shape)}")):
    step(name, shape, lambda core: core.initial_state(B))


@every_core
def test_a_models_inputs_of_another_rank(name):
  model, params, inputs = small_model(name)
  for wrong in (inputs[None], inputs[0, 0]):
    with pytest.raises(ValueError, match=re.escape(
        f"unroll takes inputs [T, B, F], time first, got {list(wrong.shape)}")):
      unroll(model, params, wrong, B)
  with pytest.raises(ValueError, match=r"init takes inputs \[T, B, F\]"):
    model.init(jax.random.key(0), inputs[0])
  alone = unroll(model, params, inputs[:, 0], None)
  assert alone.outputs.shape == (T, OUT)


def test_tokens_of_another_rank():
  model = make_model("rnn", 5, encoder="tokens", input_size=None)
  with pytest.raises(ValueError, match=r"\[T, B\], integer tokens"):
    model.init(jax.random.key(0), jnp.zeros([T, B, F], int))


@pytest.mark.parametrize("batch_size", ["3", 3., True, -1])
@every_core
def test_a_bad_batch_size(name, batch_size):
  message = "batch_size must be an integer from 0 on, or None .*, got "
  with pytest.raises(ValueError, match=message):
    transform(lambda: make(name).initial_state(batch_size)).init(None)
  if isinstance(batch_size, str):
    model, params, _ = small_model(name)
    with pytest.raises(ValueError, match=message):
      model.initial_state(params, batch_size)


@pytest.mark.parametrize("name", ["rnn", "lstm", "sam", "rmc", "unit_rnn"])
def test_checks_leave_nothing_in_the_program(name, monkeypatch):
  def program():
    def net(inputs):
      core = make(name)
      return hk.dynamic_unroll(core, inputs, core.initial_state(B))
    net = transform(net)
    params = jax.eval_shape(net.init, jax.random.key(0), draw(T, B, F))
    # An address is that of a function.
    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(net.apply)(
        params, draw(T, B, F))))

  checked, calls = program(), []
  monkeypatch.setattr(core_lib, "check_state", lambda *_: calls.append(1))
  assert program() == checked
  assert calls


# Arguments.


MEMBERS = [(registry, name) for registry in (CORES, ENCODERS, HEADS, UNITS)
           for name in registry if registry.arguments(name)]


@pytest.mark.parametrize("registry, name", MEMBERS, ids=lambda x: (
    x if isinstance(x, str) else x.kind))
def test_a_misspelt_or_wrongly_typed_argument_of_each_member(registry, name):
  arguments = registry.arguments(name)
  first = next(iter(arguments))
  with pytest.raises(ValueError, match=f"did you mean '{first}'"):
    registry.check(name, {first + "x": 1})
  checked = [each for each in arguments.values()
             if each.annotation in (int, float, str, bool)]
  assert checked
  for each in checked:
    wrong = 3 if each.annotation is str else "three"
    message = f"{each.name} must be .*, got {wrong!r}"
    with pytest.raises(ValueError, match=message):
      registry.check(name, {each.name: wrong})
    registry.check(name, {each.name: each.default})


CLASSES = [cls for cls in (getattr(rmc_nalu_sam, name)
                           for name in rmc_nalu_sam.__all__)
           if isinstance(cls, type) and issubclass(cls, hk.Module)
           and cls is not rmc_nalu_sam.Unit]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_misspelt_or_wrongly_typed_argument_of_each_class(cls):
  size = ("output_size" if not issubclass(cls, hk.RNNCore) else next(
      name for name in CORES.arguments(cls) if "size" in name
      or name == "hidden_channels"))
  def construct(**kwargs):
    hk.transform(lambda: cls(**kwargs) and None).init(None)
  with pytest.raises(ValueError, match=(
      f"^{cls.__name__} has no argument '{size}x'; did you mean '{size}'")):
    construct(**{size + "x": 3})
  for wrong, kind in (("10", "str"), (10., "float"), (True, "bool")):
    with pytest.raises(ValueError, match=re.escape(
        f"{cls.__name__}: {size} must be an integer, got {wrong!r} of type "
        f"{kind}")):
      construct(**{size: wrong})


def test_a_positional_argument_has_a_type_too():
  with pytest.raises(ValueError, match="SAM: hidden_size must be an integer"):
    hk.transform(lambda: rmc_nalu_sam.SAM("10") and None).init(None)


def test_numpys_scalars_are_numbers():
  hk.transform(lambda: rmc_nalu_sam.SAM(
      np.int64(7), delta=np.float32(.5), write_bias=1, recompute=np.bool_(True),
      strength_bias=jnp.ones([])) and None).init(None)


class OfTheUsers(rmc_nalu_sam.RNN):
  """Is a subclass with an argument and inputs of its own."""

  def __init__(self, **kwargs):
    self.scale = kwargs.pop("scale")
    super().__init__(**kwargs)

  def __call__(self, inputs, prev_state):
    return super().__call__(self.scale * inputs["x"], prev_state)


def test_a_users_subclass_may_take_what_it_likes():
  def net(inputs):
    core = OfTheUsers(scale=2, hidden_size=7)
    return core(inputs, core.initial_state(B))
  out = jax.eval_shape(transform(net).init, jax.random.key(0),
                       dict(x=jnp.zeros([B, F])))
  assert out


@pytest.mark.parametrize("kwargs, message", [
    (dict(hiden_size=3), "did you mean 'hidden_size'"),
    (dict(encodr="embed"), "no argument 'encodr'; did you mean 'encoder'"),
    (dict(num_slots="10"), "num_slots must be an integer, got '10' of type str"
     ),
    (dict(index=3), "index must be a string or Index, got 3"),
    (dict(index="lsh", index_args=dict(num_table=1)), "mean 'num_tables'"),
    (dict(unit="nalu", unit_args=dict(epsilon="x")),
     "epsilon must be a number, got 'x'"),
])
def test_make_model(kwargs, message):
  with pytest.raises(ValueError, match=message):
    make_model("sam", OUT, **kwargs)


@every_core
@pytest.mark.parametrize("output_size, message", [
    (0, "output_size must be at least 1, got 0"),
    ("2", "output_size must be an integer, got '2'"),
    (2., "output_size must be an integer, got 2.0")])
def test_a_bad_output_size(name, output_size, message):
  with pytest.raises(ValueError, match=message):
    make_model(name, output_size, **small_args(name))


class OwnAnswer(Own):
  """Maps to the output itself, and does not check its size."""

  MAPS_TO_OUTPUT = True

  def __init__(self, output_size=2):
    super().__init__()


def test_a_bad_output_size_does_not_reach_a_users_core():
  with pytest.raises(ValueError, match="output_size must be at least 1, got 0"):
    make_model(OwnAnswer, 0)


# NumPy's float64, which JAX warns of. Warnings are errors here.


@every_core
def test_float64_of_numpy_is_taken_without_a_warning(name):
  inputs = np.asarray(draw(T, B, F), np.float64)
  model, params, _ = small_model(name)
  made = jax.eval_shape(lambda key: model.init(key, inputs), jax.random.key(0))
  assert made == jax.eval_shape(lambda: params)
  unrolled = unroll(model, params, inputs, B)
  assert unrolled.outputs.dtype == jnp.float32

  def net():
    core = make(name)
    state = jax.tree.map(
        lambda x: np.zeros(x.shape, np.float64) if jnp.issubdtype(
            x.dtype, jnp.floating) else x, core.initial_state(B))
    return core(inputs[0], state)

  made = jax.eval_shape(transform(net).init, jax.random.key(0))
  assert {x.dtype for x in jax.tree.leaves(made)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_takes_float64_without_a_warning(name):
  made = jax.eval_shape(
      transform(lambda: UNITS.get(name)(OUT)(np.ones([B, F]))).init,
      jax.random.key(0))
  assert {x.dtype for x in jax.tree.leaves(made)} == {jnp.dtype(jnp.float32)}


# Initialisation is compiled.


def test_init_and_initial_state_are_traced_once():
  model, states = make_model(Own, OUT), []
  original = Own.initial_state

  def counted(self, batch_size):
    states.append(batch_size)
    return original(self, batch_size)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Own, "initial_state", counted)
    Own.seen.clear()
    for seed in range(3):
      params = model.init(jax.random.key(seed), draw(T, B, F))
    assert Own.seen == [True]
    states.clear()
    for _ in range(3):
      model.initial_state(params, B)
    assert states == [B]


def test_init_is_a_part_of_the_program_that_calls_it():
  """A call of another program could be compiled to other last bits."""
  model = make_model("rnn", OUT, hidden_size=7)
  program = jax.make_jaxpr(model.init)(jax.random.key(0), draw(T, B, F))
  # JAX 0.11 and later inline when they lower.
  called = [eqn.params["inline"] for eqn in program.eqns
            if eqn.params.get("name") == "<lambda>"]
  assert program.eqns
  assert all(called)
