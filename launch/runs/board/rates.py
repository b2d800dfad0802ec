"""Computes the learning rate of a run, from its schedule."""

import ml_collections
import numpy as np

from launch.configs import build, sweeps


def learning_rates(config: ml_collections.ConfigDict, updates: np.ndarray
                   ) -> np.ndarray | None:
  """Returns the learning rate of each network's next update, `[S]`.

  Args:
    config: of the run.
    updates: updates that each network has done, `[S]`; skipped ones not
      counted.

  Returns:
    The rates; None if the optimiser has no `learning_rate`.
  """
  schedules = [build.make_schedule(config, point)
               for point in sweeps.points(config)]
  parts = np.split(updates, len(schedules))
  return None if None in schedules else np.concatenate([
      [float(schedule(count)) for count in part]
      for schedule, part in zip(schedules, parts, strict=True) if schedule])
