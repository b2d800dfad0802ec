"""Stack: arithmetic units on top of each other, without a state."""

import functools
from collections.abc import Mapping
from typing import Any

import haiku as hk
import jax

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.units import UNITS, Linear


class Stack(hk.RNNCore):
  """A static network of arithmetic units, as a core that remembers nothing.

  The networks of "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv
  2001.05016, section 4.1) have two layers: one that adds, another that
  multiplies. Every step of a sequence is answered by itself.

  A unit with an activation ('relu' and so on) is for the hidden layers; the
  last one is then linear, as in their code.
  """

  def __init__(self, output_size: int, unit: str = "linear",
               unit_args: Mapping[str, Any] | None = None,
               num_layers: int = 2, hidden_size: int = 2,
               hidden_unit: str = "", name: str | None = None):
    """Checks the arguments.

    Args:
      output_size: of the last layer.
      unit: a name in `UNITS`.
      unit_args: its arguments.
      num_layers: all of them, the last one included.
      hidden_size: outputs of each layer but the last.
      hidden_unit: the name in `UNITS` of the layers but the last, with the
        default arguments; like the last if empty.
      name: of the module.

    Raises:
      ValueError: a number is below 1, or there is no such unit.
    """
    super().__init__(name=name)
    check_positive(num_layers=num_layers, hidden_size=hidden_size)
    for argument, unit_name in (("unit", unit),
                                ("hidden_unit", hidden_unit or unit)):
      if unit_name not in UNITS:
        raise ValueError(f"unknown {argument} {unit_name!r}; valid units: "
                         f"{', '.join(sorted(UNITS))}")
    self._make_unit = functools.partial(UNITS[unit], **(unit_args or {}))
    self._make_hidden = UNITS[hidden_unit] if hidden_unit else self._make_unit
    self._hidden_sizes = [hidden_size] * (num_layers - 1)
    self._output_size = output_size

  def __call__(self, inputs: jax.Array,
               prev_state: tuple[()]) -> tuple[jax.Array, tuple[()]]:
    """The outputs `[..., output_size]` of `inputs [..., F]`, and no state."""
    for size in self._hidden_sizes:
      inputs = self._make_hidden(size)(inputs)
    last = self._make_unit(self._output_size)
    if isinstance(last, Linear) and last.activation != "none":
      last = Linear(self._output_size, w_init="glorot", name="output")
    return last(inputs), prev_state

  def initial_state(self, batch_size: int | None) -> tuple[()]:
    """There is none."""
    del batch_size
    return ()
