"""Reads the formula that units have learned, as text.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from rmc_nalu_sam.units.base import Unit
from rmc_nalu_sam.units.expressions import Expression

# A network with weights further from those of a formula computes another one.
MAX_DISTANCE = 0.05


class Formula(NamedTuple):
  """Represents what a network has learned.

  Attributes:
    lines: one equation for each output.
    distance: largest distance of a weight from its value in the formula. The
      network computes the formula only if this is small.
  """

  lines: tuple[str, ...]
  distance: float

  @property
  def is_learned(self) -> bool:
    """Whether the weights are so near that the network computes the formula."""
    return self.distance <= MAX_DISTANCE

  def __str__(self) -> str:
    return (f"{'; '.join(self.lines)} "
            f"(weights within {self.distance:.2g})")


def extract(units: Mapping[str, Unit],
            params: Mapping[str, Mapping[str, jax.Array]],
            inputs: Sequence[str] | None = None,
            substitute: bool = True, is_recurrent: bool = False) -> Formula:
  """Returns the formula that is nearest to the weights of some units.

  A unit with as many inputs as the unit before it has outputs is taken to
  follow that unit. Any other unit starts a new formula.

  Args:
    units: maps the name of the module to the unit, in the order of calls; from
      `find_units`.
    params: of the network.
    inputs: names of the inputs of a new formula; x1, x2, ... if None.
    substitute: whether the formula of a layer replaces the inputs h1, h2, ...
      of the next layer. If not, each layer has equations of its own.
    is_recurrent: whether the first unit takes its own previous outputs after
      its inputs, as in a `UnitRNN`. They are named y'. If other units follow,
      they are named s', the first unit has equations of its own, and the units
      that follow take s.

  Returns:
    The equations, and the distance of the weights from them.

  Raises:
    ValueError: the number of names is not the number of inputs.
  """
  lines: list[str] = []
  terms: list[Expression] = []
  distance = 0.
  layer, last = 0, len(units) - 1
  for number, (name, unit) in enumerate(units.items()):
    weights = unit.weights(params[name])
    size = unit.input_size(params[name])
    if number and size != len(terms):  # The formula before it ends here.
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
