"""The base of all cores: says what is wrong with arguments, inputs and states.

All checks are of shapes and types, while a program is traced. They leave no
trace in the program.

Letters: B batch, F inputs.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.arguments import Checked, is_own

Shape = tuple[int, ...]


class Core(Checked, hk.RNNCore):
  """Checks the calls of the cores that are derived from it.

  `__init_subclass__` wraps the methods of this library's cores, so that a core
  need not think of it. The methods of a user's subclass may take other inputs.
  A wrapped method also takes NumPy's float64 as JAX's float, without a warning.
  """

  def __init_subclass__(cls, **kwargs: Any):
    super().__init_subclass__(**kwargs)
    if not is_own(cls):
      return
    for name, wrap in _WRAPPERS.items():
      # One that is inherited from this library is wrapped already.
      method = vars(cls).get(name) or _of_haiku(cls, name)
      if method is not None:
        setattr(cls, name, wrap(method))

  @hk.transparent
  def batch_of(self, inputs_shape: Shape, state: Any) -> Shape:
    """Returns the batch axes `[B]` or `[]` of the inputs of one step.

    Args:
      inputs_shape: of the inputs of one step.
      state: the state before the step.

    Raises:
      ValueError: the inputs have another rank.
    """
    del state
    if len(inputs_shape) not in (1, 2):
      raise ValueError(f"{_name(self)} takes inputs [B, F] or [F], "
                       f"got {list(inputs_shape)}")
    return inputs_shape[:-1]


def _of_haiku(cls: type, name: str) -> Callable[..., Any] | None:
  """Returns a method that a core has directly from a class that is no `Core`.
  """
  for base in cls.__mro__[1:]:
    if name in vars(base):
      return None if issubclass(base, Core) else vars(base)[name]
  return None


def check_batch_size(batch_size: Any) -> None:
  """Checks the argument of `initial_state`.

  Raises:
    ValueError: it is not None, an integer from 0 on, or a symbolic size.
  """
  is_integer = isinstance(batch_size, int | np.integer) and not isinstance(
      batch_size, bool)
  if batch_size is None or jax.export.is_symbolic_dim(batch_size) or (
      is_integer and batch_size >= 0):
    return
  raise ValueError("batch_size must be an integer from 0 on, or None for a "
                   f"state without a batch axis, got {batch_size!r}")


def check_state(core: hk.RNNCore, batch: Shape, state: Any) -> None:
  """Checks the shapes of a state.

  Args:
    core: whose state it should be.
    batch: `[B]`, or `[]` without a batch.
    state: the state.

  Raises:
    ValueError: it is the state of another core or of another batch size.
  """
  expected = _shapes_of(core, batch)
  if expected is None:
    return
  structures: list[Any] = [*map(jax.tree.structure, (state, expected))]
  is_alike = structures[0] == structures[1]
  shapes = [(np.shape(one), other.shape) for one, other in zip(*map(
      jax.tree.leaves, (state, expected)), strict=False)]
  if is_alike and all(one == other for one, other in shapes):
    return
  name, size = _name(core), batch[0] if batch else None
  advice = f"pass {name}'s initial_state({size}), or a state that followed it"
  if not is_alike:
    raise ValueError(
        f"the state is not one of {name}: expected {_describe(expected)}, got "
        f"{_describe(state)}; {advice}")
  of_state = _common_batch(shapes, len(batch))
  if of_state is not None:
    raise ValueError(f"the inputs have {_batch(batch)} and the state has "
                     f"{_batch(of_state)}; {advice}")
  one, other = next((a, b) for a, b in shapes if a != b)
  raise ValueError(
      f"the state has other sizes than {name}: an array of it has the shape "
      f"{list(one)} in place of {list(other)}; {advice}")


def _common_batch(shapes: list[tuple[Shape, Shape]], num_axes: int
                  ) -> Shape | None:
  """Returns the batch axes of a state that differs in these only, else None.

  Args:
    shapes: of each array, and as it should be.
    num_axes: number of batch axes that it should have.
  """
  batches = set()
  for one, other in shapes:
    rest = other[num_axes:]
    split = len(one) - len(rest)
    if split < 0 or one[split:] != rest:
      return None
    batches.add(one[:split])
  return batches.pop() if len(batches) == 1 else None


def _shapes_of(core: hk.RNNCore, batch: Shape) -> Any:
  """Returns the shapes of a core's first state; None if it has none to tell."""
  if not hasattr(core, "_state_shapes"):
    core._state_shapes = {}
  known = core._state_shapes
  if batch not in known:
    try:
      known[batch] = hk.eval_shape(
          lambda: core.initial_state(batch[0] if batch else None))
    except Exception:
      # A user's core may refuse None, or want a key. It is not asked here.
      known[batch] = None
  return known[batch]


def _name(core: hk.RNNCore) -> str:
  """Returns the name of a core's class; some of them have functions."""
  return type(core).__name__.lstrip("_")


def _describe(state: Any) -> str:
  """Returns the types of a state and of its parts, and how many arrays it has.
  """
  parts = state if isinstance(state, tuple | list) else ()
  inside = ", ".join(_type(part) for part in parts)
  return (f"{_type(state)}{f'({inside})' if parts else ''} of "
          f"{len(jax.tree.leaves(state))} arrays")


def _type(tree: Any) -> str:
  return "array" if hasattr(tree, "dtype") else type(tree).__name__


def _batch(batch: Shape) -> str:
  return (f"the batch size {', '.join(map(str, batch))}" if batch
          else "no batch axis")


def _checked_call(method: Callable[..., Any], num_time: int
                  ) -> Callable[..., Any]:
  """Wraps a method of inputs with some axes of time, and a state."""
  signature = inspect.signature(method)

  @functools.wraps(method)
  def checked(*args, **kwargs):
    call = signature.bind(*args, **kwargs)
    core, inputs, state = (call.arguments[name] for name in _first(signature))
    # This also makes float32 of NumPy's float64, without a warning.
    inputs, state = jax.tree.map(jnp.asarray, (inputs, state))
    if inputs.ndim < num_time:
      raise ValueError(f"{_name(core)} takes inputs [T, B, F] or "
                       f"[T, F], got {list(inputs.shape)}")
    check_state(core, core.batch_of(inputs.shape[num_time:], state), state)
    call.arguments.update(zip(_first(signature), (core, inputs, state),
                              strict=True))
    return method(*call.args, **call.kwargs)

  return checked


def _first(signature: inspect.Signature) -> list[str]:
  """Returns the names of the module, the inputs and the state."""
  return list(signature.parameters)[:3]


def _checked_initial_state(method: Callable[..., Any]) -> Callable[..., Any]:
  @functools.wraps(method)
  def checked(self, batch_size):
    check_batch_size(batch_size)
    return method(self, batch_size)

  return checked


_WRAPPERS: Mapping[str, Callable[..., Any]] = {
    "__call__": functools.partial(_checked_call, num_time=0),
    "unroll": functools.partial(_checked_call, num_time=1),
    "initial_state": _checked_initial_state}
