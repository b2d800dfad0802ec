"""Measures full back-propagation through one very long sequence."""

import resource
from typing import Any

from launch.benchmarks import measure
from launch.benchmarks.scaling import COMMON, SPARSE, Options
from launch.runs.progress import counting


def long_sequence(options: Options) -> dict[str, Any]:
  """Measures seconds and memory of one pass of a SAM with hashing.

  Raises:
    ValueError: `options` names more than one size.
  """
  if len(options.sizes) > 1:
    raise ValueError("this suite takes one size, got "
                     f"{', '.join(map(str, options.sizes))}")
  num_slots = options.sizes[0] if options.sizes else 1 << 20
  arguments = COMMON | SPARSE | dict(
      index="lsh", num_slots=num_slots, gradient_steps=options.num_steps)
  case = measure.Case("SAM lsh", "sam", tuple(arguments.items()), 1,
                      options.num_steps)
  before = _peak()
  program = measure.Program(case)
  program.prepare()
  seconds = min(program.run() for _ in counting.counted(
      range(min(options.repeats, 2)), lambda turn: f"turn {turn + 1}"))
  return dict(rows=[dict(
      num_slots=num_slots, model="SAM lsh",
      time=dict(median=seconds / options.num_steps, batch=1,
                num_steps=options.num_steps, seconds=seconds),
      memory=dict(state=program.memory.state, other=program.memory.other,
                  total=program.memory.total, num_steps=options.num_steps,
                  batch=1, process_peak=_peak(), process_before=before))],
      title="memory of the whole pass", memory_key="total")


def _peak() -> int:
  """Returns the most bytes that this process ever held."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
