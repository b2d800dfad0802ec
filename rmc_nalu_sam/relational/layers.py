"""Parameters of `RMC`, and its layers without attention.

"Relational recurrent neural networks", Santoro, Faulkner, Raposo, Rae,
Chrzanowski, Weber, Wierstra, Vinyals, Pascanu, Lillicrap, 2018, arXiv
1806.01822: section 3.

Letters: N slots, I input rows, D numbers per row, H heads, K key size, V head
size (D = H V), L blocks, G numbers per gate (D or 1). Dots stand for batch
axes, any number of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.memory.precision import at_least_float32

EPSILON = 1e-5  # Added to variances, as in the reference implementation.


class Affine(NamedTuple):
  """Parameters of a linear layer: `w [F, O]` and `b [O]`."""

  w: jax.Array
  b: jax.Array


class Norm(NamedTuple):
  """Parameters of a layer norm: `scale [F]` and `offset [F]`."""

  scale: jax.Array
  offset: jax.Array


class Block(NamedTuple):
  """Parameters of one block of attention.

  Attributes:
    qkv: makes queries, keys and values of all heads, `[D, H (2K + V)]`; those
      of one head are adjacent.
    qkv_norm: normalises all of them together.
    attention_norm: follows the attention.
    mlp_norm: follows the MLP.
  """

  qkv: Affine
  qkv_norm: Norm
  attention_norm: Norm
  mlp_norm: Norm


class Parameters(NamedTuple):
  """Parameters of the whole core.

  Attributes:
    inputs: makes a row of an input, `[F, D]`.
    blocks: L of them, each with its own parameters.
    mlp: the layers of the MLP, `[D, D]` each; shared by all blocks.
    input_gates: the input rows' part of the gates, `[I D, 2G]`, input gate
      first; None without gates.
    memory_gates: a memory row's part of its gates, `[D, 2G]`, input gate first;
      None without gates.
  """

  inputs: Affine
  blocks: tuple[Block, ...]
  mlp: tuple[Affine, ...]
  input_gates: Affine | None
  memory_gates: Affine | None


class Seen(NamedTuple):
  """The part of a step that depends on the input, but not on the memory.

  Attributes:
    rows: `[..., I, D]`.
    qkv: `[..., I, H (2K + V)]`, of the first block.
    gates: `[..., 1, G]` each, the input's part of the input gate and of the
      forget gate; None without gates. These are two arrays, because slicing one
      array of both in a scan over steps would cost more than all the maths of
      the gates, on a CPU.
  """

  rows: jax.Array
  qkv: jax.Array
  gates: tuple[jax.Array, jax.Array] | None


def initial_memory(num_slots: int, width: int) -> jax.Array:
  """Returns the identity `[N, D]`, cut off or padded with zeros on the right.

  All slots differ from each other, because attention would keep equal rows
  equal.
  """
  return jnp.eye(num_slots, width)


def affine(params: Affine, x: jax.Array) -> jax.Array:
  """Applies a linear layer: `[..., F]` to `[..., O]`."""
  # As one matrix: else XLA transposes the gradient for that of the weights.
  rows = narrow.matmul(x.reshape(-1, x.shape[-1]), params.w)
  rows = rows.reshape(*x.shape[:-1], rows.shape[-1])
  return rows + align(params.b, rows)


def layer_norm(params: Norm, x: jax.Array) -> jax.Array:
  """Normalises the last axis to mean 0 and variance 1, scales and offsets."""
  wide = at_least_float32(x)
  centred = wide - wide.mean(-1, keepdims=True)
  variance = jnp.square(centred).mean(-1, keepdims=True)
  scale, offset = (align(p, x) for p in params)
  return scale * (centred * jax.lax.rsqrt(variance + EPSILON)).astype(
      x.dtype) + offset


def mlp(layers: tuple[Affine, ...], x: jax.Array) -> jax.Array:
  """Applies layers with ReLU between them: `[..., D]` to `[..., D]`."""
  for params in layers[:-1]:
    x = jax.nn.relu(affine(params, x))
  return affine(layers[-1], x)
