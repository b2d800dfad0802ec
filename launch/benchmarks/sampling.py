"""How much of an update goes into drawing its episodes.

Episodes are drawn on the device, in the program of the update itself: there is
no host to wait for, and what the data costs is what it computes. It is measured
alone, in turns with whole updates of the task's preset.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import tasks
from launch import config as config_lib
from launch import devices, training
from launch import keys as keys_lib
from launch.benchmarks import measure
from launch.benchmarks.scaling import Options

# Preset, and arguments of its task.
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("learning_to_execute", dict(operation=operation)) for operation in
      ("addition", "control", "program", "copy", "reverse", "double")),
    # The paper's size.
    ("learning_to_execute",
     dict(operation="program", max_length=5, max_nesting=2)),
    ("nth_farthest", {}),
    ("sam_copy", {}),
    ("arithmetic", dict(operation="mul")),
)
UPDATES = 20  # In one call.


class _Program:
  """As `measure.Timed`: calls of `UPDATES` steps."""

  def __init__(self, label: str, call: Callable[[], Any]):
    self.case = measure.Case(label, "", (), 1, UPDATES)
    self._call = call
    self.run()  # Compiles it.

  def run(self) -> float:
    start = time.perf_counter()
    jax.block_until_ready(self._call())
    return time.perf_counter() - start


def sampling(options: Options) -> dict[str, Any]:
  """Milliseconds of an update, and of the episodes in it, by task."""
  deadline = time.monotonic() + options.time_limit
  rows: list[dict[str, Any]] = []
  for preset, args in CASES:
    rows.append(_row(preset, args, options.repeats, deadline))
    options.report(_result(rows))
  return _result(rows)


def _result(rows):
  lines = [["preset", "arguments", "ms an update", "ms drawing", "share"]]
  for row in rows:
    lines.append([
        row["preset"], " ".join(f"{k}={v}" for k, v in row["args"].items()),
        f"{row['update']['median'] * 1e3:.3g}",
        f"{row['draw']['median'] * 1e3:.3g}", f"{row['share']:.3f}"])
  return dict(rows=rows, table=lines, title="share of an update in its data")


def _row(preset, args, repeats, deadline):
  config = config_lib.resolve(preset, {}, dict(task=args))
  config_lib.check(config, jax.local_device_count())
  task = tasks.make_task(config.task, **config.task_args)
  times = measure.interleaved(
      [_update(config, task), _draw(config, task)], repeats, deadline)
  return dict(preset=preset, args=args, **times,
              share=times["draw"]["median"] / times["update"]["median"])


def _update(config, task):
  trainer = training.Trainer(config, task)
  state = trainer.put(trainer.initial_state())

  def call():
    nonlocal state
    state, _ = trainer.train(state, None, UPDATES)
    return state.params

  return _Program("update", call)


def _draw(config, task):
  """The episodes of as many updates, on all devices; every number is used."""
  count = jax.local_device_count()

  def draw(key_data):
    keys = keys_lib.wrap(key_data, config.rng)
    data = task.instance(keys.instance)

    def step(total, index):
      key = jax.random.fold_in(keys.train, index)
      batch = task.sample_from_keys(
          jax.random.split(key, config.batch_size // count), None, data)
      return total + sum(x.sum() for x in jax.tree.leaves(batch)), None

    return jax.lax.scan(step, jnp.zeros(()), jnp.arange(UPDATES))[0]

  key_data = devices.replicate(
      keys_lib.unwrap(keys_lib.make_keys(config.seed, config.rng)))
  call = jax.pmap(draw)
  return _Program("draw", lambda: call(key_data))
