"""A NALU whose weights are the outputs of an LSTM.

"Neural Arithmetic Logic Units", Trask, Hill, Reed, Rae, Dyer, Blunsom, 2018,
arXiv 1808.00508, section 4.4 (program evaluation).

Letters: B batch, F inputs, H hidden, V inputs that are numbers, R registers.
"""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.units import arithmetic
from rmc_nalu_sam.units.nac import nac_init
from rmc_nalu_sam.units.nalu import NALU


class ControlledNALUState(NamedTuple):
  """State of a `ControlledNALU`. Every leaf has a leading B axis with a batch.

  Attributes:
    controller: state of the LSTM.
    registers: `[R]`, the last output of the NALU.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     "controlled_nalu", 1, num_registers=3, initial_value=2.)
    >>> model.initial_state({}, None).registers.tolist()
    [2.0, 2.0, 2.0]
  """

  controller: hk.LSTMState
  registers: jax.Array


def compress(x: jax.Array) -> jax.Array:
  """Returns `sign(x) log(1 + |x|)`: numbers of any size, for a network."""
  negative = x < 0
  # By sign and magnitude, the gradient at 0 would be 0.
  return jnp.where(negative, -jnp.log1p(jnp.where(negative, -x, 0)),
                   jnp.log1p(jnp.where(negative, 0, x)))


class ControlledNALU(Core):
  r"""Computes with registers of numbers, by a NALU that an LSTM controls.

  .. math::

    h_t &= \mathrm{LSTM}([c(x_t), c(v_{t-1})]) \\
    \hat W_t, \hat M_t, G_t &= \mathrm{linear}(h_t) \\
    v_t &= \mathrm{NALU}_{\hat W_t, \hat M_t, G_t}([x'_t, v_{t-1}])

  with :math:`x'_t` the inputs that are numbers, and :math:`v_t` the registers,
  which are also the output. Numbers flow through the NALU only. To add two
  numbers in two steps, the LSTM has to learn a weight of 1 from the input to a
  register, and then also from the register to itself. Which operation a number
  takes part in can depend on the symbols in the same input, or on its place.

  See Trask et al. 2018 (https://arxiv.org/abs/1808.00508), section 4.4.

  Example:
    >>> def network(x):
    ...   core = rmc_nalu_sam.ControlledNALU(
    ...       hidden_size=7, num_registers=3, num_values=1)
    ...   return core(x, core.initial_state(len(x)))
    >>> network, x = hk.transform(network), jnp.ones([2, 5])
    >>> params = jax.jit(network.init)(jax.random.key(0), x)
    >>> registers, state = jax.jit(network.apply)(params, None, x)
    >>> registers.shape, bool((registers == state.registers).all())
    ((2, 3), True)

  Notes:
    The paper has one sentence on this model: the three matrices of a NALU are
    functions of an LSTM's output at each step. Everything else is our reading:

    - the NALU's inputs are the input and its own last output. Otherwise, only
      the LSTM could compute with numbers from two steps;
    - the LSTM takes the inputs and registers, so that it can compare them, but
      through :math:`c(x) = \mathrm{sign}(x) \log(1 + |x|)`. Numbers of four
      digits would saturate an LSTM that was trained with two;
    - there is one linear layer. Its bias, also that of :math:`G_t`, is
      initialised like the weights of a NALU; its products with :math:`h_t`
      start small;
    - registers start at 1, which changes no product. A register of 0 makes a
      product of 1e7 at a weight of -1;
    - epsilon is 1e-3: inputs are integers, many of them 0;
    - gradients are cut at 2e19 (in float32) at every step, so that they are
      finite wherever the outputs are; see `arithmetic.cut_gradients`.
  """

  def __init__(self, hidden_size: int = 100, num_registers: int = 8,
               num_values: int | None = None, epsilon: float = 1e-3,
               initial_value: float = 1., name: str | None = None):
    """Constructs a core.

    Args:
      hidden_size: H, units of the LSTM.
      num_registers: R, also the size of the output.
      num_values: V. The first V inputs are numbers to compute with; the others
        are symbols, which only the LSTM takes. If None, all are numbers.
      epsilon: added to the magnitudes in a product.
      initial_value: initial value of the registers.
      name: name of the module.

    Raises:
      ValueError: a size or `epsilon` is not positive.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size, num_registers=num_registers)
    if num_values is not None:
      check_positive(num_values=num_values)
    self._num_registers = num_registers
    self._num_values = num_values
    self._initial_value = initial_value
    self._controller = hk.LSTM(hidden_size, name="controller")
    self._nalu = NALU(num_registers, epsilon=epsilon)

  def __call__(self, inputs: jax.Array, prev_state: ControlledNALUState,
               ) -> tuple[jax.Array, ControlledNALUState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The output `[B, R]` and the next state, which holds the same values.

    Raises:
      ValueError: the inputs have another rank, or there are fewer than
        `num_values`.
    """
    if self._num_values is not None and self._num_values > inputs.shape[-1]:
      raise ValueError(f"num_values must be at most the number of inputs, "
                       f"{inputs.shape[-1]}; got {self._num_values}")
    prev_state = arithmetic.cut_gradients(prev_state)
    prev = prev_state.registers
    inputs = as_float(inputs, prev.dtype)
    joined = compress(jnp.concatenate([inputs, prev], axis=-1))
    hidden, controller = self._controller(joined, prev_state.controller)
    operands = jnp.concatenate([inputs[..., :self._num_values], prev], axis=-1)
    step = self._nalu.forward if inputs.ndim == 1 else jax.vmap(
        self._nalu.forward)
    weights = _nalu_weights(hidden, operands.shape[-1], self._num_registers)
    registers = step(*arithmetic.cut_gradients((weights, operands)))
    return registers, ControlledNALUState(controller, registers)

  def initial_state(self, batch_size: int | None) -> ControlledNALUState:
    """Returns registers of `initial_value`; no B axis if it is None."""
    shape = () if batch_size is None else (batch_size,)
    return ControlledNALUState(
        self._controller.initial_state(batch_size),
        jnp.full([*shape, self._num_registers], self._initial_value,
                 jnp.result_type(float)))


def _nalu_weights(hidden: jax.Array, num_operands: int,
                  num_registers: int) -> dict[str, jax.Array]:
  """Maps the LSTM's output `[..., H]` to a NALU's weights, inside a module.

  It is no method, because Haiku's mixed-precision policies cast the results of
  methods, and a step computes with the result of this function.

  Returns:
    `[..., V + R, R]` for each of the NALU's three matrices.
  """
  shape = (num_operands, num_registers)
  names = ("w_hat", "m_hat", "gate")

  def bias_init(size, dtype):
    del size
    init = nac_init(*shape)
    return jnp.stack([init(shape, dtype) for _ in names]).reshape(-1)

  flat = hk.Linear(
      len(names) * num_operands * num_registers, name="weights",
      w_init=hk.initializers.VarianceScaling(.1),
      b_init=bias_init)(hidden)
  split = flat.reshape(*flat.shape[:-1], len(names), *shape)
  return {name: split[..., i, :, :] for i, name in enumerate(names)}
