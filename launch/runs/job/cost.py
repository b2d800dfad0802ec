"""What a preset costs here: its time and memory on this machine's devices.

The update is compiled, which tells its memory, and a few are done from
parameters of 0, which tells its time. Nothing is written.
"""

import math
import os
import pathlib
import sys
import textwrap
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import ml_collections

from launch.configs import build, checks, waiting
from launch.configs import config as config_lib
from launch.learning.learner import RunState
from launch.learning.trainer import Trainer
from launch.runs.run import Run

SECONDS = 2.  # Of measured updates; at least one is measured.
PATIENCE = 180.  # Seconds for all of it.
# Updates of less time are measured many in a call: a call itself takes time.
_SHORT, _MANY = .02, 50


class Cost(NamedTuple):
  """Holds what was found out; None where it is not known.

  Attributes:
    memory: bytes on each device: parameters, states, data and an update.
    seconds: of an update.
    why: why something is not known; '' if all is.
  """

  memory: int | None
  seconds: float | None
  why: str = ""


def tell(preset: str, fields: Mapping[str, Any],
         of_members: Mapping[str, Mapping[str, Any]]) -> None:
  """Prints what a preset costs here, with these flags.

  Ends the process if that takes too long: nothing else stops a compilation.

  Args:
    preset: its name.
    fields: values of the run's fields in place of the preset's.
    of_members: arguments of members, in the same way.

  Raises:
    UsageError: the flags do not fit the preset.
  """
  config = config_lib.resolve(preset, fields, of_members)
  checks.check(config, None)
  devices = build.make_layout(config).devices
  print("compiling an update to measure it ...", file=sys.stderr, flush=True)
  where = f"{len(devices)} x {devices[0].device_kind}"
  try:
    found = waiting.within(PATIENCE, lambda: measure(config))
  except waiting.TimeIsOver:
    print(describe(config, Cost(
        None, None, f"an update was not compiled and done in {PATIENCE:g} s"),
        where), flush=True)
    os._exit(0)
  print(describe(config, found, where), flush=True)


def describe(config: ml_collections.ConfigDict, cost: Cost, where: str) -> str:
  """Returns a cost for people.

  Args:
    config: of the run.
    cost: of it.
    where: the devices.
  """
  memory = ("memory unknown" if cost.memory is None
            else f"{shown(cost.memory)} of memory on each device for arrays")
  if cost.seconds is None:
    return _filled(f"Here ({where}): {memory}, time unknown: {cost.why}.")
  whole, limit = cost.seconds * config.steps, 60 * config.max_minutes
  stops = (f" (--max_minutes={config.max_minutes:g} ends it before)"
           if 0 < limit < whole else "")
  levels = (" at the first level, more at higher ones"
            if config.curriculum != "none" else "")
  return _filled(
      f"Here ({where}): {memory}, and about {_time(whole)}{stops} for "
      f"{config.steps:,} updates, {_time(cost.seconds)} each{levels}. "
      "Compilation, evaluations and pictures come on top.")


def measure(config: ml_collections.ConfigDict) -> Cost:
  """Compiles and measures updates of a run, if they fit into the memory."""
  run = Run(pathlib.Path(os.devnull), config)
  memory = None
  try:
    trainer = build.make_trainer(config, run.task)
    memory = state_bytes(trainer)
    there = _memory_of(trainer.layout.devices[0])
    if memory > there:
      return Cost(memory, None, f"the states alone are more than the "
                  f"{shown(there)} of a device")
    data = trainer.put_data(run.load_data("train"))
  except config_lib.UsageError as error:
    return Cost(memory, None, f"{error}")
  program = Program(trainer, data, 1)
  memory = program.memory or memory
  if memory > there:
    return Cost(memory, None, f"a device has {shown(there)}")
  seconds = program.seconds()
  if seconds < _SHORT:
    seconds = Program(trainer, data, _MANY).seconds()
  return Cost(memory, seconds)


class Program:
  """Holds compiled updates.

  Attributes:
    memory: bytes on each device, as the compiler reports; None if it does not.
  """

  def __init__(self, trainer: Trainer, data: Any, num_updates: int):
    """Compiles updates.

    Args:
      trainer: of a run.
      data: from `put_data`.
      num_updates: of a call.
    """
    # Random parameters would take longer than the updates.
    train = trainer.empty_state().train
    self._state = trainer.put(RunState(train))
    self._number = num_updates
    compiled, self._call = trainer.compiled(self._state, data, num_updates)
    analysis = compiled.memory_analysis()
    self.memory = None if analysis is None else (
        analysis.argument_size_in_bytes + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes + analysis.temp_size_in_bytes
        + analysis.generated_code_size_in_bytes)

  def seconds(self) -> float:
    """Returns the seconds of an update."""
    self._run()
    begun, calls = time.monotonic(), 0
    while not calls or time.monotonic() - begun < SECONDS:
      self._run()
      calls += 1
    return (time.monotonic() - begun) / (calls * self._number)

  def _run(self):
    self._state = jax.block_until_ready(self._call(self._state))


def state_bytes(trainer: Trainer) -> int:
  """Returns the bytes of parameters, optimiser and core state on a device.

  Allocates nothing.
  """
  learner, layout = trainer.learner, trainer.layout
  train = trainer.empty_state().train
  params = trainer.params_of(train.params, 0)
  size = learner.batch_size // layout.num_parts
  of_core, of_source = (jax.eval_shape(lambda params, make=make: make(
      params, size), params) for make in (
          learner.model.initial_state, learner.source.initial_state))
  per_device = -(-layout.num_seeds // len(layout.devices))
  return (_size(train) * per_device // layout.num_seeds
          + max(_size(of_core), _size(of_source)) * per_device)


def _size(tree) -> int:
  return sum(math.prod(x.shape) * x.dtype.itemsize
             for x in jax.tree.leaves(tree))


def _memory_of(device: jax.Device) -> float:
  """Returns the bytes of a device; a CPU's share of the machine's memory."""
  limit = (device.memory_stats() or {}).get("bytes_limit")
  if limit or device.platform != "cpu" or not hasattr(os, "sysconf"):
    return limit or math.inf
  return (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
          / jax.local_device_count())


def shown(size: float) -> str:
  """Returns a number of bytes for people."""
  return (f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB")


def _time(seconds: float) -> str:
  for limit, unit, size in ((1e-3, "microseconds", 1e-6),
                            (1., "milliseconds", 1e-3), (120., "seconds", 1.),
                            (7200., "minutes", 60.), (172800., "hours", 3600.)):
    if seconds < limit:
      return f"{seconds / size:.3g} {unit}"
  return f"{seconds / 86400:.3g} days"


def _filled(text: str) -> str:
  return textwrap.fill(text, 80, break_long_words=False,
                       break_on_hyphens=False)
