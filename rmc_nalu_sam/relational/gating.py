"""The gates of `RMC`.

"Relational recurrent neural networks", Santoro et al., 2018, arXiv 1806.01822:
section 3. Letters are those of `layers`.
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.relational.layers import Affine, Parameters, Seen, affine


def input_gates(params: Affine, x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns `Seen.gates` of all input rows as one vector, `[..., 1, I D]`."""
  take, keep = jnp.split(affine(params, x), 2, axis=-1)
  return take, keep


def gate(params: Parameters, seen: Seen, memory: jax.Array,
         candidate: jax.Array, *, input_bias: float,
         forget_bias: float) -> jax.Array:
  """Mixes the candidate and the old memory.

  Args:
    params: of the core.
    seen: of the input.
    memory: `[..., N, D]`, before the step.
    candidate: `[..., N, D]`, from `attention.relate`.
    input_bias: added to the input gate before the sigmoid.
    forget_bias: added to the forget gate before the sigmoid.

  Returns:
    `[..., N, D]`, after the step.
  """
  if params.memory_gates is None or seen.gates is None:
    return candidate
  gates = affine(params.memory_gates, jnp.tanh(memory))
  take, keep = (mine + theirs for mine, theirs in zip(
      jnp.split(gates, 2, axis=-1), seen.gates, strict=True))
  return (jax.nn.sigmoid(take + input_bias) * jnp.tanh(candidate)
          + jax.nn.sigmoid(keep + forget_bias) * memory)
