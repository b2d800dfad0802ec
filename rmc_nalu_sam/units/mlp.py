"""A multi-layer perceptron: the read-out in the paper of the RMC."""

import itertools
from collections.abc import Mapping, Sequence

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.units.base import Parameter, Params, Unit, pure
from rmc_nalu_sam.units.expressions import Expression


class MLP(Unit):
  r"""Applies ReLU layers and then a linear layer.

  .. math::

    h_l = \max(0, h_{l-1} W_l + b_l), \quad h_0 = x, \quad
    y = h_L W_{L+1} + b_{L+1}

  It is the read-out of every network in the supervised experiments of
  "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822, appendix A): four ReLU layers of 256 units.

  Example:
    >>> mlp = hk.transform(
    ...     lambda x: rmc_nalu_sam.MLP(3, hidden_size=7, num_layers=2)(x))
    >>> params = jax.eval_shape(mlp.init, jax.random.key(0), jnp.zeros([5]))
    >>> [params["mlp"][f"w_{i}"].shape for i in range(3)]
    [(5, 7), (7, 7), (7, 3)]

  Notes:
    The paper does not give the initial weights; these are `hk.Linear`'s.
  """

  def __init__(self, output_size: int, hidden_size: int = 256,
               num_layers: int = 4, name: str | None = None):
    """Constructs a perceptron.

    Args:
      output_size: O, number of outputs.
      hidden_size: units of each ReLU layer.
      num_layers: number of ReLU layers, without the linear layer.
      name: name of the module.

    Raises:
      ValueError: a size or `num_layers` is not positive.
    """
    super().__init__(output_size, name=name)
    check_positive(hidden_size=hidden_size)
    check_count(num_layers=num_layers)
    self.hidden_size = hidden_size
    self.num_layers = num_layers

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    sizes = [input_size, *[self.hidden_size] * self.num_layers,
             self.output_size]
    params = {}
    for i, shape in enumerate(itertools.pairwise(sizes)):
      params[f"w_{i}"] = Parameter(
          shape, hk.initializers.TruncatedNormal(shape[0]**-0.5))
      params[f"b_{i}"] = Parameter(shape[1:], jnp.zeros)
    return params

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    outputs = inputs
    for i in range(self.num_layers + 1):
      if i:
        outputs = jax.nn.relu(outputs)
      weights, bias = (params[f"{name}_{i}"].astype(outputs.dtype)
                       for name in "wb")
      outputs = narrow.matmul(outputs, weights) + align(bias, outputs)
    return outputs

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    del weights  # No formula can be read from them.
    names = [x.text for x in inputs]
    if len(names) > 3:
      names[2:-1] = ["..."]
    operands = ", ".join(names)
    return [Expression(f"mlp{i + 1}({operands})")
            for i in range(self.output_size)]
