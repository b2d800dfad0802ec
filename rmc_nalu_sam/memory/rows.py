"""Differentiable access to a few rows of a large memory, in place.

The memory `M [N, W]` is touched only by the two linear operations below. Both
take it and return it, and their custom derivatives do the same with its
cotangent, so that under `jax.lax.scan` forward and backward cost O(rows
touched) a step instead of O(N), as in "Scaling Memory-Augmented Neural
Networks with Sparse Reads and Writes" (Rae et al., 2016, arXiv 1610.09027),
section 3.4. JAX's own derivative of a gather would instead build a dense zero
of `[N, W]` at every step, and add it.

Where the paper keeps the changed rows to roll the memory back, nothing has to
be kept here: the two operations are linear in the memory, so that their
derivatives need the indices only.
"""

import chex
import jax
import jax.numpy as jnp


@jax.custom_vjp
def gather_rows(memory: jax.Array,
                indices: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Reads rows. Go on with the returned memory, not with the one passed in.

  Using the old memory afterwards is right but slow: XLA then has to add two
  dense cotangents.

  Args:
    memory: `[N, W]`.
    indices: int32 of any shape `[...]`, in [0, N); may repeat.

  Returns:
    The rows `[..., W]`, and the memory.
  """
  chex.assert_rank(memory, 2)
  return memory[indices], memory


def _gather_rows_fwd(memory, indices):
  return gather_rows(memory, indices), indices


def _gather_rows_bwd(indices, cotangents):
  d_rows, d_memory = cotangents
  return d_memory.at[indices].add(d_rows), None


gather_rows.defvjp(_gather_rows_fwd, _gather_rows_bwd)


@jax.custom_vjp
def erase_and_add_rows(memory: jax.Array, erased: jax.Array,
                       indices: jax.Array, rows: jax.Array) -> jax.Array:
  """Sets some rows to zero, then adds to some rows (equation 8).

  Args:
    memory: `[N, W]`, finite.
    erased: `[E]` int32, the rows to set to zero; all different.
    indices: `[J]` int32, the rows to add to; may repeat, and may be erased
      ones.
    rows: `[J, W]`, what to add.

  Returns:
    The new memory `[N, W]`.
  """
  chex.assert_rank([memory, erased, indices, rows], [2, 1, 1, 2])
  return memory.at[erased].set(0).at[indices].add(rows)


def _erase_and_add_rows_fwd(memory, erased, indices, rows):
  return erase_and_add_rows(memory, erased, indices, rows), (erased, indices)


def _erase_and_add_rows_bwd(residuals, d_memory):
  erased, indices = residuals
  read = d_memory[jnp.concatenate([indices, erased])]
  d_rows, d_erased = jnp.split(read, [indices.shape[0]])
  # Zero by subtraction: `.set(0)` would not depend on the rows just read, and
  # XLA, free to order the two either way, would copy the whole of d_memory.
  return d_memory.at[erased].add(-d_erased), None, None, d_rows


erase_and_add_rows.defvjp(_erase_and_add_rows_fwd, _erase_and_add_rows_bwd)
