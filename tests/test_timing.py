"""Time of compilation and of waiting for data, by a clock that is set."""

import jax
import jax.monitoring
import pytest

from launch.learning.watching import timing

TRACE = "/jax/core/compile/jaxpr_trace_duration"
XLA = "/jax/core/compile/backend_compile_duration"


class Clock:
  now = 100.

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


def happens(clock, event, start, end):
  clock.now = end
  jax.monitoring.record_event_duration_secs(event, end - start)


def test_parts_within_parts_count_once(clock):
  with timing.Meter(clock) as meter:
    happens(clock, TRACE, 101, 102)  # Within the next one.
    happens(clock, TRACE, 103, 104)
    happens(clock, TRACE, 100, 105)
    happens(clock, XLA, 107, 110)
    assert meter.compile_seconds == pytest.approx(8)
    happens(clock, "/jax/another_duration", 110, 119)
    assert meter.compile_seconds == pytest.approx(8)
  happens(clock, XLA, 120, 130)  # The meter is closed.
  assert meter.compile_seconds == pytest.approx(8)
  assert meter.data_seconds == 0


def test_compilation_is_not_data(clock):
  with timing.Meter(clock) as meter:
    happens(clock, XLA, 101, 103)
    happens(clock, timing._DATA, 100, 110)
    happens(clock, XLA, 111, 115)
  assert meter.compile_seconds == pytest.approx(6)
  assert meter.data_seconds == pytest.approx(8)


def test_jax_reports_compilations():
  with timing.Meter() as meter:
    function = jax.jit(lambda x: x * 17 + 3)
    function(1.)
    first = meter.compile_seconds
    assert first > 0
    function(2.)
    assert meter.compile_seconds == first
    with timing.waiting_for_data():
      pass
    assert meter.data_seconds > 0
