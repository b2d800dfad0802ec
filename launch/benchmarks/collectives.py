"""Counts the bytes that an update averages over devices, for each preset.

Nothing is trained or measured: shapes are traced. It is what a plan for many
devices starts from, see docs/scaling.md.
"""

import math
from typing import Any

import jax

from launch.benchmarks.scaling import Options, chosen
from launch.configs import build, members, sweeps
from launch.configs import config as config_lib
from launch.learning import keys as keys_lib
from launch.learning.agents.acting import Trajectory
from launch.learning.layout import Share
from launch.learning.learner import Learner, RunState
from launch.runs.progress import counting

# A plan's assumptions: a ring of 64 devices, links of 400 Gbit/s, 2 us a hop.
NUM_DEVICES, BANDWIDTH, HOP = 64, 50e9, 2e-6


def collectives(options: Options) -> dict[str, Any]:
  """Returns a row for each preset; `options.models` are presets.

  Raises:
    ValueError: there is no such preset.
  """
  presets = chosen(dict.fromkeys(members.PRESETS), options)
  rows = [_row(preset, options.data_dir)
          for preset in counting.counted(presets)]
  lines = [["preset", "seeds", "batch size", "parameters", "KiB averaged",
            "us of bytes", "us of hops", "KiB drawn"]]
  return dict(rows=rows, table=lines + [_cells(row) for row in rows], title=(
      "-: its files are not in --data_dir;\n"
      "averaged: what each device hands to the means over devices in an update "
      "of one seed\n(several seeds are split instead, and average nothing);"
      f"\nus: of a ring of {NUM_DEVICES} devices with "
      f"{BANDWIDTH / 1e9:g} GB/s and {HOP * 1e6:g} us a hop;\n"
      "drawn: the batch of an update, which the devices draw themselves"))


def ring_seconds(num_bytes: int, num_devices: int = NUM_DEVICES,
                 bandwidth: float = BANDWIDTH, hop: float = HOP
                 ) -> tuple[float, float]:
  """Returns the seconds of a ring all-reduce: of its bytes, and of its hops.

  Each device sends 2 (D - 1) pieces of 1 / D of the bytes, one after the other.

  Args:
    num_bytes: of the tree that is averaged.
    num_devices: D.
    bandwidth: bytes per second that a device sends to its neighbour.
    hop: seconds before the first byte of a piece arrives.
  """
  hops = 2 * (num_devices - 1)
  return hops * num_bytes / num_devices / bandwidth, hops * hop


def _cells(row):
  if "error" in row:
    return [row["preset"], *["-"] * 7]
  of_bytes, of_hops = ring_seconds(row["averaged"])
  return [row["preset"], str(row["seeds"]), str(row["batch_size"]),
          f"{row['parameters']:,}", f"{row['averaged'] / 1024:,.1f}",
          f"{of_bytes * 1e6:.3g}", f"{of_hops * 1e6:.3g}",
          f"{row['drawn'] / 1024:,.1f}"]


def _row(preset, data_dir):
  config = config_lib.resolve(preset, dict(data_dir=data_dir), {})
  try:
    task: Any = build.make_task(config)
    data = task.load("train", data_dir or None)
  except OSError:
    return dict(preset=preset, error="its files are not in --data_dir")
  learner = build.make_learner(config, task)
  averaged, drawn = traced_bytes(learner, data)
  params = jax.eval_shape(learner.initial_state, _keys()).params
  number = sum(math.prod(x.shape) for x in jax.tree.leaves(params))
  return dict(preset=preset, seeds=sweeps.num_entries(config),
              batch_size=config.batch_size, parameters=number,
              averaged=averaged, drawn=drawn)


def traced_bytes(learner: Learner, data: Any) -> tuple[int, int]:
  """Returns the bytes that an update averages, and those of its batch.

  Args:
    learner: whose update to trace.
    data: of the task.
  """
  averaged: dict[Any, int] = {}

  def mean(tree):
    # A trace may happen twice. The same tree is counted once.
    shapes = tuple((x.shape, x.dtype) for x in jax.tree.leaves(tree))
    averaged[jax.tree.structure(tree), shapes] = _bytes(tree)
    return tree

  share = Share(mean=mean)

  def update():
    keys, data_of_seed = _keys(), learner.data(_keys(), data)
    train = learner.initial_state(keys)
    source = learner.source.initial_state(
        train.params, learner.batch_size)
    levels = (learner.curriculum.draw_levels(0, 0, learner.curriculum.start)
              if learner.curriculum else None)
    batch, _ = learner.source.next(
        source, train.params, keys.train, learner.padded_task(levels),
        None, data_of_seed, learner.batch_size, share)
    if isinstance(batch, Trajectory):  # Without the state of the core.
      batch = batch._replace(start=())
    return batch, learner.train(keys, RunState(train, source), data_of_seed, 1,
                                levels, share)

  batch, _ = jax.eval_shape(update)
  return sum(averaged.values()), _bytes(batch)


def _keys():
  return keys_lib.make_keys(0, "threefry")


def _bytes(tree):
  return sum(math.prod(x.shape) * x.dtype.itemsize
             for x in jax.tree.leaves(tree))
