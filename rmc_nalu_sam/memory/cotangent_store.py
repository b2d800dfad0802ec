"""A store that carries gradients in a cotangent of the whole memory.

The cotangent `[N, W]` is cleared once per call, and then updated in place:
O(slots touched) per step. Where "Scaling Memory-Augmented Neural Networks with
Sparse Reads and Writes" (Rae et al., 2016, arXiv 1610.09027, section 3.4) keeps
the changed words to roll the memory back, nothing has to be kept here: reads
and writes are linear in the memory, so their derivatives need the rows only.
"""

from typing import NamedTuple, Self

import chex
import jax
import jax.numpy as jnp

from rmc_nalu_sam.memory.store import kept, residuals


class CotangentStore(NamedTuple):
  """Carries gradients in a cotangent of the whole memory; see `Store`.

  Attributes:
    memory: `[N, W]`, finite.
  """

  memory: jax.Array

  @classmethod
  def empty(cls, num_slots: int, word_size: int) -> Self:
    """Returns a store of zeros."""
    return cls(jnp.zeros([num_slots, word_size]))

  def read(self, rows: jax.Array) -> tuple[jax.Array, Self]:
    words, memory = gather_words(self.memory, rows)
    return kept(words), self._replace(memory=memory)

  def write(self, erased: jax.Array, rows: jax.Array,
            words: jax.Array) -> tuple[Self, jax.Array]:
    memory = erase_and_add_words(self.memory, erased, rows, words)
    return self._replace(memory=memory), jnp.zeros([0], jnp.int32)

  def is_written(self, rows: jax.Array | slice) -> jax.Array:
    del rows
    return jnp.array(True)

  def forget(self, gradient_steps: int, num_writes: int) -> Self:
    raise ValueError("forget needs a memory with gradient_steps, got None; "
                     "make a new initial state instead")

  def steps_left(self, num_writes: int) -> int:
    raise ValueError("steps_left needs a memory with gradient_steps, got None; "
                     "without them, the number of steps is not limited")


@jax.custom_vjp
def gather_words(memory: jax.Array,
                 rows: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the words `[..., W]` of `rows [...]`, and the memory `[N, W]`."""
  chex.assert_rank(memory, 2)
  return memory[rows], memory


def _gather_words_fwd(memory, rows):
  return gather_words(memory, rows), residuals(rows)


def _gather_words_bwd(rows, cotangents):
  d_words, d_memory = cotangents
  return d_memory.at[rows].add(d_words), None


gather_words.defvjp(_gather_words_fwd, _gather_words_bwd)


@jax.custom_vjp
def erase_and_add_words(memory: jax.Array, erased: jax.Array, rows: jax.Array,
                        words: jax.Array) -> jax.Array:
  """Returns the memory `[N, W]` after a write; see `Store.write`."""
  chex.assert_rank([memory, erased, rows, words], [2, 1, 1, 2])
  return jnp.asarray(memory).at[erased].set(0).at[rows].add(words)


def _erase_and_add_words_fwd(memory, erased, rows, words):
  return (erase_and_add_words(memory, erased, rows, words),
          residuals((erased, rows)))


def _erase_and_add_words_bwd(kept, d_memory):
  erased, rows = kept
  read = d_memory[jnp.concatenate([rows, erased])]
  d_words, d_erased = jnp.split(read, [rows.shape[0]])
  # Zero by subtraction. `.set(0)` would not depend on the words just read, and
  # XLA, free to order the two either way, would copy the whole of d_memory.
  return d_memory.at[erased].add(-d_erased), None, None, d_words


erase_and_add_words.defvjp(_erase_and_add_words_fwd, _erase_and_add_words_bwd)
