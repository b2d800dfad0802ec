"""The cotangent store equals naive formulas in values and derivatives."""

import functools

import chex
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from rmc_nalu_sam.memory import cotangent_store

pytestmark = pytest.mark.usefixtures("strict_promotion")

N, W = 13, 5
# Row 4 is read twice and added to twice. Rows 7 and 2 are erased, and added to.
READ = np.array([[4, 1, 7], [11, 4, 0]])
ERASED = np.array([7, 2])
ADDED = np.array([4, 7, 0, 4, 2, 12, 7])


def naive_gather(memory, indices):
  return memory[indices], memory


def naive_erase_and_add(memory, erased, indices, added):
  return memory.at[erased].set(0).at[indices].add(added)


def dense_erase_and_add(memory, erased, indices, added):
  """Computes `naive_erase_and_add` in NumPy."""
  memory = np.array(memory)
  memory[erased] = 0
  for index, row in zip(indices, added, strict=True):
    memory[index] += row
  return memory


def normal(seed, *shape, dtype=jnp.float32):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def test_the_cases_have_repeated_and_erased_rows():
  assert len(set(READ.ravel())) < READ.size
  assert len(set(ADDED)) < ADDED.size
  assert set(ERASED) < set(ADDED)


def test_gather_reads_the_rows_and_returns_the_memory():
  memory = normal(0, N, W)
  words, same = cotangent_store.gather_words(memory, READ)
  np.testing.assert_array_equal(words, np.asarray(memory)[READ])
  np.testing.assert_array_equal(same, memory)


def test_erase_and_add_equals_numpy():
  memory, added = normal(0, N, W), normal(1, len(ADDED), W)
  new = cotangent_store.erase_and_add_words(memory, ERASED, ADDED, added)
  np.testing.assert_allclose(
      new, dense_erase_and_add(memory, ERASED, ADDED, added), rtol=1e-6)


def test_erased_rows_are_exactly_zero():
  memory = 1e30 * normal(0, N, W)
  new = cotangent_store.erase_and_add_words(
      memory, ERASED, np.array([5]), jnp.ones([1, W]))
  np.testing.assert_array_equal(new[ERASED], 0)
  assert np.all(np.asarray(memory)[ERASED] != 0)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
@pytest.mark.parametrize("indices", [READ, READ[0], READ[0, 0]])
def test_derivative_of_gather(indices, transform):
  memory = normal(0, N, W)
  cotangents = normal(1, *np.shape(indices), W), normal(2, N, W)

  def pull_back(gather):
    return jax.vjp(lambda m: gather(m, indices), memory)[1](cotangents)[0]

  chex.assert_trees_all_close(
      transform(functools.partial(pull_back, cotangent_store.gather_words))(),
      pull_back(naive_gather), rtol=1e-6)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_derivative_of_erase_and_add(transform):
  memory, added, cotangent = normal(0, N, W), normal(1, 7, W), normal(2, N, W)

  def pull_back(write):
    _, vjp = jax.vjp(lambda m, a: write(m, ERASED, ADDED, a), memory, added)
    return vjp(cotangent)

  d_memory, d_added = transform(
      functools.partial(pull_back, cotangent_store.erase_and_add_words))()
  chex.assert_trees_all_close(
      (d_memory, d_added), pull_back(naive_erase_and_add), rtol=1e-6)
  # Exactly 0: any remainder would grow over the steps of a sequence.
  np.testing.assert_array_equal(d_memory[ERASED], 0)
  assert np.all(np.asarray(d_added) != 0)


def test_derivatives_under_vmap():
  memory, added = normal(0, 3, N, W), normal(1, 3, 7, W)
  read = np.stack([READ, READ[::-1], (READ + 1) % N])
  erased = np.stack([ERASED, ERASED[::-1], (ERASED + 1) % N])
  weights = normal(2, *read.shape, W), normal(3, 3, N, W)

  def loss(gather, write, memory, added):
    def one(memory, erased, read, added):
      memory = write(memory, erased, ADDED, added)
      return gather(memory, read)
    out = jax.vmap(one)(memory, erased, read, added)
    return sum(jnp.vdot(w, jnp.sin(x))
               for w, x in zip(weights, out, strict=True))

  chex.assert_trees_all_close(
      jax.grad(loss, (2, 3))(
          cotangent_store.gather_words,
          cotangent_store.erase_and_add_words, memory, added),
      jax.grad(loss, (2, 3))(
          naive_gather, naive_erase_and_add, memory, added), rtol=1e-5)


def test_reading_the_old_memory_is_right_too():
  memory = normal(0, N, W)

  def loss(gather, memory):
    words, new = gather(memory, READ)
    return jnp.sin(words).sum() + jnp.cos(memory).sum() + (new**3).sum()

  chex.assert_trees_all_close(
      jax.grad(loss, 1)(cotangent_store.gather_words, memory),
      jax.grad(loss, 1)(naive_gather, memory), rtol=1e-5)


def test_bfloat16_stays_bfloat16():
  memory, added = (normal(0, N, W, dtype=jnp.bfloat16),
                   normal(1, 7, W, dtype=jnp.bfloat16))

  def loss(gather, write, memory, added):
    words, memory = gather(write(memory, ERASED, ADDED, added), READ)
    assert words.dtype == memory.dtype == jnp.bfloat16
    return words.sum() + (2 * memory).sum()

  gradients = jax.grad(loss, (2, 3))(
      cotangent_store.gather_words, cotangent_store.erase_and_add_words, memory,
      added)
  chex.assert_type(gradients, jnp.bfloat16)
  # Small whole numbers: exact in bfloat16.
  chex.assert_trees_all_equal(gradients, jax.grad(loss, (2, 3))(
      naive_gather, naive_erase_and_add, memory, added))


def test_numerical_gradients(x64):
  """Of the second order too, under a scan, which hoists constants."""
  memory, added = normal(0, N, W, dtype=float), normal(1, 3, 7, W, dtype=float)

  @jax.jit
  def f(memory, added):
    def step(memory, now):
      added, move = now
      memory = cotangent_store.erase_and_add_words(
          memory, (ERASED + move) % N, (ADDED + move) % N, jnp.sin(added))
      words, memory = cotangent_store.gather_words(memory, (READ + move) % N)
      return memory, jnp.sin(words)

    return jax.lax.scan(step, memory, (added, jnp.arange(3)))

  jax.test_util.check_grads(f, (memory, added), order=2, modes=["rev"])


def test_memory_without_words_is_refused():
  with pytest.raises(AssertionError):
    cotangent_store.gather_words(jnp.ones(N), READ)
  with pytest.raises(AssertionError):
    cotangent_store.erase_and_add_words(
        jnp.ones([N, W]), ERASED, READ, jnp.ones([6, W]))
