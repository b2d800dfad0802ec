"""Draws time and memory against the number of slots."""

import pathlib
from collections.abc import Mapping
from typing import Any

from launch.pictures import layout


def draw(result: Mapping[str, Any], path: pathlib.Path) -> None:
  """Draws both on logarithmic axes, a line for each model.

  Args:
    result: of a suite of `launch.benchmark` that compares sizes.
    path: the picture to write.
  """
  fig = layout.new_figure(figsize=(10, 4), layout="constrained")
  axes = fig.subplots(1, 2)
  models = list(dict.fromkeys(row["model"] for row in result["rows"]))
  for number, model in enumerate(models):
    for axis, name, key, unit in (
        (axes[0], "time", "median", 1e-3),
        (axes[1], "memory", result["memory_key"], 2**20)):
      points = [(row["num_slots"], row[name][key] / unit)
                for row in result["rows"]
                if row["model"] == model and isinstance(row[name], dict)]
      if points:
        axis.loglog(*zip(*points, strict=True), **layout.style(number),
                    label=model)
  axes[0].set_ylabel("ms a step, forward and backward")
  axes[1].set_ylabel("MiB")
  axes[1].set_title(result["title"])
  for axis in axes:
    axis.set_xlabel("slots")
    axis.grid(alpha=0.3)
  layout.name_lines(fig, axes[0])
  fig.savefig(path, dpi=layout.DPI)
