"""Measures updates on 1, 2 and 4 devices, and the cost of the collectives.

Each preset is trained with the same batches on every number of devices: more
devices have smaller shares of them. Beside each program runs the same one whose
means over the devices are left out. (Its devices then learn apart.) All
programs of a preset take turns in one process, so that ratios hold on a busy
machine.
"""

import time
from typing import Any

import jax

from launch.benchmarks import measure
from launch.benchmarks.scaling import Options, chosen
from launch.configs import build, checks
from launch.configs import config as config_lib
from launch.configs.config import UsageError
from launch.learning import layout
from launch.learning.trainer import Trainer
from launch.runs.progress import counting

PRESETS = ("sam_copy", "nth_farthest", "minipacman")
COUNTS = (1, 2, 4)
UPDATES = 4  # In one call.


class Apart(layout.SplitBatch):
  """Lets each device update by the gradients of its own share."""

  def share(self):
    return super().share()._replace(mean=lambda tree: tree)


def devices(options: Options) -> dict[str, Any]:
  """Measures the updates of some presets on several numbers of devices.

  Args:
    options: the user's choices; their `sizes` are numbers of devices, and their
      `models` are presets.

  Raises:
    ValueError: there are not so many devices, or no such preset.
  """
  counts = tuple(options.sizes) or COUNTS
  _check(counts)
  presets = list(chosen(dict.fromkeys(PRESETS), options))
  deadline, rows = time.monotonic() + options.time_limit, []
  for preset in counting.counted(presets):
    rows += _rows(preset, counts, options.repeats, deadline)
    options.report(_result(rows))
  return _result(rows)


def _check(counts):
  there = jax.local_device_count()
  if max(counts) > there:
    raise UsageError(
        f"{max(counts)} devices are asked for, and there are {there}; on a CPU "
        f"add --cpu_devices={max(counts)}, or give --sizes of at most {there}")


def _rows(preset, counts, repeats, deadline):
  config = config_lib.resolve(preset, {}, {})
  for count in counts:
    checks.check(config, count)
  task: Any = build.make_task(config)
  learner = build.make_learner(config, task)
  programs = [_program(_label(kind, count), learner, kind, count)
              for count in counts for kind in (layout.SplitBatch, Apart)]
  times = measure.interleaved(programs, repeats, deadline)
  rows: list[dict[str, Any]] = []
  for count in counts:
    together, apart = (times[_label(kind, count)]
                       for kind in (layout.SplitBatch, Apart))
    rows.append(dict(
        preset=preset, devices=count, time=together, apart=apart,
        items=learner.frames or learner.batch_size,
        collectives=1 - apart["median"] / together["median"]))
  for row in rows:
    row["efficiency"] = (
        rows[0]["time"]["median"] * rows[0]["devices"]
        / (row["time"]["median"] * row["devices"]))
  return rows


def _label(kind, count):
  return f"{kind.__name__} {count}"


def _program(label, learner, kind, count):
  trainer = Trainer(learner, kind(jax.local_devices()[:count]))
  return measure.training(label, trainer, None, UPDATES)


def _result(rows):
  lines = [["preset", "devices", "updates/s", "items/s", "spread of ms",
            "efficiency", "collectives"]]
  for row in rows:
    times = row["time"]
    lines.append([
        row["preset"], str(row["devices"]), f"{1 / times['median']:.3g}",
        f"{row['items'] / times['median']:,.0f}",
        f"{times['low'] * 1e3:.3g} to {times['high'] * 1e3:.3g}",
        f"{row['efficiency']:.2f}", f"{row['collectives']:.2f}"])
  return dict(rows=rows, table=lines, title=(
      "items: episodes, or steps of environments; efficiency: speed per device "
      "against the first row;\ncollectives: share of the time that is gone "
      "without the means over devices"))
