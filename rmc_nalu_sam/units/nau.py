"""Neural Addition Unit and Neural Multiplication Unit.

"Neural Arithmetic Units", Madsen, Johansen, 2020, arXiv 2001.05016.

Letters: I inputs, O outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import (
    Expression,
    power_products,
    weighted_sums,
)

Penalty = Callable[[jax.Array], jax.Array]


def _linear(w: jax.Array) -> jax.Array:
  return jnp.minimum(jnp.abs(w), jnp.abs(1 - w)).mean()


def _squared(w: jax.Array) -> jax.Array:
  return jnp.square(w * (1 - w)).mean()


ONES = hk.initializers.Constant(1.)

PENALTIES: Mapping[str, Penalty] = {"linear": _linear, "squared": _squared}


def nmu_penalty(shape: str) -> Penalty:
  """Returns a regulariser that is 0 where all weights are 0 or 1.

  Args:
    shape: "linear", the mean of `min(w, 1 - w)` as in the paper and its
      experiments, or "squared", the mean of `w^2 (1 - w)^2`, an option of the
      paper's code.

  Raises:
    ValueError: there is no such shape.
  """
  if shape not in PENALTIES:
    raise ValueError(
        f"unknown penalty {shape!r}; valid penalties: {', '.join(PENALTIES)}")
  return PENALTIES[shape]


def nau_penalty(shape: str) -> Penalty:
  """Returns a regulariser that is 0 where all weights are -1, 0 or 1.

  It is `nmu_penalty` of the magnitudes.
  """
  penalty = nmu_penalty(shape)
  return lambda w: penalty(jnp.abs(w))


def nau_input_penalty(w: jax.Array, mean_inputs: jax.Array) -> jax.Array:
  """Returns the mean of `(1 - |w|) z^2`: ignored inputs become 0."""
  return ((1 - jnp.abs(w)) * jnp.square(mean_inputs)[:, None]).mean()


def nmu_input_penalty(w: jax.Array, mean_inputs: jax.Array) -> jax.Array:
  """Returns the mean of `(1 - w) (1 - z)^2`: ignored inputs become 1."""
  return ((1 - w) * jnp.square(1 - mean_inputs)[:, None]).mean()


def nau_init(input_size: int, output_size: int) -> hk.initializers.Initializer:
  """Returns Glorot and Bengio's uniform initialiser, within [-1/2, 1/2]."""
  bound = min(.5, (6 / (input_size + output_size)) ** .5)
  return hk.initializers.RandomUniform(-bound, bound)


def nmu_init() -> hk.initializers.Initializer:
  """Returns the uniform initialiser in [1/4, 3/4]."""
  return hk.initializers.RandomUniform(.25, .75)


def clip_parameters(params: Params, low: float,
                    high: float) -> dict[str, jax.Array]:
  """Clips all parameters to the interval from `low` to `high`."""
  return {name: jnp.clip(value, low, high) for name, value in params.items()}


class NAU(Unit):
  r"""Computes sums and differences of inputs: the Neural Addition Unit.

  .. math::

    z = x W, \quad W \in [-1, 1]

  See Madsen and Johansen 2020 (https://arxiv.org/abs/2001.05016), section 2.3,
  and 4.3 for `input_penalty`.

  Example:
    >>> nau = hk.transform(lambda x: rmc_nalu_sam.NAU(1)(x))
    >>> params = {"nau": {"w": jnp.array([[1.], [-1.], [0.]])}}
    >>> x = jnp.array([7., 2., 4.])
    >>> nau.apply(params, None, x).tolist()  # 7 - 2
    [5.0]

  Notes:
    Weights are clipped in the forward pass and by `constrain`, as in the
    authors' code. A weight outside of the interval has no gradient; a weight on
    its boundary has. The authors clip the uniform initialisation to
    [-1/2, 1/2].
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.)}
  has_penalty = True
  has_input_penalty = True

  def __init__(self, output_size: int, penalty: str = "linear",
               solved: bool = False, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      penalty: form of the regulariser, "linear" (the paper's, mean of
        `min(|w|, 1 - |w|)`) or "squared" (mean of `w^2 (1 - |w|)^2`).
      solved: whether all weights are 1 and not trained. The unit is then the
        sum of its inputs, a reference for how well the layers before it can be
        trained.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive, or there is no such penalty.
    """
    super().__init__(output_size, name=name)
    self._penalty = nau_penalty(penalty)
    self._solved = solved

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    init = ONES if self._solved else nau_init(input_size, self.output_size)
    return {"w": Parameter((input_size, self.output_size), init)}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    w = arithmetic.clip(params["w"], -1., 1.)
    return {"w": jax.lax.stop_gradient(w) if self._solved else w}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    return arithmetic.add(inputs, self.weights(params)["w"])

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return jnp.zeros([]) if self._solved else self._penalty(params["w"])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    return nau_input_penalty(self.weights(params)["w"], mean_inputs)

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    return clip_parameters(params, -1., 1.)

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return weighted_sums(weights["w"], inputs)


class NMU(Unit):
  r"""Computes products of signed inputs: the Neural Multiplication Unit.

  .. math::

    z_o = \prod_i (W_{io} x_i + 1 - W_{io}), \quad W \in [0, 1]

  See Madsen and Johansen 2020 (https://arxiv.org/abs/2001.05016), section 2.4,
  and 4.3 for `input_penalty`.

  Example:
    >>> nmu = rmc_nalu_sam.find_units(
    ...     lambda x: rmc_nalu_sam.NMU(1)(x), jnp.zeros([3]))["nmu"]
    >>> params = {"w": jnp.array([[1.], [1.], [0.]])}
    >>> nmu.forward(params, jnp.array([-3., 5., 4.])).tolist()
    [-15.0]
    >>> float(nmu.sparsity_error(params))  # All weights are 0 or 1.
    0.0

  Notes:
    Weights are clipped in the forward pass and by `constrain`. A weight outside
    of the interval has no gradient; a weight on its boundary has. Factors and
    products are cut at 2e17 (in float32), see `arithmetic.limit`.
  """

  VALUES: ClassVar = {"w": (0., 1.)}
  has_penalty = True
  has_input_penalty = True
  NEUTRAL: ClassVar[float] = 1.

  def __init__(self, output_size: int, penalty: str = "linear",
               solved: bool = False, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      penalty: form of the regulariser, "linear" (the paper's, mean of
        `min(w, 1 - w)`) or "squared" (mean of `w^2 (1 - w)^2`).
      solved: whether all weights are 1 and not trained. The unit is then the
        product of its inputs, a reference for how well the layers before it
        can be trained.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive, or there is no such penalty.
    """
    super().__init__(output_size, name=name)
    self._penalty = nmu_penalty(penalty)
    self._solved = solved

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    init = ONES if self._solved else nmu_init()
    return {"w": Parameter((input_size, self.output_size), init)}

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    w = arithmetic.clip(params["w"], 0., 1.)
    return {"w": jax.lax.stop_gradient(w) if self._solved else w}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    outputs = arithmetic.multiply(inputs, self.weights(params)["w"])
    return outputs.astype(inputs.dtype)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    return jnp.zeros([]) if self._solved else self._penalty(params["w"])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    return nmu_input_penalty(self.weights(params)["w"], mean_inputs)

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    return clip_parameters(params, 0., 1.)

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    return power_products(weights["w"], inputs)
