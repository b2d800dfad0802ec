"""The base class of arithmetic units, and how to find them in a network.

Letters: I inputs, O outputs.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.units.expressions import Expression

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

Params = Mapping[str, jax.Array]  # Of one module.


class pure(Generic[_Arguments, _Result]):
  """Makes a method of a Haiku module callable outside of a transform.

  Haiku wraps every other method: it can only be called inside of a transform,
  and a mixed-precision policy casts its arguments and results.
  """

  def __init__(
      self, function: Callable[Concatenate[Any, _Arguments], _Result]):
    self._function = function
    self.__doc__ = function.__doc__

  def __get__(self, instance: Any, owner: Any = None,
              ) -> Callable[_Arguments, _Result]:
    # As a function of Python does, so that `help` shows its signature.
    return self._function.__get__(instance, owner)


class Parameter(NamedTuple):
  """Holds the shape and the initialiser of a unit's parameter."""

  shape: tuple[int, ...]
  init: hk.initializers.Initializer


class Unit(Checked, hk.Module):
  """Represents a layer with weights that a formula can be read from.

  All parameters lie in the module itself, not in sub-modules. Each of these
  functions takes them as one dictionary: `forward` (which `__call__` computes),
  `weights`, `penalty`, `input_penalty`, `constrain`, `discrete`,
  `sparsity_error`. They can be called outside of `hk.transform`, on a unit that
  `find_units` returned. A subclass defines `parameters`, and overrides the
  others as `pure` functions.

  Example:
    >>> from rmc_nalu_sam.units import extract
    >>> def network(x):
    ...   return rmc_nalu_sam.NMU(1)(rmc_nalu_sam.NAU(2)(x))
    >>> units = rmc_nalu_sam.find_units(network, jnp.zeros([3]))
    >>> params = {"nau": {"w": jnp.array([[1., 0.], [0., -.9], [1., .1]])},
    ...           "nmu": {"w": jnp.ones([2, 1])}}
    >>> str(extract(units, params))
    'y = (x1 + x3) * (-x2) (weights within 0.1)'

  Notes:
    Units multiply in float32 under a `precision` of bfloat16, too; see
    `rmc_nalu_sam.narrow`.

  Attributes:
    VALUES: maps the names of weights that are to become discrete to the values
      that they may take.
    NEUTRAL: the input that does not change the output: 0 in a sum, 1 in a
      product.
    has_penalty: whether the unit overrides `penalty`.
    has_input_penalty: whether the unit overrides `input_penalty`.
    is_discrete: whether there are weights that are to become discrete.
  """

  VALUES: ClassVar[Mapping[str, tuple[float, ...]]] = {}
  NEUTRAL: ClassVar[float] = 0.
  has_penalty: bool = False
  has_input_penalty: bool = False

  def __init__(self, output_size: int, name: str | None = None):
    """Constructs a unit.

    Args:
      output_size: O, number of outputs.
      name: name of the module.

    Raises:
      ValueError: `output_size` is not positive.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    self.output_size = output_size
    self.is_discrete = bool(self.VALUES)

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Applies the unit.

    Args:
      inputs: `[..., I]`. Integers and booleans are taken as floats.

    Returns:
      `[..., O]`, of the dtype of the inputs.

    Raises:
      ValueError: the inputs are a scalar.
    """
    inputs = as_float(inputs)
    if not inputs.ndim:
      raise ValueError(f"{type(self).__name__} takes inputs [..., I], got a "
                       f"scalar")
    params = {
        name: hk.get_parameter(name, shape, inputs.dtype, init)
        for name, (shape, init) in self.parameters(inputs.shape[-1]).items()}
    return self.forward(params, inputs)

  @pure
  def parameters(self, input_size: int) -> Mapping[str, Parameter]:
    """Returns the parameters of a unit with I inputs, by name."""
    raise NotImplementedError

  @pure
  def forward(self, params: Params, inputs: jax.Array) -> jax.Array:
    """Computes the outputs `[..., O]` of inputs `[..., I]`, floats."""
    raise NotImplementedError

  @pure
  def weights(self, params: Params) -> dict[str, jax.Array]:
    """Returns the effective weights, `[I, O]`; a gate's may be `[O]`.

    A unit may squash or clip its parameters to get them.
    """
    return dict(params)

  @pure
  def input_size(self, params: Params) -> int:
    """Returns I, the number of inputs, from the shapes of parameters."""
    return next(len(w) for w in self.weights(params).values()
                if np.ndim(w) == 2)

  @pure
  def penalty(self, params: Params) -> jax.Array:
    """Returns the unit's sparsity regulariser, unweighted, `[]`.

    It is 0 without `has_penalty`.
    """
    del params
    return jnp.zeros([])

  @pure
  def input_penalty(self, params: Params, mean_inputs: jax.Array) -> jax.Array:
    """Returns a regulariser of the unit's inputs, unweighted, `[]`.

    It pulls inputs that the unit ignores towards `NEUTRAL`. The layers before
    the unit then have something to learn before the unit has learned: R_z of
    "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
    section 4.3. It is 0 without `has_input_penalty`.

    Args:
      params: of the unit.
      mean_inputs: `[I]`, means over a batch and its steps.
    """
    del params, mean_inputs
    return jnp.zeros([])

  @pure
  def constrain(self, params: Params) -> dict[str, jax.Array]:
    """Returns the nearest allowed parameters; called after each update."""
    return dict(params)

  @pure
  def discrete(self, weights: Params) -> dict[str, jax.Array]:
    """Returns the nearest discrete values of the weights in `VALUES`."""
    return {name: _nearest(weights[name], values)
            for name, values in self.VALUES.items() if name in weights}

  @pure
  def sparsity_error(self, params: Params) -> jax.Array:
    """Returns the largest distance of a weight from a discrete value, `[]`.

    See Madsen and Johansen, "Measuring Arithmetic Extrapolation Performance",
    2019 (https://arxiv.org/abs/1910.01888), section 3.
    """
    weights = self.weights(params)
    errors = [jnp.abs(weights[name] - value).max()
              for name, value in self.discrete(weights).items()]
    return jnp.stack(errors).max() if errors else jnp.zeros([])

  @pure
  def readable(self, weights: Params) -> dict[str, np.ndarray]:
    """Returns the nearest weights that a formula can have."""
    return {name: np.asarray(value, np.float64)
            for name, value in self.discrete(weights).items()}

  @pure
  def express(self, weights: Mapping[str, np.ndarray],
              inputs: Sequence[Expression]) -> list[Expression]:
    """Returns the formula of each output, from `readable` weights."""
    raise NotImplementedError


def _nearest(weights: jax.Array, values: tuple[float, ...]) -> jax.Array:
  choices = jnp.asarray(values, weights.dtype)
  weights = weights[..., None]
  distances = jnp.abs(weights - align(choices, weights))
  return choices[jnp.argmin(distances, axis=-1)]


def find_units(function: Callable[..., Any], *args: Any) -> dict[str, Unit]:
  """Finds the units that a function calls, however deep they are nested.

  The function is traced; nothing is computed.

  Args:
    function: a function that `hk.transform` takes.
    *args: its arguments: arrays, or their shapes (`jax.ShapeDtypeStruct`).

  Returns:
    Maps the name of the module in the parameters to the unit, in the order of
    first calls.

  Example:
    >>> def network(x):
    ...   return rmc_nalu_sam.NMU(1)(rmc_nalu_sam.NAU(2)(x))
    >>> list(rmc_nalu_sam.find_units(network, jnp.zeros([3])))
    ['nau', 'nmu']
    >>> nmu = rmc_nalu_sam.find_units(network, jnp.zeros([3]))["nmu"]
    >>> nmu.forward({"w": jnp.ones([2, 1])}, jnp.array([3., 5.])).tolist()
    [15.0]
  """
  units: dict[str, Unit] = {}

  def init(*arrays):
    with recorded_units(units):
      return hk.transform_with_state(function).init(
          jax.random.key(0), *arrays)

  jax.eval_shape(init, *args)
  return units


@contextlib.contextmanager
def recorded_units(units: dict[str, Unit]) -> Iterator[None]:
  """Adds each unit that is called to `units`, by the name of its module."""
  def record(call, call_args, call_kwargs, context):
    if isinstance(context.module, Unit) and context.method_name == "__call__":
      units.setdefault(context.module.module_name, context.module)
    return call(*call_args, **call_kwargs)

  with hk.intercept_methods(record):
    yield
