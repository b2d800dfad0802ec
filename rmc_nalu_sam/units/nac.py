"""Neural Accumulators: of sums, and of products in log space.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508; the products by themselves, and the initialisation: "Neural
Arithmetic Units", Madsen, Johansen, 2020, arXiv 2001.05016.

Letters: I inputs, O outputs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import (
    Expression,
    halves,
    magnitudes,
    power_products,
    weighted_sums,
)
from rmc_nalu_sam.units.nau import (
    clip_parameters,
    nau_input_penalty,
    nmu_init,
    nmu_input_penalty,
    nmu_penalty,
)


def nac_init(input_size: int, output_size: int) -> hk.initializers.Initializer:
  """Returns the uniform initialiser in [-r, r] of `w_hat` and `m_hat`.

  r gives the weights of a NAC the variance 2 / (I + O) of Glorot and Bengio
  (Madsen and Johansen 2020, appendix on initialisation). No r does so for
  I + O < 5, which is treated as 5.
  """
  variance = 2 / max(input_size + output_size, 5)
  low, high = 1e-6, 10.
  for _ in range(60):
    middle = (low + high) / 2
    if _nac_variance(middle) < variance:
      low = middle
    else:
      high = middle
  return hk.initializers.RandomUniform(-low, low)


def _nac_variance(r: float) -> float:
  return (1 - math.tanh(r) / r) * (r - math.tanh(r / 2)) / (2 * r)


def nac_parameters(input_size: int, output_size: int,
                   suffix: str = "") -> dict[str, Parameter]:
  """Returns `w_hat` and `m_hat` of a NAC."""
  init = nac_init(input_size, output_size)
  return {f"{name}{suffix}": Parameter((input_size, output_size), init)
          for name in ("w_hat", "m_hat")}


def check_epsilon(epsilon: float) -> None:
  """Checks that `epsilon` keeps logarithms finite.

  Raises:
    ValueError: it is not positive.
  """
  if epsilon <= 0:
    raise ValueError(f"epsilon must be positive, got {epsilon}")


class NAC(Unit):
  r"""Computes sums and differences of inputs: the Neural Accumulator.

  .. math::

    a = x W, \quad W = \tanh(\hat W) \odot \sigma(\hat M)

  so weights tend to -1, 0 and 1; there is no bias.

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), section 2.

  Example:
    >>> nac = rmc_nalu_sam.find_units(
    ...     lambda x: rmc_nalu_sam.NAC(1)(x), jnp.zeros([3]))["nac"]
    >>> params = dict(w_hat=jnp.array([[9.], [-9.], [0.]]),
    ...               m_hat=jnp.full([3, 1], 20.))
    >>> print(np.round(nac.weights(params)["w"].ravel(), 2))
    [ 1. -1.  0.]
    >>> print(np.round(nac.forward(params, jnp.array([7., 2., 4.])), 2))
    [5.]

  Notes:
    The paper has no initialisation: `nac_init` is Madsen and Johansen's.
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.)}
  has_input_penalty = True

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    return nac_parameters(input_size, self.output_size)

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    return {"w": arithmetic.squash(params["w_hat"], params["m_hat"])}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    return arithmetic.add(inputs, self.weights(params)["w"])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    return nau_input_penalty(self.weights(params)["w"], mean_inputs)

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return weighted_sums(weights["w"], inputs)


class MultiplicativeNAC(Unit):
  r"""Computes products and quotients of magnitudes: the multiplicative NAC.

  .. math::

    m_o = \prod_i (|x_i| + \epsilon)^{W_{io}}

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), section 2, where it
  is a part of the NALU. Madsen and Johansen 2020
  (https://arxiv.org/abs/2001.05016) compare three kinds of W:

  - `nac`: :math:`\tanh(\hat W) \odot \sigma(\hat M)`, which can divide;
  - `sigmoid`: :math:`\sigma(\hat W)`;
  - `nmu`: clipped to [0, 1], initialised and regularised as in `NMU`.

  Example:
    >>> unit = hk.transform(lambda x: rmc_nalu_sam.MultiplicativeNAC(1)(x))
    >>> params = {"multiplicative_nac": dict(
    ...     w_hat=jnp.array([[20.], [-20.]]), m_hat=jnp.full([2, 1], 20.))}
    >>> y = unit.apply(params, None, jnp.array([-6., 4.]))  # |-6| / 4
    >>> print(np.round(y, 2))
    [1.5]

  Notes:
    Products are cut at 2e17 (in float32), see `arithmetic.limit`.
    :math:`\hat W` of `sigmoid` starts uniform with variance 2 / (I + O), the
    variance of the authors' normal distribution. R_z of `nmu` is computed from
    the inputs, as in their text; their code computes it from the inputs'
    logarithms.
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.)}
  NEUTRAL: ClassVar[float] = 1.
  KINDS: ClassVar = ("nac", "sigmoid", "nmu")

  def __init__(self, output_size: int, kind: str = "nac",
               epsilon: float = 1e-7, penalty: str = "linear",
               name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      kind: kind of the weights, "nac", "sigmoid" or "nmu".
      epsilon: added to the magnitudes of inputs.
      penalty: form of the regulariser of the kind "nmu", "linear" or
        "squared"; see `NMU`.
      name: name of the module.

    Raises:
      ValueError: `output_size` or `epsilon` is not positive, or there is no
        such kind or penalty.
    """
    super().__init__(output_size, name=name)
    if kind not in self.KINDS:
      raise ValueError(
          f"unknown kind {kind!r}; valid kinds: {', '.join(self.KINDS)}")
    check_epsilon(epsilon)
    self.kind = kind
    self.has_penalty = self.has_input_penalty = kind == "nmu"
    self.epsilon = epsilon
    self._penalty = nmu_penalty(penalty)

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    if self.kind == "nac":
      return nac_parameters(input_size, self.output_size)
    if self.kind == "nmu":
      return {"w": Parameter(shape, nmu_init())}
    return {"w_hat": Parameter(shape, hk.initializers.VarianceScaling(
        1., "fan_avg", "uniform"))}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    if self.kind == "nac":
      return {"w": arithmetic.squash(params["w_hat"], params["m_hat"])}
    if self.kind == "nmu":
      return {"w": arithmetic.clip(arithmetic.delicate(params["w"]), 0., 1.)}
    return {"w": jax.nn.sigmoid(arithmetic.delicate(params["w_hat"]))}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    outputs = arithmetic.multiply_in_log_space(
        jnp.abs(arithmetic.delicate(inputs)) + self.epsilon,
        self.weights(params)["w"])
    return outputs.astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return self._penalty(params["w"]) if self.kind == "nmu" else jnp.zeros([])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    if self.kind != "nmu":
      return jnp.zeros([])
    return nmu_input_penalty(self.weights(params)["w"], mean_inputs)

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    low, high = (0., 1.) if self.kind == "nmu" else (-jnp.inf, jnp.inf)
    return clip_parameters(params, low, high)

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    return {"w": halves(weights["w"])}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return power_products(weights["w"], magnitudes(inputs))
