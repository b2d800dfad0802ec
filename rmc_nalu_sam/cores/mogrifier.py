"""The Mogrifier LSTM: input and state gate each other before an LSTM step."""

import functools
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_count, check_natural, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.cores.affine import AffineParameters
from rmc_nalu_sam.cores.recurrent import join_layers
from rmc_nalu_sam.relational.layers import Affine, affine


class Round(NamedTuple):
  """Parameters of a gate: `down [S, rank]` or None, and the linear layer after.
  """

  down: jax.Array | None
  up: Affine


class Weights(NamedTuple):
  """Parameters of a layer of H units for inputs of F numbers.

  Attributes:
    rounds: of the gates before the LSTM.
    gates: of the LSTM, `[F + H, 4 H]`, the recurrent weights last.
  """

  rounds: tuple[Round, ...]
  gates: Affine


class Gates(NamedTuple):
  """Holds the gates of an LSTM's cell, each `[..., H]`.

  Attributes:
    i: input gates, in (0, 1).
    j: candidates, in (-1, 1).
    f: forget gates, in (0, 1).
    o: output gates, in (0, 1).
  """

  i: jax.Array
  j: jax.Array
  f: jax.Array
  o: jax.Array

  def slopes(self) -> "Gates":
    """Returns the derivatives of the gates by their pre-activations."""
    return Gates(self.i * (1 - self.i), (1 + self.j) * (1 - self.j),
                 self.f * (1 - self.f), self.o * (1 - self.o))


class Cell(NamedTuple):
  """Constants of an LSTM's cell; see `MogrifierLSTM`."""

  forget_bias: float
  cap_input_gate: bool

  def __call__(self, preactivations: jax.Array,
               cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns output and next cell `[..., H]`.

    Args:
      preactivations: of the gates, `[..., 4 H]`.
      cell: the last cell, `[..., H]`.
    """
    return self.next(self.gates(preactivations), cell)

  def gates(self, preactivations: jax.Array) -> Gates:
    """Returns the gates, for `preactivations [..., 4 H]`."""
    j = jnp.split(preactivations, 4, axis=-1)[1]
    # One sigmoid of all of them, also of j, whose result is not used: of single
    # ones, XLA's program for a CPU computes each again wherever it is used.
    bias = jnp.asarray(np.repeat([0, 0, self.forget_bias, 0], j.shape[-1]),
                       preactivations.dtype)
    i, _, f, o = jnp.split(jax.nn.sigmoid(
        preactivations + align(bias, preactivations)), 4, axis=-1)
    return Gates(i, jnp.tanh(j), f, o)

  def next(self, gates: Gates,
           cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns output and next cell `[..., H]`."""
    i, j, f, o = gates
    if self.cap_input_gate:
      i = jnp.minimum(1 - f, i)
    cell = f * cell + i * j
    return o * jnp.tanh(cell), cell


def mogrify(rounds: tuple[Round, ...], x: jax.Array,
            h: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns input `[..., F]` and last output `[..., H]`, scaled by the gates.
  """
  for number, (down, up) in enumerate(rounds):
    source, target = (x, h) if number % 2 else (h, x)
    if down is not None:
      source = narrow.matmul(source, down)
    target = 2 * jax.nn.sigmoid(affine(up, source)) * target
    x, h = (x, target) if number % 2 else (target, h)
  return x, h


def step(weights: Weights, cell: Cell, inputs: jax.Array,
         state: hk.LSTMState) -> tuple[jax.Array, hk.LSTMState]:
  """Returns the output `[..., H]` and the next state, for `[..., F]`."""
  joined = jnp.concatenate(
      mogrify(weights.rounds, inputs, state.hidden), axis=-1)
  hidden, next_cell = cell(affine(weights.gates, joined), state.cell)
  return hidden, hk.LSTMState(hidden, next_cell)


class MogrifierLSTM(Core, hk.LSTM):
  r"""Scales input and last output by gates of each other, then runs an LSTM.

  With :math:`x^{-1} = x_t` and :math:`h^0 = h_{t-1}`, the rounds
  :math:`k = 1, 2, \ldots` scale in turn

  .. math::

    x^k &= 2 \sigma(Q^k h^{k-1} + a^k) \odot x^{k-2}
      \quad \text{for odd } k \\
    h^k &= 2 \sigma(R^k x^{k-1} + b^k) \odot h^{k-2}
      \quad \text{for even } k

  Then an LSTM takes the last x and h:

  .. math::

    [i, j, f, o] &= W [x, h] + b \\
    c_t &= \sigma(f + 1) \odot c_{t-1}
      + \min(1 - \sigma(f + 1), \sigma(i)) \odot \tanh(j) \\
    h_t &= \sigma(o) \odot \tanh(c_t)

  :math:`Q^k` and :math:`R^k` are products of two matrices if `rank` is not 0.

  See "Mogrifier LSTM" (Melis, Kocisky, Blunsom, 2019, arXiv 1909.01792).

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.MogrifierLSTM(7, num_rounds=2)
    ...   return core(x, core.initial_state(len(x)))
    >>> params = jax.eval_shape(
    ...     hk.transform(network).init, jax.random.key(0), jnp.ones([2, 5]))
    >>> for name, layer in params.items():
    ...   print(name, layer["w"].shape)
    mogrifier_lstm/linear (12, 28)
    mogrifier_lstm/round_0 (7, 5)
    mogrifier_lstm/round_1 (5, 7)

  Notes:
    The gates' biases :math:`a^k` and :math:`b^k` and the minimum are those of
    the authors' code (google-deepmind/lamb). The 1 that is added to the forget
    gate is that of the core 'lstm'; the authors' code adds none.
  """

  def __init__(self, hidden_size: int = 100, num_rounds: int = 6, rank: int = 0,
               cap_input_gate: bool = True, forget_bias: float = 1.,
               name: str | None = None):
    """Constructs a layer.

    Args:
      hidden_size: size of the output, and of the cell.
      num_rounds: number of gates before the LSTM, of the input and of the last
        output in turn; 0 for none.
      rank: rank of the gates' matrices; 0 for full matrices.
      cap_input_gate: whether the input gate is at most 1 minus the forget gate,
        so that the cell stays within [-1, 1].
      forget_bias: is added to the forget gate before its sigmoid.
      name: name of the module.

    Raises:
      ValueError: a size is too small, or there are too many rounds.
    """
    check_positive(hidden_size=hidden_size)
    check_natural(num_rounds=num_rounds, rank=rank)
    check_count(num_rounds=num_rounds or 1)
    super().__init__(hidden_size, name=name)
    self._num_rounds = num_rounds
    self._rank = rank
    self.cell = Cell(forget_bias, cap_input_gate)

  def __call__(self, inputs: jax.Array, prev_state: hk.LSTMState
               ) -> tuple[jax.Array, hk.LSTMState]:
    """Runs one step; the output is `[B, hidden_size]`."""
    x = as_float(inputs, prev_state.hidden.dtype)
    return step(self.weights(x.shape[-1], x.dtype), self.cell, x, prev_state)

  @hk.transparent
  def weights(self, input_size: int, dtype: Any) -> Weights:
    """Returns the parameters for inputs of `input_size` numbers."""
    sizes = (input_size, self.hidden_size)
    rounds = []
    for number in range(self._num_rounds):
      target, source = sizes[number % 2], sizes[1 - number % 2]
      down = None
      if self._rank:
        down = _Matrix(self._rank, f"round_{number}_down")(dtype, source)
        source = self._rank
      rounds.append(Round(down, AffineParameters(
          target, f"round_{number}")(dtype, source)))
    return Weights(tuple(rounds), AffineParameters(
        4 * self.hidden_size, "linear")(dtype, sum(sizes)))


class _Matrix(hk.Module):
  """Returns the weights of an `hk.Linear` without biases."""

  def __init__(self, output_size, name):
    super().__init__(name=name)
    self._output_size = output_size

  def __call__(self, dtype, input_size):
    return hk.get_parameter(
        "w", [input_size, self._output_size], dtype,
        init=hk.initializers.TruncatedNormal(input_size**-.5))


def mogrifier(hidden_size: int = 100, num_layers: int = 1, num_rounds: int = 6,
              rank: int = 0, cap_input_gate: bool = True,
              name: str = "mogrifier") -> hk.RNNCore:
  """Returns a `MogrifierLSTM`, or a stack of several as that of `lstm`.

  Args:
    hidden_size: units of each layer.
    num_layers: L, number of layers.
    num_rounds: number of gates before each LSTM, of the input and of the last
      output in turn; 0 for none.
    rank: rank of the gates' matrices; 0 for full matrices.
    cap_input_gate: whether the input gate is at most 1 minus the forget gate.
    name: name of the layers.

  Returns:
    A core whose output is `[B, L * hidden_size]`.

  Raises:
    ValueError: a size is too small, or there are too many layers or rounds.
  """
  layer = functools.partial(
      MogrifierLSTM, num_rounds=num_rounds, rank=rank,
      cap_input_gate=cap_input_gate)
  return join_layers(layer, hidden_size, num_layers, name)
