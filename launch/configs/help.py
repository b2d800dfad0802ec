"""Help texts, read from the members' own docstrings, types and defaults.

`--help` prints `flag_help` of each member flag, `--list` prints `list_all` and
`--describe=NAME` prints `describe`.
"""

import difflib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from launch.configs import config as config_lib
from launch.configs import members, sweeps
from launch.configs.docstrings import formulas
from rmc_nalu_sam.registry import Argument, Registry

FLAGS = flags.FLAGS

WIDTH = 80
MAX_SENTENCES = 3  # In the help of one flag.
_SIMPLE = {int: "int", float: "float", str: "str", bool: "bool",
           type(None): "None"}
# Arguments whose values are names of members of a kind.
_NAMES_OF = {("core", "index"): "index", ("core", "hidden_unit"): "unit"}
# Sections of a docstring that the table of arguments replaces, and examples,
# which are in Python.
_SECTIONS = re.compile(
    r"^(Args|Attributes|Example|Raises|Returns):\n(?:(?:[ \t].*)?(?:\n|\Z))*",
    re.MULTILINE)


def define_help_flags() -> None:
  """Defines `--list` and `--describe`."""
  flags.DEFINE_boolean(
      "list", False, "Print the names of all members and presets, one sentence "
      "each, and exit.")
  flags.DEFINE_string(
      "describe", None, "Print one member or preset whole, and exit: a name, "
      "or kind:name, such as rmc, sam_copy, core:my_package.my_module:MyCore. "
      "Of a preset also what time and memory it takes here, with the other "
      "flags of the command line.")


def handle_help_flags(tell_cost: Callable[[str], None]) -> None:
  """Answers `--list` or `--describe` and exits; returns without them.

  Args:
    tell_cost: Prints what a preset costs here, from its name.
  """
  if FLAGS.list:
    print(list_all())
    sys.exit(0)
  if FLAGS.describe:
    try:
      print(describe(FLAGS.describe), flush=True)
      kinds, name = _find(FLAGS.describe)
      if "preset" in kinds:
        print(flush=True)
        tell_cost(name)
    except ValueError as error:
      print(f"error: {error}", file=sys.stderr)
      sys.exit(config_lib.EXIT_USAGE)
    sys.exit(0)


def list_all() -> str:
  """Returns the names of all members and presets, with a sentence each."""
  lines: list[str] = []
  for kind, registry in _all_registries().items():
    lines += [f"{_flag_of(kind)}=NAME", *(
        item(name, _summary(registry, name)) for name in registry), ""]
  return "\n".join(lines).rstrip()


def describe(name: str) -> str:
  """Returns a text on one member of any kind, or on one preset.

  Args:
    name: The name, or "kind:name". If several kinds have the name, all of them
      are described.

  Raises:
    ValueError: There is no such member or preset.
  """
  kinds, name = _find(name)
  return "\n\n".join(
      _describe_preset(name) if kind == "preset" else
      _describe_member(kind, name) for kind in kinds)


def flag_help(kind: str, owners: Sequence[tuple[str, Argument]]) -> str:
  """Returns the help of the flag for one argument.

  Args:
    kind: Kind of the members that have the argument.
    owners: These members' names, each with its argument.

  Returns:
    The sentences of their docstrings, and the default of each member.
  """
  sentences: dict[str, list[str]] = {}
  defaults: dict[str, list[str]] = {}
  for member, argument in owners:
    sentences.setdefault(first_sentence(argument.help), []).append(member)
    defaults.setdefault(_default(argument), []).append(member)
  parts = [text if len(sentences) == 1 else f"{', '.join(names)}: {text}"
           for text, names in sentences.items() if text]
  shown = " ".join(_ended(part) for part in parts[:MAX_SENTENCES])
  if len(parts) > MAX_SENTENCES:
    shown += f" More: --describe={kind}:NAME."
  of_members = "; ".join(f"{value} ({', '.join(names)})"
                         for value, names in defaults.items())
  return f"{shown} Default: {of_members}.".strip()


def _describe_member(kind: str, name: str) -> str:
  registry = members.REGISTRIES[kind]
  member = registry.get(name)
  lines = [f"{_flag_of(kind)}={name}", "", _prose(member), ""]
  arguments = registry.arguments(name)
  lines += ["Arguments:" if arguments else "No arguments."]
  for argument in arguments.values():
    # An argument that takes an object is for Python only.
    flag = "--" if members.flag_type(argument) else ""
    lines.append(item(
        f"{flag}{kind}.{argument.name}", _argument_text(kind, argument)))
  return "\n".join(lines)


def _describe_preset(name: str) -> str:
  preset = members.PRESETS.get(name)
  return "\n".join([f"--preset={name}", "",
                    inspect.cleandoc(preset.__doc__ or ""), "",
                    "Values:", *_flags_of_fields(preset(), "  ")])


def _summary(registry: Registry, name: str) -> str:
  """Returns a member's sentence, with the arguments that its name stands for.
  """
  given = getattr(registry.get(name), "keywords", {})  # Of a partial.
  text = registry.summary(name)
  return text + (f" With {', '.join(f'{k}={v!r}' for k, v in given.items())}."
                 if given else "")


def _flags_of_fields(fields: Mapping[str, Any], indent: str) -> list[str]:
  """Returns the lines of a preset's fields, written as flags."""
  lines = [f"{indent}--{name}={value}" for name, value in fields.items()
           if not isinstance(value, Mapping)]
  for name, of_members in fields.items():
    if name.endswith("_args"):
      kind = name.removesuffix("_args")
      for member, arguments in of_members.items():
        values = " ".join(f"--{kind}.{argument}={value}"
                          for argument, value in arguments.items())
        lines.append(textwrap.fill(
            f"with {_flag_of(kind)}={member}: {values}", WIDTH,
            initial_indent=indent, subsequent_indent=indent + "  ",
            break_long_words=False, break_on_hyphens=False))
    elif name.endswith("_settings"):
      for member, settings in of_members.items():
        lines += [f"{indent}with --{name.removesuffix('_settings')}={member}:",
                  *_flags_of_fields(settings, indent + "  ")]
  return lines


def _argument_text(kind: str, argument: Argument) -> str:
  """Returns an argument's meaning, type, default and valid values."""
  parts = [_type_name(argument.annotation), f"default {_default(argument)}"]
  valid = _valid_values(kind, argument)
  if valid:
    parts.append(f"valid: {', '.join(valid)}")
  if sweeps.can_vary(f"{kind}.{argument.name}") and members.flag_type(
      argument) in (int, float):
    parts.append("several values make a sweep")
  meaning = _ended(argument.help) + " " if argument.help else ""
  return f"{meaning}({'; '.join(part for part in parts if part)})"


def _valid_values(kind: str, argument: Argument) -> list[str]:
  """Returns an argument's values, where they can be counted."""
  named = _NAMES_OF.get((kind, argument.name))
  if named:
    return list(members.REGISTRIES[named])
  if typing.get_origin(argument.annotation) is typing.Literal:
    return [str(value) for value in typing.get_args(argument.annotation)]
  return ["true", "false"] if argument.annotation is bool else []


def _type_name(annotation: Any) -> str:
  """Returns the types that an argument takes, such as "int or None"."""
  if annotation is inspect.Parameter.empty:
    return ""
  if typing.get_origin(annotation) is typing.Literal:
    options = [type(value) for value in typing.get_args(annotation)]
  elif isinstance(annotation, type):
    options = [annotation]
  else:
    options = list(typing.get_args(annotation)) or [annotation]
  names = [_SIMPLE.get(option, "an object") for option in options]
  return " or ".join(dict.fromkeys(names))


def _default(argument: Argument) -> str:
  if argument.is_required:
    return "none, it is required"
  return repr(argument.default) if members.is_simple(
      argument.default) else "an object"


def _prose(member: Any) -> str:
  """Returns a member's docstring without the sections on its arguments."""
  while hasattr(member, "func"):  # A `functools.partial`.
    member = member.func
  text = _SECTIONS.sub("", inspect.getdoc(member) or "").strip()
  return formulas.plain(text)


def _find(name: str) -> tuple[list[str], str]:
  """Returns the kinds that have a member or preset of this name, and the name.
  """
  registries = _all_registries()
  kind, _, rest = name.partition(":")
  if kind in registries and rest:
    registries[kind].get(rest)
    return [kind], rest
  found = [kind for kind, registry in registries.items() if name in registry]
  if found:
    return found, name
  if ":" in name:
    raise ValueError(f"--describe={name}: name its kind, such as "
                     f"--describe=core:{name}; kinds: {', '.join(registries)}")
  every = [member for registry in registries.values() for member in registry]
  nearest = difflib.get_close_matches(name, every, n=1)
  hint = f" did you mean {nearest[0]!r}?" if nearest else ""
  raise ValueError(
      f"--describe={name}: unknown name;{hint} --list prints all valid names")


def _all_registries() -> dict[str, Registry]:
  return {**members.REGISTRIES, "preset": members.PRESETS}


def _flag_of(kind: str) -> str:
  """Returns the flag that names a member of a kind."""
  return "--core.index" if kind == "index" else f"--{kind}"


def item(name: str, text: str) -> str:
  """Returns a line with a name and an indented text after it."""
  return textwrap.fill(f"{name:<18}  {text}", WIDTH, initial_indent="  ",
                       subsequent_indent=" " * 6, break_long_words=False)


def first_sentence(text: str) -> str:
  """Returns a text up to the first full stop before a capital letter."""
  return re.split(r"(?<=\.)\s+(?=[A-Z])", text, maxsplit=1)[0]


def _ended(sentence: str) -> str:
  """Returns a sentence with a full stop at its end."""
  return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
