"""Neural Power Units.

"Neural Power Units", Heim, Pevný, Šmídl, 2020, arXiv 2006.01681.

Letters: I inputs, O outputs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import Expression, halves, power_products
from rmc_nalu_sam.units.linear import INITIALIZERS
from rmc_nalu_sam.units.nac import check_epsilon


class NPU(Unit):
  r"""Computes products of complex powers: the Neural Power Unit.

  .. math::

    z &= \exp(\log(r) W_r - \pi k W_i) \odot \cos(\log(r) W_i + \pi k W_r) \\
    r &= g \odot (|x| + \epsilon) + 1 - g, \quad
    k_i = g_i \text{ if } x_i < 0 \text{ else } 0

  which is the real part of a product of complex powers. The gate g in [0, 1] of
  an input replaces the input by 1 if it is not needed.

  See Heim et al. 2020 (https://arxiv.org/abs/2006.01681), section 3. The
  regulariser is the L1 norm of all parameters.

  Example:
    >>> npu = hk.transform(lambda x: rmc_nalu_sam.NPU(1)(x))
    >>> params = {"npu": dict(
    ...     w_real=jnp.array([[1.], [.5], [1.]]), w_imag=jnp.zeros([3, 1]),
    ...     gate=jnp.array([1., 1., 0.]))}  # The third input plays no part.
    >>> x = jnp.array([-3., 4., 7.])
    >>> print(np.round(npu.apply(params, None, x), 2))  # -3 sqrt(4)
    [-6.]

  Notes:
    The paper prints k the other way round; its text and public code have it as
    here. The gates are clipped only where they are used, as in the public code.
    A gate above 1 is then out of reach of the regulariser, which would pull a
    gate that is put back to 1 below 1 at once. Products are cut at 2e17 (in
    float32), see `arithmetic.limit`.
  """

  VALUES: ClassVar = {"w_real": (-1., 0., 1.), "w_imag": (0.,),
                      "gate": (0., 1.)}
  NEUTRAL: ClassVar[float] = 1.
  has_penalty = True
  _IMAGINARY: ClassVar[bool] = True
  _GATED: ClassVar[bool] = True

  def __init__(self, output_size: int, clip_weights: bool = False,
               epsilon: float = 2. ** -23, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      clip_weights: whether `constrain` clips the real weights to [-1, 1] and
        the gates to [0, 1], as an option of the Primer's code does.
      epsilon: added to the magnitudes of inputs.
      name: name of the module.

    Raises:
      ValueError: `output_size` or `epsilon` is not positive.
    """
    super().__init__(output_size, name=name)
    check_epsilon(epsilon)
    self.clip_weights = clip_weights
    self.epsilon = epsilon

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    params = {"w_real": Parameter(shape, INITIALIZERS["glorot"](input_size))}
    if self._IMAGINARY:
      params["w_imag"] = Parameter(shape, jnp.zeros)
    if self._GATED:
      params["gate"] = Parameter(
          (input_size,), lambda shape, dtype: jnp.full(shape, .5, dtype))
    return params

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns `w_real`, and `w_imag` and `gate`, `[I]`, where they exist."""
    weights = {name: arithmetic.delicate(p) for name, p in params.items()}
    if self._GATED:
      weights["gate"] = arithmetic.clip(weights["gate"], 0., 1.)
    return weights

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    weights = self.weights(params)
    x = arithmetic.delicate(inputs)
    magnitudes = jnp.abs(x) + self.epsilon
    turns = jnp.pi * (x < 0).astype(x.dtype)
    if self._GATED:
      gate = align(weights["gate"].astype(x.dtype), x)
      magnitudes = gate * magnitudes + 1 - gate
      turns = gate * turns
    logs = jnp.log(magnitudes)
    exponents = arithmetic.add(logs, weights["w_real"])
    angles = arithmetic.add(turns, weights["w_real"])
    if self._IMAGINARY:
      exponents = exponents - arithmetic.add(turns, weights["w_imag"])
      angles = angles + arithmetic.add(logs, weights["w_imag"])
    outputs = arithmetic.exponentiate(exponents) * jnp.cos(angles)
    return outputs.astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return jnp.stack([jnp.abs(p).sum() for p in params.values()]).sum()

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    params = dict(params)
    if self.clip_weights:
      params["w_real"] = jnp.clip(params["w_real"], -1., 1.)
      if self._GATED:
        params["gate"] = jnp.clip(params["gate"], 0., 1.)
    return params

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    return super().readable(weights) | {"w_real": halves(weights["w_real"])}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    exponents = weights["w_real"]
    if self._GATED:
      exponents = exponents * weights["gate"][:, None]
    return power_products(exponents, inputs)


class RealNPU(NPU):
  r"""Computes products of real powers: an `NPU` without imaginary weights.

  .. math::

    z = \exp(\log(r) W_r) \odot \cos(\pi k W_r)

  Example:
    >>> npu = hk.transform(lambda x: rmc_nalu_sam.RealNPU(1)(x))
    >>> params = {"real_npu": dict(
    ...     w_real=jnp.array([[-1.], [2.]]), gate=jnp.ones([2]))}
    >>> x = jnp.array([-4., 2.])
    >>> print(np.round(npu.apply(params, None, x), 2))  # 2^2 / -4
    [-1.]
  """

  _IMAGINARY = False


class NaiveNPU(NPU):
  r"""Computes products of complex powers: an `NPU` without gates.

  All gates g of the equations of an `NPU` are 1:

  .. math::

    r = |x| + \epsilon, \quad
    k_i = 1 \text{ if } x_i < 0 \text{ else } 0

  Example:
    >>> npu = hk.transform(lambda x: rmc_nalu_sam.NaiveNPU(1)(x))
    >>> params = {"naive_npu": dict(w_real=jnp.array([[1.], [-1.]]),
    ...                             w_imag=jnp.zeros([2, 1]))}
    >>> x = jnp.array([[6., 4.], [-6., 4.]])
    >>> print(np.round(npu.apply(params, None, x), 2).ravel())  # 6 / 4, -6 / 4
    [ 1.5 -1.5]
  """

  _GATED = False
