"""All steps of `RMC` at once, at less cost than one by one.

Letters are those of `relational`, and T time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory import relational
from rmc_nalu_sam.memory.relational import Affine, Norm, Parameters, Seen


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
  - The gradient of a weight is one product over all steps after the backward
    scan, instead of a sum of a small one in each.

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
  def step(memory, seen):
    memory = _step(options, params, seen, memory, relational.affine)
    return memory, memory

  return jax.lax.scan(step, memory, seen)[1]


_scan = jax.custom_vjp(_plain_scan, nondiff_argnums=(0,))


def _is_layer(x: Any) -> bool:
  return isinstance(x, Affine | Norm)


class _Tape:
  """Stands for `affine` in a step: notes inputs, and what hangs on outputs.

  Attributes:
    inputs: of each call, for each layer in `leaves`.
    outputs: likewise.
  """

  def __init__(self, leaves: list[Any], probes: Any = None):
    self._leaves, self._probes = leaves, probes
    self.inputs: list[list[jax.Array]] = [[] for _ in leaves]
    self.outputs: list[list[jax.Array]] = [[] for _ in leaves]

  def __call__(self, params: Affine, x: jax.Array) -> jax.Array:
    (place,) = [i for i, leaf in enumerate(self._leaves) if leaf is params]
    output = relational.affine(params, x)
    if self._probes is not None:
      output = _probe(output, self._probes[place][len(self.inputs[place])])
    self.inputs[place].append(x)
    self.outputs[place].append(output)
    return output


@jax.custom_vjp
def _probe(x: jax.Array, probe: jax.Array) -> jax.Array:
  """`x`, whose gradient is that of `probe`, too.

  As `x + probe` where the probe is zero, but nobody ever reads those zeros.
  """
  del probe
  return x


_probe.defvjp(lambda x, probe: (x, None), lambda _, gradient: (gradient,) * 2)


def _scan_forward(options, params, seen, memory):
  """Runs the scan, and keeps what its backward pass needs.

  To the scan's own backward pass the linear layers are constants, so that it
  sums no gradients of them; that of a probe is what flows back into a layer's
  output, for all steps.
  """
  leaves, treedef = jax.tree.flatten(params, is_leaf=_is_layer)

  def step(norms, probes, seen, memory):
    mixed = [leaf if norm is None else norm
             for leaf, norm in zip(leaves, norms, strict=True)]
    tape = _Tape(mixed, probes)
    params = jax.tree.unflatten(treedef, mixed)
    return _step(options, params, seen, memory, tape), tape

  def scan(norms, probes, seen, memory):
    def body(memory, xs):
      probes, seen = xs
      memory, tape = step(norms, probes, seen, memory)
      return memory, (memory, tape.inputs)

    return jax.lax.scan(body, memory, (probes, seen))[1]

  norms = [leaf if isinstance(leaf, Norm) else None for leaf in leaves]
  shapes = jax.eval_shape(
      lambda *args: step(norms, None, *args)[1].outputs,
      jax.tree.map(lambda x: x[0], seen), memory)
  length = len(seen.qkv)
  probes = jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype),
                        shapes)
  memories, backward, inputs = jax.vjp(
      scan, norms, probes, seen, memory, has_aux=True)
  return memories, (params, backward, inputs)


def _scan_backward(options, residuals, gradient):
  del options
  params, backward, inputs = residuals
  norms, outputs, seen, memory = backward(gradient)
  leaves, treedef = jax.tree.flatten(params, is_leaf=_is_layer)
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
