"""What every program does with its command line: help, version, errors."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from absl import flags

from launch.configs import environment
from launch.configs import help as help_lib
from launch.configs.config import EXIT_USAGE

FLAGS = flags.FLAGS
_HELP = {"-h", "-help", "--h", "--help", "--helpshort"}
_MORE = "All flags, whole: --helpfull. Versions: --version."
_MEMBERS = ("Members and their arguments (--core.num_slots): --list, "
            "--describe=NAME.")


def parse(argv: Sequence[str]) -> list[str]:
  """Parses a command line; a mistake ends the program with one line.

  Args:
    argv: The program's name and its arguments.

  Returns:
    What is left of `argv`.
  """
  try:
    return FLAGS(list(argv))
  except flags.Error as error:
    _refuse(_reason(error))


def reader(module: ModuleType, *, common: Sequence[str], takes_words: bool,
           needs_flags: bool, parse_flags: Callable[[Sequence[str]], list[str]]
           ) -> Callable[[Sequence[str]], list[str]]:
  """Returns a parser that also answers --help, -h and --version.

  Args:
    module: of the program.
    common: flags that the short help shows; all but members' arguments if
      empty.
    takes_words: whether the program takes more than flags.
    needs_flags: whether no flag at all means that the user asks how to begin.
    parse_flags: parses the flags.
  """
  def read(argv):
    asked = set(argv[1:argv.index("--")] if "--" in argv else argv[1:])
    if asked & _HELP:
      print(short_help(module, common))
      sys.exit(0)
    if "--version" in asked:
      print(version())
      sys.exit(0)
    if needs_flags and not argv[1:]:
      print(short_help(module, common))
      sys.exit(EXIT_USAGE)
    left = parse_flags(argv)
    if left[1:] and not takes_words:
      _refuse(f"unexpected word {left[1]!r}; a flag is written --NAME=VALUE")
    return left
  return read


def version() -> str:
  """Returns the versions of this project, of JAX and of Python."""
  return ", ".join(f"{name} {value}"
                   for name, value in environment.versions().items())


def short_help(module: ModuleType, common: Sequence[str] = ()) -> str:
  """Returns what a program does, examples, and its most important flags.

  Args:
    module: of the program; its docstring tells what it does.
    common: flags to show; all but members' arguments if empty.
  """
  own = dict.fromkeys(
      flag.name for name in (sys.argv[0], module.__name__)
      for flag in FLAGS.get_key_flags_for_module(name))
  names = common or [name for name in own if "." not in name]
  has_members = len(names) < len(own) and "list" in names
  return "\n".join([
      inspect.getdoc(module) or "", "", "Flags:",
      *(_line(FLAGS[name]) for name in names), "",
      *[_MEMBERS] * has_members, _MORE])


def _line(flag: Any) -> str:
  """Returns a flag with the first sentence of its help."""
  name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
  text = re.sub(r"^<.*?>: ", "", " ".join(flag.help.split()))  # Of an enum.
  valid = getattr(flag.parser, "enum_values", ())
  more = f" Valid: {', '.join(valid)}." if valid else ""
  return help_lib.item(name, help_lib.first_sentence(text) + more)


def _reason(error: flags.Error) -> str:
  """Returns one line on what is wrong with the flags."""
  text = " ".join(str(error).split()).rstrip(".")
  if isinstance(error, flags.UnrecognizedFlagError):
    nearest = re.search(r"Did you mean: (.*) \?", text)
    return f"unknown flag --{error.flagname}" + (
        f"; did you mean {nearest[1]}?" if nearest else "")
  missing = re.search(r"Flag (--\S+) must have a value other than None", text)
  return f"{missing[1]} is missing" if missing else text


def _refuse(message: str) -> NoReturn:
  print(f"error: {message}; --help shows the flags", file=sys.stderr)
  sys.exit(EXIT_USAGE)
