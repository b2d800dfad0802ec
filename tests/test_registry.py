"""Names, arguments and error messages of a registry."""

import collections
import dataclasses
import functools
import inspect
import sys

import haiku as hk
import pytest

from rmc_nalu_sam import CORES, ENCODERS, HEADS, INDICES, UNITS, Registry
from rmc_nalu_sam.registry import Argument, attribute

EMPTY = inspect.Parameter.empty


class Base:
  """Counts sheep. A second sentence."""

  COUNTS = True

  def __init__(self, size: "int" = 3, depth: int | None = None,
               name: str = ""):
    """Constructs a base.

    Args:
      size: number of sheep: all of
        them.
      depth: of the meadow.
      name: name of the module.
    """
    self.values = dict(size=size, depth=depth, name=name)


class Derived(Base):
  """Counts goats, e.g. five of them.

  See Goat et al. 2016. More.
  """

  def __init__(self, width: float, size: int = 5, **kwargs):
    """Constructs a derived one.

    Args:
      width: of a goat.
      **kwargs: as in `Base`.
    """
    super().__init__(size=size, **kwargs)
    self.values |= dict(width=width)


class Plain(Base):
  pass


@dataclasses.dataclass(frozen=True)
class Data:
  """Holds a task.

  Attributes:
    length: number of steps,
      padded.
    sizes: a list.
  """

  length: int
  sizes: list[int] = dataclasses.field(default_factory=lambda: [2, 7])


@dataclasses.dataclass(frozen=True)
class MoreData(Data):
  more: bool = False


def function(alpha: int, *, beta: str = "b"):
  """Returns
  both. And more.

  Args:
    alpha: the first.
  """
  return alpha, beta


def anything(**kwargs):
  return kwargs


REGISTRY = Registry("core", dict(
    base=Base, derived=Derived, plain=Plain, data=Data, more_data=MoreData,
    function=function, partial=functools.partial(Base, 11, depth=7),
    keyword=functools.partial(Derived, width=2.), anything=anything))


def test_is_a_sorted_collection_of_names():
  assert list(REGISTRY) == sorted(REGISTRY)
  assert len(REGISTRY) == len(list(REGISTRY)) == 9
  assert "base" in REGISTRY and "bases" not in REGISTRY
  assert REGISTRY.get("base") is Base is REGISTRY.get(Base)


@pytest.mark.parametrize("name, expected", [
    ("base", [("size", int, 3, "number of sheep: all of them."),
              ("depth", int | None, None, "of the meadow.")]),
    ("plain", [("size", int, 3, "number of sheep: all of them."),
               ("depth", int | None, None, "of the meadow.")]),
    ("derived", [("width", float, EMPTY, "of a goat."),
                 ("size", int, 5, "number of sheep: all of them."),
                 ("depth", int | None, None, "of the meadow.")]),
    ("partial", [("depth", int | None, 7, "of the meadow.")]),
    ("data", [("length", int, EMPTY, "number of steps, padded."),
              ("sizes", list[int], [2, 7], "a list.")]),
    ("more_data", [("length", int, EMPTY, "number of steps, padded."),
                   ("sizes", list[int], [2, 7], "a list."),
                   ("more", bool, False, "")]),
    ("function", [("alpha", int, EMPTY, "the first."),
                  ("beta", str, "b", "")]),
    ("anything", []),
])
def test_arguments(name, expected):
  arguments = REGISTRY.arguments(name)
  assert [tuple(a) for a in arguments.values()] == expected or (
      # Inherited arguments may come before or after the class's own.
      sorted(map(str, arguments.values()))
      == sorted(str(Argument(*e)) for e in expected))
  assert all(key == a.name for key, a in arguments.items())


def test_arguments_that_are_given_are_left_out():
  registry = Registry("core", dict(base=Base), given=("size", "name"))
  assert list(registry.arguments("base")) == ["depth"]
  with pytest.raises(ValueError, match="no argument 'size'"):
    registry.check("base", ["size"])
  assert registry.make("base", size=2, name="x").values["size"] == 2


@pytest.mark.parametrize("name, expected", [
    ("base", "Counts sheep."), ("partial", "Counts sheep."),
    ("plain", "Counts sheep."), ("derived", "Counts goats, e.g. five of them."),
    ("function", "Returns both."), ("anything", ""),
    ("more_data", "Holds a task.")])
def test_summary(name, expected):
  assert REGISTRY.summary(name) == expected


@pytest.mark.parametrize("call, message", [
    (lambda: REGISTRY.get("bse"),
     "unknown core 'bse'; did you mean 'base'? valid cores: anything, base, "
     "data, derived, function, keyword, more_data, partial, plain, or "
     "'package.module:attribute'"),
    (lambda: Registry("index", {"a": Base}).get("zzz"),
     "unknown index 'zzz'; valid indices: a, or 'package.module:attribute'"),
    (lambda: REGISTRY.check("base", ["sise"]),
     "core 'base' has no argument 'sise'; did you mean 'size'? valid "
     "arguments: size, depth"),
    (lambda: REGISTRY.check(Base, {"name": 3}),
     "core 'Base' has no argument 'name'; valid arguments: size, depth"),
    (lambda: REGISTRY.check("derived", []),
     "core 'derived' needs the argument 'width'"),
    (lambda: REGISTRY.make("data"), "core 'data' needs the argument 'length'"),
    (lambda: REGISTRY.check("anything", ["name"]),
     "core 'anything' has no argument 'name'; valid arguments: none"),
    (lambda: REGISTRY.get("no_such_module:Core"),
     "cannot import core 'no_such_module:Core': ModuleNotFoundError: No module "
     "named 'no_such_module'"),
    (lambda: REGISTRY.get("tiny_module:Coree"),
     "cannot import core 'tiny_module:Coree': 'tiny_module' has no attribute "
     "'Coree'; did you mean 'Core'? callables there: Core"),
    (lambda: REGISTRY.get("tiny_module:VALUE"),
     "cannot import core 'tiny_module:VALUE': expected a class or a function, "
     "got a value of type int"),
    (lambda: REGISTRY.get("broken_module:Core"),
     "cannot import core 'broken_module:Core': ZeroDivisionError: division by "
     "zero"),
])
def test_errors(call, message, tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  (tmp_path / "tiny_module.py").write_text(
      "VALUE = 3\nclass Core:\n  class Inner:\n    pass\n")
  (tmp_path / "broken_module.py").write_text("1 / 0\n")
  with pytest.raises(ValueError) as error:
    call()
  for name in ("tiny_module", "broken_module"):
    sys.modules.pop(name, None)
  assert str(error.value) == message


def test_a_path_is_imported():
  assert REGISTRY.get("haiku:LSTM") is hk.LSTM
  assert REGISTRY.get("haiku:nets.MLP") is hk.nets.MLP
  assert "hidden_size" in REGISTRY.arguments("haiku:LSTM")
  assert REGISTRY.summary("haiku:LSTM").startswith("Long short-term memory")


def test_make():
  assert REGISTRY.make("derived", width=.5, depth=2).values == dict(
      width=.5, size=5, depth=2, name="")
  assert REGISTRY.make("partial").values["size"] == 11
  assert REGISTRY.make("anything", other=3) == dict(other=3)
  assert REGISTRY.make(function, alpha=3) == (3, "b")


def test_a_default_of_a_partial_makes_an_argument_optional():
  assert REGISTRY.arguments("keyword")["width"].default == 2.
  assert REGISTRY.make("keyword").values["width"] == 2.


def test_a_member_may_be_a_path():
  """A new member takes one line, without an import."""
  registry = Registry("thing", {"ordered": "collections:OrderedDict"})
  assert registry.get("ordered") is collections.OrderedDict
  assert list(registry) == ["ordered"]


def test_attribute():
  wrapped = functools.partial(functools.partial(Derived, width=1.), size=2)
  assert attribute(wrapped, "COUNTS", False)
  assert not attribute(function, "COUNTS", False)


@pytest.mark.parametrize("registry", [CORES, ENCODERS, HEADS, INDICES, UNITS],
                         ids=lambda registry: registry.kind)
def test_members_are_documented(registry):
  """`--help` prints a sentence for each member and each plain argument."""
  assert len(registry)
  for name in registry:
    if registry.get(name).__module__.startswith("rmc_nalu_sam"):
      assert registry.summary(name).endswith("."), name
    for argument in registry.arguments(name).values():
      if argument.annotation in (int, float, str, bool):
        assert argument.help, (name, argument.name)
      assert not isinstance(argument.annotation, str), (name, argument.name)
