"""Types, ranks and rows of arrays.

The code that uses them leaves nothing to JAX's promotion of types and ranks.

So a user may set `jax_numpy_rank_promotion="raise"` and
`jax_numpy_dtype_promotion="strict"`.
"""

from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np


def as_float(x: Any, dtype: Any = None) -> jax.Array:
  """Returns integers and booleans as floats, and other numbers as they are.

  A layer makes its parameters of the type of its inputs, so it must not get
  integers.

  Args:
    x: an array, or anything that becomes one.
    dtype: of the floats. If None, that of the computation under a Haiku policy
      of mixed precision, else JAX's default.
  """
  x = jnp.asarray(x)
  if jnp.issubdtype(x.dtype, jnp.inexact):
    return x
  if dtype is None:
    policy = hk.mixed_precision.current_policy()
    dtype = policy.compute_dtype if policy else jnp.result_type(float)
  return x.astype(dtype)


def merge_last(x: jax.Array) -> jax.Array:
  """Reshapes `[..., A, B]` to `[..., A B]`, also if it is empty."""
  return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def choose_rows(is_new: jax.Array, new: Any, old: Any) -> Any:
  """Returns a tree with the rows of `new` where `is_new`, else those of `old`.

  Args:
    is_new: bool of any shape `[...]`.
    new: a tree of arrays `[..., *shape]`, cast to the types of `old`.
    old: a tree of arrays `[..., *shape]`.
  """
  def choose(new, old):
    axes = tuple(range(is_new.ndim, old.ndim))
    return jnp.where(
        jnp.expand_dims(is_new, axes), new.astype(old.dtype), old)

  return jax.tree.map(choose, new, old)


def align(x: jax.Array | np.ndarray, like: jax.Array) -> jax.Array:
  """Adds axes of size 1 in front of `x`, until it has as many as `like`."""
  return jnp.expand_dims(x, tuple(range(like.ndim - x.ndim)))


class Rows(NamedTuple):
  """Represents the array `table[numbers]`, which is not made.

  A linear layer multiplies the table instead, if that has fewer rows.

  Attributes:
    table: `[V, F]`.
    numbers: `[...]`, integers.

  Example:
    >>> from rmc_nalu_sam.arrays import Rows
    >>> rows = Rows(jnp.array([[1., 2.], [3., 4.]]), jnp.array([1, 0, 1]))
    >>> rows.shape, rows.take().tolist()
    ((3, 2), [[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]])
  """

  table: jax.Array
  numbers: jax.Array

  @property
  def shape(self) -> tuple[int, ...]:
    return (*self.numbers.shape, self.table.shape[-1])

  @property
  def ndim(self) -> int:
    return len(self.shape)

  @property
  def dtype(self) -> Any:
    return self.table.dtype

  def take(self) -> jax.Array:
    """Returns the array `[..., F]`; NaN where a number is not from 0 to V - 1.
    """
    return jnp.asarray(self.table).at[self.numbers].get(
        mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
