"""A stack of arithmetic units.

Letters: F inputs.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jax

from rmc_nalu_sam import narrow
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import UNITS, Linear, Unit


class Stack(Core):
  r"""Applies arithmetic units one after the other; it remembers nothing.

  .. math::

    y_t = U_L(\ldots U_2(U_1(x_t)))

  for L layers, each a unit with weights of its own. The networks of "Neural
  Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016, section 4.1)
  have two layers: one that adds, another that multiplies. The core computes
  each step of a sequence independently.

  A unit with an activation ('relu' and so on) makes the hidden layers only. The
  last layer is then linear, as in their code.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.Stack(1, "nmu", hidden_unit="nau")
    ...   return core(x, core.initial_state(None))[0]
    >>> params = {"stack/nau": {"w": jnp.array([[1., 0.], [1., 0.], [0., 1.]])},
    ...           "stack/nmu": {"w": jnp.ones([2, 1])}}
    >>> x = jnp.array([3., 5., 4.])
    >>> hk.transform(network).apply(params, None, x).tolist()  # (3 + 5) 4
    [32.0]
  """

  MAPS_TO_OUTPUT = True
  OF_UNITS = True

  def __init__(self, output_size: int | None = None,
               unit: str | Callable[..., Unit] = "linear",
               unit_args: Mapping[str, Any] | None = None,
               num_layers: int = 2, hidden_size: int = 2,
               hidden_unit: str = "", name: str | None = None):
    """Constructs a core.

    Args:
      output_size: size of the last layer; `hidden_size` if None.
      unit: a name in `UNITS`, "package.module:attribute", or a unit's
        constructor.
      unit_args: arguments of the unit.
      num_layers: number of layers, including the last.
      hidden_size: outputs of each layer except the last.
      hidden_unit: a name in `UNITS` or a path, for all layers except the last,
        with the default arguments. If empty, these layers are like the last.
      name: name of the module.

    Raises:
      ValueError: a number is below 1, or there is no such unit.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    check_count(num_layers=num_layers)
    self._make_unit = functools.partial(UNITS.get(unit), **(unit_args or {}))
    self._make_hidden = (
        UNITS.get(hidden_unit) if hidden_unit else self._make_unit)
    self._hidden_sizes = [hidden_size] * (num_layers - 1)
    self._output_size = hidden_size if output_size is None else output_size
    check_positive(output_size=self._output_size)

  def __call__(self, inputs: jax.Array,
               prev_state: tuple[()]) -> tuple[jax.Array, tuple[()]]:
    """Maps inputs `[..., F]` to outputs `[..., output_size]`."""
    with narrow.products_in("float32"):
      for size in self._hidden_sizes:
        inputs = self._make_hidden(size)(inputs)
      last = self._make_unit(self._output_size)
      if isinstance(last, Linear) and last.activation != "none":
        last = Linear(self._output_size, w_init="glorot", name="output")
      return last(inputs), prev_state

  @hk.transparent
  def batch_of(self, inputs_shape: tuple[int, ...],
               state: Any) -> tuple[int, ...]:
    """Returns the batch axes, as many as there are."""
    return inputs_shape[:-1]

  def initial_state(self, batch_size: int | None) -> tuple[()]:
    """Returns the empty state."""
    del batch_size
    return ()
