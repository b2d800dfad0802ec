"""Pieces of formulas, as text.

Letters: I inputs, O outputs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

# The shortest run of terms that is abbreviated to its first and last one.
_RUN = 4


class Expression(NamedTuple):
  """Represents a piece of a formula.

  Attributes:
    text: of the piece.
    kind: "atom", "state" (also an atom), "power", "product" or "sum", which
      decides where the piece needs parentheses.

  Example:
    >>> from rmc_nalu_sam.units.expressions import Expression
    >>> Expression("x0 + x1", "sum").inside("sum")
    '(x0 + x1)'
  """

  text: str
  kind: str = "atom"

  def inside(self, *kinds: str) -> str:
    """Returns the text, in parentheses if `kind` is one of these."""
    return f"({self.text})" if self.kind in kinds else self.text


def halves(weights: jax.Array) -> np.ndarray:
  """Rounds to multiples of 1/2: the exponents of powers and roots."""
  return np.round(2 * np.asarray(weights, np.float64)) / 2


def weighted_sums(weights: np.ndarray, inputs: Sequence[Expression],
                  constants: np.ndarray | None = None) -> list[Expression]:
  """Returns sums of inputs times `weights [I, O]`, plus `constants [O]`."""
  if constants is None:
    constants = np.zeros(weights.shape[1])
  return [_sum(column, inputs, constant) for column, constant in zip(
      np.asarray(weights).T, np.asarray(constants), strict=True)]


def _sum(coefficients, inputs, constant):
  used = np.flatnonzero(coefficients)
  if len(used) == 1 and coefficients[used[0]] == 1 and not constant:
    return inputs[used[0]]
  pieces = []
  for first, last in _runs(coefficients, inputs):
    coefficient = coefficients[first]
    sign = "-" if coefficient < 0 else "+"
    size = f"{abs(coefficient):g} * " if abs(coefficient) != 1 else ""
    # A sum that is subtracted or multiplied needs parentheses.
    kinds = ("sum",) if size or coefficient < 0 else ()
    pieces.append((sign, size + inputs[first].inside(*kinds)))
    if last > first:
      pieces += [(sign, "..."), (sign, size + inputs[last].inside(*kinds))]
  if constant:
    pieces.append(("-" if constant < 0 else "+", f"{abs(constant):g}"))
  if not pieces:
    return Expression("0")
  (sign, text), *others = pieces
  text = (sign if sign == "-" else "") + text
  text += "".join(f" {sign} {piece}" for sign, piece in others)
  single = not others and sign == "+"
  return Expression(text, "product" if single else "sum")


def _runs(values, inputs):
  """Yields the first and last index of each run of equal values but 0.

  A run that is shorter than `_RUN`, or not of atoms, is yielded one by one.
  """
  start = 0
  while start < len(values):
    stop = start + 1
    while (stop < len(values) and values[stop] == values[start]
           and inputs[start].kind == inputs[stop].kind in ("atom", "state")):
      stop += 1
    if values[start]:
      if stop - start >= _RUN:
        yield start, stop - 1
      else:
        yield from ((i, i) for i in range(start, stop))
    start = stop


def power_products(exponents: np.ndarray, inputs: Sequence[Expression],
                   ) -> list[Expression]:
  """Returns products of the inputs to the powers of `exponents [I, O]`."""
  return [_product(column, inputs) for column in np.asarray(exponents).T]


def _product(exponents, inputs):
  above: list[Expression] = []
  below: list[Expression] = []
  for first, last in _runs(exponents, inputs):
    side = above if exponents[first] > 0 else below
    side.append(_power(inputs[first], abs(exponents[first])))
    if last > first:
      side += [Expression("..."), _power(inputs[last], abs(exponents[last]))]
  if not below and len(above) == 1:
    return above[0]
  text = " * ".join(x.inside("sum") for x in above) or "1"
  if len(below) > 1:
    text += f" / ({' * '.join(x.inside('sum') for x in below)})"
  elif below:
    text += f" / {below[0].inside('sum', 'product')}"
  return Expression(text, "product" if above or below else "atom")


def _power(base, exponent):
  if exponent == 1:
    return base
  if exponent == .5:
    return Expression(f"sqrt({base.text})")
  base = base.inside("sum", "product", "power")
  return Expression(f"{base}^{exponent:g}", "power")


def magnitudes(inputs: Sequence[Expression]) -> list[Expression]:
  """Returns the inputs without their signs."""
  return [Expression(f"|{x.text}|") for x in inputs]


def mixtures(sums: Sequence[Expression],
             products: Sequence[Expression]) -> list[Expression]:
  """Returns sums and products, mixed by a gate g."""
  return [
      Expression(f"g{i + 1} * {a.inside('sum')} + "
                 f"(1 - g{i + 1}) * {m.inside('sum')}", "sum")
      for i, (a, m) in enumerate(zip(sums, products, strict=True))]
