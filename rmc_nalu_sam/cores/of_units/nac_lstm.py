"""An LSTM with a NAC.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, section 4.5.

Letters: B batch, H hidden, A outputs of the NAC, N numbers.
"""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import NAC, arithmetic


class NACLSTMState(NamedTuple):
  """State of a `NACLSTM`.

  Attributes:
    lstm: output and cell of the LSTM, `[B, H]` each.
    sums: the NAC's output, `[B, A]`.

  Example:
    >>> model = rmc_nalu_sam.make_model("nac_lstm", 3, nac_size=2)
    >>> model.initial_state({}, None).sums.tolist()
    [0.0, 0.0]
  """

  lstm: hk.LSTMState
  sums: jax.Array


class NACLSTM(Core):
  r"""Gives an LSTM its inputs, and some of them through a NAC as well.

  .. math::

    a_t &= \mathrm{NAC}([n_t, a_{t-1}, h_{t-1}]) \\
    h_t, c_t &= \mathrm{LSTM}([x_t, a_t], h_{t-1}, c_{t-1})

  :math:`n_t` are the last numbers of the inputs :math:`x_t`: an instruction,
  such as the time at which to arrive. The encoder 'torso' puts an observation's
  features there, as they are. The output is :math:`h_t`.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.NACLSTM(hidden_size=7, num_numbers=1, nac_size=3)
    ...   return core(x, core.initial_state(len(x)))
    >>> network, x = hk.transform(network), jnp.ones([2, 5])
    >>> params = jax.eval_shape(network.init, jax.random.key(0), x)
    >>> output, state = jax.eval_shape(network.apply, params, None, x)
    >>> output.shape, state.sums.shape
    ((2, 7), (2, 3))

  Notes:
    The design is that of Trask et al. 2018, section 4.5, from memory: the
    instruction goes into the LSTM, and through a NAC whose output goes back
    into the LSTM. Choices that were made here, because the paper does not tell,
    or is not at hand:

    - the NAC also takes its own last output, so that it can count down, and the
      LSTM's last output, so that the LSTM can drive it;
    - the LSTM takes the NAC's output of the same step;
    - the NAC's output is not squashed, and starts at 0;
    - sizes, and the LSTM's forget bias of 1.

    Gradients are cut at 2e19 (in float32) at every step, as in `UnitRNN`: a NAC
    that takes its own output may let them grow without bound. So may its
    outputs, over hundreds of steps.
  """

  def __init__(self, hidden_size: int = 100, num_numbers: int = 1,
               nac_size: int = 16, name: str | None = "nac_lstm"):
    """Constructs a core.

    Args:
      hidden_size: H, units of the LSTM.
      num_numbers: N, how many of the last inputs the NAC takes.
      nac_size: A, outputs of the NAC.
      name: name of the module.

    Raises:
      ValueError: a size is below 1.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size, num_numbers=num_numbers,
                   nac_size=nac_size)
    self._num_numbers = num_numbers
    self._nac_size = nac_size
    self._nac = NAC(nac_size)
    self._lstm = hk.LSTM(hidden_size)

  def __call__(self, inputs: jax.Array, prev_state: NACLSTMState
               ) -> tuple[jax.Array, NACLSTMState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The output `[B, H]` and the next state.

    Raises:
      ValueError: the inputs are fewer than the numbers.
    """
    if inputs.shape[-1] < self._num_numbers:
      raise ValueError(
          f"the core 'nac_lstm' takes inputs of num_numbers={self._num_numbers}"
          f" or more, got {inputs.shape[-1]}")
    inputs = as_float(inputs, prev_state.sums.dtype)
    joined = jnp.concatenate(
        [inputs[..., -self._num_numbers:], prev_state.sums,
         prev_state.lstm.hidden], axis=-1)
    with hk.custom_getter(
        lambda get, value, _: arithmetic.cut_gradients(get(value))):
      sums = self._nac(arithmetic.cut_gradients(joined))
    output, lstm = self._lstm(
        jnp.concatenate([inputs, sums], axis=-1), prev_state.lstm)
    return output, NACLSTMState(lstm, sums)

  def initial_state(self, batch_size: int | None) -> NACLSTMState:
    """Returns zeros; no B axis if `batch_size` is None."""
    batch = () if batch_size is None else (batch_size,)
    return NACLSTMState(self._lstm.initial_state(batch_size),
                        jnp.zeros([*batch, self._nac_size]))
