"""Relational Memory Core.

"Relational recurrent neural networks", Santoro, Faulkner, Raposo, Rae,
Chrzanowski, Weber, Wierstra, Vinyals, Pascanu, Lillicrap, 2018, arXiv
1806.01822: section 3.

Letters: B batch, N slots, I input rows, D numbers in a row, H heads, L blocks.
"""

import math
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import relational, relational_unroll

GATE_STYLES = ("unit", "memory", "none")


class RMCState(NamedTuple):
  """State of `RMC`. Every leaf has a leading B axis with a batch.

  Attributes:
    memory: `[N, D]`.
    attention: `[L, H, N, N + I]`, by how much each slot attended in the last
      step to each slot and then to each input row. To look at: the next step
      does not read it, and no gradient flows through it.
  """

  memory: jax.Array
  attention: jax.Array


class RMC(hk.RNNCore):
  r"""A memory whose rows attend to each other and to the input at every step.

  With :math:`M` the memory, :math:`u` a linear function of the input, as one
  more row, a step of one block and one head is

  .. math::

    (q, k, v) &= LN([M; u] W + b) \\
    A &= softmax(q k^T / \sqrt{d_k}) v \\
    X &= LN([M; u] + A) \\
    \tilde M &= LN(X + MLP(X)) \\
    (i, f) &= W_u u + W_M \tanh(M) + b \\
    M' &= \sigma(i + b_i) \odot \tanh(\tilde M) + \sigma(f + b_f) \odot M

  where :math:`LN` is a layer norm, each with its own scale and offset, and all
  but the attention is row by row. The row of the input is dropped before the
  gates. The output is all of :math:`M'` as one vector.

  See Santoro et al. 2018 (https://arxiv.org/abs/1806.01822), section 3.

  Notes:
    Where it differs from the paper it follows the reference implementation that
    the authors published: the layer norm of queries, keys and values; layer
    norms after the residuals; tanh of the candidate, and of the memory before
    its gates, which see the input's row, not the input; no output gate; blocks
    with parameters of their own, but for one MLP that they share.
  """

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
    """Constructs an RMC.

    Args:
      num_slots: N, rows of the memory.
      head_size: numbers that each head adds to a row; D is `num_heads` times
        as many.
      num_heads: H.
      num_blocks: L, rounds of attention in a step.
      forget_bias: added to the forget gates before the sigmoid.
      input_bias: added to the input gates, likewise.
      gate_style: "unit" for a gate a number, "memory" for a gate a row, "none"
        or None for no gates: the memory is what the last block makes of it.
      attention_mlp_layers: layers of the MLP after the attention.
      key_size: numbers in a query and a key; `head_size` if None.
      input_rows: I. If None, all of an input becomes one row. Else it is split
        into so many parts, each of which becomes a row; an input `[I, F]` has
        them as its rows.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, or there is no such gate style.
    """
    super().__init__(name=name)
    check_positive(num_slots=num_slots, head_size=head_size,
                   num_heads=num_heads, num_blocks=num_blocks,
                   attention_mlp_layers=attention_mlp_layers)
    if gate_style is not None and gate_style not in GATE_STYLES:
      raise ValueError(f"gate_style must be one of {', '.join(GATE_STYLES)}, "
                       f"got {gate_style!r}")
    self.num_slots = num_slots
    self.num_heads = num_heads
    self.width = head_size * num_heads
    self.key_size = head_size if key_size is None else key_size
    self.input_rows = 1 if input_rows is None else input_rows
    check_positive(key_size=self.key_size, input_rows=self.input_rows)
    self.num_blocks = num_blocks
    self._biases: dict[str, Any] = dict(
        input_bias=input_bias, forget_bias=forget_bias)
    # Made here, so that a step and `unroll` have the same.
    width, qkv_size = self.width, num_heads * (2 * self.key_size + head_size)
    self._inputs = _Affine(width, "inputs")
    self._blocks = [(
        _Affine(qkv_size, f"qkv_{i}", width),
        _Norm(qkv_size, f"qkv_norm_{i}"),
        _Norm(width, f"attention_norm_{i}"),
        _Norm(width, f"mlp_norm_{i}")) for i in range(num_blocks)]
    self._mlp = [_Affine(width, f"mlp_{i}", width)
                 for i in range(attention_mlp_layers)]
    self._gates = None
    if gate_style in ("unit", "memory"):
      size = 2 * (width if gate_style == "unit" else 1)
      self._gates = (_Affine(size, "input_gates", self.input_rows * width),
                     _Affine(size, "memory_gates", width))

  def __call__(self, inputs: jax.Array,
               prev_state: RMCState) -> tuple[jax.Array, RMCState]:
    """One step.

    Args:
      inputs: `[B, ...]`, or `[...]` without a batch; see `input_rows`.
      prev_state: the state before it.

    Returns:
      The output `[B, N D]` and the next state.

    Raises:
      ValueError: the input has another batch size than the state, or cannot be
        split into `input_rows`.
    """
    memory = prev_state.memory
    rows = self._split(inputs, memory.shape[:-2])
    params = self._parameters(rows)
    seen = relational.see(params, rows)
    candidate, attention = relational.relate(
        params, seen, memory, num_heads=self.num_heads, key_size=self.key_size)
    memory = relational.gate(params, seen, memory, candidate, **self._biases)
    return memory.reshape(*memory.shape[:-2], -1), RMCState(
        memory, jax.lax.stop_gradient(attention))

  def unroll(self, inputs: jax.Array,
             state: RMCState) -> tuple[jax.Array, RMCState]:
    """`hk.dynamic_unroll` of this core, at less cost.

    Args:
      inputs: `[T, B, ...]`, or `[T, ...]` without a batch.
      state: the state before the first step.

    Returns:
      The outputs `[T, B, N D]` and the state after the last step.

    Raises:
      ValueError: as a step does; or there is none.
    """
    if not len(inputs):
      raise ValueError("RMC.unroll takes at least one step, got inputs of "
                       f"shape {inputs.shape}")
    rows = self._split(inputs, (len(inputs), *state.memory.shape[:-2]))
    memories, attention = relational_unroll.unroll(
        self._parameters(rows), rows, state.memory, relational_unroll.Options(
            self.num_heads, self.key_size, **self._biases))
    return memories.reshape(*memories.shape[:-2], -1), RMCState(
        memories[-1], attention)

  def initial_state(self, batch_size: int | None) -> RMCState:
    """Slots that differ, nothing attended to; a B axis unless it is None."""
    state = RMCState(
        relational.initial_memory(self.num_slots, self.width),
        jnp.zeros([self.num_blocks, self.num_heads, self.num_slots,
                   self.num_slots + self.input_rows]))
    if batch_size is None:
      return state
    return jax.tree.map(
        lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), state)

  # A mixed-precision policy casts what a method gives out that is not
  # transparent, and so what `__call__` and `unroll` compute with.

  @hk.transparent
  def _split(self, inputs, batch_shape):
    """Inputs `[*batch_shape, ...]` as `[*batch_shape, I, F]`."""
    axes = len(batch_shape)
    size = math.prod(inputs.shape[axes:])
    if (inputs.ndim <= axes or inputs.shape[:axes] != batch_shape
        or size % self.input_rows):
      sizes = ", ".join(map(str, batch_shape))
      raise ValueError(
          f"RMC takes inputs [{sizes}, ...] that it can split into "
          f"input_rows={self.input_rows}, got {list(inputs.shape)}")
    return inputs.reshape(*batch_shape, self.input_rows, -1)

  @hk.transparent
  def _parameters(self, rows):
    """Of all layers, for inputs `[..., I, F]`."""
    make = lambda layer: layer(rows.dtype)  # noqa: E731
    input_gates, memory_gates = (
        (None, None) if self._gates is None else map(make, self._gates))
    return relational.Parameters(
        inputs=self._inputs(rows.dtype, rows.shape[-1]),
        blocks=tuple(relational.Block(*map(make, b)) for b in self._blocks),
        mlp=tuple(map(make, self._mlp)),
        input_gates=input_gates, memory_gates=memory_gates)


class _Affine(hk.Module):
  """Gives out the parameters of an `hk.Linear`."""

  def __init__(self, output_size, name, input_size=None):
    super().__init__(name=name)
    self._output_size, self._input_size = output_size, input_size

  def __call__(self, dtype, input_size=None) -> relational.Affine:
    size = input_size or self._input_size
    return relational.Affine(
        hk.get_parameter("w", [size, self._output_size], dtype,
                         init=hk.initializers.TruncatedNormal(size**-.5)),
        hk.get_parameter("b", [self._output_size], dtype, init=jnp.zeros))


class _Norm(hk.Module):
  """Gives out the parameters of an `hk.LayerNorm`."""

  def __init__(self, size, name):
    super().__init__(name=name)
    self._size = size

  def __call__(self, dtype) -> relational.Norm:
    return relational.Norm(
        hk.get_parameter("scale", [self._size], dtype, init=jnp.ones),
        hk.get_parameter("offset", [self._size], dtype, init=jnp.zeros))
