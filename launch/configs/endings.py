"""How every program ends: an exit status, and one line on stderr."""

import contextlib
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import jax
from absl import app

from launch import EXIT_INTERRUPTED
from launch.configs import command_line
from launch.configs.config import EXIT_USAGE, UsageError
from launch.configs.signals import watching

EXIT_RESOURCES = 4  # Too little memory, or no such device.
EXIT_PIPE = 141  # As a shell reports SIGPIPE.
_INTERRUPTED = "interrupted; start again with the same command"
_BYTES = re.compile(r"([\d.]+) ?([KMGTPE]i?B?|bytes)\b")


def run(main: Callable[[Any], Any], lower: str, *,
        common: Sequence[str] = (), takes_words: bool = False,
        needs_flags: bool = False,
        parse_flags: Callable[[Sequence[str]], list[str]] = command_line.parse,
        patience: float | None = watching.PATIENCE) -> None:
  """Runs a program, as `app.run` does.

  A mistake of the user's, too little memory, a missing device, Ctrl-C and a
  reader that closed stdout end in one line and a status, not in a traceback.
  Characters that stdout cannot encode are printed as escapes.

  Args:
    main: The program.
    lower: Flags whose values decide how much memory it needs.
    common: Flags that --help shows; all but members' arguments if empty.
    takes_words: Whether it takes more than flags.
    needs_flags: Whether it prints its help if it gets no flag at all.
    parse_flags: Parses the flags.
    patience: See `watching.interruptible`.
  """
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
  try:
    with _one_line(lower), watching.interruptible(
        lambda: _INTERRUPTED, patience):
      app.run(main, flags_parser=command_line.reader(
          sys.modules[main.__module__], common=common, takes_words=takes_words,
          needs_flags=needs_flags, parse_flags=parse_flags))
  finally:
    _ignore_interrupts()


def leave(status: int, message: str) -> NoReturn:
  """Ends the program with one line on stderr."""
  print(message, file=sys.stderr)
  sys.exit(status)


def _ignore_interrupts():
  """Ignores Ctrl-C from now on: the end of Python would print a traceback."""
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def describe(error: Exception, lower: str) -> str | None:
  """Returns one line on what the machine lacks; None for another error.

  Args:
    error: An error of JAX, NumPy or Python.
    lower: Flags whose values decide how much memory is needed.
  """
  text = " ".join(str(error).split())
  if isinstance(error, MemoryError) or re.search(
      r"RESOURCE_EXHAUSTED|[Oo]ut of memory", text):
    found = _BYTES.search(text)
    asked = f": {found[1]} {found[2]} were asked for" if found else ""
    return f"out of memory{asked}; lower {lower}"
  if isinstance(error, OverflowError) and re.search(
      "jitted computation|int32", text):
    return f"a size is beyond int32 ({text}); lower {lower}"
  if isinstance(error, RuntimeError | AssertionError):
    return _no_device()
  return None


def _no_device():
  """Returns a line if JAX has no device; it raises various errors then."""
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:
    reason = " ".join(str(error).split()) or "no such device"
    return (f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')} does not work"
            f" here: {reason}; set JAX_PLATFORMS=cpu, or leave it out")
  return None


@contextlib.contextmanager
def _one_line(lower: str) -> Iterator[None]:
  try:
    try:
      yield
    finally:
      sys.stdout.flush()  # Not at exit, where its error cannot be caught.
  except BrokenPipeError:
    # What is left in the buffer would fail again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(EXIT_PIPE)
  except KeyboardInterrupt:
    _ignore_interrupts()
    leave(EXIT_INTERRUPTED, _INTERRUPTED)
  except (UsageError, OSError) as error:
    leave(EXIT_USAGE, f"error: {error}")
  except Exception as error:
    if _is_of_interrupt(error):
      leave(EXIT_INTERRUPTED, _INTERRUPTED)
    line = describe(error, lower)
    if line is None:
      raise
    leave(EXIT_RESOURCES, f"error: {line}")


def _is_of_interrupt(error: BaseException | None) -> bool:
  """Returns whether a library has turned Ctrl-C into an error of its own."""
  while error is not None and not isinstance(error, KeyboardInterrupt):
    error = error.__cause__ or error.__context__
  return error is not None
