"""What several processes that train one run together do alike.

Each process runs the same program on its own devices. Process 0 alone touches
the run's folder and prints. What depends on a clock, a signal or a file is
decided by process 0 or by all, and is the same in all processes. In a run of
one process, these functions communicate nothing.
"""

import contextlib
import os
import pickle
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from launch.configs import endings
from launch.configs.config import EXIT_USAGE, UsageError

T = TypeVar("T")


def is_first() -> bool:
  """Returns whether this is the process that writes and prints."""
  return jax.process_index() == 0


def on_first(function: Callable[[], T]) -> T:
  """Returns in all processes what a function returns in process 0.

  Only process 0 calls it. All processes must come here, and wait for it.

  Args:
    function: its result is small, and can be pickled.

  Raises:
    UsageError: the function raised it. The other processes leave silently with
      the same status.
  """
  if jax.process_count() == 1:
    return function()
  sent = b""
  if is_first():
    try:
      sent = pickle.dumps((function(), None))
    except UsageError as error:
      sent = pickle.dumps((None, str(error)))
  value, refused = pickle.loads(_broadcast(sent))
  if refused is None:
    return value
  part()
  if is_first():
    raise UsageError(refused)
  sys.exit(EXIT_USAGE)


def tree_of_first(function: Callable[[], Any], like: Any) -> Any:
  """Returns in all processes the tree that a function returns in process 0.

  Args:
    function: returns arrays on the host, or None; may raise a UsageError.
    like: a tree of the same structure, shapes and dtypes.
  """
  if jax.process_count() == 1:
    return function()
  found: list[Any] = []

  def call():
    found.append(function())
    return found[0] is not None

  if not on_first(call):
    return None
  return multihost_utils.broadcast_one_to_all(found[0] if found else like)


def check_same(what: str, value: Any) -> None:
  """Refuses a value that is not the same in all processes.

  Args:
    what: for the message.
    value: with a `repr` that tells it from others.

  Raises:
    UsageError: another process has another value.
  """
  digests = np.ravel(multihost_utils.process_allgather(
      np.uint32(zlib.crc32(repr(value).encode()))))
  others = np.flatnonzero(digests != digests[0])
  if others.size:
    part()
    raise UsageError(
        f"process {others[0]} has other {what} than process 0; start all "
        "processes with the same command, but for --process_id")


def says_first(value: bool) -> bool:
  """Returns in all processes what process 0 says."""
  if jax.process_count() == 1:
    return value
  return bool(multihost_utils.broadcast_one_to_all(np.int32(value)))


def must_end(was_interrupted: bool, event: int) -> bool:
  """Returns in all processes whether training must end now.

  It must if any process was interrupted, or if one is to be preempted (it got
  SIGTERM). JAX chooses the event at which all processes hear of the latter.

  Args:
    was_interrupted: whether this process was.
    event: counts the calls of this function: 1, 2 and so on. JAX chooses the
      next number, so none may be left out.
  """
  if jax.process_count() == 1:
    return was_interrupted
  is_preempted = multihost_utils.reached_preemption_sync_point(event)
  interrupted = multihost_utils.process_allgather(np.int32(was_interrupted))
  return bool(is_preempted or np.any(interrupted))


def part() -> None:
  """Waits for all processes, and parts from them; then each may end."""
  jax.distributed.shutdown()


def leave(status: int, message: str) -> NoReturn:
  """Ends all processes with a status, and one line of process 0 on stderr."""
  part()
  if is_first():
    endings.leave(status, message)
  sys.exit(status)


@contextlib.contextmanager
def failing_alone() -> Iterator[None]:
  """Ends this process at once if it fails while the others go on.

  The usual end would wait for them, and they wait for this process. JAX ends
  them once they miss it.
  """
  try:
    yield
  except BaseException as error:
    if not jax.distributed.is_initialized():
      raise
    status = error.code if isinstance(error, SystemExit) else 1
    if not isinstance(error, SystemExit):
      traceback.print_exc()
    if status:
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(status if isinstance(status, int) else 1)
    raise


def _broadcast(sent: bytes) -> bytes:
  """Returns in all processes the bytes of process 0."""
  size = int(multihost_utils.broadcast_one_to_all(np.int32(len(sent))))
  data = np.frombuffer(sent.ljust(size), np.uint8)
  return multihost_utils.broadcast_one_to_all(data).tobytes()
