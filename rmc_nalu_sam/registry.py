"""Names for the members of one kind: cores, units, encoders, heads and so on.

A registry finds a member by name, checks arguments before they reach its
constructor, and reads their types, defaults and help from the source.
"""

import dataclasses
import functools
import importlib
import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from rmc_nalu_sam.checks import nearest

# What a name may be: that of a built-in member, "package.module:attribute", or
# the member itself.
Name = str | Callable[..., Any]

_PLURALS = {"curriculum": "curricula", "index": "indices",
            "penalty": "penalties"}


class Argument(NamedTuple):
  """Describes an argument of a member's constructor.

  Attributes:
    name: of the argument.
    annotation: its type; `inspect.Parameter.empty` without one.
    default: its default; `inspect.Parameter.empty` if it is required.
    help: its description in the docstring, on one line; may be empty, and is
      without the package docstring_parser, which only programs need.

  Example:
    >>> argument = rmc_nalu_sam.CORES.arguments("sam")["top_k"]
    >>> argument.default, argument.help
    (4, 'K, words that each head reads.')
    >>> argument.is_required
    False
  """

  name: str
  annotation: Any
  default: Any
  help: str

  @property
  def is_required(self) -> bool:
    """True if there is no default."""
    return self.default is inspect.Parameter.empty


class Registry:
  """Finds the members of a kind by name.

  A name is that of a built-in member, or "package.module:attribute" for a
  member from the user's own code. Every method that takes a name also takes the
  member itself, a callable.

  Example:
    >>> bags = rmc_nalu_sam.Registry(
    ...     "bag", {"list": list, "counter": "collections:Counter"})
    >>> list(bags), bags.get("counter")
    (['counter', 'list'], <class 'collections.Counter'>)
    >>> rmc_nalu_sam.CORES.summary("sam")
    'Reads and writes a large memory sparsely: Sparse Access Memory.'
  """

  def __init__(self, kind: str, members: Mapping[str, Name],
               given: Collection[str] = ("name",)):
    """Constructs a registry.

    Args:
      kind: the noun for one member, as in error messages.
      members: maps the names of the built-in members to their constructors, or
        to "package.module:attribute", which is imported when it is needed.
      given: the arguments that the code sets itself; `arguments` leaves them
        out, and `check` refuses them.
    """
    self.kind = kind
    self._members = dict(members)
    self._given = frozenset(given)

  def __iter__(self) -> Iterator[str]:
    return iter(sorted(self._members))

  def __len__(self) -> int:
    return len(self._members)

  def __contains__(self, name: object) -> bool:
    return name in self._members

  def get(self, name: Name) -> Callable[..., Any]:
    """Returns the member with this name.

    Args:
      name: a built-in name, "package.module:attribute", or a callable, which is
        returned as it is.

    Raises:
      ValueError: there is no such member, or the path cannot be imported.
    """
    if callable(name):
      return name
    if name in self._members:
      member = self._members[name]
      return self._import(member) if isinstance(member, str) else member
    if ":" in name:
      return self._import(name)
    raise ValueError(
        f"unknown {self.kind} {name!r};{nearest(name, self._members)} valid "
        f"{_PLURALS.get(self.kind, self.kind + 's')}: {', '.join(self)}, or "
        "'package.module:attribute'")

  def arguments(self, name: Name) -> dict[str, Argument]:
    """Returns the arguments of a member, without those that the code sets.

    `**kwargs` of a subclass stands for the arguments of its base class;
    `functools.partial` replaces defaults.

    Raises:
      ValueError: as `get`.
    """
    return {key: value for key, value in all_arguments(self.get(name)).items()
            if key not in self._given}

  def summary(self, name: Name) -> str:
    """Returns the first sentence of a member's docstring, on one line.

    Raises:
      ValueError: as `get`.
    """
    return _first_sentence(_docstring(_unwrap(self.get(name))))

  def check(self, name: Name, arguments: Collection[str]) -> None:
    """Checks the names of a member's arguments.

    Args:
      name: of the member.
      arguments: names of arguments, or a mapping from them to values.

    Raises:
      ValueError: as `get`; or the member has no such argument, or a required
        one is missing.
    """
    valid, what = self.arguments(name), f"{self.kind} {_label(name)}"
    is_open = _takes_anything(self.get(name))
    for argument in arguments:
      if argument not in valid and (not is_open or argument in self._given):
        raise ValueError(
            f"{what} has no argument {argument!r};{nearest(argument, valid)} "
            f"valid arguments: {', '.join(valid) or 'none'}")
    for argument, described in valid.items():
      if described.is_required and argument not in arguments:
        raise ValueError(f"{what} needs the argument {argument!r}")

  def make(self, name: Name, /, **arguments: Any) -> Any:
    """Constructs a member.

    Args:
      name: of the member.
      **arguments: its arguments; those that the code sets are not checked.

    Raises:
      ValueError: as `check`, or as the member's constructor.
    """
    self.check(name, [a for a in arguments if a not in self._given])
    return self.get(name)(**arguments)

  def _import(self, path: str) -> Callable[..., Any]:
    """Imports "package.module:attribute"."""
    module_name, _, attribute_name = path.partition(":")
    refusal = f"cannot import {self.kind} {path!r}: "
    try:
      module = importlib.import_module(module_name)
    except Exception as error:  # Whatever the user's module raises.
      reason = " ".join(str(error).split())
      raise ValueError(
          f"{refusal}{type(error).__name__}: {reason}") from error
    member: Any = module
    for part in attribute_name.split("."):
      if not hasattr(member, part):
        names = [n for n, value in vars(member).items()
                 if callable(value) and not n.startswith("_")]
        raise ValueError(
            f"{refusal}{module_name!r} has no attribute {attribute_name!r};"
            f"{nearest(part, names)} callables there: "
            f"{', '.join(sorted(names)) or 'none'}")
      member = getattr(member, part)
    if not callable(member):
      raise ValueError(f"{refusal}expected a class or a function, got a value "
                       f"of type {type(member).__name__}")
    return member


def attribute(factory: Callable[..., Any], name: str, default: Any) -> Any:
  """Returns a class attribute of a constructor; looks through `partial`.

  Args:
    factory: a class, a function, or a `functools.partial` of either.
    name: of the attribute.
    default: the value for a constructor without it.
  """
  return getattr(_unwrap(factory), name, default)


def _unwrap(factory):
  while isinstance(factory, functools.partial):
    factory = factory.func
  return factory


def _label(name: Name) -> str:
  return repr(name if isinstance(name, str) else
              getattr(_unwrap(name), "__name__", type(name).__name__))


def all_arguments(factory: Callable[..., Any]) -> dict[str, Argument]:
  """Returns the arguments of a constructor; see `Registry.arguments`.

  Args:
    factory: a class, a function, or a `functools.partial` of either.
  """
  if isinstance(factory, functools.partial):
    return _of_partial(factory)
  if inspect.isclass(factory):
    return _of_class(factory)
  return _of_function(factory, _type_hints(factory),
                      _descriptions(_docstring(factory)))


def _of_partial(factory: functools.partial) -> dict[str, Argument]:
  arguments = all_arguments(factory.func)
  for name in list(arguments)[:len(factory.args)]:
    del arguments[name]
  for name, value in factory.keywords.items():
    known = arguments.get(name, Argument(name, inspect.Parameter.empty, None,
                                         ""))
    arguments[name] = known._replace(default=value)
  return arguments


def _of_class(cls: type) -> dict[str, Argument]:
  """Returns the arguments of `__init__`; its `**kwargs` are the base's."""
  descriptions = _of_docstrings(cls)
  arguments: dict[str, Argument] = {}
  for base in cls.__mro__:
    init = vars(base).get("__init__")
    if init is None or base is object:
      continue
    hints = (_type_hints(base) if dataclasses.is_dataclass(base) else
             _type_hints(init))
    arguments = _of_function(init, hints, descriptions, skip=1) | arguments
    if not _has_kwargs(init):
      break
  for name, default in _made_defaults(cls).items():
    if name in arguments:
      arguments[name] = arguments[name]._replace(default=default)
  return arguments


@functools.cache  # Parsing docstrings takes most of a configuration's time.
def _of_docstrings(cls: type) -> Mapping[str, str]:
  """Returns the descriptions of all arguments of a class and its bases."""
  descriptions: dict[str, str] = {}
  for base in reversed(cls.__mro__):
    for text in (_own_docstring(base), _own_docstring(vars(base).get(
        "__init__"))):
      descriptions |= _descriptions(text)
  return descriptions


def _of_function(function, hints, descriptions, skip=0) -> dict[str, Argument]:
  parameters = list(inspect.signature(function).parameters.values())[skip:]
  return {
      p.name: Argument(p.name, hints.get(p.name, p.annotation), p.default,
                       descriptions.get(p.name, ""))
      for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _made_defaults(cls) -> dict[str, Any]:
  """Returns the defaults of a dataclass that a `default_factory` makes."""
  if not dataclasses.is_dataclass(cls):
    return {}
  return {field.name: field.default_factory()
          for field in dataclasses.fields(cls)
          if field.default_factory is not dataclasses.MISSING}


def _has_kwargs(function) -> bool:
  return any(p.kind is p.VAR_KEYWORD
             for p in inspect.signature(function).parameters.values())


def _takes_anything(factory) -> bool:
  """Returns whether this is a function with `**kwargs`."""
  factory = _unwrap(factory)
  return not inspect.isclass(factory) and _has_kwargs(factory)


def _type_hints(annotated) -> dict[str, Any]:
  try:
    return typing.get_type_hints(annotated)
  except (NameError, TypeError):  # A name for the type checker only.
    return {}


def _docstring(factory) -> str:
  """Returns the docstring of a class, its `__init__` or a function."""
  if not inspect.isclass(factory):
    return inspect.getdoc(factory) or ""
  texts = (_own_docstring(base) for base in factory.__mro__[:-1])
  return next(filter(None, texts), "")


def _own_docstring(documented) -> str:
  """Returns the docstring that is written down, cleaned."""
  text = getattr(documented, "__doc__", None) or ""
  if inspect.isclass(documented):
    text = vars(documented).get("__doc__") or ""
    if text.startswith(f"{documented.__name__}("):  # Made by `dataclass`.
      text = ""
  return inspect.cleandoc(text)


def _descriptions(docstring: str) -> dict[str, str]:
  """Returns the descriptions of a Google docstring's arguments."""
  try:
    from docstring_parser import google
  except ImportError:
    return {}
  return {param.arg_name: " ".join((param.description or "").split())
          for param in google.parse(docstring).params}


def _first_sentence(docstring: str) -> str:
  paragraph = " ".join(docstring.split("\n\n")[0].split())
  # A full stop inside "et al. 2016" or "e.g. this" ends no sentence.
  return re.split(r"(?<=[.!?])(?<!et al\.)(?<!e\.g\.)(?<!i\.e\.)\s",
                  paragraph, maxsplit=1)[0]
