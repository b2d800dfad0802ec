"""Dynamic evaluation: a trained network adapts to the text it is scored on.

"Dynamic Evaluation of Neural Sequence Models", Krause, Kahembwe, Murray,
Renals, 2018, arXiv 1709.07432, section 4: gradient descent with RMS-scaled
gradients (equation 4) and an RMS-scaled decay back to the trained parameters
(equations 5 and 6). Each segment of a text is scored first, and then the
parameters take a step on it, so no target is known before it is scored.

A use of it:

1. `no_squares`, then `add_squares` for each window of the training text, then
   `gradient_scale`.
2. `begin`, then `evaluate` for each window of the text to score.

All functions are pure and may be part of a larger program, such as a scan over
windows. They know no network: a `LossOf` does. A window is any number of steps;
its length changes no number if it is a multiple of the segment's.

Letters: T steps of a window, n steps of a segment, B rows of the text.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import tasks
from launch.learning.varied import Number, is_traced

# (params, state, inputs [n, B], targets [n, B], mask [n, B]) -> nats of each
# target [n, B], and the core state after the segment.
LossOf = Callable[[Any, Any, jax.Array, jax.Array, jax.Array],
                  tuple[jax.Array, Any]]

MEANS = ("arrays", "numbers")


class Squares(NamedTuple):
  """Holds what a pass over the training text has added up so far.

  Attributes:
    sums: squared gradients, in the form of the parameters.
    num_segments: `[]` float32, segments with a target.
    state: the core state after the last window.
  """

  sums: Any
  num_segments: jax.Array
  state: Any


class Adapted(NamedTuple):
  """Holds what changes during a dynamic evaluation.

  Attributes:
    params: the adapted parameters.
    state: the core state after the last window.
  """

  params: Any
  state: Any


def no_squares(params: Any, state: Any) -> Squares:
  """Returns the `Squares` before a pass over the training text.

  Args:
    params: the trained ones.
    state: the core state in which the text begins.
  """
  return Squares(jax.tree.map(jnp.zeros_like, params), jnp.zeros([]), state)


def add_squares(loss_of: LossOf, params: Any, squares: Squares,
                batch: tasks.Batch, *, segment: int = 5) -> Squares:
  """Adds the squared gradients of a window of the training text.

  The gradient is that of the mean over a segment's targets, of all rows. More
  rows therefore give smaller squares. The defaults of `evaluate` were found
  with 100 rows.

  Args:
    loss_of: of the network, without dropout.
    params: the trained ones.
    squares: those of the windows before.
    batch: the window, `[T, B]` each.
    segment: n.

  Raises:
    ValueError: the segment has no step.
  """
  def step(squares, batch):
    gradient, _, state = _gradient(loss_of, params, squares.state, batch)
    sums = jax.tree.map(
        lambda total, g: total + jnp.square(g), squares.sums, gradient)
    return Squares(sums, squares.num_segments + _has_target(batch), state), None

  return _scan(step, squares, batch, segment)[0]


def gradient_scale(squares: Squares) -> Any:
  """Returns the root mean square of the gradients, in the form of the params.

  Args:
    squares: of the training text, or of its first windows.

  Returns:
    MS of the paper, the root of the mean over segments. 0 without a segment.
  """
  num = jnp.maximum(squares.num_segments, 1)
  return jax.tree.map(lambda total: jnp.sqrt(total / num), squares.sums)


def begin(params: Any, state: Any) -> Adapted:
  """Returns the `Adapted` before the first window.

  The parameters are a copy, so that a caller can donate `Adapted` and keep the
  trained ones.

  Args:
    params: the trained ones.
    state: the core state in which the text begins.
  """
  return Adapted(jax.tree.map(jnp.copy, params), state)


def evaluate(loss_of: LossOf, trained: Any, scale: Any, adapted: Adapted,
             batch: tasks.Batch, *, learning_rate: Number = 5e-5,
             decay: Number = .002, epsilon: Number = 2e-5, segment: int = 5,
             mean_over: str = "arrays") -> tuple[jax.Array, Adapted]:
  """Scores a window, segment by segment, and adapts to each after scoring it.

  After a segment with the gradient g of its mean loss, the parameters become
  `params + rate (trained - params) - learning_rate g / (scale + epsilon)`,
  where `rate = min(1, decay scale / mean(scale))`. The core state is carried on
  as the parameters before this step computed it. A segment without a target
  changes no parameter. Rows share the parameters; published numbers have one
  row.

  The program holds a fixed number of copies of the parameters, whatever the
  number of segments.

  Args:
    loss_of: of the network, without dropout.
    trained: the parameters to decay to.
    scale: from `gradient_scale`, in the form of the parameters.
    adapted: from `begin`, or from the window before.
    batch: the window, `[T, B]` each. Where T is no multiple of n, its last
      segment is shorter.
    learning_rate: eta. This and the next three defaults are the authors'
      (dynamiceval.py); their grid is 3e-5 to 1e-4 here, times n / 5.
    decay: lambda. Their grid is .001 to .005, times n / 5.
    epsilon: is added to the scale in the step.
    segment: n.
    mean_over: "arrays", where every array of parameters counts the same in
      `mean(scale)`, or "numbers", where every number does.

  Returns:
    Nats of each target, `[T, B]`, 0 where `batch.mask` is 0; and what the next
    window starts with.

  Raises:
    ValueError: an argument is out of range.

  Notes:
    "arrays" is what the authors' program does; "numbers" is what lamb does
    (dyneval.py, of the Mogrifier's authors, whose defaults are learning_rate
    .001, decay .02, epsilon 1e-5, and which clips gradients). How many arrays
    there are differs between libraries. The authors' program drops training
    tokens behind the last whole segment; here no token is dropped.
  """
  _check(learning_rate, decay, epsilon, mean_over)
  rate_of_scale = decay / _mean(scale, mean_over)

  def step(adapted, batch):
    gradient, nats, state = _gradient(
        loss_of, adapted.params, adapted.state, batch)
    counts = _has_target(batch)

    def updated(param, origin, scale, gradient):
      rate = jnp.minimum(1., rate_of_scale * scale)
      change = (rate * (origin - param)
                - learning_rate * gradient / (scale + epsilon))
      return param + (counts * change).astype(param.dtype)

    params = jax.tree.map(updated, adapted.params, trained, scale, gradient)
    return Adapted(params, state), nats

  adapted, nats = _scan(step, adapted, batch, segment)
  return nats, adapted


def _gradient(loss_of, params, state, batch):
  """Returns the gradient of the mean loss, nats `[n, B]`, and the next state.
  """
  def loss(params):
    nats, after = loss_of(params, state, *batch)
    nats = jnp.where(batch.mask > 0, nats, 0)
    return nats.sum() / jnp.maximum(batch.mask.sum(), 1), (nats, after)

  gradient, (nats, after) = jax.grad(loss, has_aux=True)(params)
  return gradient, nats, after


def _has_target(batch):
  return jnp.any(batch.mask > 0).astype(jnp.float32)


def _mean(scale, mean_over):
  """Returns the mean of the scale; not 0, not even where all gradients were.
  """
  leaves = jax.tree.leaves(scale)
  if mean_over == "arrays":
    mean = sum(x.mean() for x in leaves) / len(leaves)
  else:
    mean = sum(x.sum() for x in leaves) / sum(x.size for x in leaves)
  return jnp.where(mean > 0, mean, 1)


def _scan(step, carry, batch, segment):
  """Applies a step to segments; the outputs `[n, B]` are joined to `[T, B]`.

  A last segment of fewer steps is a call of its own: padding would reach the
  core state.
  """
  if segment < 1:
    raise ValueError(
        f"a segment needs at least 1 step, got segment={segment}")
  num_whole = len(batch.inputs) // segment
  split = num_whole * segment
  whole = jax.tree.map(lambda x: x[:split].reshape(
      num_whole, segment, *x.shape[1:]), batch)
  carry, outputs = jax.lax.scan(step, carry, whole)
  outputs = jax.tree.map(lambda x: x.reshape(split, *x.shape[2:]), outputs)
  if split == len(batch.inputs):
    return carry, outputs
  carry, last = step(carry, jax.tree.map(lambda x: x[split:], batch))
  return carry, jax.tree.map(
      lambda *parts: jnp.concatenate(parts), outputs, last)


def _check(learning_rate, decay, epsilon, mean_over):
  numbers = dict(learning_rate=learning_rate, decay=decay, epsilon=epsilon)
  for name, value in numbers.items():
    if not (is_traced(value) or value >= 0):
      raise ValueError(f"need {name} >= 0, got {name}={value}")
  # The scale of a number without a gradient is 0.
  if not (is_traced(epsilon) or epsilon > 0):
    raise ValueError(f"need epsilon > 0, got epsilon={epsilon}")
  if mean_over not in MEANS:
    raise ValueError(f"mean_over={mean_over!r} must be one of "
                     f"{', '.join(MEANS)}")
