"""Log-probabilities within a cluster of classes, for its own tokens alone.

Letters: N tokens, F inputs, R units of the projection, M classes of the
cluster, K chunks of C tokens.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.heads.log_probs import pick, widen

# The tokens of a cluster are cut into at most MAX_CHUNKS chunks, of at least
# MIN_CHUNK tokens if there are as many.
MAX_CHUNKS = 16
MIN_CHUNK = 64


class Tail(NamedTuple):
  """Holds the two matrices of a cluster: `down [F, R]` and `up [R, M]`."""

  down: jax.Array
  up: jax.Array

  def logits(self, x: jax.Array, dtype: Any) -> jax.Array:
    """Returns `[..., M]` for `x [..., F]`.

    Args:
      x: the inputs.
      dtype: of products; None for that of the operands.
    """
    return widen(narrow.matmul_in(
        dtype, narrow.matmul_in(dtype, x, self.down), self.up))


class TiedTail(NamedTuple):
  """Holds `down [F, R]`, and `rows [M, R]` of an embedding.

  To transpose the rows, and their gradient, would copy them at each update.
  """

  down: jax.Array
  rows: jax.Array

  def logits(self, x: jax.Array, dtype: Any) -> jax.Array:
    """Returns the logits, see `Tail.logits`."""
    return widen(narrow.einsum_in(
        dtype, "...r,mr->...m", narrow.matmul_in(dtype, x, self.down),
        self.rows))


def log_probs_within(tail: Tail | TiedTail, x: jax.Array, index: jax.Array,
                     is_in_cluster: jax.Array) -> jax.Array:
  """Returns log-probabilities `[N]` within a cluster, and 0 for other tokens.

  The tokens of the cluster are put first, and cut into chunks. Forward and
  backward pass compute the chunks that have a token; the backward pass computes
  their logits once more. So no array holds the logits of more than one chunk.
  Under `jax.vmap` all elements compute as many chunks as the one that has most.

  Has no derivative in forward mode, and no second one under `jax.jit`: how many
  chunks a loop computes depends on the tokens.

  Args:
    tail: of the cluster.
    x: `[N, F]`.
    index: `[N]`, classes within the cluster.
    is_in_cluster: `[N]`.
  """
  num = len(x)
  if not num:
    return jnp.zeros([0], widen(x).dtype)
  size = min(num, max(MIN_CHUNK, -(-num // MAX_CHUNKS)))
  num_chunks = -(-num // size)
  places = jnp.nonzero(
      is_in_cluster, size=num_chunks * size, fill_value=num)[0].reshape(
          num_chunks, size)
  x, index = (a.at[places].get(mode="fill", fill_value=0) for a in (x, index))
  values = _log_probs(narrow.current(), tail, x, index,
                      (places[:, 0] < num).sum())
  return jnp.zeros([num], values.dtype).at[places].set(values, mode="drop")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _log_probs(dtype, tail, x, index, count):
  """Returns log-probabilities `[K, C]`, 0 from the chunk `count` on.

  Args:
    dtype: of products.
    tail: of the cluster.
    x: `[K, C, F]`.
    index: `[K, C]`.
    count: how many chunks are computed.
  """
  def put_chunk(i, values):
    return values.at[i].set(_chunk(dtype, index[i], tail, x[i]))

  return jax.lax.fori_loop(
      0, count, put_chunk, jnp.zeros(index.shape, widen(x).dtype))


def _chunk(dtype, index, tail, x):
  return pick(tail.logits(x, dtype), index)


def _forward(dtype, tail, x, index, count):
  return _log_probs(dtype, tail, x, index, count), (tail, x, index, count)


def _backward(dtype, saved, cotangents):
  tail, x, index, count = saved

  def add_chunk(i, gradients):
    to_tail, to_x = gradients
    _, pullback = jax.vjp(functools.partial(
        _chunk, dtype, index[i]), tail, x[i])
    part_to_tail, to_chunk = pullback(cotangents[i])
    to_tail = jax.tree.map(
        lambda total, part: total + part.astype(total.dtype),
        to_tail, part_to_tail)
    return to_tail, to_x.at[i].set(to_chunk)

  to_tail, to_x = jax.lax.fori_loop(0, count, add_chunk, (
      jax.tree.map(lambda a: jnp.zeros_like(widen(a)), tail),
      jnp.zeros_like(x)))
  to_tail = jax.tree.map(lambda g, a: g.astype(a.dtype), to_tail, tail)
  return to_tail, to_x, None, None


_log_probs.defvjp(_forward, _backward)
