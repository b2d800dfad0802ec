"""A recurrent cell of one arithmetic unit.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, sections 4.1 and 4.2.

Letters: B batch, F inputs, H hidden.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.units import UNITS


class UnitRNNState(NamedTuple):
  """State of a `UnitRNN`.

  Attributes:
    hidden: `[B, H]`, or `[H]` without a batch: what it last gave out.
  """

  hidden: jax.Array


class UnitRNN(hk.RNNCore):
  """`h_t = unit([x_t, h_{t-1}])`: a cell that adds up, or multiplies.

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), which does not write
  the equation down, and the recurrent cells of Madsen and Johansen's code.

  Notes:
    It starts with what changes nothing: 0 for a unit that adds, 1 for one that
    multiplies. A unit that does both has 0.
  """

  def __init__(self, hidden_size: int = 100, unit: str = "nac",
               unit_args: Mapping[str, Any] | None = None,
               initial_value: float | None = None, name: str | None = None):
    """Constructs a cell.

    Args:
      hidden_size: H.
      unit: a name in `UNITS`.
      unit_args: arguments of the unit.
      initial_value: of the hidden state; the unit's neutral value if None.
      name: name of the module.

    Raises:
      ValueError: `hidden_size` is not positive, there is no such unit, or it
        refuses its arguments.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    if unit not in UNITS:
      raise ValueError(
          f"unknown unit {unit!r}; valid units: {', '.join(sorted(UNITS))}")
    self.hidden_size = hidden_size
    self._unit = UNITS[unit](hidden_size, **(unit_args or {}))
    self._initial_value = (
        self._unit.NEUTRAL if initial_value is None else initial_value)

  def __call__(self, inputs: jax.Array, prev_state: UnitRNNState,
               ) -> tuple[jax.Array, UnitRNNState]:
    """One step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before it.

    Returns:
      The output `[B, H]` and the next state, which holds it.
    """
    if inputs.ndim not in (1, 2):
      raise ValueError(f"{type(self).__name__} takes inputs [B, F] or [F], "
                       f"got {inputs.shape}")
    hidden = self._unit(jnp.concatenate([inputs, prev_state.hidden], axis=-1))
    return hidden, UnitRNNState(hidden)

  def initial_state(self, batch_size: int | None) -> UnitRNNState:
    """Nothing added, nothing multiplied; leading axis B unless it is None."""
    shape = () if batch_size is None else (batch_size,)
    return UnitRNNState(
        jnp.full([*shape, self.hidden_size], self._initial_value,
                 jnp.result_type(float)))
