"""Measures the cores side by side.

  python -m launch.benchmark --suite=sam_scaling --output=/tmp/scaling

Prints a table, which also says what did not fit into memory. Writes
benchmark.json and, for several sizes, benchmark.png into --output. Programs
that are compared take turns in one process. stderr tells which measurement of
how many runs.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from launch import benchmarks
from launch.benchmarks import report
from launch.configs import endings, numbers
from launch.configs import flags as flags_lib
from launch.configs.config import EXIT_USAGE, UsageError
from launch.pictures import scaling
from launch.runs import reporting, strict_json

FLAGS = flags.FLAGS


def read_options() -> benchmarks.Options:
  """Returns the suite's options, from flags.

  Raises:
    ValueError: the suite does not take a flag, or a number is not valid.
  """
  suite = benchmarks.SUITES[FLAGS.suite]
  for field in dataclasses.fields(benchmarks.Options):
    name = field.name
    if name not in suite.options and name in FLAGS and FLAGS[name].present:
      valid = ", ".join(f"--{option}" for option in suite.options)
      raise UsageError(f"--suite={FLAGS.suite} does not take --{name}; "
                       f"valid: {valid}")
  least = benchmarks.min_slots(FLAGS.suite)
  sizes = numbers.integers("sizes", FLAGS.sizes, least)
  for name in ("time_limit", "memory_limit"):
    numbers.check(f"--{name}", FLAGS[name].value)
  return benchmarks.Options(
      sizes=sizes, repeats=FLAGS.repeats, time_limit=FLAGS.time_limit,
      memory_limit=int(FLAGS.memory_limit * 2**30), models=FLAGS.models,
      num_steps=FLAGS.num_steps, batch_size=FLAGS.batch_size,
      records=FLAGS.records, data_dir=FLAGS.data_dir)


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  output = pathlib.Path(FLAGS.output).expanduser()
  result: dict[str, Any] = {}
  try:
    options = dataclasses.replace(read_options(), report=result.update)
    _write(output, output.mkdir, parents=True, exist_ok=True)
    try:
      result |= benchmarks.SUITES[FLAGS.suite].run(options)
    finally:  # Also what was measured before a failure, or Ctrl-C.
      if result:
        _publish(result, output)
  except ValueError as error:  # A wrong option, or a UsageError.
    endings.leave(EXIT_USAGE, f"error: {error}")


def _publish(result: dict[str, Any], output: pathlib.Path) -> None:
  """Prints the result, then writes it: the disk may be full."""
  result |= dict(suite=FLAGS.suite, machine=report.machine())
  print(", ".join(f"{k} {v}" for k, v in result["machine"].items()))
  print(report.format_table(result), flush=True)
  _write(output, (output / "benchmark.json").write_text,
         strict_json.dumps(result, indent=2) + "\n")
  if "table" not in result and len(
      {row["num_slots"] for row in result["rows"]}) > 1:
    _write(output, scaling.draw, result, output / "benchmark.png")


def _write(output: pathlib.Path, function, *args, **kwargs) -> None:
  """Calls a function that writes; its OSError is a UsageError."""
  try:
    function(*args, **kwargs)
  except OSError as error:
    raise UsageError(f"cannot write to --output={output}: {error}") from None


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_enum("suite", None, sorted(benchmarks.SUITES), "The suite.",
                    required=True)
  flags.DEFINE_string("output", None, "Folder for the results.", required=True)
  flags.DEFINE_list("sizes", [], "Numbers of slots (devices: of "
                    "devices); default: the suite's own.")
  flags.DEFINE_integer("repeats", 5, "Turns of each program (long_sequence: at "
                       "most 2); the median counts.", lower_bound=1,
                       upper_bound=numbers.MAX_INT)
  flags.DEFINE_float("time_limit", 600, "Seconds after which a program has one "
                     "turn only; in sam_scaling and sdnc, none if not begun.",
                     lower_bound=0)
  flags.DEFINE_float("memory_limit", 12, "GiB that one program may need.",
                     lower_bound=0)
  flags.DEFINE_integer("num_steps", 250_000, "Steps of the long sequence.",
                       lower_bound=1, upper_bound=numbers.MAX_INT)
  flags.DEFINE_list("models", [], "Labels of models to measure; default: all.")
  flags.DEFINE_string("records", "", "index_recall: folder of records of a "
                      "trained memory, *.npz.")
  flags.DEFINE_string("data_dir", "", "collectives: folder with the files of "
                      "tasks with real data.")
  flags.DEFINE_integer("batch_size", 8, "Sequences in a timed batch.",
                       lower_bound=1, upper_bound=numbers.MAX_INT)
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  # What was measured so far is printed, unless Ctrl-C comes twice.
  endings.run(main, "--sizes, --batch_size or --num_steps", patience=None)


if __name__ == "__main__":
  run()
