"""What all arithmetic units share, and how to find them in a network.

Letters: I inputs, O outputs.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    TypeVar,
)

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.units.expressions import Expression

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

Params = Mapping[str, jax.Array]  # Of one module.


class pure(Generic[_Arguments, _Result]):
  """A method of a Haiku module that can be called anywhere.

  Haiku lets the other methods of a module be called inside of a transform
  alone, and a mixed-precision policy casts what they take and give.
  """

  def __init__(
      self, function: Callable[Concatenate[Any, _Arguments], _Result]):
    self._function = function
    self.__doc__ = function.__doc__

  def __get__(self, instance: Any, owner: Any = None,
              ) -> Callable[_Arguments, _Result]:
    return functools.partial(self._function, instance)


class Parameter(NamedTuple):
  """A parameter of a unit: its shape, and how it starts."""

  shape: tuple[int, ...]
  init: hk.initializers.Initializer


class Unit(hk.Module):
  """A layer that computes, with weights that mean something.

  All parameters lie in the module itself, not in modules inside of it, so that
  what can be said of the unit is said by functions of one dictionary: `forward`
  (what `__call__` computes), `weights`, `penalty`, `input_penalty`,
  `constrain`, `discrete`, `sparsity_error`. They can be called outside of
  `hk.transform`, on a unit that `find_units` found. A unit says what its
  `parameters` are, and overrides these functions as `pure` ones.
  """

  # The weights that are to become discrete: name -> the values they may take.
  VALUES: ClassVar[Mapping[str, tuple[float, ...]]] = {}
  # What an input must be to change nothing: 1 for a product.
  NEUTRAL: ClassVar[float] = 0.

  def __init__(self, output_size: int, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    self.output_size = output_size

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Applies the unit.

    Args:
      inputs: `[..., I]`.

    Returns:
      `[..., O]`, of the type of the inputs.

    Raises:
      ValueError: the inputs have no axis.
    """
    if not inputs.ndim:
      raise ValueError(f"{type(self).__name__} takes inputs [..., I], got a "
                       f"scalar")
    params = {
        name: hk.get_parameter(name, shape, inputs.dtype, init)
        for name, (shape, init) in self.parameters(inputs.shape[-1]).items()}
    return self.forward(params, inputs)

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    """The parameters of the unit by their names."""
    raise NotImplementedError

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    """The outputs `[..., O]` for inputs `[..., I]`."""
    raise NotImplementedError

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """The weights that are effective, `[I, O]`; those of a gate may be `[O]`.

    They are not always the parameters, which may be squashed or clipped first.
    """
    return dict(params)

  @pure
  def input_size(self, params: Params) -> int:
    """How many inputs a unit with these parameters takes: I."""
    return next(len(w) for w in self.weights(params).values()
                if np.ndim(w) == 2)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    """The unit's regulariser, `[]`, to be weighted; 0 where it has none."""
    del params
    return jnp.zeros([])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    """A regulariser of what comes before the unit, `[]`; 0 where it has none.

    What a unit does not look at should at least change nothing, so that what
    comes before it has something to learn before the unit has: R_z of
    "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
    section 4.3.

    Args:
      params: of the unit.
      mean_inputs: `[I]`, over a batch and its steps.
    """
    del params, mean_inputs
    return jnp.zeros([])

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    """The nearest allowed parameters, for after a step of the optimiser."""
    return dict(params)

  @pure
  def discrete(self, weights: Params) -> dict[str, jax.Array]:
    """The nearest discrete values of those weights that should have some."""
    return {name: _nearest(weights[name], values)
            for name, values in self.VALUES.items() if name in weights}

  @pure
  def sparsity_error(self, params: Params) -> jax.Array:
    """How far a weight is at most from its nearest discrete value, `[]`.

    See Madsen and Johansen, "Measuring Arithmetic Extrapolation Performance",
    2019 (https://arxiv.org/abs/1910.01888), section 3.
    """
    weights = self.weights(params)
    errors = [jnp.abs(weights[name] - value).max()
              for name, value in self.discrete(weights).items()]
    return jnp.stack(errors).max() if errors else jnp.zeros([])

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    """The nearest weights that a formula can have; most often `discrete`."""
    return {name: np.asarray(value, np.float64)
            for name, value in self.discrete(weights).items()}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    """What `readable` weights compute of I inputs, for each output."""
    raise NotImplementedError


def _nearest(weights: jax.Array, values: tuple[float, ...]) -> jax.Array:
  choices = jnp.asarray(values, weights.dtype)
  distances = jnp.abs(weights[..., None] - choices)
  return choices[jnp.argmin(distances, axis=-1)]


def find_units(function: Callable[..., Any], *args: Any) -> dict[str, Unit]:
  """The units that a function calls, wherever they are nested.

  Nothing is computed: the function is traced.

  Args:
    function: what could be given to `hk.transform`.
    *args: its arguments; arrays, or their shapes (`jax.ShapeDtypeStruct`).

  Returns:
    Name of the module, as it is in the parameters -> unit, in the order of
    their first call.
  """
  units: dict[str, Unit] = {}

  def record(call, call_args, call_kwargs, context):
    if isinstance(context.module, Unit) and context.method_name == "__call__":
      units.setdefault(context.module.module_name, context.module)
    return call(*call_args, **call_kwargs)

  def init(*arrays):
    with hk.intercept_methods(record):
      return hk.transform_with_state(function).init(
          jax.random.key(0), *arrays)

  jax.eval_shape(init, *args)
  return units
