"""Prints tables: aligned columns, and one format a kind of number."""

from collections.abc import Mapping, Sequence

import numpy as np

from launch.runs.statistics import Estimate, Summary

# Larger scores show only that training failed.
MAX_SCORE = 999


def align(lines: Sequence[Sequence[str]], left: bool | int = False) -> str:
  """Returns the cells as lines of text with aligned columns.

  Args:
    lines: rows of cells, the header first; all of the same length.
    left: aligns cells to the left instead of the right; a number does so in
      that many columns.
  """
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  first = len(widths) if left is True else int(left)
  adjust = [str.ljust if i < first else str.rjust for i in range(len(widths))]
  return "\n".join(
      "  ".join(each(cell, width) for each, cell, width in zip(
          adjust, line, widths, strict=True)).rstrip()
      for line in lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
  """Returns a markdown table; the header comes first."""
  header, *rows = [[cell.replace("|", r"\|") for cell in line]
                   for line in lines]
  return "\n".join("| " + " | ".join(row) + " |" for row in (
      header, ["---"] * len(header), *rows))


def format_value(value: float) -> str:
  """Returns a metric with 4 digits; an integer, such as a level, in full."""
  return f"{value}" if isinstance(value, int) else f"{value:.4g}"


def format_score(score: float) -> str:
  """Returns a scaled score as Table 1 of the NALU paper prints it."""
  return f"{score:.1f}" if score <= MAX_SCORE else f">{MAX_SCORE}"


def success_table(rows: Mapping[str, Summary]) -> str:
  """Returns success rates as the papers' tables print them.

  Args:
    rows: maps a label (a run, or a variant of the task) to its summary.
  """
  lines = [["", "success", "95 % interval", "solved at: median", "mean",
            "sparsity error"]]
  for label, row in rows.items():
    lines.append([
        label, f"{row.successes}/{row.trials} = {row.rate.value:.0%}",
        f"{row.rate.low:.0%} to {row.rate.high:.0%}",
        _number(row.solved_at_median), _estimate(row.solved_at),
        _estimate(row.sparsity_error)])
  return align(lines, left=True)


def _number(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:.2g}"


def _estimate(estimate: Estimate) -> str:
  value, low, high = map(_number, estimate)
  return value if low == "-" else f"{value} ({low} to {high})"
