"""A recurrent arithmetic unit.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, section 4.1.

Letters: B batch, F inputs, H hidden.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import UNITS, Unit, arithmetic


class UnitRNNState(NamedTuple):
  """State of a `UnitRNN`.

  Attributes:
    hidden: the last output, `[B, H]`, or `[H]` without a batch.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     "unit_rnn", 3, unit="nmu", hidden_size=3)
    >>> model.initial_state({}, None).hidden.tolist()  # Neutral in a product.
    [1.0, 1.0, 1.0]
  """

  hidden: jax.Array


class UnitRNN(Core):
  r"""Feeds a unit its own last output.

  .. math::

    h_t = \mathrm{unit}([x_t, h_{t-1}])

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), which does not write
  the equation down, and the recurrent cells of Madsen and Johansen's code.

  Example:
    >>> core = hk.transform(lambda x, s: rmc_nalu_sam.UnitRNN(1, "nau")(x, s))
    >>> params = {"unit_rnn/~/nau": {"w": jnp.ones([2, 1])}}
    >>> state = rmc_nalu_sam.UnitRNNState(jnp.zeros([1]))
    >>> for number in (3., 5., 4.):
    ...   output, state = core.apply(params, None, jnp.array([number]), state)
    >>> output.tolist()  # The sum of all inputs so far.
    [12.0]

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
      ValueError: the inputs have another rank, or the state does not fit.
    """
    hidden = prev_state.hidden
    joined = jnp.concatenate(
        [as_float(inputs, hidden.dtype), hidden], axis=-1)
    # The gradients of the parameters overflow too, not only those of the state.
    with hk.custom_getter(
        lambda get, value, _: arithmetic.cut_gradients(get(value))
    ), narrow.products_in("float32"):
      hidden = self._unit(arithmetic.cut_gradients(joined))
    return hidden, UnitRNNState(hidden)

  def initial_state(self, batch_size: int | None) -> UnitRNNState:
    """Returns the initial value in all places; no B axis if it is None."""
    shape = () if batch_size is None else (batch_size,)
    return UnitRNNState(
        jnp.full([*shape, self._hidden_size], self._initial_value,
                 jnp.result_type(float)))
