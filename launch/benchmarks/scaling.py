"""Measures time and memory against the number of slots.

These are Figures 1 and 7 of the SAM paper (Rae et al., 2016, arXiv 1610.09027).
Time is per step of a forward and backward pass, at a batch of 8. Memory is what
training on one sequence needs, at a batch of 1. Controller, words, heads and K
are the paper's (supplement E).
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tqdm

from launch.benchmarks import measure, products
from launch.runs.progress import counting

COMMON = dict(hidden_size=100, word_size=32)
HEADS = dict(num_heads=4)
SPARSE = HEADS | dict(top_k=4)
MEMORY_BATCH = 1

# label -> core and its arguments.
SAM_MODELS = {
    # As in the paper, everything that the backward pass needs is kept.
    "NTM": ("ntm", HEADS | dict(recompute=False)),
    "NTM recompute": ("ntm", HEADS),
    "DAM recompute": ("dam", HEADS),
    "SAM exact": ("sam", SPARSE | dict(index="exact")),
    # A lower bound of exact search, the line above.
    "its matmul alone": (products.CORE, HEADS),
    "SAM lsh": ("sam", SPARSE | dict(index="lsh")),
}
SDNC_MODELS = {
    "DNC": ("dnc", dict(num_read_heads=4)),
    "SDNC": ("sdnc", SPARSE | dict(index="exact")),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Holds the user's choices.

  Attributes:
    sizes: numbers of slots, or of devices; those of the suite if empty.
    repeats: turns of each program.
    time_limit: seconds after which a program has one turn only; in
      `sam_scaling` and `sdnc`, programs not yet compiled have none.
    memory_limit: bytes that one program may need.
    num_steps: steps of the long sequence.
    models: labels of the models to measure; all of the suite if empty.
    batch_size: batch size at which time is measured.
    records: folder of the records of `index_recall`.
    data_dir: folder of the data of the presets in `collectives`.
    report: called with the result so far whenever it grows.
  """

  sizes: Sequence[int] = ()
  repeats: int = 5
  time_limit: float = 600
  memory_limit: int = 12 << 30
  num_steps: int = 250_000
  models: Sequence[str] = ()
  batch_size: int = 8
  records: str = ""
  data_dir: str = ""
  report: Callable[[dict[str, Any]], None] = dataclasses.field(
      default=lambda result: None, compare=False)


def sam_scaling(options: Options) -> dict[str, Any]:
  """Compares NTM, DAM and SAM: time per step; memory of 100 steps, no state."""
  sizes = options.sizes or [4**n for n in range(4, 11)]
  return _compared(
      SAM_MODELS, sizes, options, 100, "NTM", ("SAM exact", "SAM lsh"),
      title="memory of 100 steps, without the initial state",
      memory_key="other")


def sdnc(options: Options) -> dict[str, Any]:
  """Compares DNC and SDNC: time per step; memory of 10 steps and the state."""
  sizes = options.sizes or [2**n for n in range(6, 12)]
  return _compared(
      SDNC_MODELS, sizes, options, 10, "DNC", ("SDNC",),
      title="memory of 10 steps, with the initial state", memory_key="total")


def _compared(models, sizes, options, memory_steps, dense, sparse, **described):
  def finish(result):
    result |= described
    _compare(result, dense, sparse)
    return result

  reporting = dataclasses.replace(
      options, report=lambda result: options.report(finish(result)))
  return finish(_scaling(models, sizes, reporting, memory_steps))


def chosen(models: Mapping[str, Any], options: Options) -> dict[str, Any]:
  """Returns the models that the user chose.

  Args:
    models: maps a label to anything.
    options: their `models` are labels.

  Raises:
    ValueError: there is no such model.
  """
  for label in options.models:
    if label not in models:
      raise ValueError(f"unknown model {label!r}; valid: {', '.join(models)}")
  return {label: model for label, model in models.items()
          if not options.models or label in options.models}


def over_sizes(sizes: Sequence[Any], field: str, options: Options,
               rows_of: Callable[[Any, Options, float], list[dict[str, Any]]],
               result_of: Callable[[list[dict[str, Any]]], dict[str, Any]]
               ) -> dict[str, Any]:
  """Measures one size after the other, and reports what there is so far.

  Args:
    sizes: of a suite.
    field: name of their attribute that `options.sizes` chooses by.
    options: the user's choices.
    rows_of: `(size, options, deadline) -> rows`; a size has an equal share of
      the time limit.
    result_of: turns rows into a result.

  Raises:
    ValueError: there is no such size.
  """
  valid = {getattr(size, field): size for size in sizes}
  if not valid.keys() >= set(options.sizes):
    raise ValueError(
        f"this suite has the sizes {', '.join(map(str, valid))}, got "
        f"{', '.join(map(str, options.sizes))}")
  chosen_sizes = [size for value, size in valid.items()
                  if not options.sizes or value in options.sizes]
  rows: list[dict[str, Any]] = []
  for size in counting.counted(chosen_sizes):
    rows += rows_of(size, options, time.monotonic()
                    + options.time_limit / len(chosen_sizes))
    options.report(result_of(rows))
  return result_of(rows)


def _case(label, model, num_slots, batch_size, num_steps):
  core, arguments = model
  arguments = COMMON | arguments | dict(num_slots=num_slots)
  if core in ("sam", "sdnc"):
    arguments["gradient_steps"] = num_steps
  return measure.Case(label, core, tuple(arguments.items()), batch_size,
                      num_steps)


def _program(case):
  if case.core == products.CORE:
    return products.Products(case)
  return measure.Program(case)


def _scaling(models, sizes, options, memory_steps):
  models = chosen(models, options)
  deadline = time.monotonic() + options.time_limit
  rows = []
  for num_slots in counting.counted(sizes, lambda size: f"{size} slots"):
    programs, labels = [], []
    for label, model in counting.counted(
        models.items(), lambda each: each[0], passes=True):
      row = dict(num_slots=num_slots, model=label)
      rows.append(row)
      if time.monotonic() > deadline:
        row["time"] = row["memory"] = "not run: the time limit was reached"
        continue
      row["memory"] = _memory(
          _program(_case(label, model, num_slots, MEMORY_BATCH,
                         memory_steps)), options)
      program = _largest_that_fits(label, model, num_slots, options)
      if isinstance(program, str):
        row["time"] = program
      else:
        programs.append(program)
        labels.append((label, row))
    for program in programs:
      program.prepare()
    times = measure.interleaved(programs, options.repeats, deadline)
    for label, row in labels:
      row["time"] = times[label] | _shape_of(programs, label)
    for program in programs:
      program.release()
    tqdm.tqdm.write(_line(rows[-len(models):]))
    options.report(dict(rows=list(rows)))
  return dict(rows=rows)


def _largest_that_fits(label, model, num_slots, options):
  """Returns the program of most steps that fits, or the reason if none does."""
  needed = 0
  for num_steps in (100, 10, 1):
    program = _program(
        _case(label, model, num_slots, options.batch_size, num_steps))
    needed = program.memory.total
    if needed <= options.memory_limit:
      return program
  return (f"does not fit: one step needs {needed / 2**30:.1f} GiB, the limit "
          f"is {options.memory_limit / 2**30:.1f} GiB")


def _memory(program, options):
  """Returns the bytes of a sequence, by the compiler and by the process."""
  memory = program.memory
  result = dict(num_steps=program.case.num_steps, batch=program.case.batch_size,
                state=memory.state, other=memory.other, total=memory.total)
  if memory.total <= options.memory_limit:
    program.prepare()
    result["process"] = measure.peak_growth(program.run)
    program.release()
  return result


def _shape_of(programs, label):
  """Returns what was timed: batch, steps, and bytes, the memory included."""
  (program,) = [p for p in programs if p.case.label == label]
  return dict(batch=program.case.batch_size, num_steps=program.case.num_steps,
              memory=program.memory.total)


def _line(rows):
  cells = [f"{row['model']} "
           + (f"{row['time']['median'] * 1e3:.3g} ms"
              if isinstance(row["time"], dict) else row["time"])
           for row in rows]
  return f"{rows[0]['num_slots']} slots: {'; '.join(cells)}"


def _compare(result, dense, sparse):
  """Adds the ratios of time and memory, dense model to sparse ones."""
  by_key = {(row["num_slots"], row["model"]): row for row in result["rows"]}
  for (num_slots, model), row in by_key.items():
    other = by_key.get((num_slots, dense))
    if model not in sparse or other is None:
      continue
    if isinstance(row["time"], dict) and isinstance(other["time"], dict):
      row["times_faster"] = other["time"]["median"] / row["time"]["median"]
    if isinstance(row["memory"], dict) and isinstance(other["memory"], dict):
      key = result["memory_key"]
      row["times_less_memory"] = other["memory"][key] / row["memory"][key]
