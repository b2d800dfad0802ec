"""Measures the share of an update that goes into drawing its episodes.

Episodes are drawn on the device, within the program of the update, so data
costs computation only. Drawing is measured alone, in turns with whole updates
of the task's preset.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp

from launch.benchmarks import measure
from launch.benchmarks.scaling import Options
from launch.configs import build, checks
from launch.configs import config as config_lib
from launch.learning import keys as keys_lib
from launch.runs.progress import counting

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


def sampling(options: Options) -> dict[str, Any]:
  """Measures an update, and the drawing of its episodes, for each task."""
  deadline = time.monotonic() + options.time_limit
  rows: list[dict[str, Any]] = []
  for preset, args in counting.counted(CASES, lambda case: case[0]):
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
  checks.check(config, jax.local_device_count())
  task: Any = build.make_task(config)
  trainer = build.make_trainer(config, task)
  times = measure.interleaved(
      [measure.training("update", trainer, None, UPDATES),
       _draw(trainer)], repeats, deadline)
  return dict(preset=preset, args=args, **times,
              share=times["draw"]["median"] / times["update"]["median"])


def _draw(trainer):
  """Draws the episodes of as many updates on all devices, and uses them all."""
  task, batch_size = trainer.learner.task, trainer.learner.batch_size
  generator = "threefry"

  def draw(share, key_data, state, data):
    del state, data
    keys = keys_lib.wrap(key_data, generator)
    instance = task.instance(keys.instance)

    def step(total, index):
      key = jax.random.fold_in(keys.train, index)
      batch = task.sample_from_keys(
          jax.random.split(key, batch_size // share.num_parts), None, instance)
      return total + sum(x.sum() for x in jax.tree.leaves(batch)), None

    return jax.lax.scan(step, jnp.zeros(()), jnp.arange(UPDATES))[0]

  layout = trainer.layout
  key_data = layout.put_keys([keys_lib.unwrap(keys_lib.make_keys(
      trainer.seeds[0], generator))])
  call = layout.compile(draw)
  return measure.Calls(
      "draw", lambda: call(key_data, None, None), UPDATES)
