"""Where batches come from, and which core state each of them starts in.

A `Source` hides what differs between kinds of training: episodes drawn from
keys, windows of a text with a carried core state, steps of an environment. What
an update does with a batch is the same for all, and stands in `learner.py`.

The state of a source (`SourceState`) is a tree of arrays with a leading batch
axis. It is split over the devices, it is part of the checkpoint, and nothing of
a run hides elsewhere.

Letters: B episodes of a batch on one device.
"""

import functools
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp

import tasks
from launch.learning import keys as keys_lib
from launch.learning import layout
from rmc_nalu_sam import Model

SourceState = Any


class Source(Protocol):
  """Draws batches of one task for one network.

  All methods but `is_spent` and `check` are traced, for one seed on one device.

  Attributes:
    IS_ALWAYS_SAVED: whether a run cannot go on without its state, whatever its
      size.
  """

  IS_ALWAYS_SAVED: bool

  def model(self, task: Any) -> Model:
    """Returns the network as it is trained on `task`, not traced.

    Args:
      task: the task, or the same one at another level.
    """

  def initial_state(self, params: Any, batch_size: int) -> SourceState:
    """Returns the state before the first batch.

    Args:
      params: of the network.
      batch_size: B.
    """

  def next(self, state: SourceState, params: Any, key: jax.Array, task: Any,
           level: jax.Array | None, data: Any, batch_size: int,
           share: layout.Share) -> tuple[Any, SourceState]:
    """Draws this device's share of a batch.

    Args:
      state: of the source.
      params: of the network.
      key: consumed.
      task: what to draw from.
      level: `[]` int32, the highest level to draw; None for the task's own.
      data: what `task.load` or `task.instance` returned.
      batch_size: episodes of all shares.
      share: which of them to draw.

    Returns:
      The batch, and the state to go on with.
    """

  def start(self, state: SourceState, params: Any, task: Any,
            batch_size: int) -> Any:
    """Returns the core state that the batch starts in.

    Args:
      state: of the source.
      params: of the network.
      task: that the batch was drawn from.
      batch_size: B.
    """

  def finish(self, state: SourceState, params: Any,
             core_state: Any) -> SourceState:
    """Returns the state after a batch.

    Args:
      state: of the source.
      params: of the network.
      core_state: the core's state after the batch.
    """

  def is_spent(self, state: SourceState, task: Any, num_updates: int) -> bool:
    """Returns whether the state must be made anew before some updates.

    Args:
      state: of the source, on the devices.
      task: what the updates draw from.
      num_updates: how many.
    """

  def carried(self, state: SourceState) -> Any:
    """Returns the core states that later losses depend on.

    The rest may hold what it likes: an environment's state may be infinite.

    Args:
      state: of the source, in any form.
    """

  def check(self, state: SourceState) -> None:
    """Raises a ValueError if a saved state is not of this source.

    Args:
      state: of a checkpoint, on the host.
    """


class EpisodeSource:
  """Draws independent episodes from keys; each starts in a new core state."""

  IS_ALWAYS_SAVED = False

  def __init__(self, model: Model):
    """Constructs a source.

    Args:
      model: the network.
    """
    self._model = model

  def model(self, task: tasks.Episodes) -> Model:
    del task
    return self._model

  def initial_state(self, params: Any, batch_size: int) -> SourceState:
    del params, batch_size
    return ()

  def next(self, state: SourceState, params: Any, key: jax.Array,
           task: tasks.Episodes, level: jax.Array | None, data: Any,
           batch_size: int, share: layout.Share
           ) -> tuple[tasks.Batch, SourceState]:
    del params
    return draw_share(key, task, level, data, batch_size, share), state

  def start(self, state: SourceState, params: Any, task: tasks.Episodes,
            batch_size: int) -> Any:
    del state, task
    return self._model.initial_state(params, batch_size)

  def finish(self, state: SourceState, params: Any,
             core_state: Any) -> SourceState:
    del params, core_state
    return state

  def is_spent(self, state: SourceState, task: tasks.Episodes,
               num_updates: int) -> bool:
    del state, task, num_updates
    return False

  def carried(self, state: SourceState) -> Any:
    return state

  def check(self, state: SourceState) -> None:
    del state


class ReusedMemory(EpisodeSource):
  """Draws episodes whose core starts in the arrays of the last one.

  The memory is forgotten, but not cleared, so that no update costs anything
  that grows with the number of slots. The source's state is the core's state
  between two episodes, with the shortest tape for gradients: the tape of an
  episode is as long as the episode, and useless afterwards.
  """

  def __init__(self, model: Model):
    """Constructs a source.

    Args:
      model: a network whose core can forget.
    """
    super().__init__(model)
    self._idle = model.with_core_args(gradient_steps=1)
    self._of_length = functools.cache(
        lambda length: model.with_core_args(gradient_steps=length))

  def model(self, task: tasks.Episodes) -> Model:
    return self._of_length(task.num_steps)

  def initial_state(self, params: Any, batch_size: int) -> SourceState:
    return self._idle.initial_state(params, batch_size)

  def start(self, state: SourceState, params: Any, task: tasks.Episodes,
            batch_size: int) -> Any:
    del batch_size
    return self.model(task).forget(params, state)

  def finish(self, state: SourceState, params: Any,
             core_state: Any) -> SourceState:
    return self._idle.forget(params, core_state)

  def is_spent(self, state: SourceState, task: tasks.Episodes,
               num_updates: int) -> bool:
    return num_updates * task.num_steps > self._idle.steps_left(state)


def draw_share(key: jax.Array, task: tasks.Episodes, level: jax.Array | None,
               data: Any, batch_size: int, share: layout.Share) -> tasks.Batch:
  """Draws one share of a batch of episodes.

  Every episode has a key of its own, so that a batch does not depend on the
  number of shares.

  Args:
    key: consumed.
    task: what to draw from.
    level: `[]` int32, the highest level to draw; None for the task's own.
    data: what `task.load` or `task.instance` returned.
    batch_size: episodes of all shares.
    share: which of them to draw.
  """
  return task.sample_from_keys(
      split_share(key, batch_size, share), level, data)


def split_share(key: jax.Array, batch_size: int,
                share: layout.Share) -> jax.Array:
  """Returns a key for each episode of a share, `[B]`.

  An episode's key does not depend on the number of shares.

  Args:
    key: consumed.
    batch_size: episodes of all shares.
    share: which of them to return.
  """
  keys = jax.random.split(key, batch_size)
  if share.num_parts == 1:
    return keys
  size = batch_size // share.num_parts
  return jax.lax.dynamic_slice_in_dim(keys, share.part * size, size)


def draw_numbered(key: jax.Array, task: tasks.Episodes, data: Any,
                  batch_size: int, first: jax.Array, size: int) -> tasks.Batch:
  """Draws a range of the episodes that a key determines.

  Episode i is number `i % batch_size` of batch `i // batch_size`, as a training
  with this key would draw it. So it is the same one in any range.

  Args:
    key: has the number of the batch folded in.
    task: what to draw from.
    data: what `task.load` or `task.instance` returned.
    batch_size: number of episodes of a batch.
    first: `[]` int32, number of the first episode; a multiple of `size`.
    size: number of episodes to draw.
  """
  # The range may begin at any multiple of this number within a batch.
  unit = math.gcd(size, batch_size)
  num_batches = -(-(batch_size - unit + size) // batch_size)
  start = first % batch_size
  keys = jax.vmap(lambda number: jax.random.split(
      jax.random.fold_in(key, number), batch_size))(
          first // batch_size + jnp.arange(num_batches))
  if keys_lib.is_independent(key):
    keys = jax.lax.dynamic_slice_in_dim(keys.reshape(-1), start, size)
    return task.sample_from_keys(keys, None, data)
  batches = jax.lax.map(
      lambda of_batch: task.sample_from_keys(of_batch, None, data), keys)
  return jax.tree.map(
      lambda x: jax.lax.dynamic_slice_in_dim(
          jnp.concatenate(list(x), 1), start, size, 1), batches)
