"""All steps of `RMC` at once, at less cost than one by one.

Letters are those of `relational`, and T time.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import relational
from rmc_nalu_sam.memory.relational import Affine, Norm, Parameters, Seen

# Rows of a step, relative to their width, from which on weights' gradients are
# summed up step by step. A choice for CPUs; no other device was tried.
MIN_ROWS = 1.


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
  - Steps keep little, and compute the rest again when gradients are wanted.
  - Where a step has few rows, the gradient of a weight is one product over all
    steps after the backward scan, instead of a sum of a small one in each.

  Args:
    params: of the core.
    inputs: `[T, ..., I, F]`.
    memory: `[..., N, D]`, before the first step.
    options: what is fixed.

  Returns:
    `[T, ..., N, D]` and `[..., L, H, N, N + I]`, without a gradient.
  """
  seen = see(params, inputs)
  *batch, num_slots, width = memory.shape
  num_rows = math.prod(batch) * (num_slots + inputs.shape[-2])
  # A product of so few rows is much less work than to add it to a sum.
  scan = _scan if num_rows < width * MIN_ROWS else _plain_scan
  memories = scan(options, params, seen, memory)
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
    gates = relational.affine(
        whole, inputs.reshape(*inputs.shape[:-2], 1, -1))
  return Seen(relational.affine(params.inputs, inputs), qkv, gates)


def _compose(first: Affine, second: Affine) -> Affine:
  return Affine(first.w @ second.w, relational.affine(second, first.b))


def _step(options: Options, params: Parameters, seen: Seen, memory: jax.Array,
          layer: relational.Layer) -> jax.Array:
  candidate, _ = relational.relate(
      params, seen, memory, num_heads=options.num_heads,
      key_size=options.key_size, layer=layer)
  return relational.gate(
      params, seen, memory, candidate, input_bias=options.input_bias,
      forget_bias=options.forget_bias, layer=layer)


def _plain_scan(options, params, seen, memory):
  @functools.partial(jax.checkpoint, prevent_cse=False)
  def step(memory, seen):
    memory = _step(options, params, seen, memory, relational.affine)
    return memory, memory

  return jax.lax.scan(step, memory, seen)[1]


_scan = jax.custom_vjp(_plain_scan, nondiff_argnums=(0,))


def _is_layer(x: Any) -> bool:
  return isinstance(x, Affine | Norm)


class _Tape:
  """Stands for `affine` in a step: notes inputs and outputs of all calls.

  Attributes:
    inputs: of each call, for each layer in `leaves`.
    outputs: likewise.
  """

  def __init__(self, leaves: list[Any]):
    self._leaves = leaves
    self.inputs: list[list[jax.Array]] = [[] for _ in leaves]
    self.outputs: list[list[jax.Array]] = [[] for _ in leaves]

  def __call__(self, params: Affine, x: jax.Array) -> jax.Array:
    (place,) = [i for i, leaf in enumerate(self._leaves) if leaf is params]
    output = self._compute(place, params, x)
    self.inputs[place].append(x)
    self.outputs[place].append(output)
    return output

  def _compute(self, place, params, x):
    del place
    return relational.affine(params, x)


class _Replay(_Tape):
  """Gives out the outputs of a tape instead of computing them again.

  What flows back into them, the `probes` get.
  """

  def __init__(self, leaves: list[Any], outputs: Any, probes: Any):
    super().__init__(leaves)
    self._known, self._probes = outputs, probes

  def _compute(self, place, params, x):
    call = len(self.inputs[place])
    return _replayed(params.w, x, self._probes[place][call],
                     self._known[place][call])


@jax.custom_vjp
def _replayed(w: jax.Array, x: jax.Array, probe: jax.Array,
              output: jax.Array) -> jax.Array:
  """`output`, whose gradient goes to `x` as if it were `x w`, and to `probe`.

  No product is computed, and nobody reads the probe.
  """
  del w, x, probe
  return output


_replayed.defvjp(
    lambda w, x, probe, output: (output, w),
    lambda w, gradient: (None, gradient @ w.T, gradient, None))


def _scan_forward(options, params, seen, memory):
  """Keeps the outputs of the linear layers; the rest is soon computed again.

  All that a step computes would be some 30 rows for each row of the memory,
  more than goes through a cache.
  """
  leaves, _ = jax.tree.flatten(params, is_leaf=_is_layer)

  def step(memory, seen):
    tape = _Tape(leaves)
    memory = _step(options, params, seen, memory, tape)
    return memory, (memory, tape.outputs)

  _, (memories, outputs) = jax.lax.scan(step, memory, seen)
  before = jnp.concatenate([memory[None], memories[:-1]])
  return memories, (params, seen, before, outputs)


def _scan_backward(options, residuals, gradient):
  """The weights' gradients come last, from all steps at once."""
  params, seen, before, outputs = residuals
  leaves, treedef = jax.tree.flatten(params, is_leaf=_is_layer)
  norms = [leaf if isinstance(leaf, Norm) else None for leaf in leaves]

  def step(carry, xs):
    memory_gradient, norm_gradients = carry
    seen, before, outputs, gradient = xs

    def forward(norms, probes, seen, memory):
      mixed = [leaf if norm is None else norm
               for leaf, norm in zip(leaves, norms, strict=True)]
      tape = _Replay(mixed, outputs, probes)
      params = jax.tree.unflatten(treedef, mixed)
      return _step(options, params, seen, memory, tape), tape.inputs

    _, backward, inputs = jax.vjp(
        forward, norms, outputs, seen, before, has_aux=True)
    more, *gradients, memory_gradient = backward(gradient + memory_gradient)
    norm_gradients = jax.tree.map(jnp.add, norm_gradients, more)
    return (memory_gradient, norm_gradients), (inputs, *gradients)

  start = jnp.zeros_like(before[0]), jax.tree.map(jnp.zeros_like, norms)
  (memory, norms), (inputs, outputs, seen) = jax.lax.scan(
      step, start, (seen, before, outputs, gradient), reverse=True)
  gradients = [
      _weights_gradient(leaf, xs, gs) if norm is None else norm
      for leaf, norm, xs, gs in zip(
          leaves, norms, inputs, outputs, strict=True)]
  return jax.tree.unflatten(treedef, gradients), seen, memory


def _weights_gradient(layer, inputs, gradients):
  """Of a linear layer that was called on each of the inputs."""
  total = jax.tree.map(jnp.zeros_like, layer)
  for x, g in zip(inputs, gradients, strict=True):
    x, g = (y.reshape(-1, y.shape[-1]) for y in (x, g))
    total = jax.tree.map(jnp.add, total, Affine(x.T @ g, g.sum(0)))
  return total


_scan.defvjp(_scan_forward, _scan_backward)
