"""The continuous cache against a plain loop over words."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.learning.text import continuous_cache

B, H, V, T, LENGTH = 3, 5, 11, 29, 7
OPTIONS = dict(sharpness=.8, weight=.3)
mix = jax.jit(continuous_cache.mix)


def text(seed=0, num_steps=T):
  """Returns outputs, targets, and the network's log p for all words."""
  rng = np.random.default_rng(seed)
  logits = rng.normal(size=(num_steps, B, V))
  return (rng.normal(size=(num_steps, B, H)).astype(np.float32),
          rng.integers(V, size=(num_steps, B)).astype(np.int32),
          np.float32(logits - np.log(np.exp(logits).sum(-1, keepdims=True))))


def of_targets(log_probs, targets):
  return np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]


def in_windows(sizes, hidden, targets, log_probs, length=LENGTH, **options):
  assert sum(sizes) == len(targets)
  cache = continuous_cache.empty(targets.shape[1], H, length=length)
  parts, first = [], 0
  for size in sizes:
    window = slice(first, first + size)
    mixed, cache = mix(cache, hidden[window], targets[window],
                       log_probs[window], **OPTIONS | options)
    parts.append(mixed)
    first += size
  return np.concatenate(parts), cache


def reference(hidden, targets, log_probs, row, length=LENGTH, sharpness=.8,
              weight=.3):
  """Returns p of every word at every step of a row, `[T, V]`, in float64."""
  result = []
  for t in range(len(targets)):
    p = np.exp(np.float64(log_probs[t, row]))
    past = range(max(0, t - length), t)
    if past:
      scores = [np.exp(sharpness * sum(
          float(a) * float(b) for a, b in zip(
              hidden[t, row], hidden[i, row], strict=True))) for i in past]
      p = p * (1 - weight)
      for i, score in zip(past, scores, strict=True):
        p[targets[i, row]] += weight * score / sum(scores)
    result.append(p)
  return np.array(result)


# Whole; windows shorter than the cache, longer, of one step.
@pytest.mark.parametrize("sizes", [
    [T], [4, 4, 4, 4, 4, 4, 4, 1], [11, 18], [1] * 9 + [20]])
@pytest.mark.parametrize("length", [LENGTH, 1, T + 2])
def test_equals_a_loop(sizes, length):
  hidden, targets, log_probs = text()
  mixed, cache = in_windows(
      sizes, hidden, targets, of_targets(log_probs, targets), length)
  for row in range(B):
    p = reference(hidden, targets, log_probs, row, length)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    wanted = np.log(of_targets(p, targets[:, row]))
    np.testing.assert_allclose(mixed[:, row], wanted, rtol=2e-6, atol=2e-6)
  kept = min(length, T)
  np.testing.assert_array_equal(cache.words[:, -kept:], targets[-kept:].T)
  np.testing.assert_array_equal(cache.words[:, :-kept], -1)
  np.testing.assert_array_equal(
      cache.hidden[:, -kept:], hidden[-kept:].swapaxes(0, 1))


def test_the_words_probabilities_sum_to_one():
  """Each word in turn as the target of the last step: it is not known yet."""
  hidden, targets, log_probs = text(1)
  total = 0
  for word in range(V):
    last = targets.copy()
    last[-1] = word
    mixed, _ = in_windows([9, 20], hidden, last, of_targets(log_probs, last))
    total = total + np.exp(mixed[-1])
  np.testing.assert_allclose(total, np.ones(B), rtol=1e-5)


def test_nothing_behind_a_step_is_known_to_it():
  hidden, targets, log_probs = text(2)
  log_probs = of_targets(log_probs, targets)
  changed = 13
  others = hidden.copy(), targets.copy(), log_probs.copy()
  others[0][changed:] *= -1
  others[1][changed:] = (targets[changed:] + 1) % V
  others[2][changed:] -= 1
  # In another row, too.
  others[0][:, 1] *= 3
  mixed, _ = in_windows([T], hidden, targets, log_probs)
  got, _ = in_windows([T], *others)
  np.testing.assert_array_equal(got[:changed, [0, 2]],
                                mixed[:changed, [0, 2]])
  assert (got[changed:] != mixed[changed:]).all()
  assert (got[3:changed, 1] != mixed[3:changed, 1]).any()


def test_an_empty_cache_is_not_used():
  hidden, targets, log_probs = text(3)
  log_probs = of_targets(log_probs, targets)
  mixed, _ = in_windows([T], hidden, targets, log_probs)
  np.testing.assert_array_equal(mixed[0], log_probs[0])
  assert (mixed[1:] != log_probs[1:]).all()


@pytest.mark.parametrize("sharpness", [0., 1e4, -1e4])
@pytest.mark.parametrize("log_prob", [0., -500.])
def test_extremes_are_finite(sharpness, log_prob):
  hidden, targets, _ = text(4)
  log_probs = np.full([T, B], log_prob, np.float32)
  mixed, _ = in_windows([T], hidden, targets, log_probs, sharpness=sharpness)
  assert np.isfinite(mixed).all() and (mixed <= 0).all()


def test_the_weight_may_be_all_or_nothing():
  hidden, targets, log_probs = text(5)
  log_probs = of_targets(log_probs, targets)
  mixed, _ = in_windows([T], hidden, targets, log_probs, weight=0.)
  np.testing.assert_array_equal(mixed, log_probs)
  mixed, _ = in_windows([T], hidden, targets, log_probs, weight=1.)
  is_stored = np.array([
      [targets[t, b] in targets[max(0, t - LENGTH):t, b] for b in range(B)]
      for t in range(1, T)])
  assert is_stored.any() and not is_stored.all()
  np.testing.assert_array_equal(np.isfinite(mixed[1:]), is_stored)


def test_finds_a_phrase_that_is_repeated():
  """Its words are found with certainty where outputs tell them apart."""
  length, num_repeats, weight = 5, 4, .3
  words = np.tile(np.random.default_rng(6).permutation(V)[:length],
                  num_repeats)[:, None]
  hidden = 10 * np.eye(V, dtype=np.float32)[words[:-1]]
  log_probs = np.full([len(words) - 1, 1], -np.log(V), np.float32)
  cache = continuous_cache.empty(1, V, length=length)
  mixed, _ = mix(cache, hidden, words[1:], log_probs, sharpness=1.,
                 weight=weight)
  found = np.log((1 - weight) / V + weight)
  assert found > -np.log(V)
  np.testing.assert_allclose(mixed[length:], found, rtol=1e-6)
  missed = np.log((1 - weight) / V)
  np.testing.assert_allclose(mixed[1:length], missed, rtol=1e-6)


def test_a_bfloat16_output_is_compared_in_float32():
  hidden, targets, log_probs = text(7)
  hidden = jnp.asarray(hidden, jnp.bfloat16)
  log_probs = of_targets(log_probs, targets)
  with jax.numpy_dtype_promotion("strict"):
    mixed, cache = in_windows([T], hidden, targets, log_probs)
  wanted, _ = in_windows(
      [T], hidden.astype(jnp.float32), targets, log_probs)
  np.testing.assert_array_equal(mixed, wanted)
  assert cache.hidden.dtype == mixed.dtype == jnp.float32


def test_defaults_are_those_for_wikitext2():
  assert continuous_cache.empty.__kwdefaults__ == dict(length=3785)
  assert continuous_cache.mix.__kwdefaults__ == dict(
      sharpness=.662, weight=.1279)


def test_bad_arguments():
  with pytest.raises(ValueError, match="at least 1 word, got length=0"):
    continuous_cache.empty(B, H, length=0)
  bad = functools.partial(
      continuous_cache.mix, continuous_cache.empty(B, H, length=LENGTH),
      *text())
  for weight in (-.1, 1.1, float("nan")):
    with pytest.raises(ValueError, match=f"weight <= 1, got weight={weight}"):
      bad(weight=weight)
