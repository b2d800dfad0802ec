"""The continuous cache: words that followed similar outputs become likelier.

"Improving Neural Language Models with a Continuous Cache", Grave, Joulin,
Usunier, 2016, arXiv 1612.04426, equations 2 and 3. It is a memory without
parameters, beside a trained network: each step stores the core's output h_i and
the word w_i that came next, and the last n of them are searched.

`empty`, then `mix` for each window of the text. The window's length changes no
number. Nothing here knows a network.

Letters: T steps of a window, B rows of the text, n stored words, H size of the
core's output.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from launch.learning.varied import Number, is_traced


class Cache(NamedTuple):
  """Holds the last n outputs of each row, oldest first.

  Attributes:
    hidden: `[B, n, H]`, the core's outputs.
    words: `[B, n]` int32, the words that followed them; -1 where none is stored
      yet.
  """

  hidden: jax.Array
  words: jax.Array


def empty(num_rows: int, hidden_size: int, *, length: int = 3785) -> Cache:
  """Returns a cache without a word.

  Args:
    num_rows: B.
    hidden_size: H.
    length: n. The default is the AWD-LSTM authors' for WikiText-2, 500 that for
      Penn Treebank.

  Raises:
    ValueError: the cache has no room.
  """
  if length < 1:
    raise ValueError(f"a cache needs at least 1 word, got length={length}")
  return Cache(jnp.zeros([num_rows, length, hidden_size]),
               jnp.full([num_rows, length], -1, jnp.int32))


def mix(cache: Cache, hidden: jax.Array, targets: jax.Array,
        log_probs: jax.Array, *, sharpness: Number = .662,
        weight: Number = .1279) -> tuple[jax.Array, Cache]:
  """Mixes the network's probabilities with those of the cache.

  At step t, `p(w) = (1 - weight) p_network(w) + weight p_cache(w)`, where
  `p_cache(w)` is the sum, over the n words before step t that equal w, of
  `softmax_i(sharpness h_t . h_i)`. While nothing is stored, p is p_network.

  The whole window is computed at once, with B T (n + T) similarities.

  Args:
    cache: of the steps before the window.
    hidden: `[T, B, H]`, the core's outputs.
    targets: `[T, B]`, the next words, each stored after its step. Words that
      are not scored count as stored, too. What is behind a row's end may be
      anything.
    log_probs: `[T, B]`, the network's for the targets.
    sharpness: theta. The default is the AWD-LSTM authors' for WikiText-2, 1
      that for Penn Treebank. It depends on the size of the core's outputs.
    weight: lambda, the share of the cache; .1279 for WikiText-2, .1 for Penn
      Treebank.

  Returns:
    Log-probabilities of the targets, `[T, B]`, and the cache after the window.

  Raises:
    ValueError: the weight is no share.

  Notes:
    The AWD-LSTM authors' program (pointer.py) uses the cache only when it is
    full. Here, as in the paper, it is used from its first word on.
  """
  if not (is_traced(weight) or 0 <= weight <= 1):
    raise ValueError(f"need 0 <= weight <= 1, got weight={weight}")
  after = Cache(*jax.tree.map(
      lambda old, new: jnp.concatenate([old, new.astype(old.dtype)], 1),
      cache, Cache(hidden.swapaxes(0, 1), targets.T)))
  of_rows = jax.vmap(functools.partial(
      _log_prob, cache.words.shape[1], sharpness, weight), (0, 0, 1), 1)
  mixed = of_rows(after.hidden, after.words, log_probs)
  return mixed, jax.tree.map(lambda x: x[:, len(targets):], after)


def _log_prob(length, sharpness, weight, hidden, words, log_probs):
  """Mixes one row: `hidden [n + T, H]`, `words [n + T]`, `log_probs [T]`.

  Step t is at n + t, and the words before it are those from t to n + t - 1.
  """
  steps, places = jnp.arange(len(log_probs)), jnp.arange(len(words))
  age = length + steps[:, None] - places
  stored = (age > 0) & (age <= length) & (words >= 0)
  is_target = words == words[length:, None]
  # In full precision: an error here is one of the exponent.
  similarity = sharpness * jnp.matmul(
      hidden[length:], hidden.T, precision=jax.lax.Precision.HIGHEST)
  in_cache = (_log_sum_exp(similarity, stored & is_target)
              - _log_sum_exp(similarity, stored))
  mixed = jnp.logaddexp(jnp.log1p(-weight) + log_probs,
                        jnp.log(weight) + in_cache)
  return jnp.where(stored.any(1), mixed, log_probs)


def _log_sum_exp(x, where):
  return jax.nn.logsumexp(jnp.where(where, x, -jnp.inf), -1)
