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

# The tokens of a cluster are in at most so many chunks of at least so many.
MAX_CHUNKS = 16
MIN_CHUNK = 64


class Tail(NamedTuple):
  """Holds the two matrices of a cluster.

  Attributes:
    down: `[F, R]`.
    rows: `[M, R]`, the weights of a class each.
  """

  down: jax.Array
  rows: jax.Array

  def logits(self, x: jax.Array) -> jax.Array:
    """Returns `[..., M]` for `x [..., F]`."""
    return self.logits_in(narrow.current(), x)

  def logits_in(self, dtype: Any, x: jax.Array) -> jax.Array:
    """Returns `logits`; products are in `dtype`, None for their own type."""
    return widen(narrow.einsum_in(
        dtype, "...r,mr->...m", narrow.matmul_in(dtype, x, self.down),
        self.rows))


def log_probs_within(tail: Tail, x: jax.Array, index: jax.Array,
                     is_in_cluster: jax.Array) -> jax.Array:
  """Returns log-probabilities `[N]` within a cluster, and 0 for other tokens.

  The tokens of the cluster are put first, and cut into chunks. Forward and
  backward pass compute the chunks that have a token; the backward pass computes
  their logits once more. So no array holds the logits of more than one chunk.
  Under `jax.vmap` all elements compute as many chunks as the one that has most.

  There is a first derivative in reverse mode alone: how many chunks a loop
  computes depends on the tokens.

  Args:
    tail: of the cluster.
    x: `[N, F]`.
    index: `[N]`, classes within the cluster.
    is_in_cluster: `[N]`.
  """
  num = len(x)
  if not num:
    return jnp.zeros([0], widen(x).dtype)
  size = max(MIN_CHUNK, -(-num // MAX_CHUNKS))
  num_chunks = -(-num // size)
  places = jnp.nonzero(
      is_in_cluster, size=num_chunks * size, fill_value=num)[0].reshape(
          num_chunks, size)
  x, index = (a.at[places].get(mode="fill", fill_value=0) for a in (x, index))
  values = _of_chunks(narrow.current(), tail, x, index,
                      (places[:, 0] < num).sum())
  return jnp.zeros([num], values.dtype).at[places].set(values, mode="drop")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _of_chunks(dtype, tail, x, index, count):
  """Returns log-probabilities `[K, C]`, 0 from the chunk `count` on.

  Args:
    dtype: of products.
    tail: of the cluster.
    x: `[K, C, F]`.
    index: `[K, C]`.
    count: how many chunks are computed.
  """
  def chunk(i, values):
    return values.at[i].set(_of_chunk(dtype, index[i], tail, x[i]))

  return jax.lax.fori_loop(
      0, count, chunk, jnp.zeros(index.shape, widen(x).dtype))


def _of_chunk(dtype, index, tail, x):
  return pick(tail.logits_in(dtype, x), index)


def _forward(dtype, tail, x, index, count):
  return _of_chunks(dtype, tail, x, index, count), (tail, x, index, count)


def _backward(dtype, saved, cotangents):
  tail, x, index, count = saved

  def chunk(i, gradients):
    of_tail, of_x = gradients
    _, pullback = jax.vjp(functools.partial(
        _of_chunk, dtype, index[i]), tail, x[i])
    more, of_chunk = pullback(cotangents[i])
    of_tail = jax.tree.map(
        lambda total, part: total + part.astype(total.dtype), of_tail, more)
    return of_tail, of_x.at[i].set(of_chunk)

  of_tail, of_x = jax.lax.fori_loop(0, count, chunk, (
      jax.tree.map(lambda a: jnp.zeros_like(widen(a)), tail),
      jnp.zeros_like(x)))
  of_tail = jax.tree.map(lambda g, a: g.astype(a.dtype), of_tail, tail)
  return of_tail, of_x, None, None


_of_chunks.defvjp(_forward, _backward)
