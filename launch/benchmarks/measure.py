"""Measures time and memory of one forward and backward pass of a core."""

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
from launch.runs.progress import counting

INPUT_SIZE = OUTPUT_SIZE = 8
TURN = 1.0  # Seconds.
ABSENT = "absent: it needs PyTorch, pip install -e '.[benchmark]'"


@dataclasses.dataclass(frozen=True)
class Case:
  """Describes what to measure.

  Attributes:
    label: for tables and pictures.
    core: name in `CORES`.
    core_args: its arguments, as pairs.
    batch_size: B.
    num_steps: T, steps of one call.
  """

  label: str
  core: str
  core_args: tuple[tuple[str, Any], ...]
  batch_size: int
  num_steps: int

  @property
  def num_slots(self) -> int:
    """Returns the number of slots of the memory."""
    return dict(self.core_args)["num_slots"]


@dataclasses.dataclass(frozen=True)
class Memory:
  """Holds the bytes that a compiled program needs, as the compiler reports.

  Attributes:
    state: of the core's state, which is updated in place.
    other: of everything else except parameters, their gradients and inputs.
  """

  state: int
  other: int

  @property
  def total(self) -> int:
    """Returns the sum of both."""
    return self.state + self.other


class Timed(Protocol):
  """Represents a program that `interleaved` can time."""

  @property
  def case(self) -> Case:
    """What the program measures."""

  def run(self) -> float:
    """Calls it once, and returns the seconds."""


class Program:
  """Compiles loss and gradients of a sequence, from an empty memory.

  The core's state is passed in, donated and returned, so that none of its
  arrays is allocated. A core that can `forget` starts from a used state.
  """

  def __init__(self, case: Case):
    """Compiles a case; allocates no array that grows with the slots."""
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
      if self._model.can_forget:
        state = self._model.forget(params, state)
      unrolled = self._model.unroll(params, None, inputs, state)
      return jnp.square(unrolled.outputs).mean(), unrolled.state

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
    """Allocates the state: a full memory, as after long use."""
    state = jax.jit(functools.partial(
        self._model.initial_state, batch_size=self.case.batch_size))(
            self._params)
    self._state = jax.tree_util.tree_map_with_path(
        functools.partial(_used, num_slots=self.case.num_slots), state)
    self.run()

  def run(self) -> float:
    """Calls it once, and returns the seconds."""
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
  """Returns the most bytes by which the process grew during `run`.

  They come from the Linux kernel, and check what the compiler reports; None on
  other systems.
  """
  try:
    # Resets the peak to the present size.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return max(_status("VmHWM") - before, 0)
  except OSError:
    return None


def _status(name):
  """Returns a line of the process's status, in bytes."""
  text = pathlib.Path("/proc/self/status").read_text()
  (line,) = [x for x in text.splitlines() if x.startswith(name + ":")]
  return int(line.split()[1]) * 1024


def _used(path, leaf: jax.Array, num_slots: int) -> jax.Array:
  """Returns an array of a core's state as after long use, by its name.

  Words are random. The order of the slots (a ring of `after` and `before`) is a
  random one. Buckets of an index hold random slots. Other arrays stay as they
  are.
  """
  name = getattr(path[-1], "name", None)
  if name == "memory":
    return jax.jit(lambda: jax.random.normal(
        jax.random.key(2), leaf.shape, leaf.dtype))()
  if name in ("after", "before") and leaf.shape[1:] == (num_slots + 1,):
    return _random_ring(name, leaf)
  if name == "buckets":
    return jnp.asarray(np.random.default_rng(0).integers(
        0, num_slots, leaf.shape, np.int32))
  return leaf


def _random_ring(name: str, leaf: jax.Array) -> jax.Array:
  """Returns neighbours in a random order, the same for each batch element.

  Args:
    name: 'after' or 'before'.
    leaf: `[B, N + 1]` int32; number N stands for the ends of the order.
  """
  batch_size, length = leaf.shape
  order = np.random.default_rng(0).permutation(length - 1)
  ring = np.concatenate([order, [length - 1]]).astype(np.int32)
  neighbours = np.empty_like(ring)
  neighbours[ring] = np.roll(ring, -1 if name == "after" else 1)
  return jnp.asarray(np.tile(neighbours, (batch_size, 1)))


class Calls:
  """Calls a function that does some steps; a `Timed`."""

  def __init__(self, label: str, call: Callable[[], Any], num_steps: int):
    """Stores a function, and calls it once, to compile it and to warm up.

    Args:
      label: of the program.
      call: returns arrays, which are waited for.
      num_steps: of a call.
    """
    self.case = Case(label, "", (), 1, num_steps)
    self._call = call
    self.run()

  def run(self) -> float:
    """Returns the seconds of a call."""
    start = time.perf_counter()
    jax.block_until_ready(self._call())
    return time.perf_counter() - start


def training(label: str, trainer: Any, data: Any, num_updates: int) -> Calls:
  """Returns a program that trains: each call goes on where the last one ended.

  Args:
    label: of the program.
    trainer: a `Trainer`.
    data: on the devices.
    num_updates: of a call.
  """
  state = trainer.put(trainer.initial_state())

  def call():
    nonlocal state
    state, _ = trainer.train(state, data, num_updates)
    return state.train

  return Calls(label, call, num_updates)


def interleaved(programs: Sequence[Timed], repeats: int,
                deadline: float) -> Mapping[str, dict[str, float]]:
  """Measures the seconds per step of programs that take turns.

  A turn repeats a program for `TURN` seconds, at least once, and counts as the
  mean: one call of a fast program is short against other load on the machine.

  Args:
    programs: prepared ones.
    repeats: turns of each program; fewer after the deadline.
    deadline: by `time.monotonic`; each program runs at least once.

  Returns:
    Label -> median, lowest and highest seconds per step, and number of turns.
  """
  seconds: dict[str, list[float]] = {p.case.label: [] for p in programs}
  turns = [(repeat, program) for repeat in range(repeats)
           for program in programs]
  for repeat, program in counting.counted(
      turns, lambda turn: f"turn {turn[0] + 1} of {turn[1].case.label}",
      passes=True):
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
