"""The Mogrifier LSTM: input and state gate each other before an LSTM step."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_count, check_natural, check_positive
from rmc_nalu_sam.cores.recurrent import join_layers


class MogrifierLSTM(hk.LSTM):
  """Scales input and last output by gates of each other, then runs an LSTM.

  For i = 1, ..., num_rounds, with x^{-1} = x_t and h^0 = h_{t-1}:

    x^i = 2 sigmoid(Q^i h^{i-1} + a^i) x^{i-2}  for odd i
    h^i = 2 sigmoid(R^i x^{i-1} + b^i) h^{i-2}  for even i

  Then an LSTM takes the last x and h:

    i, j, f, o = W [x, h] + b
    c_t = sigmoid(f + 1) c_{t-1} + min(1 - sigmoid(f + 1), sigmoid(i)) tanh(j)
    h_t = sigmoid(o) tanh(c_t)

  Q^i and R^i are products of two matrices if `rank` is not 0.

  See "Mogrifier LSTM" (Melis, Kocisky, Blunsom, 2019, arXiv 1909.01792).

  Notes:
    The gates' biases a^i and b^i and the minimum are those of the authors' code
    (google-deepmind/lamb). The 1 that is added to the forget gate is that of
    the core 'lstm'; the authors' code adds none.
  """

  def __init__(self, hidden_size: int = 100, num_rounds: int = 6, rank: int = 0,
               cap_input_gate: bool = True, name: str | None = None):
    """Constructs a layer.

    Args:
      hidden_size: size of the output, and of the cell.
      num_rounds: number of gates before the LSTM, of the input and of the last
        output in turn; 0 for none.
      rank: rank of the gates' matrices; 0 for full matrices.
      cap_input_gate: whether the input gate is at most 1 minus the forget gate,
        so that the cell stays within [-1, 1].
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
    self._cap_input_gate = cap_input_gate

  def __call__(self, inputs: jax.Array, prev_state: hk.LSTMState
               ) -> tuple[jax.Array, hk.LSTMState]:
    """Runs one step; the output is `[B, hidden_size]`."""
    x, h = as_float(inputs, prev_state.hidden.dtype), prev_state.hidden
    for number in range(self._num_rounds):
      if number % 2:
        h = self._gate(number, x, h.shape[-1]) * h
      else:
        x = self._gate(number, h, x.shape[-1]) * x
    gates = hk.Linear(4 * self.hidden_size)(jnp.concatenate([x, h], axis=-1))
    i, j, f, o = jnp.split(gates, 4, axis=-1)
    i, f = jax.nn.sigmoid(i), jax.nn.sigmoid(f + 1)
    if self._cap_input_gate:
      i = jnp.minimum(1 - f, i)
    cell = f * prev_state.cell + i * jnp.tanh(j)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return hidden, hk.LSTMState(hidden, cell)

  @hk.transparent
  def _gate(self, number: int, source: jax.Array, size: int) -> jax.Array:
    """Returns the gate `[B, size]` of a round, in [0, 2]."""
    if self._rank:
      source = hk.Linear(
          self._rank, with_bias=False, name=f"round_{number}_down")(source)
    return 2 * jax.nn.sigmoid(hk.Linear(size, name=f"round_{number}")(source))


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
