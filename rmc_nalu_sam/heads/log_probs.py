"""Log-probabilities of classes from logits, and the weights of tied heads.

Letters: N tokens, F inputs, V classes.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

# What a head may be tied to: an array, or a function that returns it.
Embedding = jax.Array | Callable[[], jax.Array]


def widen(logits: jax.Array) -> jax.Array:
  """Returns logits as float32 or wider: sums of many need it."""
  is_narrow = jnp.finfo(logits.dtype).bits < 32
  return logits.astype(jnp.float32) if is_narrow else logits


def pick(logits: jax.Array, index: jax.Array) -> jax.Array:
  """Returns log-probabilities `[N]` at `index [N]` from `logits [N, M]`."""
  picked = jnp.take_along_axis(logits, index[:, None], axis=1)[:, 0]
  return picked - jax.nn.logsumexp(logits, axis=1)


def log_prob_of(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the log-probabilities `[...]` of one class each.

  Args:
    logits: `[..., V]`.
    targets: `[...]`, integers. The result is NaN where one is not from 0 to
      V - 1.
  """
  return of_tokens(lambda logits, index: pick(widen(logits), index),
                   logits, targets, logits.shape[-1])


def of_tokens(function: Callable[[jax.Array, jax.Array], jax.Array],
              x: jax.Array, targets: jax.Array, num_classes: int) -> jax.Array:
  """Returns a function's log-probabilities `[...]` of one class each.

  Args:
    function: `(x [N, F], targets [N]) -> [N]`.
    x: `[..., F]`.
    targets: `[...]`, integers. The result is NaN where one is not from 0 to
      V - 1.
    num_classes: V.
  """
  chex.assert_shape(targets, x.shape[:-1])
  chex.assert_type(targets, int)
  flat = targets.reshape(-1).astype(jnp.int32)
  values = function(x.reshape(flat.size, x.shape[-1]), flat)
  is_class = (flat >= 0) & (flat < num_classes)
  return jnp.where(is_class, values, jnp.nan).reshape(targets.shape)


def check_tied(tied: bool, tied_to: Embedding | None) -> None:
  """Checks that a tied head has an embedding.

  Raises:
    ValueError: it has none.
  """
  if tied and tied_to is None:
    raise ValueError("a tied head needs an encoder with an embedding, such as "
                     "'tokens'; take that encoder, or tied=False")


def tied_rows(tied_to: Embedding, num_classes: int, num_inputs: int,
              dtype: Any) -> jax.Array:
  """Returns an embedding as the weights of classes, `[V, F]`.

  Args:
    tied_to: the embedding.
    num_classes: V.
    num_inputs: F.
    dtype: of the weights.

  Raises:
    ValueError: the embedding has another shape.
  """
  embedding = tied_to() if callable(tied_to) else tied_to
  shape = (num_classes, num_inputs)
  if embedding.shape != shape:
    raise ValueError(
        f"a tied head needs an embedding of the shape {shape}, a row for each "
        "class and a column for each output of the core, got "
        f"{embedding.shape}; set encoder.output_size={num_inputs}, or the size "
        f"of the core's output (core.last_size of 'awd_lstm', else "
        f"core.hidden_size) to {embedding.shape[-1]}")
  return embedding.astype(dtype)
