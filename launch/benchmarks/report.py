"""Describes the result of a suite: the machine, and a table for people."""

import os
import pathlib
import platform
import sys
from typing import Any

import jax

from launch.runs import tables


def machine() -> dict[str, Any]:
  """Describes the machine and the versions; PyTorch's if it was measured."""
  device = jax.devices()[0]
  facts: dict[str, Any] = dict(
      device=f"{device.platform}: {device.device_kind}",
      cpu=f"{os.cpu_count()} x {cpu_name()}",
      python=platform.python_version(), jax=jax.__version__)
  if (torch := sys.modules.get("torch")) is not None:
    facts |= dict(torch=str(torch.__version__),
                  torch_threads=torch.get_num_threads())
  return facts


def cpu_name() -> str:
  """Returns the name of the processor, as far as the system tells it."""
  path = pathlib.Path("/proc/cpuinfo")
  if path.exists():
    for line in path.read_text().splitlines():
      if line.startswith("model name"):
        return line.split(":")[1].strip()
  return platform.processor() or platform.machine()


def format_table(result: dict[str, Any]) -> str:
  """Returns the result as a table: the suite's own, or that of scaling.

  Args:
    result: of a suite.
  """
  if "table" in result:
    return f"{tables.align(result['table'])}\n{result['title']}"
  return _format_scaling(result)


def _format_scaling(result):
  lines = [["slots", "model", "ms a step", "spread", "steps", "in all",
            "MiB", "process", "times faster", "times less memory"]]
  notes = []
  for row in result["rows"]:
    time, memory = row["time"], row["memory"]
    cells = [f"{row['num_slots']:,}", row["model"]]
    if isinstance(time, dict):
      spread = (f"{time['low'] * 1e3:.3g} to {time['high'] * 1e3:.3g}"
                if "low" in time else "")
      cells += [f"{time['median'] * 1e3:.4g}", spread, str(time["num_steps"]),
                _mib(time.get("memory"))]
    else:
      notes.append(f"{row['num_slots']:,} {row['model']}: {time}")
      cells += ["-", "", "", ""]
    cells += ([_mib(memory[result["memory_key"]]), _mib(memory.get("process"))]
              if isinstance(memory, dict) else ["-", ""])
    cells += [f"{row[name]:,.0f}" if name in row else ""
              for name in ("times_faster", "times_less_memory")]
    lines.append(cells)
  return "\n".join([
      tables.align(lines),
      "in all: MiB of the timed program, the memory itself included",
      f"MiB: {result['title']}, as the compiler reports it",
      "process: MiB by which the process grew during the run", *notes])


def _mib(number: int | None) -> str:
  return "" if number is None else f"{number / 2**20:.4g}"
