"""Tells what a run ran on: machine, versions, commit.

A process of its own looks at the devices, `python -m launch.evidence.machine`:
a program that had seen an accelerator would hold its memory.
"""

import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax

from launch.benchmarks import report

ROOT = pathlib.Path(__file__).parents[2]


@functools.cache
def facts() -> dict[str, Any]:
  """Returns `machine` and `versions` of an entry, without the load."""
  done = subprocess.run(
      [sys.executable, "-m", "launch.evidence.machine"], cwd=ROOT, check=True,
      capture_output=True, text=True)
  return json.loads(done.stdout.splitlines()[-1])


def load() -> str:
  """Tells what else runs: the load of the last minute, ours included."""
  if not hasattr(os, "getloadavg"):
    return "unknown"
  return f"load average {os.getloadavg()[0]:.1f}"


def commit() -> str:
  """Returns the commit of the code, with `+` behind it if there are changes.

  'unknown' outside of a checkout.
  """
  def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout.strip()

  try:
    changes = git("status", "--porcelain", "--untracked-files=no", "--",
                  "launch", "rmc_nalu_sam", "tasks", "setup.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if changes else "")
  except (OSError, subprocess.CalledProcessError):
    return "unknown"


def _look() -> dict[str, Any]:
  device = jax.devices()[0]
  is_cpu = device.platform == "cpu"
  return {
      "machine": {
          "cpu": report.cpu_name(), "cores": len(os.sched_getaffinity(0))
          if hasattr(os, "sched_getaffinity") else os.cpu_count(),
          "accelerator": None if is_cpu else
          f"{jax.device_count()} x {device.device_kind}"},
      "versions": {
          "python": platform.python_version(), "jax": jax.__version__,
          "rmc_nalu_sam": _version()}}


def _version():
  try:
    return importlib.metadata.version("rmc_nalu_sam")
  except importlib.metadata.PackageNotFoundError:  # Run from a checkout.
    return "checkout"


if __name__ == "__main__":
  print(json.dumps(_look()))
