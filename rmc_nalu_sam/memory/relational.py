"""Rows of a memory that attend to each other: the maths of `RMC`.

"Relational recurrent neural networks", Santoro, Faulkner, Raposo, Rae,
Chrzanowski, Weber, Wierstra, Vinyals, Pascanu, Lillicrap, 2018, arXiv
1806.01822: section 3.

Letters: N slots, I input rows, D numbers in a row, H heads, K key size, V head
size (D = H V), L blocks, G numbers in a gate (D or 1), R and S any rows. Dots
stand for batch axes, any number of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.precision import at_least_float32

EPSILON = 1e-5  # Added to variances, as in the reference implementation.


class Affine(NamedTuple):
  """Of a linear layer: `w [F, O]` and `b [O]`."""

  w: jax.Array
  b: jax.Array


class Norm(NamedTuple):
  """Of a layer norm: `scale [F]` and `offset [F]`."""

  scale: jax.Array
  offset: jax.Array


class Block(NamedTuple):
  """Of one block of attention.

  Attributes:
    qkv: queries, keys and values of all heads, `[D, H (2K + V)]`: those of one
      head are adjacent.
    qkv_norm: of all of them together.
    attention_norm: after the attention.
    mlp_norm: after the MLP.
  """

  qkv: Affine
  qkv_norm: Norm
  attention_norm: Norm
  mlp_norm: Norm


class Parameters(NamedTuple):
  """Of the whole core.

  Attributes:
    inputs: makes a row of an input, `[F, D]`.
    blocks: L of them, each with its own parameters.
    mlp: its layers, `[D, D]` each; the same in all blocks.
    input_gates: what input rows say to the gates, `[I D, 2G]`, input gate
      first; None without gates.
    memory_gates: what a row says to its gates, `[D, 2G]`; likewise.
  """

  inputs: Affine
  blocks: tuple[Block, ...]
  mlp: tuple[Affine, ...]
  input_gates: Affine | None
  memory_gates: Affine | None


class Seen(NamedTuple):
  """What a step needs to know of its input; the memory has no part in it.

  Attributes:
    rows: `[..., I, D]`.
    qkv: `[..., I, H (2K + V)]`, of the first block.
    gates: `[..., 1, G]`, what the input says to the input gate and to the
      forget gate; None without gates. In a scan over steps, a part of one array
      of both would cost more than all the gates' mathematics, on a CPU.
  """

  rows: jax.Array
  qkv: jax.Array
  gates: tuple[jax.Array, jax.Array] | None


def initial_memory(num_slots: int, width: int) -> jax.Array:
  """The identity, cut off or padded with zeros on the right: `[N, D]`.

  So that slots differ from each other: attention would keep equal rows equal.
  """
  return jnp.eye(num_slots, width)


def affine(params: Affine, x: jax.Array) -> jax.Array:
  """`[..., F]` -> `[..., O]`."""
  # As one matrix: else XLA turns the gradient around for that of the weights.
  rows = x.reshape(-1, x.shape[-1]) @ params.w
  return rows.reshape(*x.shape[:-1], -1) + params.b


def layer_norm(params: Norm, x: jax.Array) -> jax.Array:
  """Zero mean and unit variance over the last axis, then scale and offset."""
  wide = at_least_float32(x)
  centred = wide - wide.mean(-1, keepdims=True)
  variance = jnp.square(centred).mean(-1, keepdims=True)
  return params.scale * (centred * jax.lax.rsqrt(variance + EPSILON)).astype(
      x.dtype) + params.offset


def mlp(layers: tuple[Affine, ...], x: jax.Array) -> jax.Array:
  """ReLU between layers, none after the last: `[..., D]` -> `[..., D]`."""
  for params in layers[:-1]:
    x = jax.nn.relu(affine(params, x))
  return affine(layers[-1], x)


def project(block: Block, rows: jax.Array) -> jax.Array:
  """Queries, keys and values of rows: `[..., R, D]` to `[..., R, H (2K + V)]`.

  Notes:
    The paper has no layer norm here; the reference implementation does.
  """
  return layer_norm(block.qkv_norm, affine(block.qkv, rows))


def attend(qkv: jax.Array, num_queries: int, num_heads: int,
           key_size: int) -> tuple[jax.Array, jax.Array]:
  """The first rows attend to all rows; equations 1 and 2.

  Args:
    qkv: `[..., S, H (2K + V)]`.
    num_queries: R, how many rows ask.
    num_heads: H.
    key_size: K.

  Returns:
    What they get, `[..., R, H V]`, and their weights, `[..., H, R, S]`.
  """
  heads = qkv.reshape(*qkv.shape[:-1], num_heads, -1)
  queries, keys, values = jnp.split(heads, [key_size, 2 * key_size], axis=-1)
  scores = jnp.einsum("...rhk,...shk->...hrs",
                      queries[..., :num_queries, :, :] * key_size**-.5, keys)
  weights = jax.nn.softmax(at_least_float32(scores)).astype(scores.dtype)
  found = jnp.einsum("...hrs,...shv->...rhv", weights, values)
  return found.reshape(*found.shape[:-2], -1), weights


def transform(block: Block, layers: tuple[Affine, ...], rows: jax.Array,
              found: jax.Array) -> jax.Array:
  """Row by row, after the attention: `[..., R, D]` twice to `[..., R, D]`."""
  rows = layer_norm(block.attention_norm, rows + found)
  return layer_norm(block.mlp_norm, rows + mlp(layers, rows))


def input_gates(params: Affine, x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """`Seen.gates`, of all input rows as one vector: `[..., 1, I D]`."""
  take, keep = jnp.split(affine(params, x), 2, axis=-1)
  return take, keep


def see(params: Parameters, inputs: jax.Array) -> Seen:
  """What of a step does not depend on the memory.

  Args:
    params: of the core.
    inputs: `[..., I, F]`.

  Returns:
    `Seen`.
  """
  rows = affine(params.inputs, inputs)
  gates = None
  if params.input_gates is not None:
    # The gates see the rows that were made of the input, not the input.
    gates = input_gates(
        params.input_gates, rows.reshape(*rows.shape[:-2], 1, -1))
  return Seen(rows, project(params.blocks[0], rows), gates)


def relate(params: Parameters, seen: Seen, memory: jax.Array, *,
           num_heads: int, key_size: int) -> tuple[jax.Array, jax.Array]:
  """All blocks of attention, without the gates.

  Args:
    params: of the core.
    seen: of the input.
    memory: `[..., N, D]`.
    num_heads: H.
    key_size: K.

  Returns:
    The candidate for the next memory, `[..., N, D]`, and by how much each slot
    attended to each slot and then each input row, `[..., L, H, N, N + I]`.

  Notes:
    As in the reference implementation, input rows ask and are transformed like
    the memory's, where the paper's queries are the memory's alone. In the last
    block that has no effect, and is left out: with one block it is the paper's.
  """
  num_slots = memory.shape[-2]
  attention = []
  rows, qkv = memory, None
  for block in params.blocks:
    if qkv is None:
      qkv = jnp.concatenate([project(block, memory), seen.qkv], -2)
    else:
      qkv = project(block, rows)
    if block is params.blocks[-1]:
      rows = rows[..., :num_slots, :]
    elif block is params.blocks[0]:
      rows = jnp.concatenate([memory, seen.rows], -2)
    found, weights = attend(qkv, rows.shape[-2], num_heads, key_size)
    rows = transform(block, params.mlp, rows, found)
    attention.append(weights[..., :num_slots, :])
  return rows, jnp.stack(attention, -4)


def gate(params: Parameters, seen: Seen, memory: jax.Array,
         candidate: jax.Array, *, input_bias: float,
         forget_bias: float) -> jax.Array:
  """How much of the candidate, and of what was there, is kept.

  Args:
    params: of the core.
    seen: of the input.
    memory: `[..., N, D]`, before the step.
    candidate: `[..., N, D]`, from `relate`.
    input_bias: added to the input gate before the sigmoid.
    forget_bias: added to the forget gate, likewise.

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
