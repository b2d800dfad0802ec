"""The read-out: a head of one unit."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax

from rmc_nalu_sam.units import UNITS, Unit


class UnitHead:
  """Maps the core's outputs to the answers by one unit.

  Example:
    >>> from rmc_nalu_sam.heads import UnitHead
    >>> read_out = hk.transform(lambda x: UnitHead(3, unit="nau")(x))
    >>> params = read_out.init(jax.random.key(0), jnp.ones([11, 2, 5]))
    >>> read_out.apply(params, None, jnp.ones([11, 2, 5])).shape
    (11, 2, 3)
  """

  OF_UNITS: ClassVar[bool] = True
  CORE_MAY_REPLACE: ClassVar[bool] = True

  def __init__(self, output_size: int,
               unit: str | Callable[..., Unit] = "linear",
               unit_args: Mapping[str, Any] | None = None):
    """Constructs a head.

    The unit is no sub-module of the head, so its parameters lie beside those of
    the core.

    Args:
      output_size: size of an answer.
      unit: name, path or class of the unit.
      unit_args: arguments of the unit.

    Raises:
      ValueError: there is no such unit, or it refuses its arguments.
    """
    self._unit = UNITS.get(unit)(output_size, **(unit_args or {}))

  def __call__(self, outputs: jax.Array) -> jax.Array:
    """Returns the answers `[..., output_size]` for outputs `[..., F]`."""
    return self._unit(outputs)
