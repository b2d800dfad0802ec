"""Measures what training waits for: compilation, and data on the host.

JAX reports how long it compiles to listeners, and `waiting_for_data` reports to
the same ones. So nothing is passed through the code that does either.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax.monitoring

_COMPILING = "/jax/core/compile/"  # Tracing, lowering, and XLA.
_PROGRAM = _COMPILING + "backend_compile_duration"  # XLA alone.
_DATA = "/rmc_nalu_sam/data"


class Meter:
  """Adds up seconds while it is open; use it as a context.

  Compilation reports parts within parts (the trace of a function within that of
  its caller). What overlaps counts once.
  """

  def __init__(self, clock: Callable[[], float] = time.monotonic):
    """Constructs a meter.

    Args:
      clock: returns seconds.
    """
    self._clock = clock
    self._compiling, self._all = _Union(), _Union()
    self._listening = _listening(self._listen)

  def __enter__(self) -> "Meter":
    self._listening.__enter__()
    return self

  def __exit__(self, *details: Any) -> None:
    self._listening.__exit__(*details)

  @property
  def compile_seconds(self) -> float:
    """Seconds of compilation."""
    return self._compiling.seconds

  @property
  def data_seconds(self) -> float:
    """Seconds of `waiting_for_data` without compilation."""
    return self._all.seconds - self._compiling.seconds

  def _listen(self, event: str, duration_secs: float) -> None:
    now = self._clock()
    if event.startswith(_COMPILING) and event.endswith("_duration"):
      self._compiling.add(now - duration_secs, now)
      self._all.add(now - duration_secs, now)
    elif event == _DATA:
      self._all.add(now - duration_secs, now)


class _Union:
  """Adds up intervals, which come in the order of their ends."""

  def __init__(self):
    self._parts: list[tuple[float, float]] = []

  @property
  def seconds(self) -> float:
    return sum(end - start for start, end in self._parts)

  def add(self, start: float, end: float) -> None:
    while self._parts and self._parts[-1][1] > start:
      start = min(start, self._parts.pop()[0])
    self._parts.append((start, end))


@contextlib.contextmanager
def waiting_for_data() -> Iterator[None]:
  """Reports the time spent within to the meters that are open."""
  begun = time.monotonic()
  try:
    yield
  finally:
    jax.monitoring.record_event_duration_secs(
        _DATA, time.monotonic() - begun)


@contextlib.contextmanager
def at_first_program(call: Callable[[], None]) -> Iterator[None]:
  """Calls a function as soon as XLA has compiled a program within."""
  def listen(event: str, _: float) -> None:
    if event == _PROGRAM:
      call()

  with _listening(listen):
    yield


@contextlib.contextmanager
def _listening(listen: Callable[[str, float], None]) -> Iterator[None]:
  """Passes the names and seconds that JAX reports within to a function."""
  is_open = True

  def listen_within(event: str, duration_secs: float, **_: Any) -> None:
    if is_open:
      listen(event, duration_secs)

  jax.monitoring.register_event_duration_secs_listener(listen_within)
  try:
    yield
  finally:
    is_open = False
    # JAX 0.7 has no such function, and goes on calling in vain.
    if unregister := getattr(
        jax.monitoring, "unregister_event_duration_listener", None):
      unregister(listen_within)
