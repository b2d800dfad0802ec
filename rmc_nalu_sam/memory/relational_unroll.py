"""All steps of `RMC` at once, at less cost than one by one.

Letters are those of `relational`, and T time.

Tried on a CPU and left, as they gained nothing that could be told from noise:
the gradients of the weights as one product over all steps after the backward
scan, in a custom VJP; weights transposed once, before it; two or four steps in
a turn of the scan; Eigen's products in the place of YNNPACK's.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import relational
from rmc_nalu_sam.memory.relational import Affine, Parameters, Seen


class Options(NamedTuple):
  """What is fixed: arguments of `relational.relate` and `relational.gate`."""

  num_heads: int
  key_size: int
  input_bias: float
  forget_bias: float


def unroll(params: Parameters, inputs: jax.Array, memory: jax.Array,
           options: Options) -> tuple[jax.Array, jax.Array]:
  """The memory after each step, and the attention of the last step.

  - What depends on the inputs alone is computed for all steps at once, and
    without the wide rows in between where that is less work.
  - A step keeps what its linear layers gave, and computes the rest again when
    gradients are wanted: to write all of it, and read it back, takes longer.

  Args:
    params: of the core.
    inputs: `[T, ..., I, F]`.
    memory: `[..., N, D]`, before the first step.
    options: what is fixed.

  Returns:
    `[T, ..., N, D]` and `[..., L, H, N, N + I]`, without a gradient.
  """
  seen = see(params, inputs)
  memories = _scan(options, params, seen, memory)
  before = memories[-2] if len(memories) > 1 else memory
  _, attention = relational.relate(
      *jax.lax.stop_gradient((params, jax.tree.map(lambda x: x[-1], seen),
                              before)),
      num_heads=options.num_heads, key_size=options.key_size)
  return memories, attention


def see(params: Parameters, inputs: jax.Array) -> Seen:
  """`relational.see` of many inputs: `[T, ..., I, F]` to `Seen` of all.

  Two linear layers one after the other are one linear layer. Inputs are mostly
  narrow and rows wide: the product of the weights saves most of the work.
  """
  (num_inputs, size), width = inputs.shape[-2:], params.inputs.w.shape[1]
  if inputs.size * (width - size) <= size * size * width:
    return relational.see(params, inputs)
  block = params.blocks[0]
  qkv = relational.layer_norm(block.qkv_norm, relational.affine(
      _compose(params.inputs, block.qkv), inputs))
  gates = None
  if params.input_gates is not None:
    w, b = params.input_gates
    rows = [_compose(params.inputs, Affine(part, jnp.zeros_like(b)))
            for part in jnp.split(w, num_inputs)]
    whole = Affine(jnp.concatenate([row.w for row in rows]),
                   sum((row.b for row in rows), b))
    gates = relational.input_gates(
        whole, inputs.reshape(*inputs.shape[:-2], 1, -1))
  return Seen(relational.affine(params.inputs, inputs), qkv, gates)


def _compose(first: Affine, second: Affine) -> Affine:
  return Affine(first.w @ second.w, relational.affine(second, first.b))


def _scan(options: Options, params: Parameters, seen: Seen,
          memory: jax.Array) -> jax.Array:
  @functools.partial(
      jax.checkpoint, prevent_cse=False,
      policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable)
  def step(memory, seen):
    candidate, _ = relational.relate(
        params, seen, memory, num_heads=options.num_heads,
        key_size=options.key_size)
    memory = relational.gate(
        params, seen, memory, candidate, input_bias=options.input_bias,
        forget_bias=options.forget_bias)
    return memory, memory

  return jax.lax.scan(step, memory, seen)[1]
