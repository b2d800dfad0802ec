"""A recurrent core made of one arithmetic unit.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, sections 4.1 and 4.2.

Letters: B batch, F inputs, H hidden.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.units import UNITS, Unit, arithmetic


class UnitRNNState(NamedTuple):
  """State of a `UnitRNN`.

  Attributes:
    hidden: the last output, `[B, H]`, or `[H]` without a batch.
  """

  hidden: jax.Array


class UnitRNN(hk.RNNCore):
  """Feeds a unit its own last output: `h_t = unit([x_t, h_{t-1}])`.

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), which does not write
  the equation down, and the recurrent cells of Madsen and Johansen's code.

  Notes:
    The state starts at the neutral value of the unit: 0 for a unit that adds,
    1 for a unit that multiplies, and 0 for a unit that does both.

    Gradients are cut at 2e19 (in float32) at every step, see
    `arithmetic.cut_gradients`. So they are finite wherever the outputs are,
    over any number of steps. The outputs are not cut: those of a unit whose
    sums grow at each step ('nac', 'inalu', 'relu' and others, if their weights
    are large) become infinite after hundreds of steps, and so does the loss.
  """

  OF_UNITS = True
  FEEDS_BACK = True

  def __init__(self, hidden_size: int = 100,
               unit: str | Callable[..., Unit] = "nac",
               unit_args: Mapping[str, Any] | None = None,
               initial_value: float | None = None, name: str | None = None):
    """Constructs a core.

    Args:
      hidden_size: H, size of the output and of the state.
      unit: a name in `UNITS`, "package.module:attribute", or a unit's
        constructor.
      unit_args: arguments of the unit.
      initial_value: initial value of the state; the unit's neutral value if
        None.
      name: name of the module.

    Raises:
      ValueError: `hidden_size` is not positive, there is no such unit, or it
        refuses its arguments.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    self._hidden_size = hidden_size
    self._unit = UNITS.get(unit)(hidden_size, **(unit_args or {}))
    self._initial_value = (
        self._unit.NEUTRAL if initial_value is None else initial_value)

  def __call__(self, inputs: jax.Array, prev_state: UnitRNNState,
               ) -> tuple[jax.Array, UnitRNNState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The output `[B, H]` and the next state, which holds the same values.

    Raises:
      ValueError: the inputs have another rank.
    """
    if inputs.ndim not in (1, 2):
      raise ValueError(f"{type(self).__name__} takes inputs [B, F] or [F], "
                       f"got {inputs.shape}")
    hidden = prev_state.hidden
    joined = jnp.concatenate(
        [as_float(inputs, hidden.dtype), hidden], axis=-1)
    # The gradients of the parameters overflow too, not only those of the state.
    with hk.custom_getter(
        lambda get, value, _: arithmetic.cut_gradients(get(value))):
      hidden = self._unit(arithmetic.cut_gradients(joined))
    return hidden, UnitRNNState(hidden)

  def initial_state(self, batch_size: int | None) -> UnitRNNState:
    """Returns the initial value in all places; no B axis if it is None."""
    shape = () if batch_size is None else (batch_size,)
    return UnitRNNState(
        jnp.full([*shape, self._hidden_size], self._initial_value,
                 jnp.result_type(float)))
