"""DNC's temporal links: the order in which slots were written.

"Hybrid computing using a neural network with dynamic external memory", Graves
et al., 2016, Nature 538, Methods: "Temporal memory linkage". Sharpness:
"Improving Differentiable Neural Computers Through Memory Masking,
De-allocation, and Link Distribution Sharpness Control", Csordas, Schmidhuber,
2019, arXiv 1904.10278. Each write head has its own links.
"""

import functools

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32, wide_dtype

# Added to weights before their logarithm.
MIN_WEIGHT = 1e-6


def update_link(link: jax.Array, precedence: jax.Array,
                write_weights: jax.Array) -> jax.Array:
  """Links the slots just written to those written before.

  Args:
    link: `[H, N, N]`; `link[h, i, j]` is the degree to which slot i was written
      after slot j.
    precedence: `[H, N]`, of the previous step: the degree to which each slot
      was written last.
    write_weights: `[H, N]`.

  Returns:
    `[H, N, N]` of the type of `link`, with a zero diagonal; each line and each
    column sums to at most 1.
  """
  precedence, write_weights = map(
      at_least_float32, (precedence, write_weights))
  after, before = write_weights[:, :, None], write_weights[:, None, :]
  new = ((1 - after - before) * at_least_float32(link)
         + after * precedence[:, None, :])
  diagonal = jnp.eye(link.shape[-1], dtype=bool)
  return jnp.where(diagonal, 0, new).astype(link.dtype)


def update_precedence(precedence: jax.Array,
                      write_weights: jax.Array) -> jax.Array:
  """Returns the degree to which each slot was written last.

  Args:
    precedence: `[H, N]`, of the previous step.
    write_weights: `[H, N]`.

  Returns:
    `[H, N]`, at least float32; sums to at most 1 for each head.
  """
  precedence, write_weights = map(
      at_least_float32, (precedence, write_weights))
  return (1 - write_weights.sum(-1, keepdims=True)) * precedence + write_weights


def directional_reads(link: jax.Array, read_weights: jax.Array
                      ) -> tuple[jax.Array, jax.Array]:
  """Moves read weights along the links, for every pair of heads.

  Args:
    link: `[H, N, N]`.
    read_weights: `[R, N]`, of the previous step.

  Returns:
    The backward weights, of slots written just before those read, and the
    forward weights, of slots written just after. Each is `[R, H, N]` and at
    least float32.
  """
  follow = functools.partial(
      jnp.einsum, preferred_element_type=wide_dtype(link))
  read_weights = read_weights.astype(link.dtype)
  return (follow("hij,ri->rhj", link, read_weights),
          follow("hij,rj->rhi", link, read_weights))


# Reverse mode keeps the arguments, one link per step, and recomputes the rest.
# Otherwise it would keep three arrays of the link's size.
@functools.partial(jax.checkpoint, prevent_cse=False)
def link_and_follow(
    link: jax.Array, precedence: jax.Array, write_weights: jax.Array,
    read_weights: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Runs `update_link`, and `directional_reads` with the new link.

  Args:
    link: `[H, N, N]`.
    precedence: `[H, N]`, of the previous step.
    write_weights: `[H, N]`.
    read_weights: `[R, N]`, of the previous step.

  Returns:
    The new link `[H, N, N]`, and the backward and the forward weights, each
    `[R, H, N]`.
  """
  link = update_link(link, precedence, write_weights)
  return link, *directional_reads(link, read_weights)


def sharpen(weights: jax.Array, strengths: jax.Array) -> jax.Array:
  """Raises weights to a power, and normalises them.

  This is Csordas and Schmidhuber's S(d, s) as a softmax. They divide by the
  maximum to avoid underflow.

  Args:
    weights: `[..., N]`, not negative.
    strengths: `[...]`, the power.

  Returns:
    `[..., N]`, at least float32.
  """
  weights, strengths = map(at_least_float32, (weights, strengths))
  return jax.nn.softmax(strengths[..., None] * jnp.log(weights + MIN_WEIGHT))
