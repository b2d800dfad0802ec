"""Time and memory of one forward and backward pass of a core."""

import dataclasses
import functools
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import rmc_nalu_sam

INPUT_SIZE = OUTPUT_SIZE = 8
TURN = 1.0  # Seconds.
ABSENT = "absent: it needs PyTorch, pip install -e '.[benchmark]'"


@dataclasses.dataclass(frozen=True)
class Case:
  """What is measured.

  Attributes:
    label: for tables and pictures.
    core: name in `CORES`.
    core_args: its arguments, as pairs.
    batch_size: B.
    num_steps: T, of one call.
  """

  label: str
  core: str
  core_args: tuple[tuple[str, Any], ...]
  batch_size: int
  num_steps: int

  @property
  def num_slots(self) -> int:
    return dict(self.core_args)["num_slots"]


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes that the compiled program needs, by the compiler's own account.

  Attributes:
    state: the core's state at the start, given and returned in place.
    other: all the rest but parameters, their gradients and inputs.
  """

  state: int
  other: int

  @property
  def total(self) -> int:
    return self.state + self.other


class Timed(Protocol):
  """What `interleaved` takes turns with."""

  @property
  def case(self) -> Case:
    """What it is."""

  def run(self) -> float:
    """Seconds of one call."""


class Program:
  """A compiled pass: loss and gradients of a sequence, from an empty memory.

  The core's state is handed in, donated and handed back, so that no array of
  it is made anew; a core that can `forget` starts from a used state.
  """

  def __init__(self, case: Case):
    """Compiles it; makes no array that grows with the number of slots."""
    self.case = case
    self._model = rmc_nalu_sam.make_model(
        case.core, OUTPUT_SIZE, **dict(case.core_args))
    # Parameters do not depend on the number of slots.
    small = dict(case.core_args) | {"num_slots": 64}
    inputs = jax.random.normal(
        jax.random.key(0), [case.num_steps, case.batch_size, INPUT_SIZE])
    self._params = rmc_nalu_sam.make_model(
        case.core, OUTPUT_SIZE, **small).init(jax.random.key(1), inputs)
    self._inputs = inputs
    state = jax.eval_shape(
        lambda: self._model.initial_state(self._params, case.batch_size))
    self.compiled = jax.jit(self._call, donate_argnums=2).lower(
        self._params, inputs, state).compile()
    self._state: Any = None
    self.memory = self._account(state)

  def _call(self, params, inputs, state):
    def loss(params, inputs, state):
      if self._model.forget is not None:
        state = self._model.forget(params, state)
      outputs, state = self._model.unroll(params, inputs, state)
      return jnp.square(outputs).mean(), state

    grad = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (value, state), gradients = grad(params, inputs, state)
    return value, gradients, state

  def _account(self, state) -> Memory:
    analysis: Any = self.compiled.memory_analysis()
    size = sum(int(np.prod(x.shape)) * x.dtype.itemsize
               for x in jax.tree.leaves(state))
    gradients = sum(x.nbytes for x in jax.tree.leaves(
        (self._params, self._inputs)))
    outputs = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return Memory(size, analysis.temp_size_in_bytes + max(
        outputs - gradients, 0))

  def prepare(self) -> None:
    """Makes the state: a memory that is full, its index as after long use."""
    self._state = jax.jit(functools.partial(
        self._model.initial_state, batch_size=self.case.batch_size))(
            self._params)
    access = self._state.access
    fields: dict[str, Any] = {"memory": _random_rows(access.memory)}
    if getattr(access, "usage", None) is not None and hasattr(
        access.usage, "after"):
      fields["usage"] = _random_ring(access.usage)
    if hasattr(getattr(access, "index", None), "buckets"):
      num_slots = access.memory.shape[1]
      buckets = np.random.default_rng(0).integers(
          0, num_slots, access.index.buckets.shape, np.int32)
      fields["index"] = access.index._replace(buckets=jnp.asarray(buckets))
    self._state = self._state._replace(access=access._replace(**fields))
    self.run()

  def run(self) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    value, gradients, state = self.compiled(
        self._params, self._inputs, self._state)
    jax.block_until_ready((value, gradients, state))
    seconds = time.perf_counter() - start
    self._state = state
    if not np.isfinite(value):
      raise FloatingPointError(f"{self.case.label}: loss {value}")
    return seconds

  def release(self) -> None:
    """Frees the state."""
    self._state = None


def peak_growth(run: Callable[[], Any]) -> int | None:
  """Bytes by which the process grew, at most, while `run` ran.

  The kernel's own account, as a check of the compiler's; None where it cannot
  be had (it is Linux's).
  """
  try:
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # The peak, to now.
    before = _status("VmRSS")
    run()
    return max(_status("VmHWM") - before, 0)
  except OSError:
    return None


def _status(name):
  """A line of the process's status, in bytes."""
  text = pathlib.Path("/proc/self/status").read_text()
  (line,) = [x for x in text.splitlines() if x.startswith(name + ":")]
  return int(line.split()[1]) * 1024


def _random_rows(memory):
  return jax.jit(lambda: jax.random.normal(
      jax.random.key(2), memory.shape, memory.dtype))()


def _random_ring(usage):
  """All rows in a random order, the same for each batch element."""
  batch_size, length = usage.after.shape
  order = np.random.default_rng(0).permutation(length - 1)
  ring = np.concatenate([order, [length - 1]]).astype(np.int32)
  after, before = np.empty_like(ring), np.empty_like(ring)
  after[ring] = np.roll(ring, -1)
  before[ring] = np.roll(ring, 1)
  return type(usage)(*(jnp.asarray(np.tile(x, (batch_size, 1)))
                       for x in (after, before)))


def interleaved(programs: Sequence[Timed], repeats: int,
                deadline: float) -> Mapping[str, dict[str, float]]:
  """Seconds a step of each program, measured in turns.

  A turn lasts `TURN` seconds or one call, and counts as their mean: a call of
  a fast program is short beside what else the machine does.

  Args:
    programs: prepared ones.
    repeats: turns of each, fewer where the time is up.
    deadline: by `time.monotonic`; each runs at least once.

  Returns:
    Label -> median, lowest and highest seconds a step, and number of turns.
  """
  seconds: dict[str, list[float]] = {p.case.label: [] for p in programs}
  for repeat in range(repeats):
    for program in programs:
      if repeat and time.monotonic() > deadline:
        continue
      calls = [program.run()]
      while sum(calls) < TURN:
        calls.append(program.run())
      seconds[program.case.label].append(
          statistics.mean(calls) / program.case.num_steps)
  return {label: dict(median=statistics.median(values), low=min(values),
                      high=max(values), turns=len(values))
          for label, values in seconds.items()}
