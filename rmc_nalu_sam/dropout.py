"""Dropout that draws for each sequence of a batch with a key of its own.

Then what is dropped in a sequence does not depend on the other sequences, so a
batch gives the same numbers on any number of devices. Haiku has one key for a
whole batch. `keys_of_sequences` gives a core the keys of the sequences, for as
long as it computes a step. `keys_of_windows` gives them to what computes all
steps at once. What all sequences share is drawn with Haiku's key.

The regularisers of the AWD-LSTM are pure functions here: `locked_dropout`,
`word_dropout` and `weight_drop`. See "Regularizing and Optimizing LSTM Language
Models" (Merity, Keskar, Socher, 2017, arXiv 1708.02182). Modules call `locked`,
and pass `shared_key` to the other two.

Letters: T time, B batch, H units, V words, E size of a word's vector.
"""

import contextlib
import contextvars
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_rate

_KEYS: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar(
    "keys of sequences", default=None)
_WINDOWS: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar(
    "keys of windows", default=None)


class Keys(NamedTuple):
  """Holds the keys of a batch; an `rng` of `Model.unroll`.

  Attributes:
    shared: one key, the same on all devices. It draws what all sequences have
      in common: dropped words and weights.
    sequences: `[B]`, one for each sequence. It draws what is dropped in that
      sequence alone.
  """

  shared: jax.Array
  sequences: jax.Array


def keys_of_sequences(keys: jax.Array | None
                      ) -> contextlib.AbstractContextManager[None]:
  """Gives `dropout` a key for each sequence.

  Args:
    keys: `[B]`, of one step; None for Haiku's key.
  """
  return _set(_KEYS, keys)


def keys_of_windows(keys: jax.Array | None
                    ) -> contextlib.AbstractContextManager[None]:
  """Gives `locked` a key for each sequence.

  Args:
    keys: `[B]`, of all steps; None for Haiku's key.
  """
  return _set(_WINDOWS, keys)


@contextlib.contextmanager
def _set(variable, keys) -> Iterator[None]:
  token = variable.set(keys)
  try:
    yield
  finally:
    variable.reset(token)


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
  if keys is None:
    keys = hk.maybe_next_rng_key()
  if keys is None:
    return x
  return _drop(x, _draw_kept(keys, x.shape, rate), rate)


def locked(x: jax.Array, rate: float, name: str = "") -> jax.Array:
  """Returns `locked_dropout` of `x`, inside a module.

  The keys are those of `keys_of_windows`, else the next one of Haiku. Without
  any, as in an evaluation, and when parameters are made, nothing is dropped.
  Each module draws its own numbers, by its name.

  Args:
    x: `[T, B, H]`.
    rate: the probability of a unit to be dropped, in [0, 1).
    name: differs for each call of the same module.
  """
  if not rate or hk.running_init():
    return x
  keys = _WINDOWS.get()
  if keys is None:
    return locked_dropout(hk.maybe_next_rng_key(), x, rate)
  number = zlib.crc32(f"{hk.current_name()} {name}".encode())
  keys = jax.vmap(jax.random.fold_in, (0, None))(keys, np.uint32(number))
  return locked_dropout(keys, x, rate)


def shared_key(rate: float) -> jax.Array | None:
  """Returns a key for `word_dropout` or `weight_drop`, inside a module.

  Returns:
    The next key of Haiku. None without any, as in an evaluation, when
    parameters are made, and if the rate is 0.
  """
  return None if not rate or hk.running_init() else hk.maybe_next_rng_key()


def locked_dropout(keys: jax.Array | None, x: jax.Array,
                   rate: float) -> jax.Array:
  """Returns `x` with the same units of a sequence set to 0 at all its steps.

  The other units are scaled up. See "A Theoretically Grounded Application of
  Dropout in Recurrent Neural Networks" (Gal, Ghahramani, 2016, arXiv
  1512.05287).

  Args:
    keys: `[B]`, one for each sequence, or one key for all of them; consumed.
      None for an evaluation: nothing is dropped.
    x: `[T, B, H]`.
    rate: the probability of a unit to be dropped, in [0, 1).

  Raises:
    ValueError: the rate is not in [0, 1).
  """
  check_rate(rate=rate)
  if keys is None or not rate:
    return x
  return _drop(x, _draw_kept(keys, x.shape[1:], rate)[None], rate)


def word_dropout(key: jax.Array | None, embedding: jax.Array,
                 rate: float) -> jax.Array:
  """Returns an embedding with the vectors of some words set to 0.

  The other vectors are scaled up. A word is dropped wherever it occurs in the
  batch. So all devices must take the same key.

  Args:
    key: consumed; None for an evaluation: nothing is dropped.
    embedding: `[V, E]`.
    rate: the probability of a word to be dropped, in [0, 1).

  Raises:
    ValueError: the rate is not in [0, 1).
  """
  check_rate(rate=rate)
  if key is None or not rate:
    return embedding
  return _drop(embedding, _draw_kept(key, (len(embedding), 1), rate), rate)


def weight_drop(key: jax.Array | None, weights: jax.Array, rate: float,
                num_rows: int | None = None) -> jax.Array:
  """Returns a matrix with some of its weights set to 0, the others scaled up.

  Draw once for all steps of a sequence. The recurrent weights of `hk.LSTM(H)`
  are the last H rows of the parameter `w`, `[F + H, 4 H]` for F inputs. All
  devices must take the same key.

  Args:
    key: consumed; None for an evaluation: nothing is dropped.
    weights: `[I, O]`.
    rate: the probability of a weight to be dropped, in [0, 1).
    num_rows: how many of the last rows may lose weights; all if None.

  Raises:
    ValueError: the rate is not in [0, 1), or there are not so many rows.
  """
  check_rate(rate=rate)
  if num_rows is None:
    num_rows = len(weights)
  if not 0 <= num_rows <= len(weights):
    raise ValueError(f"num_rows must be from 0 to {len(weights)}, the number of"
                     f" rows, got {num_rows}")
  if key is None or not rate:
    return weights
  first = len(weights) - num_rows
  last = weights[first:]
  return jnp.asarray(weights).at[first:].set(
      _drop(last, _draw_kept(key, last.shape, rate), rate))


def _draw_kept(keys, shape, rate):
  """Draws what is kept, by one key, or by one for each entry of axis 0."""
  if are_of_sequences(keys):
    return jax.vmap(
        lambda key: jax.random.bernoulli(key, 1 - rate, shape[1:]))(keys)
  return jax.random.bernoulli(keys, 1 - rate, shape)


def _drop(x, is_kept, rate):
  return jnp.where(is_kept, jnp.asarray(x) / (1 - rate), 0)
