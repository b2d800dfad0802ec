"""The formula that units have learned, as text.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from rmc_nalu_sam.units.base import Unit
from rmc_nalu_sam.units.expressions import Expression


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
