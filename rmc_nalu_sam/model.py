"""An encoder, a core and a head as pure functions.

Letters: T time, B batch, F inputs, I inputs of a unit, A selected steps.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import jmp

from rmc_nalu_sam import dropout
from rmc_nalu_sam.heads.log_probs import log_prob_of
from rmc_nalu_sam.units import Unit, find_units


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
  """

  outputs: Any
  state: Any
  unit_inputs: Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """Holds the pure functions of an encoder, a core and a head.

  Attributes:
    init: `(rng, inputs [T, B, F]) -> params`. Only the shape of the inputs
      matters. The inputs of a model of tokens are integers `[T, B]`.
    unroll: `(params, rng, inputs [T, B, F], state, *, steps=None,
      targets=None, return_all_states=False, return_unit_inputs=False) ->
      Unrolled`. The key `rng` is consumed. None is for an evaluation, and for a
      network that draws nothing. With `dropout.Keys`, what is dropped in a
      sequence does not depend on the others. An array of keys `[B]`, one for
      each sequence, is the same, with the first key as the shared one.
      `steps [A, B]`, integers below T, selects the steps at which the head is
      computed.
      `targets [T, B]` (`[A, B]` with `steps`) are the classes, integers, whose
      log-probabilities take the place of the answers. A head may compute them
      at less cost than all answers. They are float32 or wider, unless a policy
      sets their type, and NaN for a target that is no class.
    initial_state: `(params, batch_size) -> state` of the core; without a B axis
      if `batch_size` is None.
    units: maps names in `params` to the arithmetic units with these parameters,
      in the order of their first call.
    forget: `(params, state) -> state`: empties a used state in the same arrays,
      at no cost that grows with them. `SAM.forget` says how far it then equals
      an initial state. None if the core cannot forget.
    steps_left: `(state) -> int`: how many more steps a state may be used for
      without a new `initial_state`. Runs on the host; it cannot be traced. None
      if the core cannot forget.
    recall: `(state) -> [..., 2]` int32: how many rows of the exact search the
      core's index found, and how many there were. None if the core does not
      measure it.
    searches_approximately: whether the core has an index that may miss rows of
      the exact search. `with_core_args(measure_recall=True)` then measures it.
    draws: whether encoder, core or head draw numbers in training, such as a
      dropout's. Then pass `dropout.Keys`, or an array of keys.
    with_core_args: `(**core_args) -> Model`: the same model with these
      arguments of the core in place of its own.
  """

  init: Callable[..., hk.Params]
  unroll: Callable[..., Unrolled]
  initial_state: Callable[..., Any]
  units: Mapping[str, Unit]
  with_core_args: Callable[..., "Model"]
  forget: Callable[..., Any] | None = None
  steps_left: Callable[[Any], int] | None = None
  recall: Callable[[Any], jax.Array] | None = None
  searches_approximately: bool = False
  draws: bool = False

  def penalty(self, params: hk.Params) -> jax.Array:
    """Returns the sum of the units' sparsity regularisers, unweighted, `[]`."""
    penalties = [unit.penalty(params[name])
                 for name, unit in self.units.items()]
    return sum(penalties, start=jnp.zeros(()))

  def input_penalty(self, params: hk.Params,
                    unit_inputs: Mapping[str, jax.Array]) -> jax.Array:
    """Returns the sum of the units' input regularisers, unweighted, `[]`.

    Args:
      params: of the model.
      unit_inputs: from `unroll`.
    """
    penalties = [self.units[name].input_penalty(params[name], inputs)
                 for name, inputs in unit_inputs.items()]
    return sum(penalties, start=jnp.zeros(()))

  def constrain(self, params: hk.Params) -> hk.Params:
    """Returns the parameters with those of units moved into their ranges."""
    return {name: (self.units[name].constrain(values) if name in self.units
                   else values) for name, values in params.items()}

  def sparsity_error(self, params: hk.Params) -> jax.Array:
    """Returns the largest distance of a unit's weight from a discrete value.

    Args:
      params: of the model.

    Returns:
      `[]`; 0 without units.
    """
    errors = [unit.sparsity_error(params[name])
              for name, unit in self.units.items()]
    return functools.reduce(jnp.maximum, errors, jnp.zeros(()))


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


class _Network(hk.Module):
  """Holds encoder, core and head.

  A precision policy is set for this class alone. Haiku then casts arguments and
  results of the methods below, once a call and not once a step; parameters are
  cast where they are used, so that their gradients add up in their own type.
  The methods that only handle states are transparent: nothing is cast.
  """

  def __init__(self, parts: Parts):
    super().__init__(name="model")
    self._parts = parts
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
             return_unit_inputs: bool, keys: jax.Array | None = None
             ) -> Unrolled:
    """Computes all steps; see `Model.unroll`. `keys [B]` are of sequences."""
    recording = _unit_inputs if return_unit_inputs else _nothing
    has_unroll = hasattr(self._core, "unroll") and not return_all_states
    encode, encode_step = self._encode, lambda inputs: inputs
    if not (has_unroll or self._encodes_all_steps()):
      encode, encode_step = encode_step, encode
    in_steps: dict[str, jax.Array] = {}

    def step(inputs_and_keys, state):
      inputs, keys = inputs_and_keys
      with recording() as unit_inputs, dropout.keys_of_sequences(keys):
        outputs, state = self._core(encode_step(inputs), state)
      return (outputs, unit_inputs), state

    with recording() as unit_inputs, dropout.keys_of_windows(keys):
      encoded = encode(inputs)
      if has_unroll:
        outputs, state = self._core.unroll(encoded, state)
      else:
        step_keys = None if keys is None else dropout.keys_of_steps(
            keys, len(inputs))
        (outputs, in_steps), state = hk.dynamic_unroll(
            step, (encoded, step_keys), state,
            return_all_states=return_all_states)
      if steps is not None:
        outputs = jnp.take_along_axis(outputs, steps[..., None], 0)
      outputs = (self._answer(outputs) if targets is None
                 else self._log_prob_of(outputs, targets))
    return Unrolled(outputs, state, unit_inputs | {
        name: _mean(means) for name, means in in_steps.items()})

  def initial_state(self, batch_size: int | None) -> Any:
    """Returns the core's initial state."""
    return self._core.initial_state(batch_size)

  @hk.transparent
  def of_core(self, method: str, *args: Any) -> Any:
    """Returns the result of a method of the core."""
    return getattr(self._core, method)(*args)

  @hk.transparent
  def _encodes_all_steps(self) -> bool:
    return getattr(self._encode, "ENCODES_ALL_STEPS", False)

  @hk.transparent
  def _log_prob_of(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    if hasattr(self._head, "log_prob_of"):
      return self._head.log_prob_of(outputs, targets)
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
    return self._head(outputs)


def make_functions(parts: Parts, policy: jmp.Policy | None,
                   input_size: int | None) -> dict[str, Any]:
  """Returns the functions and units of a model, by `Model`'s attributes.

  Args:
    parts: of the network.
    policy: precision of parameters, computation and results; None for that of
      the inputs.
    input_size: F, to check all shapes with; None for tokens.

  Raises:
    ValueError: a part of the network refuses its arguments or inputs.
  """
  def network():
    # Not in the methods: no policy can be set within the class it is for.
    def with_policy(function):
      def wrapped(*args):
        with _policy(policy):
          return function(*args)
      return wrapped

    module = with_policy(_Network)(parts)
    step, *functions = map(with_policy, (
        module.step, module.unroll, module.initial_state, module.of_core))
    unroll, initial_state, of_core = functions

    def init(inputs):
      # There may be no steps.
      first = jnp.zeros(inputs.shape[1:], inputs.dtype)
      return step(first, initial_state(inputs.shape[1]))

    return init, (unroll, initial_state, of_core)

  init, (unroll, initial_state, of_core) = hk.multi_transform(network)

  def model_unroll(params, rng, inputs, state, *, steps=None, targets=None,
                   return_all_states=False, return_unit_inputs=False):
    keys = None
    if dropout.are_of_sequences(rng):
      rng = dropout.Keys(rng[0], rng)
    if isinstance(rng, dropout.Keys):
      rng, keys = rng
    return unroll(params, rng, inputs, state, steps, targets,
                  return_all_states, return_unit_inputs, keys)

  def forget(params, state):
    forgotten = of_core(params, None, "forget", state)
    # What the core makes anew has its default type, not the policy's.
    return jax.tree.map(
        lambda new, old: new if new.dtype == old.dtype else new.astype(
            old.dtype), forgotten, state)

  # A shape: an array of a size given in error could fill the memory.
  shape = (jax.ShapeDtypeStruct((1, 1), jnp.int32) if input_size is None else
           jax.ShapeDtypeStruct((1, 1, input_size), jnp.result_type(float)))
  units = find_units(lambda inputs: network()[0](inputs), shape)
  return dict(
      init=init, unroll=model_unroll, forget=forget, units=units,
      initial_state=lambda params, batch_size: initial_state(
          params, None, batch_size),
      steps_left=lambda state: of_core({}, None, "steps_left", state),
      recall=lambda state: of_core({}, None, "recall", state),
      searches_exactly=lambda: of_core({}, None, "searches_exactly"))


@contextlib.contextmanager
def _policy(policy: jmp.Policy | None) -> Iterator[None]:
  if policy is None:
    yield
  else:
    with hk.mixed_precision.push_policy(_Network, policy):
      yield


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
