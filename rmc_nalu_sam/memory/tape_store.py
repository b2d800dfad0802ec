"""A store that carries gradients in the cotangents of versions, on a tape.

`CotangentStore` has to clear a cotangent of the whole memory once per call. In
this store, each write of a slot makes a new *version* of it, numbered in the
order of writing, and the cotangents of the latest versions lie on a tape of
fixed length. Nothing in a backward pass depends on the number of slots.

Versions also mark what was written since the memory was last forgotten. A slot
of an older version is empty, so a used memory becomes a new one without being
cleared.
"""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.memory.store import kept, residuals

# Version numbers stay below this bound. Beyond it, they would overflow, and new
# slots would seem older than they are.
MAX_VERSIONS = 2**31 - 1


class TapeStore(NamedTuple):
  """Carries gradients in the cotangents of versions; see `Store`.

  The values of the tape are never used, only its cotangent.

  Attributes:
    memory: `[N, W]`; takes no gradient.
    versions: `[N]` int32, the version of each slot; -1 if never written.
    tape: `[L * J, W]`, zeros; L steps of J writes each.
    num_versions: `[]` int32, the count of version numbers used, J per step; at
      most `MAX_VERSIONS`.
    oldest: `[]` int32; slots of an older version are empty.
  """

  memory: jax.Array
  versions: jax.Array
  tape: jax.Array
  num_versions: jax.Array
  oldest: jax.Array

  @classmethod
  def empty(cls, num_slots: int, word_size: int, num_writes: int,
            gradient_steps: int) -> Self:
    """Returns a store that was never written.

    Args:
      num_slots: N.
      word_size: W.
      num_writes: J, slots written per step.
      gradient_steps: L, how many steps back gradients reach.
    """
    return cls(
        memory=jnp.zeros([num_slots, word_size]),
        versions=jnp.full([num_slots], -1, jnp.int32),
        tape=jnp.zeros([gradient_steps * num_writes, word_size]),
        num_versions=jnp.zeros([], jnp.int32),
        oldest=jnp.zeros([], jnp.int32))

  def read(self, rows: jax.Array) -> tuple[jax.Array, Self]:
    version = self.versions[rows]
    words = jnp.where((version >= self.oldest)[..., None],
                      jax.lax.stop_gradient(self.memory)[rows], 0)
    words, places = kept((words, _places(self, version)))
    words, tape = _read_tape(self.tape, words, places)
    return words, self._replace(tape=tape)

  def write(self, erased: jax.Array, rows: jax.Array,
            words: jax.Array) -> tuple[Self, jax.Array]:
    num_slots, num_writes = self.memory.shape[0], rows.shape[0]
    # All writes of one slot in one step make one version: that of the first.
    same = rows[:, None] == rows[None, :]
    version = self.num_versions + jnp.argmax(same, 1).astype(jnp.int32)
    is_first = ~jnp.tril(same, -1).any(1)
    is_kept = ~(rows[:, None] == erased[None, :]).any(1)

    old_version = self.versions[rows]
    was_written = old_version >= self.oldest
    old = jnp.where((is_kept & was_written)[:, None],
                    jax.lax.stop_gradient(self.memory)[rows], 0)
    added = jnp.where(same[:, :, None],
                      jax.lax.stop_gradient(words)[None], 0).sum(1)
    memory = jax.lax.stop_gradient(self.memory).at[rows].set(old + added)

    # Update by a difference to what was read. With `.set`, XLA would not know
    # that the old version is read before, and would copy the whole array.
    step = jnp.where(is_first, version - old_version, 0)
    after = self._replace(
        memory=memory, versions=self.versions.at[rows].add(step),
        num_versions=self.num_versions + num_writes)
    length = self.tape.shape[0]
    new = (self.num_versions % length + jnp.arange(num_writes, dtype=jnp.int32))
    old = jnp.where(is_first & is_kept, _places(after, old_version), length)
    places = kept((version % length, new, old))
    tape = _write_tape(self.tape, words, *places)
    return after._replace(tape=tape), jnp.where(was_written, num_slots, rows)

  def is_written(self, rows: jax.Array | slice) -> jax.Array:
    return self.versions[rows] >= self.oldest

  def forget(self, gradient_steps: int, num_writes: int) -> Self:
    *batch, _, word_size = self.tape.shape
    shape = (*batch, gradient_steps * num_writes, word_size)
    # The tape holds nothing but zeros: any tape of the right length will do.
    tape = (jax.lax.stop_gradient(self.tape) if self.tape.shape == shape
            else jnp.zeros(shape, self.tape.dtype))
    return self._replace(tape=tape, oldest=self.num_versions)

  def steps_left(self, num_writes: int) -> int:
    # With NumPy: an operation on an array of several devices communicates.
    numbered = int(np.max(np.asarray(self.num_versions)))
    return (MAX_VERSIONS - numbered) // num_writes


def _places(store: TapeStore, versions: jax.Array) -> jax.Array:
  """Returns the places of versions on the tape.

  A version that has been overwritten, or was forgotten, has a place beyond the
  end of the tape.
  """
  length = store.tape.shape[0]
  first = jnp.maximum(store.oldest, store.num_versions - length)
  return jnp.where(versions >= first, versions % length, length)


def _per_example(tape, *others):
  """Returns the tape; under `jax.vmap`, with a batch axis if any has one.

  The cotangent of a tape depends on the others, but its values do not. Without
  a batch axis, `jax.vmap` would add up the cotangents of all examples. XLA
  removes this choice between equal arrays.
  """
  is_first = [x.reshape(-1)[:1] > 0 for x in others]
  return jax.lax.select_n(jnp.concatenate(is_first).all(), tape, tape)


@jax.custom_vjp
def _read_tape(tape, words, places):
  return words, _per_example(tape, words, places)


def _read_tape_fwd(tape, words, places):
  return _read_tape(tape, words, places), residuals(places)


def _read_tape_bwd(places, cotangents):
  d_words, d_tape = cotangents
  d_tape = d_tape.at[places].add(d_words, mode="drop")
  return d_tape, jnp.zeros_like(d_words), None


_read_tape.defvjp(_read_tape_fwd, _read_tape_bwd)


@jax.custom_vjp
def _write_tape(tape, words, places, new_places, old_places):
  return _per_example(tape, words, places, new_places, old_places)


def _write_tape_fwd(tape, words, *places):
  return _write_tape(tape, words, *places), residuals(places)


def _write_tape_bwd(kept, d_tape):
  places, new_places, old_places = kept
  d_versions = d_tape[places]
  # A place is used again: clear it. By subtraction, so that XLA knows that it
  # is read before, and need not copy the tape.
  d_tape = d_tape.at[jnp.concatenate([new_places, old_places])].add(
      jnp.concatenate([-d_tape[new_places], d_versions]), mode="drop")
  return d_tape, d_versions, None, None, None


_write_tape.defvjp(_write_tape_fwd, _write_tape_bwd)
