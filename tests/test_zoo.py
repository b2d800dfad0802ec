"""Making a model from the names of its parts."""

import doctest
import functools
import sys

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_models import OUT, B, F, T, draw, small_args, small_model

import rmc_nalu_sam
from rmc_nalu_sam import (
  CORES,
  HEADS,
  UNITS,
  make_model,
  trained,
  uses_unit,
  zoo,
)

pytestmark = pytest.mark.usefixtures("strict_promotion")

every_core = pytest.mark.parametrize("core", CORES)


def layers_of(core, **kwargs):
  """Returns name -> shapes of the parameters, and the units by name."""
  model = make_model(core, OUT, **kwargs)
  params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros([T, B, F]))
  assert set(model.units) <= set(params)
  strip = lambda name: name.removeprefix("model/~/")  # noqa: E731
  return ({strip(name): {key: value.shape for key, value in layer.items()}
           for name, layer in params.items()},
          {strip(name): unit for name, unit in model.units.items()})


@pytest.mark.parametrize("module", [rmc_nalu_sam, zoo, trained],
                         ids=lambda module: module.__name__)
def test_examples_of_docstrings_run(module):
  # Those of the package import all they need.
  names = {} if module is rmc_nalu_sam else dict(
      jax=jax, jnp=jnp, rmc_nalu_sam=rmc_nalu_sam)
  result = doctest.testmod(module, extraglobs=names)
  assert result.attempted > 4 and not result.failed


# Cores.


@every_core
@pytest.mark.parametrize("unit", [
    pytest.param("linear", marks=pytest.mark.slow), "nau"])
def test_every_core_answers(core, unit):
  model, params, inputs = small_model(core, unit=unit)
  outputs = jax.eval_shape(
      model.unroll, params, None, inputs, model.initial_state(params, B)
  ).outputs
  assert outputs.shape == (T, B, OUT)
  assert set(model.units) <= set(params)


def test_core_with_an_output_of_its_own_gets_no_second_read_out():
  layers, _ = layers_of("sam", **small_args("sam"))
  last = {name.split("/")[-1]: layer["w"]
          for name, layer in layers.items()}
  assert set(last) == {"linear", "interface", "output"}
  assert last["output"][1] == OUT


def test_core_without_an_output_gets_a_read_out():
  layers, _ = layers_of("lstm", hidden_size=7)
  assert {name: layer["w"] for name, layer in layers.items()} == {
      "linear": (7, OUT), "lstm/linear": (F + 7, 28)}


@every_core
def test_arguments_reach_the_core(core):
  """Each size changes the shape of a parameter or of the state."""

  def shapes(**kwargs):
    model = make_model(core, OUT, **small_args(core) | kwargs)
    params = jax.eval_shape(model.init, jax.random.key(0), draw(T, B, F))
    state = jax.eval_shape(lambda p: model.initial_state(p, B), params)
    return [x.shape for x in jax.tree.leaves((params, state))]

  plain = shapes()
  for name, size in small_args(core).items():
    assert shapes(**{name: size + 1}) != plain, name


@every_core
def test_every_core_has_defaults(core):
  make_model(core, OUT)


def test_defaults_are_those_of_the_cores():
  assert CORES.arguments("lstm")["hidden_size"].default == 100
  assert CORES.arguments("sam")["num_slots"].default == 128


def test_a_misspelt_core_is_named_with_the_nearest():
  with pytest.raises(ValueError, match="unknown core 'lsmt'; did you mean "
                     "'lstm'") as error:
    make_model("lsmt", OUT)
  assert all(core in str(error.value) for core in CORES)


@every_core
@pytest.mark.parametrize("argument", ["num_slot", "name", "output_size_"])
def test_unknown_argument(core, argument):
  with pytest.raises(ValueError, match=f"no argument '{argument}'") as error:
    make_model(core, OUT, **{argument: 3})
  for valid in CORES.arguments(core):
    assert valid in str(error.value)


def test_bad_value_is_refused_at_once():
  with pytest.raises(ValueError, match="top_k must be at most num_slots=17"):
    make_model("sam", OUT, num_slots=17, top_k=19)


@pytest.mark.parametrize("kwargs, words", [
    (dict(core="stack", hidden_size=2**31), "hidden_size .* 2147483647 .int32"),
    (dict(core="sam", write_bias=float("nan")), "write_bias .* finite, .* nan"),
    (dict(core="lstm", unit="nalu", unit_args=dict(epsilon=1e39)),
     r"epsilon .* at most 3\.4e\+38 .* 1e\+39"),
    (dict(core="lstm", encoder="cnn", encoder_args=dict(mean=float("-inf"))),
     "mean .* finite, .* -inf"),
])
def test_numbers_that_jax_cannot_hold(kwargs, words):
  with pytest.raises(ValueError, match=words):
    make_model(**dict(output_size=OUT) | kwargs)


# Cores of users.


@pytest.mark.parametrize("core, kwargs", [
    ("haiku:LSTM", dict(hidden_size=7)),
    (hk.LSTM, dict(hidden_size=7)),
    (functools.partial(hk.LSTM, 7), {}),
    (lambda: hk.LSTM(7), {}),
    ("rmc_nalu_sam.cores.recurrent:lstm", dict(hidden_size=7))])
def test_a_core_of_haiku_gets_a_read_out(core, kwargs):
  layers, units = layers_of(core, unit="nau", **kwargs)
  assert layers["nau"] == {"w": (7, OUT)} and set(units) == {"nau"}
  assert sum(layer["w"] == (F + 7, 28) for layer in layers.values()) == 1


def test_a_core_by_path_from_the_user_s_module(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  (tmp_path / "my_core.py").write_text("""
import haiku as hk

class Mine(hk.RNNCore):
  MAPS_TO_OUTPUT = True

  def __init__(self, width=3, output_size=None, name=None):
    super().__init__(name=name)
    self.size = output_size or width

  def __call__(self, inputs, prev_state):
    return hk.Linear(self.size)(inputs), prev_state

  def initial_state(self, batch_size):
    return ()
""")
  layers, units = layers_of("my_core:Mine", width=7)
  assert layers == {"mine/linear": {"w": (F, OUT), "b": (OUT,)}} and not units
  layers, _ = layers_of("my_core:Mine", width=7, unit="nau")
  assert layers == {"mine/linear": {"w": (F, 7), "b": (7,)},
                    "nau": {"w": (7, OUT)}}
  with pytest.raises(ValueError, match="has no attribute 'Mien'; did you mean "
                     "'Mine'"):
    make_model("my_core:Mien", OUT)
  with pytest.raises(ValueError, match="core 'my_core:Mine' has no argument "
                     "'widht'; did you mean 'width'"):
    make_model("my_core:Mine", OUT, widht=7)
  del sys.modules["my_core"]


def test_a_network_is_traced_once_for_its_checks_and_parameters():
  calls = []

  class Counting(hk.VanillaRNN):
    def __call__(self, inputs, prev_state):
      calls.append(inputs.shape)
      return super().__call__(inputs, prev_state)

  model = make_model(functools.partial(Counting, 7), OUT, input_size=F)
  one = model.init(jax.random.key(0), draw(1, 1, F))
  many = model.init(jax.random.key(0), draw(T, B, F))
  assert calls == [(1, F)]
  jax.tree.map(np.testing.assert_array_equal, one, many)
  # Inputs of another size make other parameters.
  wider = model.init(jax.random.key(0), draw(T, B, F + 1))
  assert calls == [(1, F), (1, F + 1)]
  assert jax.tree.map(np.shape, one) != jax.tree.map(np.shape, wider)


class Scale(hk.RNNCore):
  """Needs a size, and does not declare that it maps to the output."""

  def __init__(self, output_size, name=None):
    super().__init__(name=name)
    self._size = output_size

  def __call__(self, inputs, prev_state):
    return inputs[..., :self._size], prev_state

  def initial_state(self, batch_size):
    return ()


def test_an_undeclared_core_is_refused_with_advice():
  with pytest.raises(ValueError, match=r"needs the argument 'output_size', .* "
                     r"attribute MAPS_TO_OUTPUT"):
    make_model(Scale, OUT)


def test_a_core_that_breaks_its_word_is_refused():
  class Liar(Scale):
    MAPS_TO_OUTPUT = True

    def __call__(self, inputs, prev_state):
      return inputs, prev_state

  with pytest.raises(ValueError, match="must be output_size=2, got 256"):
    make_model(Liar, OUT)


# Units and heads.


@pytest.mark.parametrize("core, read_outs", [
    ("lstm", {"nau": {"w": (7, OUT)}}),
    ("sam", {"nau": {"w": (7, OUT)}}),
    ("stack", {"stack/nau": {"w": (F, 7)}, "stack/nau_1": {"w": (7, OUT)}}),
    ("unit_rnn", {"unit_rnn/~/nau": {"w": (F + 7, 7)},
                  "nau": {"w": (7, OUT)}}),
])
def test_units_are_found_wherever_they_are(core, read_outs):
  layers, units = layers_of(core, unit="nau", **small_args(core))
  assert {name: layers[name] for name in units} == read_outs


@every_core
@pytest.mark.parametrize("unit", ["linear", "relu", "nau"])
@pytest.mark.parametrize("head", ["unit", "none"])
def test_a_unit_is_used_if_the_model_has_one(core, unit, head):
  args = small_args(core)
  if "hidden_size" in args and head == "none":
    args |= dict(hidden_size=OUT)  # A core may answer by itself.
  if core == "controlled_nalu" and head == "none":
    args |= dict(num_registers=OUT)
  if core == "rmc" and head == "none":
    args |= dict(num_slots=1, num_heads=1, head_size=OUT)
  if core == "conv_lstm" and head == "none":
    args |= dict(height=1, width=1, hidden_channels=OUT)
  model = make_model(core, OUT, unit=unit, head=head, **args)
  of_unit = set(model.units) - {"model/~/nac_lstm/~/nac"}
  assert uses_unit(core, unit, head) == bool(of_unit)


def test_core_with_another_read_out_maps_to_its_hidden_size():
  layers, _ = layers_of("sam", unit="nau", **small_args("sam"))
  output, = (layer for name, layer in layers.items() if "output" in name)
  assert output["w"][1] == 7


def test_cell_of_the_output_s_size_is_the_answer():
  layers, _ = layers_of("unit_rnn", unit="nau", hidden_size=OUT)
  assert layers == {"unit_rnn/~/nau": {"w": (F + OUT, OUT)}}


def test_stack_of_a_unit_with_an_activation_ends_linear():
  layers, units = layers_of("stack", unit="relu", num_layers=3, hidden_size=7)
  assert layers == {
      "stack/linear": {"w": (F, 7), "b": (7,)},
      "stack/linear_1": {"w": (7, 7), "b": (7,)},
      "stack/output": {"w": (7, OUT), "b": (OUT,)}}
  assert [unit.activation for unit in units.values()] == [
      "relu", "relu", "none"]


def test_stack_of_different_units():
  layers, _ = layers_of("stack", unit="nmu", hidden_unit="nac", hidden_size=7)
  assert list(layers) == ["stack/nac", "stack/nmu"]


def test_unit_arguments_reach_the_unit():
  layers, _ = layers_of("lstm", unit_args=dict(with_bias=False), hidden_size=7)
  assert layers["linear"] == {"w": (7, OUT)}
  layers, _ = layers_of("stack", unit="linear", hidden_size=7,
                        unit_args=dict(with_bias=False))
  assert layers["stack/linear"] == {"w": (F, 7)}


@pytest.mark.parametrize("core", ["lstm", "sam", "stack", "unit_rnn"])
@pytest.mark.parametrize("unit", [
    UNITS.get("nau"), "rmc_nalu_sam:NAU",
    functools.partial(UNITS.get("nau"), penalty="squared")])
def test_a_unit_by_path_or_class_is_the_one_by_name(core, unit):
  layers, _ = layers_of(core, unit=unit, **small_args(core))
  assert layers == layers_of(core, unit="nau", **small_args(core))[0]


@pytest.mark.parametrize("core", ["sam", "stack"])
def test_core_that_maps_to_the_output_needs_no_head(core):
  plain, _ = layers_of(core, **small_args(core))
  assert layers_of(core, head="none", **small_args(core))[0] == plain
  # The head 'none' takes no unit, so the core's output ignores `unit`.
  layers, _ = layers_of("sam", head="none", unit="nau", **small_args("sam"))
  assert "nau" not in layers


def test_no_head():
  layers, _ = layers_of("lstm", head="none", hidden_size=OUT)
  assert list(layers) == ["lstm/linear"]
  with pytest.raises(ValueError, match="size is 7, not output_size=2; change"):
    make_model("lstm", OUT, head="none", hidden_size=7)


def test_a_head_of_one_s_own():
  class Two(hk.Module):
    """Returns two outputs."""

    def __init__(self, output_size, scale=1., name=None):
      super().__init__(name=name)
      self._size, self._scale = output_size, scale

    def __call__(self, outputs):
      answer = self._scale * hk.Linear(self._size)(outputs)
      return dict(one=answer, other=hk.Linear(3)(outputs))

  inputs = draw(T, B, F)
  # The head must be kept, although the core maps to the output.
  model = make_model("sam", OUT, head=Two, head_args=dict(scale=2.),
                     **small_args("sam"))
  params = model.init(jax.random.key(0), inputs)
  assert params["model/~/two/linear"]["w"].shape == (7, OUT)
  outputs = model.unroll(params, None, inputs, model.initial_state(
      params, B), steps=jnp.zeros([1, B], int)).outputs
  assert {k: v.shape for k, v in outputs.items()} == dict(
      one=(1, B, OUT), other=(1, B, 3))


def test_an_argument_named_tied_does_not_tie_a_head():
  class Knotted(hk.Module):
    """Has an argument `tied`, and takes no `tied_to`."""

    def __init__(self, output_size, tied=True, name=None):
      super().__init__(name=name)
      self._size = output_size if tied else 1

    def __call__(self, outputs):
      return hk.Linear(self._size)(outputs)

  params = jax.eval_shape(make_model("lstm", OUT, head=Knotted).init,
                          jax.random.key(0), draw(T, B, F))
  assert params["model/~/knotted/linear"]["b"].shape == (OUT,)


@pytest.mark.parametrize("kwargs, words", [
    (dict(unit="nmo"),
     "unknown unit 'nmo'; did you mean 'nmu'. valid units: .*nmu"),
    (dict(encoder="cmn"),
     "unknown encoder 'cmn'; did you mean 'cnn'. valid encoders: cnn, embed"),
    (dict(head="nine"), "unknown head 'nine'; did you mean 'none'. valid head"),
    (dict(unit="nmu", unit_args=dict(epsilon=1)),
     "unit 'nmu' has no argument 'epsilon'; valid arguments: penalty"),
    (dict(encoder_args=dict(mean=1)),
     "encoder 'none' has no argument 'mean'; valid arguments: none"),
    (dict(head_args=dict(scale=1)),
     "head 'unit' has no argument 'scale'; valid arguments: none"),
    (dict(encoder="cnn", input_size=255), "square images"),
    (dict(unit="nmu", unit_args=dict(penalty="none")), "unknown penalty"),
])
def test_bad_units_encoders_and_heads(kwargs, words):
  with pytest.raises(ValueError, match=words):
    make_model("lstm", OUT, **kwargs)


@pytest.mark.parametrize("kwargs, words", [
    (dict(num_layers=0), "num_layers must be at least 1, got 0"),
    (dict(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (dict(hidden_unit="nmo"), "unknown .*unit 'nmo'; .*valid units: .*nmu"),
])
def test_bad_stacks(kwargs, words):
  with pytest.raises(ValueError, match=words):
    make_model("stack", OUT, **kwargs)


def test_registries_name_their_kind():
  assert [r.kind for r in (CORES, UNITS, HEADS, zoo.ENCODERS, zoo.INDICES)
          ] == ["core", "unit", "head", "encoder", "index"]
  assert np.all([len(r) for r in (CORES, UNITS, HEADS, zoo.INDICES)])


PARTS = [
    (name, argument) for name in CORES for argument in CORES.arguments(name)
    if argument.split("_")[-1] in ("layers", "heads", "blocks", "rounds")
    and (name, argument) != ("rmc", "num_heads")]  # Its heads are one array.


@pytest.mark.parametrize("name, argument", PARTS)
def test_too_many_parts_are_refused_at_once(name, argument):
  """Tracing them one by one would take hours."""
  def init():
    model = make_model(name, 2, **{argument: 10**8})
    return model.init(jax.random.key(0), jnp.zeros([1, 1, 3]))

  with pytest.raises(ValueError, match=f"{argument} must be at most "):
    jax.eval_shape(init)
