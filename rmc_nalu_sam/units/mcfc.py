"""Mass-conserving fully connected layers.

"MC-LSTM: Mass-Conserving LSTM", Hoedt, Kratzert, Klotz, Halmich, Holzleitner,
Nearing, Hochreiter, Klambauer, 2021, arXiv 2101.05186.

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


def _orthogonal(shape, dtype):
  # JAX has no QR decomposition in half precision.
  wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
  with jax.numpy_rank_promotion("allow"):  # Haiku promotes ranks.
    return hk.initializers.Orthogonal()(shape, wide).astype(dtype)


def _shares_init(shape, dtype):
  """Returns the identity if the shape is square, else an orthogonal matrix."""
  if shape[0] == shape[1]:
    return jnp.eye(shape[0], dtype=dtype)
  return _orthogonal(shape, dtype)


def _gate_init(shape, dtype):
  return _orthogonal((*shape, 1), dtype)[:, 0]


class MCFC(Unit):
  r"""Distributes the inputs among the outputs and conserves their mass.

  .. math::

    y = \sigma(\hat g) \odot (x R), \quad R = \mathrm{softmax}(\hat R)

  where each row of R adds up to 1, and the gate passes a part of the sum on.

  See Hoedt et al. 2021 (https://arxiv.org/abs/2101.05186), and its use as an
  arithmetic unit in Mistry, Farrahi, Hare 2022
  (https://arxiv.org/abs/2101.09530).

  Example:
    >>> units = rmc_nalu_sam.find_units(
    ...     lambda x: rmc_nalu_sam.MCFC(2)(x), jnp.zeros([3]))
    >>> params = dict(shares=jnp.zeros([3, 2]), gate=jnp.full([2], 99.))
    >>> x = jnp.array([1., 2., 5.])
    >>> units["mcfc"].forward(params, x).tolist()  # Its mass of 8 is conserved.
    [4.0, 4.0]

  Notes:
    This follows the code of Mistry et al. There the gate is a linear function
    of the constant 1, with a weight and a bias; here it is one parameter. Their
    regulariser, which drives parameters away from 0 without a bound, is left
    out.
  """

  VALUES: ClassVar = {"w": (0., 1.), "gate": (0., 1.)}

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    return {"shares": Parameter((input_size, self.output_size), _shares_init),
            "gate": Parameter((self.output_size,), _gate_init)}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns `w`, whose rows add up to 1, and `gate`, `[O]`."""
    return {"w": jax.nn.softmax(arithmetic.delicate(params["shares"])),
            "gate": jax.nn.sigmoid(arithmetic.delicate(params["gate"]))}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    return arithmetic.add(inputs, weights["gate"][None] * weights["w"])

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return weighted_sums(weights["gate"] * weights["w"], inputs)


class MulMCFC(MCFC):
  r"""Computes products with signs, by an `MCFC` of logarithms.

  .. math::

    y = \exp(\mathrm{MCFC}(\log(|x| + \epsilon)) + b) \odot s, \quad
    s_o = \prod_i (\mathrm{sign}(x_i) R_{io} + 1 - R_{io})

  See Hoedt et al. 2021 (https://arxiv.org/abs/2101.05186).

  Example:
    >>> units = rmc_nalu_sam.find_units(
    ...     lambda x: rmc_nalu_sam.MulMCFC(1)(x), jnp.zeros([2]))
    >>> params = dict(shares=jnp.zeros([2, 1]), gate=jnp.full([1], 99.),
    ...               b=jnp.zeros([1]))
    >>> y = units["mul_mcfc"].forward(params, jnp.array([-3., 5.]))
    >>> print(np.round(y, 2))
    [-15.]

  Notes:
    This follows the code of Mistry et al. 2022, which takes the sign from the
    iNALU, as here, or leaves it out. Their code has no epsilon. Products are
    cut at 2e17 (in float32), see `arithmetic.limit`.
  """

  NEUTRAL: ClassVar[float] = 1.

  def __init__(self, output_size: int, epsilon: float = 1e-7,
               name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      epsilon: added to the magnitudes of inputs.
      name: name of the module.

    Raises:
      ValueError: `output_size` or `epsilon` is not positive.
    """
    super().__init__(output_size, name=name)
    check_epsilon(epsilon)
    self.epsilon = epsilon

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    return dict(super().parameters(input_size)) | {
        "b": Parameter((self.output_size,), jnp.zeros)}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns `w` and `gate` of the `MCFC`, and `b`, `[O]`."""
    return super().weights(params) | {"b": arithmetic.delicate(params["b"])}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    x = arithmetic.delicate(inputs)
    logs = jnp.log(jnp.abs(x) + self.epsilon)
    exponents = arithmetic.add(logs, weights["gate"][None] * weights["w"])
    products = arithmetic.exponentiate(
        exponents + align(weights["b"].astype(x.dtype), exponents))
    signs = arithmetic.multiply(jnp.sign(x), weights["w"])
    return (products * signs).astype(inputs.dtype)

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    return super().readable(weights) | {"b": np.zeros(self.output_size)}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return power_products(weights["gate"] * weights["w"], inputs)
