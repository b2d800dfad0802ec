"""Rows that attend to each other: the attention of `RMC`.

"Relational recurrent neural networks", Santoro et al., 2018, arXiv 1806.01822:
section 3. Letters are those of `layers`; R and S are any numbers of rows.
"""

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import merge_last
from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.relational.gating import input_gates
from rmc_nalu_sam.relational.layers import (
    Affine,
    Block,
    Parameters,
    Seen,
    affine,
    layer_norm,
    mlp,
)


def project(block: Block, rows: jax.Array) -> jax.Array:
  """Makes queries, keys and values: `[..., R, D]` to `[..., R, H (2K + V)]`.

  Notes:
    The paper has no layer norm here; the reference implementation does.
  """
  return layer_norm(block.qkv_norm, affine(block.qkv, rows))


def attend(qkv: jax.Array, num_queries: int, num_heads: int,
           key_size: int) -> tuple[jax.Array, jax.Array]:
  """Lets the first R rows attend to all S rows; equations 1 and 2.

  Args:
    qkv: `[..., S, H (2K + V)]`.
    num_queries: R.
    num_heads: H.
    key_size: K.

  Returns:
    The weighted sums of values, `[..., R, H V]`, and their weights,
    `[..., H, R, S]`.
  """
  heads = qkv.reshape(
      *qkv.shape[:-1], num_heads, qkv.shape[-1] // num_heads)
  queries, keys, values = jnp.split(heads, [key_size, 2 * key_size], axis=-1)
  scores = narrow.einsum("...rhk,...shk->...hrs",
                         queries[..., :num_queries, :, :] * key_size**-.5, keys)
  weights = jax.nn.softmax(at_least_float32(scores)).astype(scores.dtype)
  found = narrow.einsum("...hrs,...shv->...rhv", weights, values)
  return merge_last(found), weights


def transform(block: Block, layers: tuple[Affine, ...], rows: jax.Array,
              found: jax.Array) -> jax.Array:
  """Applies the MLP row by row, after the attention.

  Args:
    block: of the attention.
    layers: of the MLP.
    rows: `[..., R, D]`.
    found: `[..., R, D]`, from `attend`.

  Returns:
    `[..., R, D]`.
  """
  rows = layer_norm(block.attention_norm, rows + found)
  return layer_norm(block.mlp_norm, rows + mlp(layers, rows))


def see(params: Parameters, inputs: jax.Array) -> Seen:
  """Computes the part of a step that does not depend on the memory.

  Args:
    params: of the core.
    inputs: `[..., I, F]`.
  """
  rows = affine(params.inputs, inputs)
  gates = None
  if params.input_gates is not None:
    # The gates take the rows that were made of the input, not the input.
    gates = input_gates(
        params.input_gates, merge_last(rows)[..., None, :])
  return Seen(rows, project(params.blocks[0], rows), gates)


def relate(params: Parameters, seen: Seen, memory: jax.Array, *,
           num_heads: int, key_size: int) -> tuple[jax.Array, jax.Array]:
  """Runs all blocks of attention, without the gates.

  Args:
    params: of the core.
    seen: of the input.
    memory: `[..., N, D]`.
    num_heads: H.
    key_size: K.

  Returns:
    The candidate for the next memory, `[..., N, D]`, and the attention of each
    slot to each slot and then to each input row, `[..., L, H, N, N + I]`.

  Notes:
    As in the reference implementation, input rows have queries and are
    transformed like those of the memory. In the paper, only the memory has
    queries. In the last block this makes no difference, and is left out; so
    with one block it is the paper's.
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
