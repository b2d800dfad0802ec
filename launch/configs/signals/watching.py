"""Ctrl-C at any moment, even while XLA compiles or runs.

Python runs its own handlers between two of its instructions, so they wait for C
code to return, and XLA compiles for minutes. A thread hears of a signal at
once.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from launch import EXIT_INTERRUPTED

PATIENCE = 1.  # Seconds in which C code may return before the process ends.


@contextlib.contextmanager
def watched(react: Callable[[int], None]) -> Iterator[None]:
  """Calls a function with the number of each signal, in a thread.

  It reacts only to signals that have a handler in Python. Enter the context
  in the main thread.

  Args:
    react: called once a signal, one call after the other.
  """
  reader, writer = socket.socketpair()
  writer.setblocking(False)
  old = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
  thread = threading.Thread(target=_listen, args=(reader, react), daemon=True)
  thread.start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(old)
    writer.close()
    thread.join()
    reader.close()


def _listen(reader, react):
  while number := reader.recv(1):
    react(number[0])


def end(line: str) -> NoReturn:
  """Ends the process at once, with a line on stderr."""
  start = "\n" if os.isatty(2) else ""  # A bar may be there.
  os.write(2, f"{start}{line}\n".encode(errors="backslashreplace"))
  os._exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def interruptible(line: Callable[[], str], patience: float | None = PATIENCE
                  ) -> Iterator[None]:
  """Raises KeyboardInterrupt on Ctrl-C; if that takes long, ends the process.

  A second Ctrl-C ends it at once. So does an interrupt that Python would print
  and forget, as in a finaliser. Does nothing in another thread than the main
  one, or if something else handles SIGINT.

  Args:
    line: returns what to print when the process ends here.
    patience: seconds that C code has to return. None waits for ever: there is
      something to write that would be lost.
  """
  if (threading.current_thread() is not threading.main_thread()
      or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None)):
    yield
    return
  raised = threading.Event()
  def handler(*_):
    raised.set()
    raise KeyboardInterrupt

  count = 0

  def react(number):
    nonlocal count
    count += number == signal.SIGINT
    if count > 1 or (
        count and patience is not None and not raised.wait(patience)):
      end(line())

  old = signal.signal(signal.SIGINT, handler)
  try:
    with watched(react), _nothing_forgotten(line):
      yield
  finally:
    # The main thread of a program that has ended ignores the signal.
    if signal.getsignal(signal.SIGINT) is handler:
      signal.signal(signal.SIGINT, old)


@contextlib.contextmanager
def _nothing_forgotten(line):
  show = sys.unraisablehook

  def hook(unraisable):
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
      end(line())
    show(unraisable)

  sys.unraisablehook = hook
  try:
    yield
  finally:
    if sys.unraisablehook is hook:
      sys.unraisablehook = show
