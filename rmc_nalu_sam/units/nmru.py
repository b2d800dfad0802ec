"""Neural Multiplicative Reciprocal Unit.

"Exploring the Learning Mechanisms of Neural Division Modules", Mistry, Farrahi,
Hare, arXiv 2110.05177.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import Expression, power_products
from rmc_nalu_sam.units.nau import clip_parameters, nmu_init, nmu_penalty


class NMRU(Unit):
  r"""Multiplies and divides, by an NMU of the inputs and their reciprocals.

  .. math::

    z_o = \cos\Big(\pi \sum_{i: x_i < 0} (W_{io} + W'_{io})\Big)
      \prod_i (W_{io} |x_i| + 1 - W_{io})
      \Big(\frac{W'_{io}}{|x_i| + \epsilon} + 1 - W'_{io}\Big)

  with W and W' in [0, 1]; the cosine is the sign of the product.

  See Mistry et al. 2021 (https://arxiv.org/abs/2110.05177).

  Example:
    >>> unit = hk.transform(lambda x: rmc_nalu_sam.NMRU(1)(x))
    >>> params = {"nmru": dict(w=jnp.array([[1.], [0.]]),
    ...                        w_reciprocal=jnp.array([[0.], [1.]]))}
    >>> print(np.round(unit.apply(params, None, jnp.array([-6., 4.])), 2))
    [-1.5]

  Notes:
    This follows the authors' code, with a change: they add epsilon to x and not
    to its magnitude, so that a small negative input can still lead to a
    division by 0, and they add none outside of training. A divisor below
    epsilon has no gradient. The regulariser is that of an `NMU`. Factors and
    products are cut at 2e17 (in float32), see `arithmetic.limit`.
  """

  VALUES: ClassVar = {"w": (0., 1.), "w_reciprocal": (0., 1.)}
  NEUTRAL: ClassVar[float] = 1.
  has_penalty = True
  EPSILON: ClassVar[float] = 2. ** -23

  def __init__(self, output_size: int, penalty: str = "linear",
               name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      penalty: form of the regulariser, "linear" or "squared"; see `NMU`.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive, or there is no such penalty.
    """
    super().__init__(output_size, name=name)
    self._penalty = nmu_penalty(penalty)

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    return {name: Parameter(shape, nmu_init()) for name in self.VALUES}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    return {name: arithmetic.clip(arithmetic.delicate(value), 0., 1.)
            for name, value in params.items()}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    both = jnp.concatenate([weights["w"], weights["w_reciprocal"]])
    x = arithmetic.delicate(inputs)
    magnitudes = jnp.abs(x)
    # The slope of a reciprocal at 0 is 1 / epsilon^2. Times the slope of a
    # squared error it would be infinite, and times the sign 0 it would be NaN.
    divisors = self.EPSILON + jnp.where(
        magnitudes > self.EPSILON, magnitudes,
        jax.lax.stop_gradient(magnitudes))
    operands = jnp.concatenate([magnitudes, 1 / divisors], axis=-1)
    half_turns = (x < 0).astype(x.dtype)
    turns = jnp.pi * jnp.concatenate([half_turns, half_turns], axis=-1)
    signs = jnp.cos(arithmetic.add(turns, both))
    return (signs * arithmetic.multiply(operands, both)).astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return self._penalty(jnp.concatenate(
        [params["w"], params["w_reciprocal"]]))

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    return clip_parameters(params, 0., 1.)

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return power_products(weights["w"] - weights["w_reciprocal"], inputs)
