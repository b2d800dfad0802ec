"""Formulas of docstrings, for a terminal: LaTeX becomes Unicode."""

import re
import unicodedata

_BLOCK = re.compile(r"^\.\. math::\n\n((?:[ \t]+.*(?:\n|\Z)|\n(?=[ \t]))+)",
                    re.MULTILINE)
_ROLE = re.compile(r":math:`([^`]*)`")
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"  # In braces, with braces in it.
_REPLACED = (
    (r"&", ""),
    (r"\\(?:mathrm|text)" + _GROUP, r"\1"),
    (r"\\frac" + _GROUP + _GROUP, r"(\1) / (\2)"),
    (r"\\sqrt\s*" + _GROUP, r"√(\1)"),
    (r"\\sqrt\s*", "√"),
    (r"\\hat\s*(\w)", "\\1\N{COMBINING CIRCUMFLEX ACCENT}"),
    (r"\\tilde\s*(\w)", "\\1\N{COMBINING TILDE}"),
    (r"\\(?:Big|quad|textstyle)", ""),
    (r"\\([{}])", r"\1"),
    (r"(?<=\S) +", " "),
    (r" *(?:\\\\)?$", ""),  # The end of a line.
)
_SYMBOLS = {"approx": "≈", "in": "∈", "lambda": "λ", "ldots": "...",
            "odot": "⊙", "prod": "∏", "propto": "∝", "sum": "∑"}


def plain(text: str) -> str:
  """Returns a docstring with its formulas in Unicode.

  Args:
    text: a cleaned docstring, with `.. math::` and `:math:`.
  """
  text = _BLOCK.sub(lambda match: _formula(match[1]), text)
  return _ROLE.sub(lambda match: _formula(match[1]), text)


def _formula(latex: str) -> str:
  for pattern, replacement in _REPLACED:
    latex = re.sub(pattern, replacement, latex, flags=re.MULTILINE)
  return re.sub(r"\\([A-Za-z]+)", lambda match: _symbol(match[1]), latex)


def _symbol(name: str) -> str:
  """Returns a symbol's character; the name itself of a function, as log."""
  if name in _SYMBOLS:
    return _SYMBOLS[name]
  try:
    return unicodedata.lookup(f"GREEK SMALL LETTER {name}")
  except KeyError:
    return name
