"""Names for the members of one kind: cores, units, encoders, heads and so on.

A registry finds a member by name, checks arguments before they reach its
constructor, and reads their types, defaults and help from the source.
"""

import importlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from rmc_nalu_sam.arguments import (
    Argument,
    all_arguments,
    attribute,
    check_names,
    check_types,
    docstring,
    takes_anything,
    unwrap,
)
from rmc_nalu_sam.checks import nearest

__all__ = ("Argument", "Name", "Registry", "attribute")

# What a name may be: that of a built-in member, "package.module:attribute", or
# the member itself.
Name = str | Callable[..., Any]

_PLURALS = {"curriculum": "curricula", "index": "indices",
            "penalty": "penalties"}


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
    return _first_sentence(docstring(unwrap(self.get(name))))

  def check(self, name: Name, arguments: Collection[str],
            others: Collection[str] = ()) -> None:
    """Checks the names of a member's arguments, and the types of their values.

    Args:
      name: of the member.
      arguments: names of arguments, or a mapping from them to values.
      others: names that belong elsewhere in the same call, and may be meant.

    Raises:
      ValueError: as `get`; or the member has no such argument, a required one
        is missing, or a value is of another type.
    """
    valid, what = self.arguments(name), f"{self.kind} {_label(name)}"
    is_open = takes_anything(self.get(name))
    check_names(what, [a for a in arguments if not is_open or a in self._given],
                valid, others)
    for argument, described in valid.items():
      if described.is_required and argument not in arguments:
        raise ValueError(f"{what} needs the argument {argument!r}")
    if isinstance(arguments, Mapping):
      check_types(what, arguments, valid)

  def make(self, name: Name, /, **arguments: Any) -> Any:
    """Constructs a member.

    Args:
      name: of the member.
      **arguments: its arguments; those that the code sets are not checked.

    Raises:
      ValueError: as `check`, or as the member's constructor.
    """
    self.check(name, {a: value for a, value in arguments.items()
                      if a not in self._given})
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


def _label(name: Name) -> str:
  return repr(name if isinstance(name, str) else
              getattr(unwrap(name), "__name__", type(name).__name__))


def _first_sentence(docstring: str) -> str:
  paragraph = " ".join(docstring.split("\n\n")[0].split())
  # A full stop inside "et al. 2016" or "e.g. this" ends no sentence.
  return re.split(r"(?<=[.!?])(?<!et al\.)(?<!e\.g\.)(?<!i\.e\.)\s",
                  paragraph, maxsplit=1)[0]
