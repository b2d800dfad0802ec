"""Helpers of the tests of `launch`: a tiny run, and programs in-process."""

import json
import pathlib
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np
from absl import app, logging
from config_helpers import own_flags
from tensorboardX.proto import event_pb2

from launch.configs import build, checks
from launch.configs import config as config_lib
from launch.learning.learner import RunState
from launch.learning.trainer import Trainer
from launch.runs import Run, reporting
from rmc_nalu_sam import CORES

ROOT = pathlib.Path(__file__).parent.parent

TINY_TASK = dict(num_bits=3, min_length=2, max_length=2)
# A core gets the arguments that its constructor takes.
_TINY_SIZES = dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2,
                   top_k=3, num_links=2, num_read_heads=2, head_size=5,
                   num_registers=3)


def small_core(core: str) -> dict[str, Any]:
  """Returns arguments that make a core small, by one rule for all cores."""
  valid = CORES.arguments(core)
  return {name: size for name, size in _TINY_SIZES.items() if name in valid}


def tiny_config(core: str = "lstm", core_args: Any = None,
                task_args: Any = None,
                member_args: Mapping[str, Mapping[str, Any]] | None = None,
                num_devices: int | None = None, **fields: Any):
  """Returns a configuration that trains in seconds, compilation included.

  Args:
    core: name of the core.
    core_args: arguments of the core; those of `small_core` by default.
    task_args: arguments of the task; those of a tiny copy task by default.
    member_args: maps other kinds, such as 'optimizer', to arguments.
    num_devices: number of devices that it must use; all by default.
    **fields: other fields of the run.
  """
  fields = dict(core=core, batch_size=8, eval_episodes=24) | fields
  config = config_lib.resolve(
      config_lib.NO_PRESET, fields,
      {"task": TINY_TASK if task_args is None else task_args,
       "core": small_core(core) if core_args is None else core_args,
       **(member_args or {})})
  checks.check(config, num_devices or jax.local_device_count())
  return config


def tiny_flags(core: str = "lstm", **fields: Any) -> list[str]:
  """Returns `tiny_config` as a command line, without --workdir."""
  fields = dict(core=core, batch_size=8, eval_episodes=24) | fields
  members = ([("core", item) for item in small_core(core).items()]
             + [("task", item) for item in TINY_TASK.items()])
  return ([f"--{name}={value}" for name, value in fields.items()]
          + [f"--{kind}.{name}={value}" for kind, (name, value) in members])


def make_trainer(config, num_devices: int | None = None) -> Trainer:
  """Returns the trainer of a run on the first few devices, or on all."""
  return build.make_trainer(config, build.make_task(config),
                            devices=jax.local_devices()[:num_devices])


def run(program: Any, *argv: Any) -> int:
  """Runs a program's `run` in this process; returns its exit status.

  Args:
    program: the module.
    *argv: command line, without the program's name.
  """
  filters = list(logging.get_absl_logger().filters)
  handler = signal.getsignal(signal.SIGINT)

  def parse_and_run(main, flags_parser):
    main(flags_parser(["program", *map(str, argv)]))

  try:
    with own_flags(), mock.patch.object(app, "run", parse_and_run):
      program.run()
  except SystemExit as error:
    return error.code
  finally:
    signal.signal(signal.SIGINT, handler)
    logging.get_absl_logger().filters[:] = filters
  return 0


def start(command: list[Any]) -> subprocess.Popen:
  """Starts Python in a child process; the output is text, and piped."""
  return subprocess.Popen(
      [sys.executable, *map(str, command)], cwd=ROOT, text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE)


def interrupt(process: subprocess.Popen, after: str = "") -> tuple[str, str]:
  """Sends SIGINT to a program of `start`; returns what it printed after that.

  Args:
    process: the program.
    after: the first line of its stdout, to wait for.
  """
  try:
    assert not after or process.stdout.readline() == after
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=300)
  finally:
    process.kill()


def records(workdir: pathlib.Path, split: str | None = None):
  """Returns the stored records without times."""
  found = [json.loads(line) for line in
           (workdir / "metrics.jsonl").read_text().splitlines()]
  for record in found:
    for name in reporting.MEASURED:
      record.pop(name, None)
  return [record for record in found if split in (None, record["split"])]


def board_events(workdir: pathlib.Path) -> list[Any]:
  """Returns TensorBoard's events; a record is length, crc, data, crc."""
  found = []
  for path in sorted((workdir / "tensorboard").glob("events.out.tfevents.*")):
    data = path.read_bytes()
    while data:
      length, = struct.unpack_from("<Q", data)
      found.append(event_pb2.Event.FromString(data[12:12 + length]))
      data = data[16 + length:]
  assert found
  return found


def board_values(workdir: pathlib.Path) -> list[tuple[str, int, Any]]:
  """Returns tag, step and value of what TensorBoard shows."""
  return [(value.tag, event.step, value) for event in board_events(workdir)
          for value in event.summary.value]


def saved_steps(workdir: pathlib.Path) -> list[int]:
  """Returns the steps of the checkpoints."""
  return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir()
                if path.name.isdigit())


def saved_state(workdir: pathlib.Path) -> RunState:
  """Returns the newest checkpoint; checks that all of it is finite."""
  run_ = Run(workdir)
  like = build.make_trainer(
      run_.config, build.make_task(run_.config)).empty_state()
  manager = run_.checkpoints()
  state = manager.restore(like)
  manager.close()
  assert state is not None
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
  return state


def assert_same(a: Any, b: Any) -> None:
  """Compares two trees bit by bit."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  assert jax.tree.leaves(a)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def differ(a: Any, b: Any) -> bool:
  """Returns whether any number of two trees differs."""
  return any(np.asarray(x != y).any() for x, y in zip(
      jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
