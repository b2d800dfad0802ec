"""Gradients through a large memory that cost nothing in its size.

`rmc_nalu_sam.memory.rows` keeps a cotangent of the whole memory `[N, W]`, which
has to be cleared once a call. Here each write of a row makes a new *version* of
it, numbered in the order of writing, and the cotangents of versions stand on a
tape of fixed length: nothing that reverse mode does depends on N. The tape's
values are never used, only its cotangent.

Versions also tell what was written since the memory was last forgotten: a row
whose version is older than that is empty, so that a used memory can be had
again as a new one without clearing it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

# Numbers of versions stay below this, or rows would seem older than they are.
MAX_VERSIONS = 2**31 - 1

# A name for what comes out of the memory: under `jax.checkpoint` it has to be
# kept, or the whole memory would be, to read it again.
KEPT = "from_memory"


class History(NamedTuple):
  """Who wrote each row last, and where its cotangent stands.

  Attributes:
    version: `[N]` int32, of each row; -1 if it was never written.
    tape: `[L * J, W]`, zeros; L steps of J writes each.
    num_versions: `[]` int32, how many were numbered, J in each step; at
      most `MAX_VERSIONS`.
    oldest: `[]` int32; rows of an older version are empty.
  """

  version: jax.Array
  tape: jax.Array
  num_versions: jax.Array
  oldest: jax.Array


def initial_history(num_slots: int, word_size: int, writes: int,
                    gradient_steps: int) -> History:
  """Of a memory that was never written.

  Args:
    num_slots: N.
    word_size: W.
    writes: J, rows written in a step.
    gradient_steps: L, how far back gradients reach.
  """
  return History(
      jnp.full([num_slots], -1, jnp.int32),
      jnp.zeros([gradient_steps * writes, word_size]),
      jnp.zeros([], jnp.int32), jnp.zeros([], jnp.int32))


def forget(history: History, gradient_steps: int, writes: int) -> History:
  """All rows are empty from now on.

  Args:
    history: of the memory, of any batch shape.
    gradient_steps: L from now on.
    writes: J, as before.
  """
  *batch, _, word_size = history.tape.shape
  shape = (*batch, gradient_steps * writes, word_size)
  # It holds nothing but zeros: one of that length will do.
  tape = (jax.lax.stop_gradient(history.tape) if history.tape.shape == shape
          else jnp.zeros(shape, history.tape.dtype))
  return history._replace(tape=tape, oldest=history.num_versions)


def is_written(history: History, indices: jax.Array | slice) -> jax.Array:
  """Whether rows were written since the memory was last forgotten."""
  return history.version[indices] >= history.oldest


def read(memory: jax.Array, history: History,
         indices: jax.Array) -> tuple[jax.Array, History]:
  """Reads rows, differentiably for the tape.

  Args:
    memory: `[N, W]`; takes no gradient.
    history: of the memory.
    indices: int32 of any shape `[...]`; may repeat.

  Returns:
    The rows `[..., W]`, and the history to go on with.
  """
  version = history.version[indices]
  rows = jnp.where((version >= history.oldest)[..., None],
                   jax.lax.stop_gradient(memory)[indices], 0)
  rows, slots = checkpoint_name((rows, _slots(history, version)), KEPT)
  rows, tape = _read(history.tape, rows, slots)
  return rows, history._replace(tape=tape)


def write(
    memory: jax.Array, history: History, erased: jax.Array, indices: jax.Array,
    additions: jax.Array) -> tuple[jax.Array, History, jax.Array]:
  """Sets some rows to zero, then adds to some rows: one step's writes.

  Args:
    memory: `[N, W]`; takes no gradient.
    history: of the memory, before the step.
    erased: `[E]` int32, the rows to set to zero, all among `indices`.
    indices: `[J]` int32, the rows to add to; may repeat.
    additions: `[J, W]`, what to add.

  Returns:
    The memory and its history after the step, and `[J]` bool, whether each row
    was written before.
  """
  num_writes = indices.shape[0]
  # All writes of one row in one step make one version, that of the first.
  same = indices[:, None] == indices[None, :]
  version = history.num_versions + jnp.argmax(same, 1).astype(jnp.int32)
  is_first = ~jnp.tril(same, -1).any(1)
  is_kept = ~(indices[:, None] == erased[None, :]).any(1)

  old_version = history.version[indices]
  was_written = old_version >= history.oldest
  old = jnp.where((is_kept & was_written)[:, None],
                  jax.lax.stop_gradient(memory)[indices], 0)
  added = jnp.where(same[:, :, None],
                    jax.lax.stop_gradient(additions)[None], 0).sum(1)
  new_memory = jax.lax.stop_gradient(memory).at[indices].set(old + added)

  # An update by what was read: written with `.set`, XLA would not know that the
  # old version is read before, and copy the whole array.
  step = jnp.where(is_first, version - old_version, 0)
  after = history._replace(
      version=history.version.at[indices].add(step),
      num_versions=history.num_versions + num_writes)
  num_slots = history.tape.shape[0]
  slots = version % num_slots
  new_slots = (history.num_versions % num_slots
               + jnp.arange(num_writes, dtype=jnp.int32))
  old_slots = jnp.where(is_first & is_kept, _slots(after, old_version),
                        num_slots)
  slots, new_slots, old_slots = checkpoint_name(
      (slots, new_slots, old_slots), KEPT)
  tape = _write(history.tape, additions.astype(memory.dtype), slots, new_slots,
                old_slots)
  return new_memory, after._replace(tape=tape), was_written


def _slots(history: History, version: jax.Array) -> jax.Array:
  """Where versions stand on the tape; beyond its end if they no longer do."""
  num_slots = history.tape.shape[0]
  first = jnp.maximum(history.oldest, history.num_versions - num_slots)
  stands = version >= first
  return jnp.where(stands, version % num_slots, num_slots)


@jax.custom_vjp
def _read(tape, rows, slots):
  del slots
  return rows, tape


def _read_fwd(tape, rows, slots):
  return _read(tape, rows, slots), slots


def _read_bwd(slots, cotangents):
  d_rows, d_tape = cotangents
  d_tape = d_tape.at[slots].add(d_rows, mode="drop")
  return d_tape, jnp.zeros_like(d_rows), None


_read.defvjp(_read_fwd, _read_bwd)


@jax.custom_vjp
def _write(tape, additions, slots, new_slots, old_slots):
  del additions, slots, new_slots, old_slots
  return tape


def _write_fwd(tape, additions, *slots):
  return _write(tape, additions, *slots), slots


def _write_bwd(residuals, d_tape):
  slots, new_slots, old_slots = residuals
  d_versions = d_tape[slots]
  # A slot is used again: clear it. By subtraction, so that XLA knows that it is
  # read before, and need not copy the tape.
  d_tape = d_tape.at[jnp.concatenate([new_slots, old_slots])].add(
      jnp.concatenate([-d_tape[new_slots], d_versions]), mode="drop")
  return d_tape, d_versions, None, None, None


_write.defvjp(_write_fwd, _write_bwd)
