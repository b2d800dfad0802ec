"""Linear layers with and without an activation: the units' baselines."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import Expression, weighted_sums

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "elu": jax.nn.elu,
    "hard_shrink": lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0),
    "hard_tanh": jax.nn.hard_tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "none": lambda x: x,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "soft_shrink": lambda x: x - jnp.clip(x, -0.5, 0.5),
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "tanh": jnp.tanh,
    "tanh_shrink": lambda x: x - jnp.tanh(x),
}

# Each takes the number of inputs.
INITIALIZERS: Mapping[str, Callable[[int], hk.initializers.Initializer]] = {
    "glorot": lambda _: hk.initializers.VarianceScaling(
        1., "fan_avg", "uniform"),
    "haiku": lambda size: hk.initializers.TruncatedNormal(size ** -.5),
    "he": lambda _: hk.initializers.VarianceScaling(2., "fan_in", "uniform"),
}


# Functions of the weights: Table 4 of the NALU paper.
SQUASHES = ("none", "sigmoid", "tanh")


class Linear(Unit):
  r"""Computes an activation of a linear layer, that of `hk.Linear`.

  .. math::

    y = f(x W + b)

  where f is the `activation`. With `squash`, a function of W replaces W. Such
  layers lie between a linear layer and a `NAC`: Table 4 of "Neural Arithmetic
  Logic Units" (Trask et al. 2018, arXiv 1808.00508).

  Example:
    >>> layer = hk.transform(lambda x: rmc_nalu_sam.Linear(3, "relu")(x))
    >>> params = layer.init(jax.random.key(0), jnp.ones([5]))
    >>> jax.tree.map(jnp.shape, params)
    {'linear': {'b': (3,), 'w': (5, 3)}}
    >>> bool((layer.apply(params, None, jnp.ones([5])) >= 0).all())
    True

  Notes:
    Madsen and Johansen (https://arxiv.org/abs/2001.05016) initialise a linear
    layer by `glorot` and one with a ReLU by `he`. The default is `hk.Linear`'s,
    the same numbers for the same key.
  """

  VALUES: ClassVar = {"w": (-1., 0., 1.)}

  def __init__(self, output_size: int, activation: str = "none",
               with_bias: bool = True, w_init: str = "haiku",
               squash: str = "none", name: str | None = None):
    """Constructs a layer.

    Args:
      output_size: O, number of outputs.
      activation: function of the outputs: 'elu', 'hard_shrink', 'hard_tanh',
        'leaky_relu', 'none', 'relu', 'relu6', 'selu', 'sigmoid', 'soft_shrink',
        'softplus', 'softsign', 'tanh' or 'tanh_shrink'.
      with_bias: whether to add `b`, which starts at 0.
      w_init: initialiser of the weights: 'glorot', 'haiku' or 'he'.
      squash: function of the weights: 'none', 'sigmoid' or 'tanh'.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive, or there is no such activation,
        initialiser or squash.
    """
    super().__init__(output_size, name=name)
    for what, value, valid in (("activation", activation, ACTIVATIONS),
                               ("w_init", w_init, INITIALIZERS),
                               ("squash", squash, SQUASHES)):
      if value not in valid:
        raise ValueError(f"unknown {what} {value!r}; valid values: "
                         f"{', '.join(valid)}")
    self.activation = activation
    self.with_bias = with_bias
    self.w_init = w_init
    self.squash = squash

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    shape = (input_size, self.output_size)
    params = {"w": Parameter(shape, INITIALIZERS[self.w_init](input_size))}
    if self.with_bias:
      params["b"] = Parameter((self.output_size,), jnp.zeros)
    return params

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    return dict(params) | {"w": ACTIVATIONS[self.squash](params["w"])}

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    multiply = narrow.matmul if narrow.current() else arithmetic.add
    outputs = multiply(inputs, self.weights(params)["w"])
    if self.with_bias:
      outputs = outputs + align(params["b"].astype(outputs.dtype), outputs)
    return ACTIVATIONS[self.activation](outputs)

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    return {name: np.round(np.asarray(value, np.float64))
            for name, value in weights.items()}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    sums = weighted_sums(weights["w"], inputs, weights.get("b"))
    if self.activation == "none":
      return sums
    return [Expression(f"{self.activation}({x.text})") for x in sums]
