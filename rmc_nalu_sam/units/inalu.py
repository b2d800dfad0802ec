"""Improved Neural Arithmetic Logic Unit.

"iNALU: Improved Neural Arithmetic Logic Unit", Schlör, Ring, Hotho, 2020,
arXiv 2003.07629.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import (
    Expression,
    power_products,
    weighted_sums,
)
from rmc_nalu_sam.units.nac import check_epsilon


class INALU(Unit):
  r"""Improves on the NALU by signs, bounds and a gate without inputs.

  .. math::

    y &= g \odot a + (1 - g) \odot m \odot s, \quad g = \sigma(\hat g) \\
    a &= x W, \quad
    m = \exp(\min(\log(\max(|x|, \epsilon)) W', \omega)) \\
    s_o &= \prod_i (\mathrm{sign}(x_i) |W'_{io}| + 1 - |W'_{io}|)

  with W and W' of two NACs, or of one if `shared`.

  See Schlör et al. 2020 (https://arxiv.org/abs/2003.07629), section 3. The
  regulariser sums, over the parameters (the arguments of tanh and sigmoid), the
  means of `max(20 - |v|, 0)`. It is 0 where all are at least 20 away from 0.

  Example:
    >>> unit = hk.transform(lambda x: rmc_nalu_sam.INALU(1, shared=True)(x))
    >>> params = {"inalu": dict(
    ...     w_hat=jnp.full([2, 1], 20.), m_hat=jnp.full([2, 1], 20.),
    ...     gate=jnp.full([1], -20.))}  # Only the product passes.
    >>> y = unit.apply(params, None, jnp.array([-3., 5.]))  # With its sign.
    >>> print(np.round(y, 2))
    [-15.]

  Notes:
    The initialisation is that of the authors' code: normal distributions of
    deviation 0.2 around 0.88 (w_hat), 0.5 (m_hat) and 0 (gate). Their
    re-initialisation of runs that do not improve is left out.
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.), "w_mul": (-1., 0., 1.),
                      "gate": (0., 1.)}
  has_penalty = True
  # Distance from 0 at which the regulariser ends.
  FAR: ClassVar[float] = 20.

  def __init__(self, output_size: int, shared: bool = False,
               epsilon: float = 1e-7, omega: float = 20.,
               name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      shared: whether sum and product share their weights.
      epsilon: smallest magnitude of an input of the product.
      omega: largest exponent of a product.
      name: name of the module.

    Raises:
      ValueError: `output_size` or `epsilon` is not positive.
    """
    super().__init__(output_size, name=name)
    check_epsilon(epsilon)
    self.shared = shared
    self.epsilon = epsilon
    self.omega = omega

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    suffixes = ("",) if self.shared else ("", "_mul")
    params = {}
    for suffix in suffixes:
      for kind, mean in (("w_hat", .88), ("m_hat", .5)):
        params[kind + suffix] = Parameter(
            shape, hk.initializers.RandomNormal(.2, mean))
    gate = Parameter((self.output_size,), hk.initializers.RandomNormal(.2))
    return params | {"gate": gate}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    weights = {"w": arithmetic.squash(params["w_hat"], params["m_hat"])}
    if not self.shared:
      weights["w_mul"] = arithmetic.squash(
          params["w_hat_mul"], params["m_hat_mul"])
    gate = jax.nn.sigmoid(arithmetic.delicate(params["gate"]))
    return weights | {"gate": gate}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    x = arithmetic.delicate(inputs)
    exponents = weights.get("w_mul", weights["w"])
    logs = jnp.log(jnp.maximum(jnp.abs(x), self.epsilon))
    products = arithmetic.exponentiate(
        jnp.minimum(arithmetic.add(logs, exponents), self.omega))
    signs = arithmetic.multiply(jnp.sign(x), jnp.abs(exponents))
    sums = arithmetic.delicate(arithmetic.add(inputs, weights["w"]))
    gate = align(weights["gate"], sums)
    outputs = gate * sums + (1 - gate) * products * signs
    return outputs.astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return jnp.stack([jnp.maximum(self.FAR - jnp.abs(value), 0).mean()
                      for value in params.values()]).sum()

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    sums = weighted_sums(weights["w"], inputs)
    products = power_products(weights.get("w_mul", weights["w"]), inputs)
    return [a if g else m for g, a, m in zip(
        weights["gate"], sums, products, strict=True)]
