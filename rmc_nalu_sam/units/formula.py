"""The formula that units have learned, as text.

Letters: I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

if TYPE_CHECKING:
  from rmc_nalu_sam.units.base import Unit

# As many terms in a row are written as the first and the last.
_RUN = 4


class Expression(NamedTuple):
  """A piece of a formula.

  Attributes:
    text: what it says.
    kind: "atom", "state" (an atom, too), "power", "product" or "sum", which
      says where it needs parentheses.
  """

  text: str
  kind: str = "atom"

  def inside(self, *kinds: str) -> str:
    """Its text, in parentheses if it is of one of these kinds."""
    return f"({self.text})" if self.kind in kinds else self.text


class Formula(NamedTuple):
  """What a network has learned.

  Attributes:
    lines: an equation for each output.
    distance: how far a weight is at most from that of the formula: what is
      learned is the formula only if this is small.
  """

  lines: tuple[str, ...]
  distance: float

  def __str__(self) -> str:
    return (f"{'; '.join(self.lines)} "
            f"(weights within {self.distance:.2g})")


def extract(units: Mapping[str, Unit],
            params: Mapping[str, Mapping[str, jax.Array]],
            inputs: Sequence[str] | None = None,
            substitute: bool = True, is_recurrent: bool = False) -> Formula:
  """The formula that is nearest to the weights of some units.

  A unit whose inputs are as many as the outputs of the unit before it is taken
  to follow it; any other starts anew.

  Args:
    units: name of the module -> unit, in the order of calls; from `find_units`.
    params: of the network.
    inputs: names of the inputs of units that start anew; x1, x2, ... if None.
    substitute: whether a layer's formula is put in the place of the inputs of
      the next one, h1, h2, ...
    is_recurrent: whether the first unit is fed its own last outputs, after its
      inputs, as in a `UnitRNN`. They are y', or if other units follow, s' in an
      equation of its own, for the s that these are given.

  Returns:
    Its equations and the distance of the weights from it.

  Raises:
    ValueError: there are not as many names as inputs.
  """
  lines: list[str] = []
  terms: list[Expression] = []
  distance = 0.
  layer, last = 0, len(units) - 1
  for number, (name, unit) in enumerate(units.items()):
    weights = unit.weights(params[name])
    size = unit.input_size(params[name])
    if number and size != len(terms):  # What is before it ends here.
      lines += _equations("y", terms)
      terms, layer = [], 0
    state = ""
    if is_recurrent and not number:
      state = "y" if number == last else "s"
      terms = [*_names(inputs, size - unit.output_size),
               *_states(state, unit.output_size, "'")]
    elif not terms:
      terms = _names(inputs, size)
    elif not substitute:
      layer += 1
      hidden = "h" if layer == 1 else f"h{layer}_"
      lines += _equations(hidden, terms, numbered=True)
      terms = [Expression(f"{hidden}{i + 1}") for i in range(len(terms))]
    values = unit.readable(weights)
    distance = max([distance, *(
        float(np.abs(np.asarray(weights[key]) - value).max())
        for key, value in values.items())])
    terms = unit.express(values, terms)
    if number == last:
      lines += _equations("y", terms)
    elif state:
      lines += _equations(state, terms)
      terms = _states(state, unit.output_size)
  return Formula(tuple(lines), distance)


def _names(names: Sequence[str] | None, size: int) -> list[Expression]:
  if names is None:
    names = [f"x{i + 1}" for i in range(size)]
  if len(names) != size:
    raise ValueError(f"{len(names)} names for {size} inputs: {list(names)}")
  return [Expression(name) for name in names]


def _states(name, size, mark=""):
  return [Expression(f"{name}{i + 1 if size > 1 else ''}{mark}", "state")
          for i in range(size)]


def _equations(name, terms, numbered=False):
  numbered = numbered or len(terms) > 1
  return [f"{name}{i + 1 if numbered else ''} = {term.text}"
          for i, term in enumerate(terms)]


def halves(weights: jax.Array) -> np.ndarray:
  """The nearest multiples of 1/2: exponents of powers and roots."""
  return np.round(2 * np.asarray(weights, np.float64)) / 2


def weighted_sums(weights: np.ndarray, inputs: Sequence[Expression],
                  constants: np.ndarray | None = None) -> list[Expression]:
  """Sums of inputs times `weights [I, O]`, plus `constants [O]`."""
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
  """First and last index of runs of equal values; 0 is left out.

  A run that is too short, or not of atoms, falls apart.
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
  """Products of the inputs to the powers of `exponents [I, O]`."""
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
  """The inputs without their signs."""
  return [Expression(f"|{x.text}|") for x in inputs]


def mixtures(sums: Sequence[Expression],
             products: Sequence[Expression]) -> list[Expression]:
  """Sums or products, by a gate g that depends on the inputs."""
  return [
      Expression(f"g{i + 1} * {a.inside('sum')} + "
                 f"(1 - g{i + 1}) * {m.inside('sum')}", "sum")
      for i, (a, m) in enumerate(zip(sums, products, strict=True))]
