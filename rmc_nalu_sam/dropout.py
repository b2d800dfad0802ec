"""Dropout that draws for each sequence of a batch with a key of its own.

Then what is dropped in a sequence does not depend on the other sequences, so a
batch gives the same numbers on any number of devices. Haiku has one key for a
whole batch. `keys_of_sequences` gives a core the keys of the sequences, for as
long as it computes a step.

Letters: T time, B batch, H units.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import haiku as hk
import jax
import jax.numpy as jnp

_KEYS: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar(
    "keys of sequences", default=None)


@contextlib.contextmanager
def keys_of_sequences(keys: jax.Array | None) -> Iterator[None]:
  """Gives `dropout` a key for each sequence.

  Args:
    keys: `[B]`, of one step; None for Haiku's key.
  """
  token = _KEYS.set(keys)
  try:
    yield
  finally:
    _KEYS.reset(token)


def are_of_sequences(rng: jax.Array | None) -> bool:
  """Returns whether `rng` is an array `[B]` of keys, and not one key."""
  return (isinstance(rng, jax.Array) and rng.ndim == 1
          and jnp.issubdtype(rng.dtype, jax.dtypes.prng_key))


def keys_of_steps(keys: jax.Array, num_steps: int) -> jax.Array:
  """Returns keys `[T, B]`, one for each step of each sequence.

  Args:
    keys: `[B]`, consumed.
    num_steps: T.
  """
  fold_in = jax.vmap(jax.random.fold_in, (0, None))
  return jax.vmap(fold_in, (None, 0))(keys, jnp.arange(num_steps))


def dropout(x: jax.Array, rate: float) -> jax.Array:
  """Sets units to 0 at a rate, and scales the others up, inside a module.

  The keys are those of `keys_of_sequences`, else the next one of Haiku. Without
  any, as in an evaluation, and when parameters are made, nothing is dropped.

  Args:
    x: `[B, H]`, or `[H]` without a batch and with Haiku's key.
    rate: the probability of a unit to be dropped, in [0, 1).
  """
  if not rate or hk.running_init():
    return x
  keys = _KEYS.get()
  if keys is not None:
    is_kept = jax.vmap(
        lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
  else:
    key = hk.maybe_next_rng_key()
    if key is None:
      return x
    is_kept = jax.random.bernoulli(key, 1 - rate, x.shape)
  return jnp.where(is_kept, x / (1 - rate), 0)
