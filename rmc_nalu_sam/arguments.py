"""Arguments of constructors: their types, defaults and help, and their checks.

All is read from the source: signatures, annotations and docstrings.
"""

import collections.abc
import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import nearest


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


class Checked:
  """Refuses arguments of a class that are misspelt or of another type.

  It looks before Haiku does, whose own message names neither the nearest
  argument nor the type.
  """

  def __new__(cls, *args: Any, **kwargs: Any) -> Any:
    positional = list(inspect.signature(cls.__init__).parameters)[1:]
    given = dict(zip(positional, args, strict=False)) | kwargs
    valid = _of_checked(typing.cast(Any, cls))
    # A subclass from elsewhere may take arguments of its own by `**kwargs`.
    if is_own(cls) or not _has_kwargs(cls.__init__):
      check_names(cls.__name__, given, valid)
    check_types(cls.__name__, given, valid)
    return super().__new__(cls)


def is_own(cls: type) -> bool:
  """Returns whether a class is one of this library."""
  return cls.__module__.split(".")[0] == __package__


@functools.cache  # Modules are constructed whenever a function is traced.
def _of_checked(cls: Any) -> Mapping[str, Argument]:
  return all_arguments(cls)


def check_names(what: str, names: Collection[str], valid: Collection[str],
                others: Collection[str] = ()) -> None:
  """Checks the names of arguments.

  Args:
    what: the subject of an error message.
    names: of the arguments.
    valid: valid names.
    others: names that belong elsewhere in the same call, and may be meant.

  Raises:
    ValueError: a name is not valid; the message has the nearest one.
  """
  for name in names:
    if name not in valid:
      raise ValueError(
          f"{what} has no argument {name!r};{nearest(name, [*valid, *others])} "
          f"valid arguments: {', '.join(valid) or 'none'}")


def check_types(what: str, values: Mapping[str, Any],
                described: Mapping[str, Argument]) -> None:
  """Checks that arguments have the types that their annotations name.

  A NumPy or JAX scalar counts as a number. An integer counts as a float, and a
  boolean as neither. A value of another class than Python's own is only checked
  for mappings and functions.

  Args:
    what: the subject of an error message.
    values: name of an argument -> its value.
    described: name of an argument -> its description.

  Raises:
    ValueError: a value has another type; the message names the first one.
  """
  for name, value in values.items():
    # A default is valid, whatever the annotation.
    if name in described and value is not described[name].default and (
        not _is_of(value, described[name].annotation)):
      raise ValueError(
          f"{what}: {name} must be {_words(described[name].annotation)}, got "
          f"{value!r} of type {type(value).__name__}")


_WORDS: Mapping[Any, str] = {
    bool: "True or False", int: "an integer", float: "a number",
    str: "a string", types.NoneType: "None", collections.abc.Mapping: "a dict",
    collections.abc.Callable: "a function or class"}
_KINDS: Mapping[Any, tuple[type, ...]] = {
    bool: (np.bool_,), int: (np.integer,), float: (np.integer, np.floating)}
_UNIONS = (typing.Union, types.UnionType)


def _is_of(value: Any, annotation: Any) -> bool:
  """Returns whether a value suits an annotation, as far as it is checked."""
  kind = typing.get_origin(annotation) or annotation
  if kind in _UNIONS:
    return any(_is_of(value, each) for each in typing.get_args(annotation))
  if kind in _KINDS:
    return _is_number(value, kind)
  if kind is collections.abc.Callable:
    return callable(value)
  if kind in _WORDS:
    return isinstance(value, kind)
  # Only plain values are surely wrong: a class may be a protocol.
  is_class = inspect.isclass(kind) and kind is not inspect.Parameter.empty
  return not (is_class and isinstance(value, str | int | float)
              and kind not in (*type(value).__mro__, jax.Array, np.ndarray))


def _is_number(value: Any, kind: type) -> bool:
  dtype = getattr(value, "dtype", None)
  if dtype is not None:  # An array, maybe a traced one.
    return np.ndim(value) == 0 and any(
        jnp.issubdtype(dtype, each) for each in _KINDS[kind])
  if isinstance(value, bool) or kind is bool:
    return isinstance(value, bool) and kind is bool
  return isinstance(value, numbers.Integral if kind is int else numbers.Real)


def _words(annotation: Any) -> str:
  kind = typing.get_origin(annotation) or annotation
  parts = typing.get_args(annotation) if kind in _UNIONS else (annotation,)
  return " or ".join(_WORDS.get(
      typing.get_origin(each) or each, getattr(each, "__name__", str(each)))
      for each in parts)


def attribute(factory: Callable[..., Any], name: str, default: Any) -> Any:
  """Returns a class attribute of a constructor; looks through `partial`.

  Args:
    factory: a class, a function, or a `functools.partial` of either.
    name: of the attribute.
    default: the value for a constructor without it.
  """
  return getattr(unwrap(factory), name, default)


def unwrap(factory: Callable[..., Any]) -> Callable[..., Any]:
  """Returns the constructor inside of a `functools.partial`."""
  while isinstance(factory, functools.partial):
    factory = factory.func
  return factory


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
                      _descriptions(docstring(factory)))


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
  arguments = dict(_as_written(cls))
  for name, default in _made_defaults(cls).items():
    if name in arguments:
      arguments[name] = arguments[name]._replace(default=default)
  return arguments


@functools.cache  # Reading classes takes most of a configuration's time.
def _as_written(cls: type) -> Mapping[str, Argument]:
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
  return arguments


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


def takes_anything(factory) -> bool:
  """Returns whether this is a function with `**kwargs`."""
  factory = unwrap(factory)
  return not inspect.isclass(factory) and _has_kwargs(factory)


def _type_hints(annotated) -> dict[str, Any]:
  try:
    return typing.get_type_hints(annotated)
  except (NameError, TypeError):  # A name for the type checker only.
    return {}


def docstring(factory) -> str:
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
