"""Regularisers that are added to the loss."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from launch.learning.varied import is_on, is_traced
from rmc_nalu_sam import Model


@dataclasses.dataclass(frozen=True)
class Discrete:
  """Adds the arithmetic units' own regularisers, which make weights discrete.

  The weight of the weights' regulariser grows linearly from 0 at `start` to
  `weight` at `end`, as in "Neural Arithmetic Units" (Madsen and Johansen, 2020,
  arXiv 2001.05016), section 3.

  Attributes:
    weight: Final weight of the units' sparsity regulariser.
    start: Update at which its weight begins to grow from 0.
    end: Update at which its weight reaches `weight`.
    input_weight: Weight of the units' regulariser of their inputs.
  """

  weight: float = 0.
  start: int = 0
  end: int = 0
  input_weight: float = 0.

  def __post_init__(self):
    # Numbers of a sweep were checked one by one before they were traced.
    if any(map(is_traced, (
        self.weight, self.start, self.end, self.input_weight))):
      return
    for name in ("weight", "input_weight"):
      if not getattr(self, name) >= 0:
        raise ValueError(f"need {name} >= 0 (0 is off), got "
                         f"{name}={getattr(self, name)}")
    if not 0 <= self.start <= self.end:
      raise ValueError("need 0 <= start <= end, got start="
                       f"{self.start} and end={self.end}")
    if not self.weight and self.end:
      raise ValueError(f"start={self.start} and end={self.end} need a weight "
                       "above 0, got weight=0")

  def weight_at(self, step: jax.Array) -> jax.Array:
    """Returns the weight of the weights' regulariser after `step` updates."""
    if is_traced(self.start) or is_traced(self.end):
      grown = jnp.where(
          self.start < self.end,
          (step - self.start) / jnp.maximum(self.end - self.start, 1),
          jnp.float32(step >= self.start))
    elif self.start < self.end:
      grown = (step - self.start) / (self.end - self.start)
    else:
      grown = step >= self.start
    return self.weight * jnp.clip(grown, 0., 1.)

  def of_params(self, model: Model, params, step: jax.Array
                ) -> tuple[jax.Array | float, dict[str, jax.Array]]:
    """Returns the weighted regulariser of the weights, and its metrics.

    Args:
      model: the network.
      params: of the network.
      step: `[]` int32, updates done.

    Returns:
      What to add to the loss, `[]`; the metrics `penalty` (un-weighted) and
      `penalty_weight`. Without a weight: 0 and no metrics.
    """
    if not is_on(self.weight):
      return 0., {}
    penalty, weight = model.penalty(params), self.weight_at(step)
    return weight * penalty, {"penalty": penalty, "penalty_weight": weight}


PENALTIES: Mapping[str, Callable[..., Discrete]] = {"discrete": Discrete}
