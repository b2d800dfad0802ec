"""The table of an evaluation, for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from launch.runs import statistics, tables


def format_table(result: Mapping[str, Any]) -> str:
  """Returns the evaluation as a table for people.

  Many seeds are shown by `statistics.over_seeds`. Each value of a sweep has a
  table.

  Args:
    result: of `evaluation.evaluate`.
  """
  remarks = result.get("remarks", ())
  return "\n".join([_tables(result), *(f"data: {text}" for text in remarks)])


def _tables(result):
  """Returns the table of each value."""
  if "values" not in result:
    return _table(result)
  count, lines = result["num_seeds"], []
  for i, value in enumerate(result["values"]):
    is_best = value == result["best"]
    lines.append(f"{value}{' (best by validation)' if is_best else ''}:")
    def of_value(row, i=i):
      return {name: x[i * count:(i + 1) * count] if isinstance(x, list) else x
              for name, x in row.items()}

    lines.append(_table({
        **result, "levels": [of_value(row) for row in result["levels"]],
        "summary": of_value(result.get("summary", {}))}))
  return "\n".join(lines)


def _table(result):
  """Returns the rows of one value."""
  rows = result["levels"]
  names = [name for name in rows[0] if name not in ("level", "trained")
           and all(name in row for row in rows)]
  first = (result.get("main_metric"), "guess")  # What matters most.
  names = [name for name in first if name in names] + [
      name for name in names if name not in first]
  marks = {True: "", False: " *", None: " +"}
  lines = [[result["level_name"], *names]]
  for row in rows:
    values = (statistics.over_seeds(name, np.array(row[name]))
              for name in names)
    lines.append([f"{row['level']}{marks[row['trained']]}",
                  *map(tables.format_value, values)])
  notes = {True: [], False: ["* above the levels of training"],
           None: ["+ a variant of the task"]}
  found = {row["trained"] for row in rows}
  table = [tables.align(lines)]
  for mark in (False, None):
    table += notes[mark] if mark in found else []
  if "guess" in names:
    table.append(f"guess: {result['main_metric']} of guessing")
  for name, values in result.get("summary", {}).items():
    value = statistics.over_seeds(name, np.array(values))
    table.append(f"{name}: {tables.format_value(value)}")
  return "\n".join(table)
