"""Relational Memory Core.

"Relational recurrent neural networks", Santoro, Faulkner, Raposo, Rae,
Chrzanowski, Weber, Wierstra, Vinyals, Pascanu, Lillicrap, 2018, arXiv
1806.01822: section 3.

Letters: B batch, N slots, I input rows, D numbers per row, H heads, L blocks. A
*row* is a vector of the memory or of the input, as in the paper.
"""

import math
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arrays import as_float, merge_last
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.cores.affine import AffineParameters
from rmc_nalu_sam.relational import attention, gating, layers, unroll

GATE_STYLES = ("unit", "memory", "none")


class RMCState(NamedTuple):
  """State of `RMC`. Every leaf has a leading B axis with a batch.

  Attributes:
    memory: `[N, D]`.
    attention: `[L, H, N, N + I]`, the attention of each slot in the last step
      to each slot and then to each input row. It is for inspection only: the
      next step does not read it, and no gradient flows through it.

  Example:
    >>> model = rmc_nalu_sam.make_model("rmc", 3, num_slots=4, head_size=5)
    >>> state = model.initial_state({}, 2)
    >>> state.memory.shape, state.attention.shape  # 4 slots and 1 input row.
    ((2, 4, 20), (2, 1, 4, 4, 5))
  """

  memory: jax.Array
  attention: jax.Array


class RMC(Core):
  r"""Lets rows of a memory attend to each other: the Relational Memory Core.

  At every step, they also attend to the input.

  With :math:`M` the memory and :math:`u` a linear function of the input, as one
  more row, a step of one block and one head is

  .. math::

    (q, k, v) &= \mathrm{LN}([M; u] W + b) \\
    A &= \mathrm{softmax}(q k^T / \sqrt{d_k}) v \\
    X &= \mathrm{LN}([M; u] + A) \\
    \tilde M &= \mathrm{LN}(X + \mathrm{MLP}(X)) \\
    (i, f) &= W_u u + W_M \tanh(M) + b \\
    M' &= \sigma(i + b_i) \odot \tanh(\tilde M) + \sigma(f + b_f) \odot M

  where each layer norm LN has its own scale and offset. All but the
  attention works row by row. The row of the input is dropped before the gates.
  The output is all of :math:`M'` as one vector.

  See Santoro et al. 2018 (https://arxiv.org/abs/1806.01822), section 3.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.RMC(num_slots=4, head_size=5, num_heads=2)
    ...   return core.unroll(x, core.initial_state(x.shape[1]))
    >>> network, x = hk.transform(network), jnp.ones([11, 3, 6])
    >>> params = jax.jit(network.init)(jax.random.key(0), x)
    >>> outputs, state = jax.jit(network.apply)(params, None, x)
    >>> outputs.shape, state.memory.shape  # 4 slots of 2 times 5 numbers.
    ((11, 3, 40), (3, 4, 10))
    >>> bool(jnp.allclose(state.attention.sum(-1), 1, atol=1e-3))
    True

  Notes:
    Where this core differs from the paper, it follows the reference
    implementation that the authors published: the row of the input attends as
    well, and is updated by every block, where the queries of the paper's
    equation 2 are those of the memory only; the layer norm of queries, keys and
    values; layer norms after the residuals; tanh of the candidate, and of
    the memory before its gates; gates that take the input's row, not the input;
    no output gate; blocks with their own parameters, except one MLP that they
    share.
  """

  PICTURE = "attention"

  def __init__(
      self,
      num_slots: int = 8,
      head_size: int = 32,
      num_heads: int = 4,
      num_blocks: int = 1,
      forget_bias: float = 1.0,
      input_bias: float = 0.0,
      gate_style: str | None = "unit",
      attention_mlp_layers: int = 2,
      key_size: int | None = None,
      input_rows: int | None = None,
      name: str | None = None,
  ):
    """Constructs a core.

    Args:
      num_slots: N, rows of the memory.
      head_size: numbers that each head adds to a row; D is `num_heads` times
        `head_size`.
      num_heads: H, heads of the attention.
      num_blocks: L, rounds of attention per step.
      forget_bias: added to the forget gates before the sigmoid.
      input_bias: added to the input gates before the sigmoid.
      gate_style: "unit" for one gate per number, "memory" for one gate per row,
        "none" or None for no gates: the memory is the output of the last block.
      attention_mlp_layers: layers of the MLP after the attention.
      key_size: numbers per query and key; `head_size` if None.
      input_rows: I. If None, all of an input becomes one row. Else the input is
        split into I parts, each of which becomes a row; an input `[I, F]` has
        these parts as its rows.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, or there is no such gate style.
    """
    super().__init__(name=name)
    check_positive(num_slots=num_slots, head_size=head_size,
                   num_heads=num_heads)
    check_count(num_blocks=num_blocks,
                attention_mlp_layers=attention_mlp_layers)
    if gate_style is not None and gate_style not in GATE_STYLES:
      raise ValueError(f"gate_style must be one of {', '.join(GATE_STYLES)}, "
                       f"got {gate_style!r}")
    key_size = head_size if key_size is None else key_size
    input_rows = 1 if input_rows is None else input_rows
    check_positive(key_size=key_size, input_rows=input_rows)
    self._num_slots, self._num_blocks = num_slots, num_blocks
    self._width = head_size * num_heads
    self._options = unroll.Options(
        num_heads, key_size, input_bias=input_bias, forget_bias=forget_bias)
    self._input_rows = input_rows
    # Made here, so that a step and `unroll` use the same.
    self._layers = _make_layers(
        self._width, num_heads * (2 * key_size + head_size), num_blocks,
        attention_mlp_layers, input_rows, gate_style)

  def __call__(self, inputs: jax.Array,
               prev_state: RMCState) -> tuple[jax.Array, RMCState]:
    """Runs one step.

    Args:
      inputs: `[B, ...]`, or `[F]` or `[I, F]` without a batch; see
        `input_rows`.
      prev_state: the state before the step.

    Returns:
      The output `[B, N D]` and the next state.

    Raises:
      ValueError: the input has another batch size than the state, or cannot be
        split into `input_rows`.
    """
    memory, options = prev_state.memory, self._options
    inputs = as_float(inputs, memory.dtype)
    rows = _split(inputs, memory.shape[:-2], self._input_rows)
    params = _parameters(self._layers, rows)
    seen = attention.see(params, rows)
    candidate, weights = attention.relate(
        params, seen, memory, num_heads=options.num_heads,
        key_size=options.key_size)
    memory = gating.gate(
        params, seen, memory, candidate, input_bias=options.input_bias,
        forget_bias=options.forget_bias)
    return merge_last(memory), RMCState(
        memory, jax.lax.stop_gradient(weights))

  def unroll(self, inputs: jax.Array, state: RMCState,
             resets: jax.Array | None = None) -> tuple[jax.Array, RMCState]:
    """Runs all steps, as `hk.dynamic_unroll` does, at less cost.

    Args:
      inputs: `[T, B, ...]`, or `[T, F]` or `[T, I, F]` without a batch.
      state: the state before the first step.
      resets: `[T, B]` bool, whether a sequence starts anew before a step; None
        for never.

    Returns:
      The outputs `[T, B, N D]` and the state after the last step.

    Raises:
      ValueError: as a step.
    """
    inputs = as_float(inputs, state.memory.dtype)
    rows = _split(
        inputs, (len(inputs), *state.memory.shape[:-2]), self._input_rows)
    params = _parameters(self._layers, rows)
    if not len(rows):
      return jnp.zeros((0, *merge_last(state.memory).shape),
                       state.memory.dtype), state
    memories, weights = unroll.unroll(
        params, rows, state.memory, self._options, resets)
    return merge_last(memories), RMCState(
        memories[-1], weights)

  @hk.transparent
  def batch_of(self, inputs_shape: tuple[int, ...],
               state: RMCState) -> tuple[int, ...]:
    """Returns the batch axes `[B]` or `[]`; the inputs may have any rank.

    Without a batch, inputs of several axes are `[I, F]`. Else the rows of a
    batch would become one input.
    """
    has_batch = len(inputs_shape) > 1 and (
        np.ndim(getattr(state, "memory", 0)) == 3
        or inputs_shape[0] != self._input_rows)
    return inputs_shape[:1] if has_batch else ()

  def initial_state(self, batch_size: int | None) -> RMCState:
    """Returns slots that differ, and no attention; no B axis if it is None."""
    state = RMCState(
        layers.initial_memory(self._num_slots, self._width),
        jnp.zeros([self._num_blocks, self._options.num_heads, self._num_slots,
                   self._num_slots + self._input_rows]))
    if batch_size is None:
      return state
    return jax.tree.map(
        lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), state)


class _Layers(NamedTuple):
  """The modules of a core's layers; each makes its parameters."""

  inputs: AffineParameters
  blocks: list[tuple[AffineParameters, "_Norm", "_Norm", "_Norm"]]
  mlp: list[AffineParameters]
  gates: tuple[AffineParameters, AffineParameters] | None


def _make_layers(width: int, qkv_size: int, num_blocks: int, mlp_layers: int,
                 input_rows: int, gate_style: str | None) -> _Layers:
  """Makes the modules, in the constructor of a core."""
  gates = None
  inputs = AffineParameters(width, "inputs")
  blocks = [(
      AffineParameters(qkv_size, f"qkv_{i}", width),
      _Norm(qkv_size, f"qkv_norm_{i}"),
      _Norm(width, f"attention_norm_{i}"),
      _Norm(width, f"mlp_norm_{i}")) for i in range(num_blocks)]
  mlp = [AffineParameters(width, f"mlp_{i}", width) for i in range(mlp_layers)]
  if gate_style in ("unit", "memory"):
    size = 2 * (width if gate_style == "unit" else 1)
    gates = (AffineParameters(size, "input_gates", input_rows * width),
             AffineParameters(size, "memory_gates", width))
  return _Layers(inputs, blocks, mlp, gates)


# These are no methods, because Haiku's mixed-precision policies cast the
# results of methods, and `__call__` and `unroll` compute with the results of
# these.


def _split(inputs: jax.Array, batch_shape: tuple[int, ...],
           input_rows: int) -> jax.Array:
  """Reshapes inputs `[*batch_shape, ...]` to `[*batch_shape, I, F]`."""
  axes = len(batch_shape)
  size = math.prod(inputs.shape[axes:])
  if (inputs.ndim <= axes or inputs.shape[:axes] != batch_shape
      or size % input_rows):
    sizes = ", ".join(map(str, batch_shape))
    raise ValueError(
        f"RMC takes inputs [{sizes}, ...] that it can split into "
        f"input_rows={input_rows}, got {list(inputs.shape)}")
  return inputs.reshape(*batch_shape, input_rows, size // input_rows)


def _parameters(modules: _Layers, rows: jax.Array) -> layers.Parameters:
  """Returns the parameters of all layers, for inputs `[..., I, F]`."""
  make = lambda module: module(rows.dtype)  # noqa: E731
  input_gates, memory_gates = (
      (None, None) if modules.gates is None else map(make, modules.gates))
  return layers.Parameters(
      inputs=modules.inputs(rows.dtype, rows.shape[-1]),
      blocks=tuple(layers.Block(*map(make, b)) for b in modules.blocks),
      mlp=tuple(map(make, modules.mlp)),
      input_gates=input_gates, memory_gates=memory_gates)


class _Norm(hk.Module):
  """Returns the parameters of an `hk.LayerNorm`."""

  def __init__(self, size, name):
    super().__init__(name=name)
    self._size = size

  def __call__(self, dtype) -> layers.Norm:
    return layers.Norm(
        hk.get_parameter("scale", [self._size], dtype, init=jnp.ones),
        hk.get_parameter("offset", [self._size], dtype, init=jnp.zeros))
