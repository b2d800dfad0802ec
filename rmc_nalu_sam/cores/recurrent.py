"""Plain recurrent cores: RNN, UGRNN, and layers of Haiku's LSTM."""

import functools
from collections.abc import Callable, Mapping

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.core import Core

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu, "tanh": jnp.tanh}


class _Recurrent(Core):
  """Base of the cores whose output is their state `[B, hidden_size]`."""

  def __init__(self, hidden_size: int = 100, activation: str = "tanh",
               name: str | None = None):
    """Constructs a core.

    Args:
      hidden_size: size of the state and of the output.
      activation: 'relu' or 'tanh'.
      name: name of the module.

    Raises:
      ValueError: the size is below 1, or there is no such activation.
    """
    super().__init__(name=name)
    check_positive(hidden_size=hidden_size)
    if activation not in ACTIVATIONS:
      raise ValueError(f"unknown activation {activation!r}; valid activations: "
                       f"{', '.join(ACTIVATIONS)}")
    self._hidden_size = hidden_size
    self._activation = ACTIVATIONS[activation]

  def initial_state(self, batch_size: int | None) -> jax.Array:
    """Returns zeros `[B, hidden_size]`; no B axis if it is None."""
    batch = () if batch_size is None else (batch_size,)
    return jnp.zeros([*batch, self._hidden_size])


def _join(inputs: jax.Array, state: jax.Array) -> jax.Array:
  return jnp.concatenate([as_float(inputs, state.dtype), state], axis=-1)


class RNN(_Recurrent):
  r"""Computes Elman's simple recurrent network.

  .. math::

    h_t = f(W [x_t, h_{t-1}] + b)

  where f is the `activation`.

  Example:
    >>> rnn = hk.transform(lambda x, h: rmc_nalu_sam.RNN(1, "relu")(x, h))
    >>> params = {"rnn/linear": dict(w=jnp.ones([2, 1]), b=jnp.zeros([1]))}
    >>> state = jnp.zeros([1])
    >>> for number in (3., 5., 4.):  # Weights of 1 add the inputs up.
    ...   output, state = rnn.apply(params, None, jnp.array([number]), state)
    >>> output.tolist()
    [12.0]
  """

  def __call__(self, inputs: jax.Array,
               prev_state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Runs one step; output and next state are the same `[B, hidden_size]`."""
    joined = _join(inputs, prev_state)
    state = self._activation(hk.Linear(self._hidden_size)(joined))
    return state, state


class UGRNN(_Recurrent):
  r"""Mixes the old state and a new one by one gate.

  .. math::

    c_t &= f(W_c [x_t, h_{t-1}] + b_c) \\
    g_t &= \sigma(W_g [x_t, h_{t-1}] + b_g + 1) \\
    h_t &= g_t \odot h_{t-1} + (1 - g_t) \odot c_t

  See "Capacity and Trainability in Recurrent Neural Networks" (Collins,
  Sohl-Dickstein, Sussillo, 2017, arXiv 1611.09913), section 1.1.

  Example:
    >>> core = hk.transform(lambda x, h: rmc_nalu_sam.UGRNN(1)(x, h))
    >>> params = {"ugrnn/linear": dict(
    ...     w=jnp.zeros([3, 2]), b=jnp.array([0., 9.]))}
    >>> h = jnp.array([.5])  # With an open gate, the state stays.
    >>> print(np.round(core.apply(params, None, jnp.ones([2]), h)[1], 2))
    [0.5]

  Notes:
    The paper adds nothing to the gate. The 1, which opens the gate at first, is
    that of TensorFlow's `UGRNNCell`.
  """

  def __call__(self, inputs: jax.Array,
               prev_state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Runs one step; output and next state are the same `[B, hidden_size]`."""
    joined = _join(inputs, prev_state)
    candidate, gate = jnp.split(hk.Linear(2 * self._hidden_size)(joined), 2, -1)
    gate = jax.nn.sigmoid(gate + 1)
    state = gate * prev_state + (1 - gate) * self._activation(candidate)
    return state, state


class _GRU(Core, hk.GRU):
  """Is Haiku's GRU, takes integers as floats, and multiplies by `narrow`."""

  def __call__(self, inputs, prev_state):
    x, h = as_float(inputs, prev_state.dtype), prev_state
    size = self.hidden_size
    w_x = hk.get_parameter(
        "w_i", [x.shape[-1], 3 * size], x.dtype, self.w_i_init)
    w_h = hk.get_parameter("w_h", [size, 3 * size], x.dtype, self.w_h_init)
    b = hk.get_parameter("b", [3 * size], x.dtype, self.b_init)
    split = functools.partial(
        jnp.split, indices_or_sections=[2 * size], axis=-1)
    gates, candidate = split(narrow.matmul(x, w_x))
    w_gates, w_candidate = split(w_h)
    b_gates, b_candidate = split(b)
    gates = gates + narrow.matmul(h, w_gates) + align(b_gates, gates)
    update, reset = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
    candidate = jnp.tanh(candidate + narrow.matmul(reset * h, w_candidate)
                         + align(b_candidate, candidate))
    state = (1 - update) * h + update * candidate
    return state, state


class _LSTM(Core, hk.LSTM):
  """Is Haiku's LSTM, and takes integers as floats."""

  def __call__(self, inputs, prev_state):
    return super().__call__(
        as_float(inputs, prev_state.hidden.dtype), prev_state)


class _NormedLSTM(_LSTM):
  """Is an LSTM whose layer and cell are normalised; see `lstm`."""

  def __call__(self, inputs, prev_state):
    joined = _join(inputs, prev_state.hidden)
    gates = normalised_linear(4 * self.hidden_size, joined)
    i, g, f, o = jnp.split(gates, 4, axis=-1)
    cell = (jax.nn.sigmoid(f + 1) * prev_state.cell
            + jax.nn.sigmoid(i) * jnp.tanh(g))
    hidden = jax.nn.sigmoid(o) * jnp.tanh(_layer_norm("cell_norm", cell))
    return hidden, hk.LSTMState(hidden, cell)


def normalised_linear(output_size: int, inputs: jax.Array) -> jax.Array:
  """Returns a linear layer's layer norm, inside a module."""
  layer = hk.Linear(output_size, with_bias=False)
  return _layer_norm("layer_norm", layer(inputs))


def _layer_norm(name: str, x: jax.Array) -> jax.Array:
  return hk.LayerNorm(
      axis=-1, create_scale=True, create_offset=True, name=name)(x)


class _Layers(Core):
  """Is Haiku's stack with skip connections, and takes integers as floats."""

  def __init__(self, layers):
    super().__init__(name="layers")
    self._stack = hk.deep_rnn_with_skip_connections(layers)

  def __call__(self, inputs, prev_state):
    types = [x.dtype for x in jax.tree.leaves(prev_state)]
    return self._stack(as_float(inputs, *types[:1]), prev_state)

  def initial_state(self, batch_size):
    return self._stack.initial_state(batch_size)


def gru(hidden_size: int = 100, name: str = "gru") -> hk.RNNCore:
  r"""Returns Haiku's GRU (Cho et al., 2014, arXiv 1406.1078).

  .. math::

    [z, r] &= \sigma(W x_t + U h_{t-1} + b) \\
    a &= \tanh(W_a x_t + U_a (r \odot h_{t-1}) + b_a) \\
    h_t &= (1 - z) \odot h_{t-1} + z \odot a

  Args:
    hidden_size: units of the core.
    name: name of the module.

  Raises:
    ValueError: the size is below 1.
  """
  check_positive(hidden_size=hidden_size)
  return _GRU(hidden_size, name=name)


def lstm(hidden_size: int = 100, num_layers: int = 1, layer_norm: bool = False,
         name: str = "lstm") -> hk.RNNCore:
  r"""Returns Haiku's LSTM, or a stack of several.

  .. math::

    [i, g, f, o] &= W [x_t, h_{t-1}] + b \\
    c_t &= \sigma(f + 1) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
    h_t &= \sigma(o) \odot \tanh(c_t)

  In a stack, each layer takes the input and the output of the layer below. The
  core's output joins the outputs of all layers. These are the "skip
  connections" of "Generating Sequences With Recurrent Neural Networks" (Graves,
  2013, arXiv 1308.0850), section 2.

  Args:
    hidden_size: units of each layer.
    num_layers: L, number of layers.
    layer_norm: whether to normalise the gates before their activations, all
      together, and the cell before its tanh.
    name: name of the layers.

  Returns:
    A core whose output is `[B, L * hidden_size]`.

  Notes:
    The layer norm ("Layer Normalization", Ba, Kiros, Hinton, 2016, arXiv
    1607.06450) is that of the robust DNC's code (Franke, Niehues, Waibel, 2018,
    arXiv 1807.02658). Ba et al. normalise what comes from the input and what
    comes from the last output apart. The 1 that is added to the forget gates is
    added after it.

  Raises:
    ValueError: a size is below 1.
  """
  return join_layers(
      _NormedLSTM if layer_norm else _LSTM, hidden_size, num_layers, name)


def join_layers(layer: Callable[..., hk.RNNCore], hidden_size: int,
                num_layers: int, name: str) -> hk.RNNCore:
  """Returns one layer, or a stack of several as that of `lstm`.

  Args:
    layer: constructs a layer from its size and its name.
    hidden_size: units of each layer.
    num_layers: number of layers.
    name: name of the layers.

  Raises:
    ValueError: a size is below 1.
  """
  check_positive(hidden_size=hidden_size)
  check_count(num_layers=num_layers)
  layers = [layer(hidden_size, name=name) for _ in range(num_layers)]
  if num_layers == 1:
    return layers[0]
  return _Layers(layers)
