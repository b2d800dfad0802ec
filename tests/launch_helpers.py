"""What the tests of the programs share: a tiny run, and programs in-process."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import numpy as np
from absl import app, flags, logging
from jax.experimental.compilation_cache import compilation_cache

import tasks
from launch import checkpoints, train, training
from launch import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent

TINY_TASK = dict(num_bits=3, min_length=2, max_length=2)
# A core that is not here has its default sizes in the tests.
TINY_CORES: dict[str, dict[str, Any]] = {
    "controlled_nalu": dict(hidden_size=7, num_registers=3),
    "dam": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2),
    "dnc": dict(hidden_size=7, num_slots=11, word_size=5, num_read_heads=2),
    "gru": dict(hidden_size=7),
    "lstm": dict(hidden_size=7),
    "ntm": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2),
    "rnn": dict(hidden_size=7),
    "rmc": dict(num_slots=3, head_size=5, num_heads=2),
    "sam": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2,
                top_k=3),
    "sdnc": dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2,
                 top_k=3, num_links=2),
    "stack": dict(hidden_size=7),
    "ugrnn": dict(hidden_size=7),
    "unit_rnn": dict(hidden_size=7),
}

_CACHE = tempfile.TemporaryDirectory(prefix="test-launch-cache-")
_COMPILE_OPTIONS = {
    "jax_compilation_cache_dir": _CACHE.name,
    "jax_persistent_cache_min_compile_time_secs": 0.,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@contextlib.contextmanager
def fast_compilation() -> Iterator[None]:
  """Compiles the same program once a session.

  Nearly all that these tests do is compile: every run makes a trainer anew.
  """
  before = {name: getattr(jax.config, name) for name in _COMPILE_OPTIONS}
  try:
    for name, value in _COMPILE_OPTIONS.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
  finally:
    for name, value in before.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()


def environment() -> dict[str, str]:
  """For a program in a process of its own: compiled in the same way."""
  return {name.upper(): str(value) for name, value in _COMPILE_OPTIONS.items()}


def tiny_config(core: str = "lstm", core_args: Any = None,
                task_args: Any = None, **fields: Any):
  """A configuration of seconds, compilation included."""
  fields = dict(core=core, batch_size=8, eval_episodes=24) | fields
  config = config_lib.resolve(
      config_lib.NO_PRESET, fields,
      {"task": task_args or TINY_TASK,
       "core": core_args or TINY_CORES.get(core, {})})
  config_lib.check(config, jax.local_device_count())
  return config


def tiny_flags(core: str = "lstm", **fields: Any) -> list[str]:
  """`tiny_config` as a command line, but for --workdir."""
  fields = dict(core=core, batch_size=8, eval_episodes=24) | fields
  members = ([("core", item) for item in TINY_CORES[core].items()]
             + [("task", item) for item in TINY_TASK.items()])
  return ([f"--{name}={value}" for name, value in fields.items()]
          + [f"--{kind}.{name}={value}" for kind, (name, value) in members])


def make_trainer(config) -> Any:
  return train.make_trainer(
      config, tasks.make_task(config.task, **config.task_args))


def run(program: Any, *argv: Any) -> int:
  """Runs a program's `run` on a command line, in this process.

  Returns:
    Its exit status.
  """
  before = set(flags.FLAGS)
  filters = list(logging.get_absl_logger().filters)

  def parse_and_run(main):
    main(flags.FLAGS(["program", *map(str, argv)]))

  try:
    with mock.patch.object(app, "run", parse_and_run):
      program.run()
  except SystemExit as error:
    return error.code
  finally:
    for name in set(flags.FLAGS) - before:
      delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()
    logging.get_absl_logger().filters[:] = filters
  return 0


def start(command: list[Any]) -> subprocess.Popen:
  """Starts Python in a process of its own; its output is text, and piped."""
  return subprocess.Popen(
      [sys.executable, *map(str, command)], cwd=ROOT, text=True,
      env=os.environ | environment(), stdout=subprocess.PIPE,
      stderr=subprocess.PIPE)


def records(workdir: pathlib.Path, split: str | None = None):
  """`metrics.jsonl`, without what the clock says."""
  found = [json.loads(line) for line in
           (workdir / "metrics.jsonl").read_text().splitlines()]
  for record in found:
    record.pop("steps_per_second", None)
    record.pop("seconds", None)
  return [record for record in found if split in (None, record["split"])]


def saved_steps(workdir: pathlib.Path) -> list[int]:
  return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir()
                if path.name.isdigit())


def saved_state(workdir: pathlib.Path) -> training.TrainState:
  """The newest checkpoint; every one of its arrays is there and finite."""
  like = make_trainer(config_lib.load(workdir)).initial_state()
  manager = checkpoints.Checkpoints(workdir)
  state = manager.restore(like)
  manager.close()
  assert state is not None
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
  return state


def assert_same(a: Any, b: Any) -> None:
  """Bit by bit."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  assert jax.tree.leaves(a)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def differ(a: Any, b: Any) -> bool:
  return any(np.asarray(x != y).any() for x, y in zip(
      jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
