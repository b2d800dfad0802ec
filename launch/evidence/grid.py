"""Reads tables of published numbers, as they are typed from a paper."""

from collections.abc import Sequence

from launch.evidence.experiment import Cell


def table(rows: Sequence[str], columns: Sequence[str], text: str,
          unit: str = "") -> dict[Cell, float | str]:
  """Returns the numbers of a table by their cells.

  Args:
    rows: names of the rows, one for each line of `text`.
    columns: names of the columns, one for each word of a line.
    text: lines of words. A word is a number, '-' for an empty cell, or text
      such as '>999'.
    unit: is put behind each number, which then is text; for instance ' %'.

  Raises:
    ValueError: `text` has another number of rows or columns.
  """
  lines = [line.split() for line in text.strip().splitlines()]
  return {Cell(row, column): f"{word}{unit}" if unit else _number(word)
          for row, line in zip(rows, lines, strict=True)
          for column, word in zip(columns, line, strict=True) if word != "-"}


def _number(word: str) -> float | str:
  try:
    return float(word)
  except ValueError:
    return word
