"""Which rows are in use, and which are free to be written to.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538, Methods: "Dynamic memory allocation".
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32

# So that the product of the usages does not vanish at once (the value of the
# DNC's public implementation).
EPSILON = 1e-6


def retention(free_gates: jax.Array, read_weights: jax.Array) -> jax.Array:
  """How much of each row is not freed by the heads that read it.

  Args:
    free_gates: `[R]`, in [0, 1].
    read_weights: `[R, N]`, of the step before.

  Returns:
    psi `[N]` in [0, 1], at least float32.
  """
  free_gates, read_weights = map(at_least_float32, (free_gates, read_weights))
  return jnp.prod(1 - free_gates[:, None] * read_weights, axis=0)


def update_usage(usage: jax.Array, write_weights: jax.Array,
                 retained: jax.Array) -> jax.Array:
  """Writing uses rows, reading frees them.

  No gradient flows to the write weights, as in the public implementation.

  Args:
    usage: `[N]` in [0, 1], of the step before.
    write_weights: `[H, N]`, of the step before.
    retained: `[N]`, psi of `retention`.

  Returns:
    `[N]`, at least float32.
  """
  usage, write_weights, retained = map(
      at_least_float32, (usage, write_weights, retained))
  written = 1 - jnp.prod(1 - jax.lax.stop_gradient(write_weights), axis=0)
  return (usage + (1 - usage) * written) * retained


def allocation(usage: jax.Array) -> jax.Array:
  """Weights of the free rows: the freest row takes what it has room for.

  Each further one, by rising usage, has room for the part of the rest that is
  its own nonusage. Rows of the same usage are taken in the order of their
  index.

  Args:
    usage: `[N]` in [0, 1].

  Returns:
    `[N]`, at least float32, in [0, 1] and with a sum of at most 1.
  """
  usage = EPSILON + (1 - EPSILON) * at_least_float32(usage)
  order = jnp.argsort(usage)
  # The derivative of a gather with unique indices needs no atomic addition.
  ascending = usage.at[order].get(unique_indices=True)
  used_before = jnp.concatenate(
      [jnp.ones(1, usage.dtype), jnp.cumprod(ascending[:-1])])
  weights = (1 - ascending) * used_before
  return weights.at[jnp.argsort(order)].get(unique_indices=True)


def allocation_weights(usage: jax.Array, gates: jax.Array) -> jax.Array:
  """Allocation for several write heads, one after the other.

  Each head sees the usage as if those before it had already written.

  Args:
    usage: `[N]` in [0, 1].
    gates: `[H]` in [0, 1], how much of its allocation a head writes to.

  Returns:
    `[H, N]`, at least float32, not scaled by the gates.
  """
  usage, gates = map(at_least_float32, (usage, gates))
  weights = []
  for head in range(gates.shape[0]):
    weights.append(allocation(usage))
    usage = usage + (1 - usage) * gates[head] * weights[head]
  return jnp.stack(weights)
