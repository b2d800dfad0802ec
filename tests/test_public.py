"""What `help` and an editor show of the public names."""

import doctest
import functools
import inspect
import typing

import haiku as hk
import jax.numpy as jnp
import pytest

import rmc_nalu_sam
import tasks
from rmc_nalu_sam import encoders, heads, make_model

CLASSES = [each for each in (getattr(rmc_nalu_sam, name)
                             for name in rmc_nalu_sam.__all__)
           if inspect.isclass(each)]

# Registries of members, and a type, have no docstring of their own.
OTHERS = {"CORES", "ENCODERS", "HEADS", "INDICES", "TASKS", "UNITS",
          "Trainable"}
DOCUMENTED = [(module, name)
              for module in (rmc_nalu_sam, encoders, heads, tasks)
              for name in module.__all__ if name not in OTHERS]


def own(cls):
  """Returns the public attributes that Haiku and Python do not have."""
  bases = (hk.Module, hk.RNNCore, tuple, object)
  return {name: inspect.getattr_static(cls, name) for name in dir(cls)
          if not name.startswith("_") and not any(
              name in dir(base) for base in bases)}


def test_names():
  for name in rmc_nalu_sam.__all__:
    assert getattr(rmc_nalu_sam, name).__doc__, name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_has_signatures_and_docstrings(cls):
  for name in own(cls):
    value = getattr(cls, name)
    assert not isinstance(value, functools.partial), name
    if callable(value) and not inspect.isclass(value):
      assert inspect.isroutine(value), name
      assert inspect.getdoc(value), name
      assert value.__name__ == name
      hints = typing.get_type_hints(value)
      missing = set(inspect.signature(value).parameters) - hints.keys()
      assert missing <= {"self", "cls"}, name


def test_a_units_functions_are_methods():
  units = rmc_nalu_sam.find_units(
      lambda inputs: rmc_nalu_sam.NALU(3)(inputs), jnp.zeros([2, 5]))
  (found,) = units.values()
  assert found.weights.__self__ is found
  assert list(inspect.signature(found.weights).parameters) == ["params"]


def test_a_states_fields_have_types():
  for cls in CLASSES:
    if cls.__name__.endswith(("State", "Access")):
      for name, hint in typing.get_type_hints(cls).items():
        # These may be of the user's own.
        assert hint is not typing.Any or name in (
            "controller", "index"), (cls, name)


@pytest.mark.parametrize("name", [
    "init", "unroll", "initial_state", "forget", "steps_left", "recall",
    "with_core_args"])
def test_a_models_functions_have_signatures(name):
  model = make_model("sam", 3, num_slots=17, hidden_size=7, index="lsh",
                     gradient_steps=5, measure_recall=True)
  function = getattr(model, name)
  assert function.__name__ == name
  assert "see `Model`" in function.__doc__
  parameters = inspect.signature(function).parameters.values()
  assert all(each.annotation is not each.empty for each in parameters)


@pytest.mark.parametrize("module, name", DOCUMENTED)
def test_a_public_name_has_a_short_example(module, name):
  """`pytest --doctest-modules rmc_nalu_sam tasks` runs all of them."""
  text = inspect.cleandoc(getattr(module, name).__doc__)
  assert text.count("\nExample:\n") == 1
  examples = doctest.DocTestParser().get_examples(text)
  lines = "".join(each.source + each.want for each in examples).splitlines()
  assert 3 <= len(lines) <= 10
  assert any(each.want for each in examples)
