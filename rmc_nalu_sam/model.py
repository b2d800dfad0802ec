"""An encoder, a core and a head as pure functions.

Letters: T time, B batch, F inputs, I inputs of a unit, A selected steps.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import jmp

from rmc_nalu_sam import dropout, narrow
from rmc_nalu_sam.core import check_batch_size
from rmc_nalu_sam.network import Network, Parts, Unrolled
from rmc_nalu_sam.units import Unit
from rmc_nalu_sam.units.base import recorded_units


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """Holds the pure functions of an encoder, a core and a head.

  Attributes:
    init: `(rng, inputs [T, B, F]) -> params`. Only the shape and the type of
      the inputs matter. The inputs of a model of tokens are integers `[T, B]`.
      It is compiled: called one by one, its operations take far longer.
    unroll: `(params, rng, inputs [T, B, F], state, *, steps=None,
      targets=None, return_all_states=False, return_unit_inputs=False,
      resets=None) -> Unrolled`. The key `rng` is consumed. None is for an
      evaluation, and for a network that draws nothing. With `dropout.Keys`,
      what is dropped in a sequence does not depend on the others. An array of
      keys `[B]`, one for each sequence, is the same, with the first key as the
      shared one.
      `steps [A, B]`, integers below T, selects the steps at which the head is
      computed.
      `targets [T, B]` (`[A, B]` with `steps`) are the classes, integers, whose
      log-probabilities take the place of the answers. A head may compute them
      at less cost than all answers. They are float32 or wider, unless a policy
      sets their type, and NaN for a target that is no class.
      `resets [T, B]` bool: where True, the sequence's state is the initial one
      before that step. No gradient passes such a step. A dropout that is the
      same at all steps of a sequence stays the same.
    initial_state: `(params, batch_size) -> state` of the core; without a B axis
      if `batch_size` is None. It is compiled.
    units: maps names in `params` to the arithmetic units with these parameters,
      in the order of their first call.
    forget: `(params, state) -> state`: empties a used state in the same arrays,
      at no cost that grows with them. `SAM.forget` says how far it then equals
      an initial state. A ValueError without `can_forget`.
    steps_left: `(state) -> int`: how many more steps a state may be used for
      without a new `initial_state`. Runs on the host; it cannot be traced. A
      ValueError without `can_forget`.
    recall: `(state) -> [..., 2]` int32: how many rows of the exact search the
      core's index found, and how many there were. A ValueError without
      `measures_recall`.
    can_forget: whether the core can forget: 'sam' or 'sdnc' with
      `gradient_steps`.
    measures_recall: whether the core counts what its index finds: 'sam' or
      'sdnc' with `measure_recall`.
    searches_approximately: whether the core has an index that may miss rows of
      the exact search. `with_core_args(measure_recall=True)` then measures it.
    draws: whether encoder, core or head draw numbers in training, such as a
      dropout's. Then pass `dropout.Keys`, or an array of keys.
    with_core_args: `(**core_args) -> Model`: the same model with these
      arguments of the core in place of its own.

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     "sam", 3, hidden_size=7, num_slots=23, gradient_steps=5)
    >>> x = jnp.ones([5, 2, 4])
    >>> params = jax.jit(model.init)(jax.random.key(0), x)
    >>> start = model.initial_state(params, 2)
    >>> outputs, state, *_ = jax.jit(model.unroll)(params, None, x, start)
    >>> state = jax.jit(model.forget)(params, state)  # For the next episode.
    >>> again = jax.jit(model.unroll)(params, None, x, state)
    >>> bool(jnp.allclose(outputs, again.outputs, atol=1e-5))
    True
  """

  init: Callable[..., hk.Params]
  unroll: Callable[..., Unrolled]
  initial_state: Callable[..., Any]
  units: Mapping[str, Unit]
  with_core_args: Callable[..., "Model"]
  forget: Callable[..., Any]
  steps_left: Callable[[Any], int]
  recall: Callable[[Any], jax.Array]
  can_forget: bool = False
  measures_recall: bool = False
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


def make_functions(parts: Parts, policy: jmp.Policy | None, precision: str,
                   input_size: int | None) -> dict[str, Any]:
  """Returns the functions and units of a model, by `Model`'s attributes.

  Args:
    parts: of the network.
    policy: precision of parameters, computation and results; None for that of
      the inputs.
    precision: of matrix products, see `narrow`.
    input_size: F, to check all shapes with; None for tokens.

  Raises:
    ValueError: a part of the network refuses its arguments or inputs.
  """
  num_axes = 0 if input_size is None else 1

  def network():
    # Not in the methods: no policy can be set within the class it is for.
    def with_policy(function):
      def wrapped(*args):
        with _policy(policy), narrow.products_in(precision):
          return function(*args)
      return wrapped

    module = with_policy(Network)(parts, num_axes)
    step, *functions = map(with_policy, (
        module.step, module.unroll, module.initial_state, module.of_core))
    unroll, initial_state, of_core = functions

    def init(inputs):
      # There may be no steps.
      first = jnp.zeros(inputs.shape[1:], inputs.dtype)
      return step(first, initial_state(inputs.shape[1]))

    return init, (unroll, initial_state, of_core)

  initialise, (run, start, of_core) = hk.multi_transform(network)
  units: dict[str, Unit] = {}

  def init_like(rng, like):
    with recorded_units(units):
      return initialise(rng, jnp.zeros(like.shape, like.dtype))

  # Inside of another program, these are a part of that program.
  compiled_init = jax.jit(init_like, static_argnames="like", inline=True)
  compiled_start = jax.jit(
      lambda params, size: start(params, None, size),
      static_argnames="size", inline=True)

  def init(rng: jax.Array, inputs: jax.Array) -> hk.Params:
    """Returns new parameters; see `Model`."""
    _check_inputs("init", inputs, num_axes)
    # Parameters depend on no T or B: one program makes them for all. This also
    # quietly makes float32 of NumPy's float64.
    return compiled_init(rng, like=jax.ShapeDtypeStruct(
        (1, 1, *inputs.shape[2:]),
        jax.dtypes.canonicalize_dtype(inputs.dtype)))

  def unroll(
      params: hk.Params, rng: jax.Array | dropout.Keys | None,
      inputs: jax.Array, state: Any, *, steps: jax.Array | None = None,
      targets: jax.Array | None = None, return_all_states: bool = False,
      return_unit_inputs: bool = False, resets: jax.Array | None = None
  ) -> Unrolled:
    """Runs the network on sequences; see `Model`."""
    inputs = jnp.asarray(inputs)
    _check_inputs("unroll", inputs, num_axes, may_be_one=True)
    if resets is not None:
      _check_resets(resets, inputs)
    keys = None
    if not isinstance(rng, dropout.Keys) and dropout.are_of_sequences(rng):
      assert rng is not None
      rng = dropout.Keys(rng[0], rng)
    if isinstance(rng, dropout.Keys):
      rng, keys = rng
    return run(params, rng, inputs, state, steps, targets,
               return_all_states, return_unit_inputs, keys, resets)

  def initial_state(params: hk.Params, batch_size: int | None) -> Any:
    """Returns the first state of the core; see `Model`."""
    check_batch_size(batch_size)
    return compiled_start(params, size=batch_size)

  def steps_left(state: Any) -> int:
    """Returns how many more steps a state may be used for; see `Model`."""
    return of_core({}, None, "steps_left", state)

  def recall(state: Any) -> jax.Array:
    """Returns how much the core's index has found; see `Model`."""
    return of_core({}, None, "recall", state)

  def forget(params: hk.Params, state: Any) -> Any:
    """Returns an empty state in the same arrays; see `Model`."""
    forgotten = of_core(params, None, "forget", state)
    # What the core makes anew has its default type, not the policy's.
    return jax.tree.map(
        lambda new, old: new if new.dtype == old.dtype else new.astype(
            old.dtype), forgotten, state)

  # Traces the program of `init` once, which checks all shapes and finds the
  # units. Nothing is computed: an array of a size given in error could fill the
  # memory.
  compiled_init.eval_shape(jax.eval_shape(lambda: jax.random.key(0)), like=(
      jax.ShapeDtypeStruct((1, 1), jnp.int32) if input_size is None else
      jax.ShapeDtypeStruct((1, 1, input_size), jnp.result_type(float))))
  return dict(
      init=init, unroll=unroll, initial_state=initial_state, units=units,
      forget=forget, steps_left=steps_left, recall=recall,
      searches_exactly=lambda: of_core({}, None, "searches_exactly"))


def _check_inputs(method: str, inputs: Any, num_axes: int,
                  may_be_one: bool = False) -> None:
  """Checks the rank of inputs.

  Args:
    method: what is called.
    inputs: of the call.
    num_axes: axes of a step's input of one sequence.
    may_be_one: whether one sequence may come without an axis B.
  """
  if not 2 - may_be_one <= len(inputs.shape) - num_axes <= 2:
    axes = "[T, B, F]" if num_axes else "[T, B], integer tokens"
    raise ValueError(
        f"{method} takes inputs {axes}, time first, got {list(inputs.shape)}; "
        "add an axis of size 1 for one step or one sequence")


def _check_resets(resets: jax.Array, inputs: jax.Array) -> None:
  if resets.dtype != jnp.bool or resets.shape != inputs.shape[:2]:
    raise ValueError(
        f"resets must be booleans [T, B] = {list(inputs.shape[:2])}, as the "
        f"inputs are, got {resets.dtype} {list(resets.shape)}")


@contextlib.contextmanager
def _policy(policy: jmp.Policy | None) -> Iterator[None]:
  if policy is None:
    yield
  else:
    with hk.mixed_precision.push_policy(Network, policy):
      yield
