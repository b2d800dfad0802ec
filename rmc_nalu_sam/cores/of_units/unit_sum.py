"""Sums of an arithmetic unit over neighbouring inputs.

Letters: B batch, F inputs, E size of an embedding, N inputs taken together,
O outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import UNITS, Unit


class UnitSumState(NamedTuple):
  """State of a `UnitSum`.

  Attributes:
    total: the last output, `[B, O]`.
    window: embeddings of the last N - 1 inputs, the latest one last,
      `[B, (N - 1) E]`; zeros before the first input.

  Example:
    >>> model = rmc_nalu_sam.make_model("unit_sum", 1, hidden_size=3)
    >>> model.initial_state({}, None).window.tolist()
    [0.0, 0.0, 0.0]
  """

  total: jax.Array
  window: jax.Array


class UnitSum(Core):
  r"""Adds up what a unit makes of neighbouring inputs.

  .. math::

    e_t &= E x_t \\
    y_t &= y_{t-1} + \mathrm{unit}([e_{t-N+1}, \ldots, e_t])

  With one-hot words as inputs, it is a sum over the N-grams of a text: the
  weights of a pair such as 'nine hundred' are the same wherever it stands. It
  forgets nothing, and what it adds does not depend on earlier words.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.UnitSum(1, "nau", hidden_size=1)
    ...   return core(x, core.initial_state(None))[0]
    >>> params = {"unit_sum/~/embedding": {"w": jnp.array([[2.], [5.]])},
    ...           "unit_sum/~/nau": {"w": jnp.array([[0.], [1.]])}}
    >>> x = jnp.array([0., 1.])  # The second of two words.
    >>> hk.transform(network).apply(params, None, x).tolist()
    [5.0]

  Notes:
    No paper has this core. "Language to number" of Trask et al. 2018 (arXiv
    1808.00508, section 4.3) has been learnt by such sums of a NALU over pairs
    in the code of D. Karasov (nkarasovd/Neural_Arithmetic_Logic_Units on
    GitHub). Here the first pair has zeros before it, so a single word has a
    pair as well.
  """

  MAPS_TO_OUTPUT = True
  OF_UNITS = True

  def __init__(self, output_size: int | None = None,
               unit: str | Callable[..., Unit] = "nalu",
               unit_args: Mapping[str, Any] | None = None,
               hidden_size: int = 32, num_inputs: int = 2,
               name: str | None = None):
    """Constructs a core.

    Args:
      output_size: O, size of the output; `hidden_size` if None.
      unit: a name in `UNITS`, "package.module:attribute", or a unit's
        constructor.
      unit_args: arguments of the unit.
      hidden_size: E, size of the embedding of an input.
      num_inputs: N, how many neighbouring inputs the unit takes together.
      name: name of the module.

    Raises:
      ValueError: a size is below 1, there is no such unit, or it refuses its
        arguments.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    check_count(num_inputs=num_inputs)
    self._output_size = hidden_size if output_size is None else output_size
    check_positive(output_size=self._output_size)
    self._window_size = (num_inputs - 1) * hidden_size
    self._embed = hk.Linear(hidden_size, with_bias=False, name="embedding")
    self._unit = UNITS.get(unit)(self._output_size, **(unit_args or {}))

  def __call__(self, inputs: jax.Array, prev_state: UnitSumState
               ) -> tuple[jax.Array, UnitSumState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The sum so far `[B, O]` and the next state.
    """
    total, window = prev_state
    with narrow.products_in("float32"):
      embedded = self._embed(as_float(inputs, total.dtype))
      joined = jnp.concatenate([window, embedded], axis=-1)
      total = total + self._unit(joined)
    size = joined.shape[-1] - self._window_size
    return total, UnitSumState(total, joined[..., size:])

  def initial_state(self, batch_size: int | None) -> UnitSumState:
    """Returns zeros; no B axis if `batch_size` is None."""
    batch = () if batch_size is None else (batch_size,)
    return UnitSumState(*(jnp.zeros([*batch, size], jnp.result_type(float))
                          for size in (self._output_size, self._window_size)))
