"""Tells what a run ran on: machine and versions.

A process of its own looks at the devices, `python -m launch.evidence.machine`:
a program that had seen an accelerator would hold its memory.
"""

import functools
import json
import os
import subprocess
import sys
from typing import Any

import jax

from launch.benchmarks import report
from launch.configs import environment


@functools.cache
def facts() -> dict[str, Any]:
  """Returns `machine` and `versions` of an entry, without the load."""
  done = subprocess.run(
      [sys.executable, "-m", "launch.evidence.machine"], cwd=environment.ROOT,
      check=True, capture_output=True, text=True)
  return json.loads(done.stdout.splitlines()[-1])


def load() -> str:
  """Tells what else runs: the load of the last minute, ours included."""
  if not hasattr(os, "getloadavg"):
    return "unknown"
  return f"load average {os.getloadavg()[0]:.1f}"


def _look() -> dict[str, Any]:
  is_cpu = jax.devices()[0].platform == "cpu"
  return {
      "machine": {
          "cpu": report.cpu_name(), "cores": environment.num_cores(),
          "accelerator": None if is_cpu else environment.machine()},
      "versions": environment.versions()}


if __name__ == "__main__":
  print(json.dumps(_look()))
