"""Neural Arithmetic Logic Units, to base e and to the golden ratio.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508.

Letters: I inputs, O outputs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import (
    Expression,
    halves,
    magnitudes,
    mixtures,
    power_products,
    weighted_sums,
)
from rmc_nalu_sam.units.linear import INITIALIZERS
from rmc_nalu_sam.units.nac import check_epsilon, nac_parameters


class NALU(Unit):
  r"""Mixes a sum and a product by a gate: the Neural Arithmetic Logic Unit.

  .. math::

    y &= g \odot a + (1 - g) \odot m, \quad g = \sigma(x G) \\
    a &= x W, \quad m = \exp(\log(|x| + \epsilon) W) \\
    W &= \tanh(\hat W) \odot \sigma(\hat M)

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), section 2.

  Example:
    >>> nalu = hk.transform(lambda x: rmc_nalu_sam.NALU(1)(x))
    >>> x, params = jnp.array([3., 5.]), dict(
    ...     w_hat=jnp.full([2, 1], 20.), m_hat=jnp.full([2, 1], 20.))
    >>> for gate in (20., -20.):
    ...   params["gate"] = jnp.full([2, 1], gate)
    ...   print(np.round(nalu.apply({"nalu": params}, None, x), 2))
    [8.]
    [15.]

  Notes:
    The paper gives neither an initialisation nor a value of epsilon. Both are
    Madsen and Johansen's (https://arxiv.org/abs/2001.05016). Products are cut
    at 2e17 (in float32), see `arithmetic.limit`.
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.), "w_mul": (-1., 0., 1.)}
  # Natural logarithm of the base of the exponentials in tanh and sigmoid.
  _LOG_BASE: ClassVar[float] = 1.

  def __init__(self, output_size: int, shared: bool = True,
               epsilon: float = 1e-7, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      shared: whether sum and product share their weights, as in the paper.
      epsilon: added to the magnitudes of inputs.
      name: name of the module.

    Raises:
      ValueError: `output_size` or `epsilon` is not positive.
    """
    super().__init__(output_size, name=name)
    check_epsilon(epsilon)
    self.shared = shared
    self.epsilon = epsilon

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    gate = Parameter((input_size, self.output_size),
                     INITIALIZERS["glorot"](input_size))
    params = nac_parameters(input_size, self.output_size)
    if not self.shared:
      params |= nac_parameters(input_size, self.output_size, suffix="_mul")
    return params | {"gate": gate}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns `w`, the product's own `w_mul` if not `shared`, and `gate`, G."""
    scaled = {name: self._LOG_BASE * value for name, value in params.items()}
    weights = {"w": arithmetic.squash(scaled["w_hat"], scaled["m_hat"])}
    if not self.shared:
      weights["w_mul"] = arithmetic.squash(
          scaled["w_hat_mul"], scaled["m_hat_mul"])
    return weights | {"gate": scaled["gate"]}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    return self.combine(self.weights(params), inputs)

  @pure
  def combine(self, weights: Params, inputs: jax.Array) -> jax.Array:
    """Computes the outputs `[..., O]` of inputs `[..., I]` from `weights`."""
    sums = arithmetic.add(inputs, weights["w"])
    products = arithmetic.multiply_in_log_space(
        jnp.abs(arithmetic.delicate(inputs)) + self.epsilon,
        weights.get("w_mul", weights["w"]))
    gate = jax.nn.sigmoid(
        arithmetic.delicate(arithmetic.add(inputs, weights["gate"])))
    outputs = gate * arithmetic.delicate(sums) + (1 - gate) * products
    return outputs.astype(inputs.dtype)

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    values = super().readable(weights)
    if not self.shared:
      values["w_mul"] = halves(weights["w_mul"])
    return values

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return mixtures(
        weighted_sums(weights["w"], inputs),
        power_products(weights.get("w_mul", weights["w"]), magnitudes(inputs)))


class GoldenNALU(NALU):
  r"""Replaces e in a NALU by the golden ratio: the G-NALU.

  With powers of :math:`\phi = (1 + \sqrt 5) / 2`, tanh and sigmoid are less
  steep:

  .. math::

    W &= \tanh(\hat W \log \phi) \odot \sigma(\hat M \log \phi) \\
    g &= \sigma(x G \log \phi)

  The rest is that of a `NALU`.

  See the review by Mistry, Farrahi, Hare, "A Primer for Neural Arithmetic Logic
  Modules", 2022 (https://arxiv.org/abs/2101.09530).

  Example:
    >>> def weight(unit, w_hat):
    ...   units = rmc_nalu_sam.find_units(lambda x: unit(1)(x), jnp.zeros([1]))
    ...   params = {name: jnp.full([1, 1], value) for name, value in
    ...             dict(w_hat=w_hat, m_hat=20., gate=0.).items()}
    ...   (found,) = units.values()
    ...   return round(float(found.weights(params)["w"][0, 0]), 2)
    >>> weight(rmc_nalu_sam.NALU, 1.), weight(rmc_nalu_sam.GoldenNALU, 1.)
    (0.76, 0.45)

  Notes:
    The base cancels in the product, which is that of a NALU. The initialisation
    is also that of a NALU.
  """

  _LOG_BASE: ClassVar[float] = math.log((1 + 5 ** .5) / 2)
