"""Measures the cores side by side.

  python -m launch.benchmark --suite=sam_scaling --output=/tmp/scaling

Prints a table on stdout; writes benchmark.json and, where sizes are compared,
benchmark.png into --output. What is compared is measured in one process, in
turns. What does not fit is reported as such.
"""

import dataclasses
import json
import pathlib
import platform
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import app, flags

from launch import benchmarks, plots, reporting
from launch import config as config_lib
from launch import flags as flags_lib

FLAGS = flags.FLAGS


def machine() -> dict[str, Any]:
  """Where the numbers are from; PyTorch, too, if it was measured."""
  device = jax.devices()[0]
  name = platform.processor() or platform.machine()
  cpu = pathlib.Path("/proc/cpuinfo")
  if device.platform == "cpu" and cpu.exists():
    names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines()
             if line.startswith("model name")]
    name = f"{len(names)} x {names[0]}" if names else name
  facts: dict[str, Any] = dict(
      device=f"{device.platform}: {device.device_kind}", cpu=name,
      python=platform.python_version(), jax=jax.__version__)
  if (torch := sys.modules.get("torch")) is not None:
    facts |= dict(torch=str(torch.__version__),
                  torch_threads=torch.get_num_threads())
  return facts


def format_table(result: dict[str, Any]) -> str:
  """The result as a table for people: the suite's own, or that of scaling."""
  if "table" in result:
    return f"{_align(result['table'])}\n{result['title']}"
  return _format_scaling(result)


def _align(lines: list[list[str]]) -> str:
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  return "\n".join(
      "  ".join(cell.rjust(width) for cell, width in
                zip(line, widths, strict=True)).rstrip() for line in lines)


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
      _align(lines),
      "in all: MiB of what was timed, the memory itself included",
      f"MiB: {result['title']}, by the compiler's account",
      "process: MiB by which the process grew while it ran", *notes])


def _mib(number: int | None) -> str:
  return "" if number is None else f"{number / 2**20:.4g}"


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  output = pathlib.Path(FLAGS.output).expanduser()
  suite = benchmarks.SUITES[FLAGS.suite]
  for field in dataclasses.fields(benchmarks.Options):
    if field.name in suite.options or field.name not in FLAGS:
      continue
    if FLAGS[field.name].present:
      valid = ", ".join(f"--{name}" for name in suite.options)
      print(f"error: --suite={FLAGS.suite} does not take --{field.name}; "
            f"valid: {valid}", file=sys.stderr)
      sys.exit(config_lib.EXIT_USAGE)
  least = benchmarks.min_slots(FLAGS.suite)
  try:
    sizes = [int(size) for size in FLAGS.sizes]
    if any(size < least for size in sizes):
      raise ValueError
  except ValueError:
    print(f"error: --sizes takes integers of at least {least}, got "
          f"{','.join(FLAGS.sizes)}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  try:
    output.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    print(f"error: cannot write to --output={output}: {error.strerror}",
          file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  result: dict[str, Any] = {}
  try:
    result |= suite.run(benchmarks.Options(
        sizes=sizes, repeats=FLAGS.repeats, time_limit=FLAGS.time_limit,
        memory_limit=int(FLAGS.memory_limit * 2**30),
        num_steps=FLAGS.num_steps, models=FLAGS.models,
        batch_size=FLAGS.batch_size, report=result.update))
  except ValueError as error:  # Of what was asked for.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  finally:  # What was measured before a failure, or Ctrl-C, too.
    if result:
      _tell(result, output)


def _tell(result, output):
  """Prints the result first: the disk may be full."""
  result |= dict(suite=FLAGS.suite, machine=machine())
  print(", ".join(f"{k} {v}" for k, v in result["machine"].items()))
  print(format_table(result), flush=True)
  try:
    (output / "benchmark.json").write_text(json.dumps(result, indent=2) + "\n")
    if "table" not in result and len(
        {row["num_slots"] for row in result["rows"]}) > 1:
      plots.scaling(result, output / "benchmark.png")
  except OSError as error:
    print(f"error: cannot write to --output={output}: {error}",
          file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)


def run() -> None:
  """Entry point."""
  flags.DEFINE_enum("suite", None, sorted(benchmarks.SUITES),
                    "What to measure.", required=True)
  flags.DEFINE_string("output", None, "Folder for the results.", required=True)
  flags.DEFINE_list("sizes", [], "Numbers of slots; default: the suite's own.")
  flags.DEFINE_integer("repeats", 5, "Turns of each program, of long_sequence "
                       "at most 2; the median counts.", lower_bound=1)
  flags.DEFINE_float("time_limit", 600, "Seconds after which a program has no "
                     "more turns than one. Of sam_scaling and sdnc those not "
                     "yet begun have none, which is reported.")
  flags.DEFINE_float("memory_limit", 12, "GiB that one program may need.")
  flags.DEFINE_integer("num_steps", 250_000, "Of the long sequence.",
                       lower_bound=1)
  flags.DEFINE_list("models", [], "Labels of those to measure, as in the "
                    "table; default: all of the suite's.")
  flags.DEFINE_integer("batch_size", 8, "Sequences at once, where time is "
                       "measured.", lower_bound=1)
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  app.run(main)


if __name__ == "__main__":
  run()
