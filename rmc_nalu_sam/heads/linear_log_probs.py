"""Log-probabilities of one class each under a linear layer and a softmax.

Letters: N tokens, F inputs, V classes, C tokens of a chunk.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.heads.log_probs import widen

# At most so many tokens' logits are computed at once.
CHUNK = 256
# What a forward pass computes of `[N, V]` is kept up to this size, else
# computed once more in the backward pass.
MAX_SAVED_BYTES = 2**29


class _Summed(NamedTuple):
  """Holds sums over the classes of some tokens, where e = exp(logits - max).

  Attributes:
    picked: `[C]`, logits of the tokens' classes.
    highest: `[C]`, the maximum over the classes.
    total: `[C]`, sum of e.
    rows: `[C, F]`, sum of e times the class's weights.
    exps: e, `[C, V]`, followed by padding; None if it is not kept.
  """

  picked: jax.Array
  highest: jax.Array
  total: jax.Array
  rows: jax.Array
  exps: jax.Array | None


@jax.custom_vjp
def linear_log_probs(w: jax.Array, b: jax.Array, x: jax.Array,
                     index: jax.Array) -> jax.Array:
  """Returns log softmax(w x + b) at one class for each token, `[N]`.

  The gradient of a logit is the token's cotangent times (1 at the class, minus
  the probability). So the forward pass, while it has a chunk's exponentials,
  also computes their product with `w`, and the backward pass only scales it:
  three matrix products in all, and no other array `[N, V]` than the
  exponentials. There is no derivative in forward mode.

  Args:
    w: `[V, F]`.
    b: `[V]`.
    x: `[N, F]`.
    index: `[N]`, integers; those outside [0, V) are clipped.
  """
  return _forward(w, b, x, index)[0]


def _forward(w, b, x, index):
  index = jnp.clip(index, 0, len(w) - 1)
  saves = len(x) * len(w) * w.dtype.itemsize <= MAX_SAVED_BYTES

  def chunk(args):
    x, index = args
    logits = _logits(w, b, x)
    highest = logits.max(1)
    exps = jnp.exp(logits - highest[:, None])
    narrow = exps.astype(w.dtype)
    return _Summed(
        jnp.take_along_axis(logits, index[:, None], 1)[:, 0], highest,
        exps.sum(1), narrow @ w, narrow if saves else None)

  sums = jax.tree.map(
      lambda a: a.reshape(-1, *a.shape[2:]),
      jax.lax.map(chunk, _split((x, index))))
  # The exponentials keep their padding: to cut it off would copy them.
  sums = jax.tree.map(lambda a: a[:len(x)], sums._replace(
      exps=None))._replace(exps=sums.exps)
  result = sums.picked - sums.highest - jnp.log(sums.total)
  return result, (w, b, x, index, sums)


def _backward(saved, cotangent):
  w, b, x, index, sums = saved
  scale = cotangent / sums.total
  of_x = (cotangent[:, None] * w[index].astype(cotangent.dtype)
          - scale[:, None] * sums.rows.astype(scale.dtype)).astype(x.dtype)
  scaled, chosen = ((s[:, None] * x.astype(s.dtype)).astype(w.dtype)
                    for s in (scale, cotangent))
  if sums.exps is None:
    of_w, of_b = _weighted_again(w, b, x, sums.highest, scaled, scale)
  else:
    of_w, of_b = _weighted(sums.exps, scaled, scale)
  return ((-of_w).astype(w.dtype).at[index].add(chosen),
          (-of_b).astype(b.dtype).at[index].add(cotangent.astype(b.dtype)),
          of_x, None)


linear_log_probs.defvjp(_forward, _backward)


def _logits(w, b, x):
  wide = widen(b).dtype
  logits = jnp.matmul(x, w.T, preferred_element_type=wide)
  return logits + b.astype(wide)[None]


def _weighted(exps, scaled, scale):
  """Returns the sums over tokens of e times scaled inputs, and times scales."""
  padding = len(exps) - len(scale)
  scaled, scale = (jnp.pad(a, [(0, padding)] + [(0, 0)] * (a.ndim - 1))
                   for a in (scaled, scale))
  return exps.T @ scaled, scale.astype(exps.dtype) @ exps


def _weighted_again(w, b, x, highest, scaled, scale):
  """Computes the exponentials chunk by chunk, then as `_weighted`."""
  def chunk(sums, args):
    x, highest, scaled, scale = args
    exps = jnp.exp(_logits(w, b, x) - highest[:, None]).astype(w.dtype)
    return jax.tree.map(
        lambda total, part: total + part.astype(total.dtype), sums,
        _weighted(exps, scaled, scale)), None

  zeros = jax.tree.map(jnp.zeros_like, (widen(w), widen(b)))
  return jax.lax.scan(chunk, zeros, _split((x, highest, scaled, scale)))[0]


def _split(arrays: Any) -> Any:
  """Returns arrays `[N, ...]` in chunks, with zeros behind the last token."""
  num = len(jax.tree.leaves(arrays)[0])
  num_chunks = max(-(-num // CHUNK), 1)
  size = -(-num // num_chunks)
  return jax.tree.map(lambda a: jnp.pad(
      a, [(0, num_chunks * size - num)] + [(0, 0)] * (a.ndim - 1)).reshape(
          num_chunks, size, *a.shape[1:]), arrays)
