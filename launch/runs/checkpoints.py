"""Saves and restores the states of a run: in the background, and verified.

A checkpoint holds a RunState on the host: `train`, which is the same on all
devices, and `source`, whose shards `Trainer.get` joined along the batch axis.
`Trainer.put` splits them again, so the number of devices may change. Parts
without arrays are not stored. A checkpoint counts as saved once it was read
back and equals what was in memory. Older ones are removed only then.
"""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from absl import logging

from launch.configs.config import UsageError
from launch.runs import manifest
from launch.runs.manifest import ArrayFacts
from launch.runs.store import Store

FOLDER = "checkpoints"  # In the workdir.
# How often to list the checkpoints anew while a writer removes them.
MAX_LOOKS = 20


class _RemovedError(Exception):
  """Represents a checkpoint that a writer has removed meanwhile."""


class Checkpoints:
  """Holds the newest states of a run, in `<workdir>/checkpoints/<step>`."""

  def __init__(self, workdir: pathlib.Path, max_to_keep: int = 3,
               are_finite: bool = True, writes: bool = False):
    """Opens the checkpoints of a run.

    Args:
      workdir: of the run.
      max_to_keep: older checkpoints are deleted.
      are_finite: treats a checkpoint whose `train` is not finite as damaged;
        the state of an environment may hold what it likes. False for many
        seeds, since some may have diverged.
      writes: whether this is the one process that trains the run. Only this one
        makes the folder, clears what a killed process left half written, and
        moves damaged checkpoints aside.

    Raises:
      UsageError: the store cannot handle the path.
    """
    self._max_to_keep = max_to_keep
    self._are_finite = are_finite
    self._writes = writes
    self._store = Store(workdir / FOLDER)
    self._worker = futures.ThreadPoolExecutor(1)
    self._pending: futures.Future[None] | None = None
    self._has_saved = False
    if writes:
      self._store.directory.mkdir(parents=True, exist_ok=True)
      self._store.clear()

  def latest_step(self) -> int | None:
    """Returns the step of the newest checkpoint; None if there is none."""
    if self._pending:
      futures.wait([self._pending])  # Its error is raised by what comes next.
    return max(self._store.steps(), default=None)

  def save(self, step: int, state: Any) -> None:
    """Saves a RunState of NumPy arrays, and reads it back, in the background.

    Does nothing if there is a checkpoint of `step`. Waits for the checkpoint
    before it. Waits for the first one itself, so that a store that does not
    work ends a run early.

    Raises:
      OSError: this checkpoint, or the one before it, cannot be written or read
        back.
    """
    self._wait()
    if step in self._store.steps():
      return
    # Copies, since the training loop gives the memory of its state away.
    parts = jax.tree.map(np.array, _parts(state))
    self._pending = self._worker.submit(self._write, step, parts)
    if not self._has_saved:
      self._wait()

  def restore(self, like: Any) -> Any:
    """Returns the newest checkpoint that can be read.

    Logs a warning for each checkpoint that cannot be read, and tries the one
    before it. Moves the unreadable ones aside once an older one was read, if
    this process writes. Looks again if a writer has removed a checkpoint
    meanwhile.

    Args:
      like: a RunState with arrays of the expected shapes and dtypes. With an
        empty `source`, that of the checkpoint is not read.

    Returns:
      A RunState of NumPy arrays; None if there is no checkpoint.

    Raises:
      UsageError: no checkpoint can be read; or they are of another network; or
        the system refuses to open them.
    """
    for _ in range(MAX_LOOKS):
      try:
        steps = self._store.steps()
      except OSError as error:
        raise UsageError(f"cannot read {self._store.directory}: "
                         f"{error.strerror}") from None
      with contextlib.suppress(_RemovedError):
        return self._newest(steps, like)
    raise UsageError(
        f"a run removes the checkpoints in {self._store.directory} faster than "
        "they can be read: try again after its end")

  def close(self) -> None:
    """Waits until everything is written and read back, then closes.

    Raises:
      OSError: a checkpoint cannot be written or read back.
    """
    try:
      self._wait()
    finally:
      self._worker.shutdown()

  def _write(self, step: int, parts: dict[str, Any]) -> None:
    """Writes a checkpoint, reads it back, then removes old ones."""
    arrays = manifest.facts(parts)
    self._store.write(step, parts, arrays)
    like = _empty(parts)
    parts.clear()  # A large state is not in memory a third time.
    try:
      stored = self._store.read(step, like)
      manifest.check(stored, arrays)
    except Exception as error:
      raise OSError(f"checkpoint {step} cannot be read back after it was "
                    f"written: {_reason(error)}") from error
    for old in self._store.steps()[self._max_to_keep:]:
      self._store.remove(old)

  def _wait(self) -> None:
    """Waits for the last save; raises an OSError if it failed."""
    pending, self._pending = self._pending, None
    if pending is None:
      return
    try:
      pending.result()
    except Exception as error:
      # A full disk makes the writers raise errors of many types.
      raise OSError(f"cannot save in {self._store.directory}: "
                    f"{_reason(error)}") from error
    self._has_saved = True

  def _newest(self, steps: Sequence[int], like: Any) -> Any:
    """Returns the newest checkpoint of `steps` that can be read."""
    for number, step in enumerate(steps):
      try:
        stored = self._read(step, like)
      except Exception as error:  # pylint: disable=broad-except
        # A damaged file makes the readers raise errors of many types.
        self._look_again(steps[0], step)
        if isinstance(error, UsageError):
          raise
        _refuse_if_sound(error, self._store.path(step))
        continue
      if self._writes:
        for damaged in steps[:number]:
          self._store.set_aside(damaged)
      return _filled(like, stored)
    if steps:
      raise UsageError(
          f"none of the checkpoints {list(steps)} in {self._store.directory} "
          "can be read; repair one, or remove this folder to begin anew")
    return None

  def _look_again(self, newest: int, step: int) -> None:
    """Raises a _RemovedError if a writer has gone on since the last look."""
    with contextlib.suppress(OSError):  # Such as too many open files.
      now = self._store.steps()
      # Versions before this one remove the files of a checkpoint one by one.
      if step not in now or now[0] > newest:
        raise _RemovedError

  def _read(self, step: int, like: Any) -> dict[str, Any]:
    self._store.check_files(step)
    arrays = self._store.manifest(step)
    parts = _parts(like)
    self._check_network(step, parts, arrays)
    stored = self._store.read(step, parts)
    if arrays is None:
      logging.warning("checkpoint %s has no checksums: what is read may not be "
                      "what was written", self._store.path(step))
    else:
      manifest.check(stored, arrays)
    if self._are_finite:
      _check_finite(stored["train"])
    return stored

  def _check_network(self, step: int, parts: Mapping[str, Any],
                     arrays: Mapping[str, ArrayFacts] | None) -> None:
    """Raises a UsageError if a sound checkpoint has other arrays."""
    if arrays is None:
      found = _kinds({name: self._store.kinds(step, name) for name in parts})
    else:
      found = {name: str(each) for name, each in arrays.items()
               if manifest.part_of(name) in parts}
    missing = parts.keys() - set(map(manifest.part_of, found))
    if missing:
      raise ValueError(f"{', '.join(missing)} is missing")
    wanted = _kinds(parts)
    for name in sorted(found.keys() | wanted.keys()):
      if found.get(name) != wanted.get(name):
        raise UsageError(
            f"the checkpoint {self._store.path(step)} is of another network: "
            f"{name} is {found.get(name, 'missing')}, expected "
            f"{wanted.get(name, 'none')}")


def saved_step(workdir: pathlib.Path) -> int | None:
  """Returns the step of the newest checkpoint without opening the store."""
  return max((int(path.name) for path in (workdir / FOLDER).glob("*")
              if path.name.isdigit()), default=None)


def _parts(state: Any) -> dict[str, Any]:
  """Returns the parts of a RunState that hold arrays, by name.

  `train` is split into its fields, so that an empty field (no curriculum) is
  not stored. NumPy's scalars become arrays, since Orbax does not restore them.
  """
  parts = dict(train=_fields(state.train), source=state.source)
  return {name: jax.tree.map(np.asarray, part) for name, part in parts.items()
          if jax.tree.leaves(part)}


def _fields(state: Any) -> dict[str, Any]:
  return {name: value for name, value in state._asdict().items()
          if jax.tree.leaves(value)}


def _filled(like: Any, stored: dict[str, Any]) -> Any:
  """Returns `like` with the stored parts in place of its own."""
  return like._replace(train=like.train._replace(**stored["train"]),
                       source=stored.get("source", like.source))


def _kinds(tree: Any) -> dict[str, str]:
  """Returns dtype and shape of each array, by its path."""
  return {jax.tree_util.keystr(path, simple=True, separator="/"):
          str(ArrayFacts(str(np.dtype(leaf.dtype)), tuple(leaf.shape), 0))
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _empty(tree: Any) -> Any:
  """Returns arrays of the same shapes and dtypes that take no memory."""
  return jax.tree.map(
      lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), tree)


def _refuse_if_sound(error: Exception, path: pathlib.Path) -> None:
  """Logs that a checkpoint is damaged; raises if it may well be sound."""
  # Orbax's own errors have no number. A missing file is damage.
  if (isinstance(error, OSError)
      and error.errno not in (None, errno.ENOENT, errno.ENOTDIR)):
    # No access, or too many open files.
    raise UsageError(f"cannot read {path}: {error}") from None
  logging.warning(
      "CHECKPOINT %s CANNOT BE READ (%s: %s); falling back to the one "
      "before it", path, type(error).__name__, _reason(error))


def _reason(error: Exception) -> str:
  """Returns in one line what went wrong."""
  # TensorStore puts what the system reported at the end of a long line.
  found = re.search(r"os_error_code='(\d+)'", str(error))
  return (os.strerror(int(found[1])) if found
          else str(error).strip().split("\n")[0][:200])


def _check_finite(tree: Any) -> None:
  for array in jax.tree.leaves(tree):
    if (np.issubdtype(array.dtype, np.floating)
        and not np.isfinite(array).all()):
      raise ValueError("found values that are not finite")
