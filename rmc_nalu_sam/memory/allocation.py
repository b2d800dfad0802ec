"""DNC's usage of slots, and the allocation of free slots.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538, Methods: "Dynamic memory allocation".

The notes of `cores.dnc.DNC` say where this differs from the paper and from the
public implementation.
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32

# The smallest usage, so that a product of usages does not vanish at once (the
# value of DNC's public implementation).
MIN_USAGE = 1e-6


def retention(free_gates: jax.Array, read_weights: jax.Array) -> jax.Array:
  """Returns how much of each slot the heads that read it do not free.

  Args:
    free_gates: `[R]`, in [0, 1].
    read_weights: `[R, N]`, of the previous step.

  Returns:
    psi `[N]` in [0, 1], at least float32.
  """
  free_gates, read_weights = map(at_least_float32, (free_gates, read_weights))
  return jnp.prod(1 - free_gates[:, None] * read_weights, axis=0)


def update_usage(usage: jax.Array, write_weights: jax.Array,
                 retained: jax.Array) -> jax.Array:
  """Returns the usage after a step: writes raise it, freed reads lower it.

  No gradient flows to the write weights, as in the public implementation.

  Args:
    usage: `[N]` in [0, 1], of the previous step.
    write_weights: `[H, N]`, of the previous step.
    retained: `[N]`, psi, from `retention`.

  Returns:
    `[N]`, at least float32.
  """
  usage, write_weights, retained = map(
      at_least_float32, (usage, write_weights, retained))
  written = 1 - jnp.prod(1 - jax.lax.stop_gradient(write_weights), axis=0)
  return (usage + (1 - usage) * written) * retained


def allocation(usage: jax.Array) -> jax.Array:
  """Returns allocation weights of the free slots, freest slot first.

  In the order of rising usage, each slot takes a fraction of what the slots
  before it left over: 1 minus its usage. Slots of the same usage are taken in
  the order of their rows.

  Args:
    usage: `[N]` in [0, 1].

  Returns:
    `[N]`, at least float32, in [0, 1]; sums to at most 1.
  """
  usage = MIN_USAGE + (1 - MIN_USAGE) * at_least_float32(usage)
  order = jnp.argsort(usage)
  # The derivative of a gather with unique indices needs no atomic addition.
  ascending = usage.at[order].get(unique_indices=True)
  used_before = jnp.concatenate(
      [jnp.ones(1, usage.dtype), jnp.cumprod(ascending[:-1])])
  weights = (1 - ascending) * used_before
  return weights.at[jnp.argsort(order)].get(unique_indices=True)


def allocation_weights(usage: jax.Array, gates: jax.Array) -> jax.Array:
  """Returns the allocation of several write heads, one after the other.

  Each head gets the usage as if the heads before it had already written.

  Args:
    usage: `[N]` in [0, 1].
    gates: `[H]` in [0, 1], the fraction of its allocation that a head uses.

  Returns:
    `[H, N]`, at least float32, not scaled by the gates.
  """
  usage, gates = map(at_least_float32, (usage, gates))
  weights = []
  for head in range(gates.shape[0]):
    weights.append(allocation(usage))
    usage = usage + (1 - usage) * gates[head] * weights[head]
  return jnp.stack(weights)
