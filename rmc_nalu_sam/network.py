"""An encoder, a core and a head as one Haiku module.

Letters: T time, B batch, F inputs, I inputs of a unit, A selected steps.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import dropout, narrow
from rmc_nalu_sam.arrays import choose_rows
from rmc_nalu_sam.core import check_state
from rmc_nalu_sam.heads.log_probs import log_prob_of
from rmc_nalu_sam.units import Unit


class Unrolled(NamedTuple):
  """Holds what a model computes over the steps of a sequence.

  Attributes:
    outputs: the answers `[T, B, output_size]`; with `steps`, those at the
      selected steps, `[A, B, output_size]`; with `targets`, the
      log-probabilities of these, `[T, B]` or `[A, B]`.
    state: the core's state after the last step; with `return_all_states`, after
      every step, with a leading T axis.
    unit_inputs: maps the names in `Model.units` to the mean input `[I]` of the
      unit over batch and steps, 0 if there are none; empty without
      `return_unit_inputs`. If a step calls a unit several times, its last call
      counts.
    core_outputs: the core's outputs at all steps or at the selected ones,
      `[T, B, H]` or `[A, B, H]`.

  Example:
    >>> model = rmc_nalu_sam.make_model("rnn", 3, hidden_size=7)
    >>> x = jnp.ones([11, 2, 5])
    >>> params = model.init(jax.random.key(0), x)
    >>> result = model.unroll(
    ...     params, None, x, model.initial_state(params, 2),
    ...     steps=jnp.array([[3, 10], [4, 10]]))  # Two answers a sequence.
    >>> result.outputs.shape, result.state.shape, result.core_outputs.shape
    ((2, 2, 3), (2, 7), (2, 2, 7))
  """

  outputs: Any
  state: Any
  unit_inputs: Mapping[str, jax.Array]
  core_outputs: Any


class Parts(NamedTuple):
  """Holds the constructors of a network's parts, and how they fit together.

  The core answers by itself, without a head, in two cases:

  - it has been told the `output_size`. It is told so if it maps to the output
    itself (`MAPS_TO_OUTPUT`), the head may be replaced (`CORE_MAY_REPLACE`),
    and the head would do no more than the core: the core is made of the same
    units (`OF_UNITS`), or the head's unit is linear, or there is no unit;
  - it is made of the head's units, and the size of its output happens to be
    `output_size`.

  Attributes:
    encoder: `() -> encoder`.
    core: `() -> core`.
    head: `() -> head`; if `ties_head`, `(tied_to=...) -> head`.
    ties_head: whether the head gets the encoder's method `embedding`, or None
      if the encoder has no such method.
    output_size: size of an answer.
    maps_to_output: whether the core has been told the `output_size`.
    may_map_to_output: whether the core answers if its output has that size.
  """

  encoder: Callable[[], Callable[[jax.Array], Any]]
  core: Callable[[], hk.RNNCore]
  head: Callable[..., Callable[[jax.Array], Any]]
  ties_head: bool
  output_size: int
  maps_to_output: bool
  may_map_to_output: bool


class Network(hk.Module):
  """Holds encoder, core and head.

  A precision policy is set for this class alone. Haiku then casts arguments and
  results of the methods below, once a call and not once a step; parameters are
  cast where they are used, so that their gradients add up in their own type.
  The methods that only handle states are transparent: nothing is cast.
  """

  def __init__(self, parts: Parts, num_axes: int):
    """Makes the parts.

    Args:
      parts: their constructors.
      num_axes: axes of a step's input of one sequence; 0 for tokens.
    """
    super().__init__(name="model")
    self._parts = parts
    self._num_axes = num_axes
    # Haiku numbers modules of the same name in this order.
    self._encode = parts.encoder()
    self._core = parts.core()
    tied = dict(tied_to=getattr(self._encode, "embedding", None)
                ) if parts.ties_head else {}
    self._head = None if parts.maps_to_output else parts.head(**tied)

  def step(self, inputs: jax.Array, state: Any) -> Any:
    """Computes one step of `inputs [B, ...]`, to make parameters."""
    encoded = (self._encode(inputs[None])[0] if self._encodes_all_steps()
               else self._encode(inputs))
    if getattr(encoded, "ndim", 2) < 2:
      raise ValueError(
          "a core takes a vector for each sequence, got one number; tokens "
          "need an encoder that embeds them, such as 'tokens'")
    output, state = self._core(encoded, state)
    return self._answer(output), state

  def unroll(self, inputs: jax.Array, state: Any, steps: jax.Array | None,
             targets: jax.Array | None, return_all_states: bool,
             return_unit_inputs: bool, keys: jax.Array | None = None,
             resets: jax.Array | None = None) -> Unrolled:
    """Computes all steps; see `Model.unroll`. `keys [B]` are of sequences."""
    recording = _unit_inputs if return_unit_inputs else _nothing
    has_unroll = hasattr(self._core, "unroll") and not return_all_states
    unrolls = has_unroll and (resets is None or _takes_resets(self._core))
    # A core of this library would see to that itself, a user's own may not.
    check_state(
        self._core, inputs.shape[1:inputs.ndim - self._num_axes], state)
    encode, encode_step = self._encode, lambda inputs: inputs
    if not (has_unroll or self._encodes_all_steps()):
      encode, encode_step = encode_step, encode
    elif unrolls and getattr(self._core, "UNROLLS_ROWS", False):
      encode = getattr(encode, "as_rows", encode)
    in_steps: dict[str, jax.Array] = {}
    # Made once, outside of the steps; it may have parameters.
    first = None if resets is None else self._core.initial_state(
        resets.shape[1])

    def step(of_step, state):
      inputs, keys, resets = of_step
      if resets is not None:
        state = choose_rows(resets, first, state)
      with recording() as unit_inputs, dropout.keys_of_sequences(keys):
        outputs, state = self._core(encode_step(inputs), state)
      return (outputs, unit_inputs), state

    with recording() as unit_inputs, dropout.keys_of_windows(keys):
      encoded = encode(inputs)
      if unrolls:
        known = {} if resets is None else dict(resets=resets)
        outputs, state = self._core.unroll(encoded, state, **known)
      else:
        step_keys = None if keys is None else dropout.keys_of_steps(
            keys, len(inputs))
        (outputs, in_steps), state = hk.dynamic_unroll(
            step, (encoded, step_keys, resets), state,
            return_all_states=return_all_states)
      if steps is not None:
        outputs = jnp.take_along_axis(outputs, steps[..., None], 0)
      answers = (self._answer(outputs) if targets is None
                 else self._log_prob_of(outputs, targets))
    return Unrolled(answers, state, unit_inputs | {
        name: _mean(means) for name, means in in_steps.items()}, outputs)

  def initial_state(self, batch_size: int | None) -> Any:
    """Returns the core's initial state."""
    return self._core.initial_state(batch_size)

  @hk.transparent
  def of_core(self, method: str, *args: Any) -> Any:
    """Returns the result of a method that only some cores have."""
    if not hasattr(self._core, method):
      raise ValueError(
          f"{type(self._core).__name__.lstrip('_')} has no {method!r}: among "
          "the cores of this library, 'sam' and 'sdnc' have; take one of "
          "these, or start a sequence in a new initial_state")
    return getattr(self._core, method)(*args)

  @hk.transparent
  def _encodes_all_steps(self) -> bool:
    return getattr(self._encode, "ENCODES_ALL_STEPS", False)

  @hk.transparent
  def _log_prob_of(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    of_head = getattr(self._head, "log_prob_of", None)
    if of_head is not None:
      return of_head(outputs, targets)
    return log_prob_of(self._answer(outputs), targets)

  @hk.transparent
  def _answer(self, outputs: jax.Array) -> Any:
    size, parts = outputs.shape[-1], self._parts
    if parts.maps_to_output and size != parts.output_size:
      raise ValueError(
          f"{type(self._core).__name__} has MAPS_TO_OUTPUT, so the size of its "
          f"outputs must be output_size={parts.output_size}, got {size}")
    if self._head is None or (
        parts.may_map_to_output and size == parts.output_size):
      return outputs
    # A network of units computes with numbers, up to its answer.
    of_units = parts.may_map_to_output
    with narrow.products_in("float32") if of_units else _nothing():
      return self._head(outputs)


def _takes_resets(core: Any) -> bool:
  """Returns whether the core's own `unroll` has an argument `resets`."""
  return "resets" in inspect.signature(core.unroll).parameters


@contextlib.contextmanager
def _nothing() -> Iterator[dict[str, jax.Array]]:
  """Yields a dictionary that stays empty."""
  yield {}


def _mean(x: jax.Array) -> jax.Array:
  """Returns the mean over the first axis; zeros if it is empty."""
  return x.mean(0) if len(x) else jnp.zeros_like(x, shape=x.shape[1:])


@contextlib.contextmanager
def _unit_inputs() -> Iterator[dict[str, jax.Array]]:
  """Yields a dictionary that fills with mean inputs `[I]` of called units."""
  means: dict[str, jax.Array] = {}

  def record(call, args, kwargs, context):
    if isinstance(context.module, Unit) and context.method_name == "__call__":
      inputs = args[0]
      means[context.module.module_name] = _mean(inputs.reshape(
          -1, inputs.shape[-1]))
    return call(*args, **kwargs)

  with hk.intercept_methods(record):
    yield means
