"""Measures what an index finds of the rows that a trained memory looks for.

A record holds, for T steps of one head, `written` `[T, J]` (the rows written,
the erased one last), `words` `[T, J, W]` (their words after it), `queries`
`[T, W]` and `found` `[T, K]`, the rows that exact search finds.
"""

import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from launch.benchmarks.scaling import Options
from launch.runs.progress import counting
from rmc_nalu_sam import INDICES
from tasks.data import errors, files

SIZES = (4096, 1 << 20, 1 << 24)
# The defaults, and what one of them changes.
CASES: tuple[dict[str, int], ...] = (
    {}, dict(num_turned=0), dict(num_turned=2), dict(num_recent=1),
    dict(num_recent=256), dict(num_tables=4), dict(num_tables=8),
    dict(bucket_size=16),
    # The sizes before 2026-11-29. Bits then grew evenly from table to table,
    # and recent rows were those last taken into use.
    dict(num_tables=8, min_bits=4, bucket_size=16, num_recent=32,
         num_turned=0))


def index_recall(options: Options) -> dict[str, Any]:
  """Compares sizes of the hashed index: recall, and time of a step.

  Raises:
    ValueError: the folder of records holds none.
  """
  records = _records(options.records)
  rows: list[dict[str, Any]] = []
  cases = [(num_slots, arguments) for num_slots in options.sizes or SIZES
           for arguments in CASES]
  for num_slots, arguments in counting.counted(cases, _name):
    rows.append(_row(num_slots, arguments, records, options.repeats))
    options.report(_result(rows))
  return _result(rows)


def _name(case):
  num_slots, arguments = case
  changed = " ".join(f"{name}={value}" for name, value in arguments.items())
  return f"{num_slots} slots {changed}".strip()


def _records(folder):
  paths = sorted(pathlib.Path(folder).expanduser().glob("*.npz"))
  if not folder or not paths:
    raise ValueError(f"--records={folder} holds no record (*.npz)")
  records = []
  for path in paths:
    with errors.reading(path, "choose another folder as --records"):
      records.append(files.read_npz(path))
  return records


def _result(rows):
  lines = [["slots", "changed", "recall", "us a step"]]
  for row in rows:
    changed = " ".join(f"{k}={v}" for k, v in row["arguments"].items())
    lines.append([f"{row['num_slots']:,}", changed or "(defaults)",
                  f"{row['recall']:.3f}", f"{row['seconds'] * 1e6:.3g}"])
  return dict(rows=rows, table=lines,
              title="recall: share of the rows of exact search; a step: an "
              "update and a search of one head, the fastest turn")


def _row(num_slots, arguments, records, repeats):
  word_size = records[0]["words"].shape[-1]
  index = INDICES.get("lsh")(num_slots, word_size, **arguments)
  replay = jax.jit(lambda record: _replay(index, record))
  hits = [(np.asarray(replay(_inputs(record)))[:, None]
           == record["found"][:, :, None]).any(-1) for record in records]
  seconds = min(_timed(replay, _inputs(records[0])) for _ in range(repeats))
  return dict(num_slots=num_slots, arguments=arguments,
              recall=float(np.mean(np.concatenate(hits))),
              seconds=seconds / len(records[0]["queries"]))


def _inputs(record):
  return (jnp.asarray(record["written"], jnp.int32),
          jnp.asarray(record["words"]), jnp.asarray(record["queries"]))


def _timed(replay, inputs):
  start = time.perf_counter()
  jax.block_until_ready(replay(inputs))
  return time.perf_counter() - start


def _replay(index, inputs):
  """Returns the rows that the index finds at each step, `[T, K]`."""
  def step(carry, now):
    state, memory = carry
    rows, words, query = now
    memory = memory.at[rows].set(words)
    state = index.update(state, rows, words)
    found, state = index.find(
        state, memory, lambda i: jnp.square(memory[i]).sum(-1) > 0, query[None],
        4, rows)
    return (state, memory), found[0]

  # Only the rows of the records are ever read.
  memory = jnp.zeros([4096, inputs[1].shape[-1]])
  return jax.lax.scan(step, (index.initial_state(), memory), inputs)[1]
