"""All steps of `RMC` at once, at less cost than one by one.

Letters are those of `layers`, and T time.

These were tried on a CPU and left out, as their gain could not be told from
noise: the gradients of the weights as one product over all steps after the
backward scan, in a custom VJP; weights transposed once, before the scan; two or
four steps per iteration of the scan; Eigen's products instead of YNNPACK's.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align, choose_rows, merge_last
from rmc_nalu_sam.relational import attention, gating
from rmc_nalu_sam.relational.layers import (
    Affine,
    Parameters,
    Seen,
    affine,
    initial_memory,
    layer_norm,
)


class Options(NamedTuple):
  """Constants of a core: arguments of `attention.relate` and `gating.gate`."""

  num_heads: int
  key_size: int
  input_bias: float
  forget_bias: float


def unroll(params: Parameters, inputs: jax.Array, memory: jax.Array,
           options: Options, resets: jax.Array | None = None
           ) -> tuple[jax.Array, jax.Array]:
  """Returns the memory after each step, and the attention of the last step.

  - It computes what depends on the inputs alone for all steps at once. Where it
    is less work, it skips the wide rows in between.
  - A step keeps the outputs of its linear layers, and recomputes the rest in
    the backward pass. To write all of it, and to read it back, takes longer.

  Args:
    params: of the core.
    inputs: `[T, ..., I, F]`.
    memory: `[..., N, D]`, before the first step.
    options: constants of the core.
    resets: `[T, ...]` bool, whether the memory is the initial one before a
      step; None for never.

  Returns:
    `[T, ..., N, D]` and `[..., L, H, N, N + I]`; the latter has no gradient.
  """
  seen = see(params, inputs)
  memories = _scan(options, params, seen, memory, resets)
  before = memories[-2] if len(memories) > 1 else memory
  if resets is not None:
    before = _restart(resets[-1], before)
  _, weights = attention.relate(
      *jax.lax.stop_gradient((params, jax.tree.map(lambda x: x[-1], seen),
                              before)),
      num_heads=options.num_heads, key_size=options.key_size)
  return memories, weights


def see(params: Parameters, inputs: jax.Array) -> Seen:
  """Computes `attention.see` of the inputs `[T, ..., I, F]` of all steps.

  Two linear layers one after the other are one linear layer. Inputs are mostly
  narrow and rows wide, so multiplying the weights first saves most of the work.
  """
  (num_inputs, size), width = inputs.shape[-2:], params.inputs.w.shape[1]
  if inputs.size * (width - size) <= size * size * width:
    return attention.see(params, inputs)
  block = params.blocks[0]
  qkv = layer_norm(block.qkv_norm, affine(
      _compose(params.inputs, block.qkv), inputs))
  gates = None
  if params.input_gates is not None:
    w, b = params.input_gates
    rows = [_compose(params.inputs, Affine(part, jnp.zeros_like(b)))
            for part in jnp.split(w, num_inputs)]
    whole = Affine(jnp.concatenate([row.w for row in rows]),
                   sum((row.b for row in rows), b))
    gates = gating.input_gates(
        whole, merge_last(inputs)[..., None, :])
  return Seen(affine(params.inputs, inputs), qkv, gates)


def _compose(first: Affine, second: Affine) -> Affine:
  return Affine(narrow.matmul(first.w, second.w), affine(second, first.b))


def _restart(resets: jax.Array, memory: jax.Array) -> jax.Array:
  """Returns the memory `[..., N, D]`, initial where `resets [...]`."""
  first = initial_memory(*memory.shape[-2:])
  return choose_rows(resets, align(first, memory), memory)


def _scan(options: Options, params: Parameters, seen: Seen,
          memory: jax.Array, resets: jax.Array | None) -> jax.Array:
  @functools.partial(
      jax.checkpoint, prevent_cse=False,
      policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable)
  def step(memory, of_step):
    seen, resets = of_step
    if resets is not None:
      memory = _restart(resets, memory)
    candidate, _ = attention.relate(
        params, seen, memory, num_heads=options.num_heads,
        key_size=options.key_size)
    memory = gating.gate(
        params, seen, memory, candidate, input_bias=options.input_bias,
        forget_bias=options.forget_bias)
    return memory, memory

  return jax.lax.scan(step, memory, (seen, resets))[1]
