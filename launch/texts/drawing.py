"""Draws tokens from a network, one after the other.

Letters: V tokens of a vocabulary, K most likely ones, T tokens of a prompt.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam import Model

CHUNK = 16  # Tokens of one call.
_BROKEN = -1  # In place of a token, if the network's answers are NaN.


@dataclasses.dataclass(frozen=True)
class Rule:
  """Describes how a token is drawn from its probabilities.

  Attributes:
    temperature: divides the log-probabilities. 0 takes the most likely token.
    top_k: draws among that many of the most likely tokens; 0 for all.
    top_p: draws among the fewest of the most likely tokens whose probabilities
      sum up to this number. It comes after temperature and `top_k`.
  """

  temperature: float = 1.
  top_k: int = 0
  top_p: float = 1.

  def __post_init__(self):
    if not 0 <= self.temperature < float("inf"):
      raise ValueError("temperature must be a finite number of at least 0 (0: "
                       f"the most likely token), got {self.temperature}")
    if self.top_k < 0:
      raise ValueError("top_k must be at least 0 (0: all tokens), got "
                       f"{self.top_k}")
    if not 0 < self.top_p <= 1:
      raise ValueError("top_p must be above 0 and at most 1 (1: all tokens), "
                       f"got {self.top_p}")


def draw(key: jax.Array, logits: jax.Array, rule: Rule) -> jax.Array:
  """Returns a token, `[]` int32.

  Args:
    key: consumed.
    logits: `[V]`, or log-probabilities.
    rule: how to draw.
  """
  if not rule.temperature:
    return jnp.argmax(logits).astype(jnp.int32)
  # First the difference: a low temperature would make all of them infinite.
  logits = (logits - logits.max()) / rule.temperature
  if not rule.top_k and rule.top_p == 1:
    return jax.random.categorical(key, logits).astype(jnp.int32)
  count = min(rule.top_k or len(logits), len(logits))
  highest, tokens = jax.lax.top_k(logits, count)  # Of equal ones the first.
  probs = jax.nn.softmax(highest)
  before = jnp.cumsum(probs) - probs
  is_kept = (before < rule.top_p).at[0].set(True)
  place = jax.random.categorical(key, jnp.where(is_kept, highest, -jnp.inf))
  return tokens[place].astype(jnp.int32)


def continued(model: Model, params: Any, prompt: np.ndarray, rule: Rule,
              seed: int) -> Iterator[int]:
  """Yields the tokens that follow a prompt, without an end.

  The network starts in its initial state. The number of a token decides its
  key, so a longer continuation begins with the shorter one.

  Args:
    model: a network of tokens.
    params: of the network.
    prompt: `[T]` integers, at least one.
    rule: how tokens are drawn.
    seed: from 0 to 2^32 - 1.

  Raises:
    ValueError: an answer of the network is not a number.
  """
  key = jax.random.key(seed, impl="threefry2x32")
  tokens = jnp.asarray(prompt, jnp.int32)
  state = _read(model, params, tokens[:-1])
  token, number = tokens[-1], 0
  while True:
    state, drawn = _draw_some(
        model, rule, CHUNK, params, key, state, token, number)
    for each in np.asarray(drawn):
      if each == _BROKEN:
        raise ValueError("the network's answers are not finite numbers: its "
                         "training diverged")
      yield int(each)
    token, number = drawn[-1], number + CHUNK


def _read(model, params, tokens):
  """Returns the state after some tokens; maybe none."""
  state = model.initial_state(params, 1)
  if not len(tokens):
    return state
  # The compiler leaves out the head, whose answers are not used.
  return jax.jit(lambda params, tokens, state: model.unroll(
      params, None, tokens[:, None], state).state)(params, tokens, state)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _draw_some(model, rule, count, params, key, state, token, number):
  """Returns the state, and `[count]` tokens that follow `token`."""
  def step(carry, number):
    state, token = carry
    unrolled = model.unroll(params, None, token[None, None], state)
    logits = unrolled.outputs[0, 0]
    new = draw(jax.random.fold_in(key, number), logits, rule)
    new = jnp.where(jnp.isnan(logits).any(), _BROKEN, new)
    return (unrolled.state, new), new

  (state, _), tokens = jax.lax.scan(
      step, (state, token), number + jnp.arange(count))
  return state, tokens
