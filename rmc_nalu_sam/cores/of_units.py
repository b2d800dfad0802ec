"""Cores made of arithmetic units: a stack, one that recurs, an LSTM with a NAC.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, sections 4.1, 4.2 and 4.5.

Letters: B batch, F inputs, H hidden, A outputs of the NAC, N numbers.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import NAC, UNITS, Linear, Unit, arithmetic


class Stack(Core):
  r"""Applies arithmetic units one after the other; it remembers nothing.

  .. math::

    y_t = U_L(\ldots U_2(U_1(x_t)))

  for L layers, each a unit with weights of its own. The networks of "Neural
  Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016, section 4.1)
  have two layers: one that adds, another that multiplies. The core computes
  each step of a sequence independently.

  A unit with an activation ('relu' and so on) makes the hidden layers only. The
  last layer is then linear, as in their code.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.Stack(1, "nmu", hidden_unit="nau")
    ...   return core(x, core.initial_state(None))[0]
    >>> params = {"stack/nau": {"w": jnp.array([[1., 0.], [1., 0.], [0., 1.]])},
    ...           "stack/nmu": {"w": jnp.ones([2, 1])}}
    >>> x = jnp.array([3., 5., 4.])
    >>> hk.transform(network).apply(params, None, x).tolist()  # (3 + 5) 4
    [32.0]
  """

  MAPS_TO_OUTPUT = True
  OF_UNITS = True

  def __init__(self, output_size: int | None = None,
               unit: str | Callable[..., Unit] = "linear",
               unit_args: Mapping[str, Any] | None = None,
               num_layers: int = 2, hidden_size: int = 2,
               hidden_unit: str = "", name: str | None = None):
    """Constructs a core.

    Args:
      output_size: size of the last layer; `hidden_size` if None.
      unit: a name in `UNITS`, "package.module:attribute", or a unit's
        constructor.
      unit_args: arguments of the unit.
      num_layers: number of layers, including the last.
      hidden_size: outputs of each layer except the last.
      hidden_unit: a name in `UNITS` or a path, for all layers except the last,
        with the default arguments. If empty, these layers are like the last.
      name: name of the module.

    Raises:
      ValueError: a number is below 1, or there is no such unit.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    check_count(num_layers=num_layers)
    self._make_unit = functools.partial(UNITS.get(unit), **(unit_args or {}))
    self._make_hidden = (
        UNITS.get(hidden_unit) if hidden_unit else self._make_unit)
    self._hidden_sizes = [hidden_size] * (num_layers - 1)
    self._output_size = hidden_size if output_size is None else output_size
    check_positive(output_size=self._output_size)

  def __call__(self, inputs: jax.Array,
               prev_state: tuple[()]) -> tuple[jax.Array, tuple[()]]:
    """Maps inputs `[..., F]` to outputs `[..., output_size]`."""
    with narrow.products_in("float32"):
      for size in self._hidden_sizes:
        inputs = self._make_hidden(size)(inputs)
      last = self._make_unit(self._output_size)
      if isinstance(last, Linear) and last.activation != "none":
        last = Linear(self._output_size, w_init="glorot", name="output")
      return last(inputs), prev_state

  @hk.transparent
  def batch_of(self, inputs_shape: tuple[int, ...],
               state: Any) -> tuple[int, ...]:
    """Returns the batch axes, as many as there are."""
    return inputs_shape[:-1]

  def initial_state(self, batch_size: int | None) -> tuple[()]:
    """Returns the empty state."""
    del batch_size
    return ()


class UnitRNNState(NamedTuple):
  """State of a `UnitRNN`.

  Attributes:
    hidden: the last output, `[B, H]`, or `[H]` without a batch.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     "unit_rnn", 3, unit="nmu", hidden_size=3)
    >>> model.initial_state({}, None).hidden.tolist()  # Neutral in a product.
    [1.0, 1.0, 1.0]
  """

  hidden: jax.Array


class UnitRNN(Core):
  r"""Feeds a unit its own last output.

  .. math::

    h_t = \mathrm{unit}([x_t, h_{t-1}])

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), which does not write
  the equation down, and the recurrent cells of Madsen and Johansen's code.

  Example:
    >>> core = hk.transform(lambda x, s: rmc_nalu_sam.UnitRNN(1, "nau")(x, s))
    >>> params = {"unit_rnn/~/nau": {"w": jnp.ones([2, 1])}}
    >>> state = rmc_nalu_sam.UnitRNNState(jnp.zeros([1]))
    >>> for number in (3., 5., 4.):
    ...   output, state = core.apply(params, None, jnp.array([number]), state)
    >>> output.tolist()  # The sum of all inputs so far.
    [12.0]

  Notes:
    The state starts at the neutral value of the unit: 0 for a unit that adds,
    1 for a unit that multiplies, and 0 for a unit that does both.

    Gradients are cut at 2e19 (in float32) at every step, see
    `arithmetic.cut_gradients`. So they are finite wherever the outputs are,
    over any number of steps. The outputs are not cut: those of a unit whose
    sums grow at each step ('nac', 'inalu', 'relu' and others, if their weights
    are large) become infinite after hundreds of steps, and so does the loss.
  """

  OF_UNITS = True
  FEEDS_BACK = True

  def __init__(self, hidden_size: int = 100,
               unit: str | Callable[..., Unit] = "nac",
               unit_args: Mapping[str, Any] | None = None,
               initial_value: float | None = None, name: str | None = None):
    """Constructs a core.

    Args:
      hidden_size: H, size of the output and of the state.
      unit: a name in `UNITS`, "package.module:attribute", or a unit's
        constructor.
      unit_args: arguments of the unit.
      initial_value: initial value of the state; the unit's neutral value if
        None.
      name: name of the module.

    Raises:
      ValueError: `hidden_size` is not positive, there is no such unit, or it
        refuses its arguments.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    self._hidden_size = hidden_size
    self._unit = UNITS.get(unit)(hidden_size, **(unit_args or {}))
    self._initial_value = (
        self._unit.NEUTRAL if initial_value is None else initial_value)

  def __call__(self, inputs: jax.Array, prev_state: UnitRNNState,
               ) -> tuple[jax.Array, UnitRNNState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The output `[B, H]` and the next state, which holds the same values.

    Raises:
      ValueError: the inputs have another rank, or the state does not fit.
    """
    hidden = prev_state.hidden
    joined = jnp.concatenate(
        [as_float(inputs, hidden.dtype), hidden], axis=-1)
    # The gradients of the parameters overflow too, not only those of the state.
    with hk.custom_getter(
        lambda get, value, _: arithmetic.cut_gradients(get(value))
    ), narrow.products_in("float32"):
      hidden = self._unit(arithmetic.cut_gradients(joined))
    return hidden, UnitRNNState(hidden)

  def initial_state(self, batch_size: int | None) -> UnitRNNState:
    """Returns the initial value in all places; no B axis if it is None."""
    shape = () if batch_size is None else (batch_size,)
    return UnitRNNState(
        jnp.full([*shape, self._hidden_size], self._initial_value,
                 jnp.result_type(float)))


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
