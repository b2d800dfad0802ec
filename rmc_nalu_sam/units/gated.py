"""A gate between an addition unit and a multiplication unit.

"Neural Arithmetic Units", Madsen, Johansen, 2020, arXiv 2001.05016.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import (
    Expression,
    mixtures,
    power_products,
    weighted_sums,
)
from rmc_nalu_sam.units.linear import INITIALIZERS
from rmc_nalu_sam.units.nau import nau_init, nau_penalty, nmu_init, nmu_penalty


class GatedNAUNMU(Unit):
  r"""Mixes an NAU and an NMU, each with its own weights, by a NALU's gate.

  .. math::

    y = g \odot \mathrm{NAU}(x) + (1 - g) \odot \mathrm{NMU}(x), \quad
    g = \sigma(x G)

  See Madsen and Johansen 2020 (https://arxiv.org/abs/2001.05016), who show that
  such a gate chooses nearly at random. The regulariser is the sum of the NAU's
  and the NMU's.

  Example:
    >>> unit = hk.transform(lambda x: rmc_nalu_sam.GatedNAUNMU(1)(x))
    >>> params = {"gated_naunmu": dict(
    ...     w_add=jnp.ones([2, 1]), w_mul=jnp.ones([2, 1]),
    ...     gate=jnp.array([[9.], [0.]]))}
    >>> x = jnp.array([[3., 5.], [-3., 5.]])  # The first number opens the gate.
    >>> y = unit.apply(params, None, x)  # 3 + 5, and -3 times 5.
    >>> print(np.round(y, 2).ravel())
    [  8. -15.]
  """

  VALUES: ClassVar = {"w_add": (-1., 0., 1.), "w_mul": (0., 1.)}
  has_penalty = True

  def __init__(self, output_size: int, penalty: str = "linear",
               name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      penalty: form of both regularisers, "linear" or "squared"; see `NAU`.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive, or there is no such penalty.
    """
    super().__init__(output_size, name=name)
    self._penalties = nau_penalty(penalty), nmu_penalty(penalty)

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    return {"w_add": Parameter(shape, nau_init(*shape)),
            "w_mul": Parameter(shape, nmu_init()),
            "gate": Parameter(shape, INITIALIZERS["glorot"](input_size))}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns `w_add`, `w_mul`, and `gate`, G."""
    return {"w_add": arithmetic.clip(params["w_add"], -1., 1.),
            "w_mul": arithmetic.clip(params["w_mul"], 0., 1.),
            "gate": params["gate"]}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    sums, logits = (arithmetic.delicate(arithmetic.add(inputs, weights[name]))
                    for name in ("w_add", "gate"))
    products = arithmetic.multiply(inputs, weights["w_mul"])
    gate = jax.nn.sigmoid(logits)
    return (gate * sums + (1 - gate) * products).astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    addition, multiplication = self._penalties
    return addition(params["w_add"]) + multiplication(params["w_mul"])

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    return dict(params) | {"w_add": jnp.clip(params["w_add"], -1., 1.),
                           "w_mul": jnp.clip(params["w_mul"], 0., 1.)}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return mixtures(weighted_sums(weights["w_add"], inputs),
                    power_products(weights["w_mul"], inputs))
