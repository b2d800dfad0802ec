"""The AWD-LSTM: layers of LSTMs with dropout, for language models."""

from typing import Any, ClassVar

import haiku as hk
import jax

from rmc_nalu_sam.arrays import Rows, as_float
from rmc_nalu_sam.checks import (
  check_count,
  check_natural,
  check_positive,
  check_rate,
)
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.cores import lstm_unroll
from rmc_nalu_sam.cores.mogrifier import MogrifierLSTM
from rmc_nalu_sam.dropout import locked, shared_key, weight_drop

# One for each layer.
AWDLSTMState = tuple[hk.LSTMState, ...]


class _Layer(MogrifierLSTM):
  """Computes one step, or all of them with dropped weights."""

  @hk.transparent
  def batch_of(self, inputs_shape, state):
    return state.hidden.shape[:-1]  # There may be an axis of time.

  # One method for both: the names of the parameters depend on the method.
  def __call__(self, inputs, prev_state, rate=None, resets=None):
    if rate is None:
      return super().__call__(inputs, prev_state)
    weights = self.weights(inputs.shape[-1], inputs.dtype)
    w = weight_drop(shared_key(rate), weights.gates.w, rate,
                    num_rows=self.hidden_size)
    weights = weights._replace(gates=weights.gates._replace(w=w))
    return lstm_unroll.unroll(
        weights, self.cell, inputs, prev_state, resets)


class AWDLSTM(Core):
  r"""Runs layers of LSTMs one after the other, each on the outputs of the last.

  With :math:`h^l_t` the output of layer l, and :math:`h^0_t` the input,

  .. math::

    [i, g, f, o] &= W^l (D^{l-1} \odot h^{l-1}_t)
      + (M^l \odot U^l) h^l_{t-1} + b^l \\
    c^l_t &= \sigma(f + 1) \odot c^l_{t-1} + \sigma(i) \odot \tanh(g) \\
    h^l_t &= \sigma(o) \odot \tanh(c^l_t)

  where D and M are 1 without dropout. With a rate p, their numbers are 0 with
  probability p, and 1 / (1 - p) otherwise.

  Its dropouts act in `unroll`, which computes layer by layer over all steps:
  that of the recurrent weights (weight drop), drawn once for all steps and
  sequences, and that between layers, drawn once for all steps of a sequence.
  The encoder drops inputs, and the head drops outputs. `__call__` computes one
  step without any dropout.

  See "Regularizing and Optimizing LSTM Language Models" (Merity, Keskar,
  Socher, 2017, arXiv 1708.02182), sections 2 and 4. The authors use 3 layers
  of 1,150 units, the last one of 400, which is the size of the embedding.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     "awd_lstm", 50, encoder="tokens", head="softmax",
    ...     head_args=dict(tied=True), input_size=None, hidden_size=64)
    >>> tokens = jnp.zeros([11, 2], int)
    >>> params = jax.jit(model.init)(jax.random.key(0), tokens)
    >>> start = model.initial_state(params, 2)
    >>> model.unroll(params, None, tokens, start, targets=tokens).outputs.shape
    (11, 2)

  Notes:
    There are no skip connections, unlike in the core 'lstm'. The parameters are
    those of `hk.LSTM`, which has one vector of biases, where PyTorch has two.
    With `num_rounds` the layers are those of the core 'mogrifier', whose input
    gate is at most 1 minus the forget gate. The weight drop does not touch the
    matrices of the gates before the LSTM.
  """

  DROPS_OUT: ClassVar[tuple[str, ...]] = ("dropout", "weight_drop")
  UNROLLS_ROWS: ClassVar[bool] = True

  def __init__(self, hidden_size: int = 100, num_layers: int = 2,
               last_size: int = 0, dropout: float = 0.,
               weight_drop: float = 0., num_rounds: int = 0, rank: int = 0,
               forget_bias: float = 1., name: str | None = "awd_lstm"):
    """Constructs a core.

    Args:
      hidden_size: H, units of each layer.
      num_layers: number of layers.
      last_size: units of the last layer, the size of the output; 0 for
        `hidden_size`.
      dropout: rate at which units are dropped between layers.
      weight_drop: rate at which recurrent weights are dropped.
      num_rounds: number of Mogrifier gates before each LSTM, of the input and
        of the last output in turn; 0 for a plain LSTM.
      rank: rank of the Mogrifier gates' matrices; 0 for full matrices.
      forget_bias: is added to the forget gates before their sigmoid.
      name: name of the module.

    Raises:
      ValueError: a size is too small, a rate is not in [0, 1), or there are too
        many layers or rounds.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    check_count(num_layers=num_layers)
    check_natural(last_size=last_size)
    check_rate(dropout=dropout, weight_drop=weight_drop)
    sizes = [hidden_size] * (num_layers - 1) + [last_size or hidden_size]
    self._layers = [
        _Layer(size, num_rounds, rank, cap_input_gate=num_rounds > 0,
               forget_bias=forget_bias, name=f"layer_{number}")
        for number, size in enumerate(sizes)]
    self._dropout = dropout
    self._weight_drop = weight_drop

  def __call__(self, inputs: jax.Array, prev_state: AWDLSTMState
               ) -> tuple[jax.Array, AWDLSTMState]:
    """Runs one step without dropout.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: of every layer.

    Returns:
      The output `[B, last_size]` and the next state.
    """
    x, states = inputs, []
    for layer, state in zip(self._layers, prev_state, strict=True):
      x, state = layer(x, state)
      states.append(state)
    return x, tuple(states)

  def unroll(self, inputs: jax.Array | Rows, state: AWDLSTMState,
             resets: jax.Array | None = None
             ) -> tuple[jax.Array, AWDLSTMState]:
    """Runs all steps, with dropout, faster than one by one.

    Args:
      inputs: `[T, B, F]`, or `[T, F]` without a batch; or rows of that shape,
        whose table is multiplied in their place.
      state: the state before the first step.
      resets: `[T, B]` bool, whether a sequence starts anew before a step; None
        for never. What is dropped does not change there.

    Returns:
      The outputs `[T, B, last_size]` and the state after the last step.
    """
    x: Any = inputs
    if not isinstance(inputs, Rows):
      x = as_float(inputs, state[0].hidden.dtype)
    states = []
    for number, (layer, before) in enumerate(
        zip(self._layers, state, strict=True)):
      if number:
        x = locked(x, self._dropout, f"layer_{number}")
      x, after = layer(x, before, self._weight_drop, resets)
      states.append(after)
    return x, tuple(states)

  def initial_state(self, batch_size: int | None) -> AWDLSTMState:
    """Returns zeros `[B, H]` for each layer; no B axis if it is None."""
    return tuple(layer.initial_state(batch_size) for layer in self._layers)
