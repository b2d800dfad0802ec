"""Saves and restores checkpoints by Orbax: asynchronous, atomic, verified.

A checkpoint holds a RunState on the host: `train`, which is the same on all
devices, and `source`, whose shards `Trainer.get` joined along the batch axis.
`Trainer.put` splits them again, so the number of devices may change. Parts
without arrays are not stored. A manifest of checksums lies beside the arrays. A
checkpoint counts as saved once it was read back and equals its manifest.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from launch.configs.config import UsageError
from launch.runs import manifest
from launch.runs.manifest import ArrayFacts

ITEMS = ("train", "source")  # Stored apart, so that one can be read alone.
MANIFEST = "manifest"
# How often to list the checkpoints anew while a writer removes them.
MAX_LOOKS = 20
_TEMPORARY = "*.orbax-checkpoint-tmp"


class _NewerError(Exception):
  """Represents a checkpoint that was replaced by a newer one."""


class Checkpoints:
  """Holds the newest states of a run, in `<workdir>/checkpoints/<step>`."""

  def __init__(self, workdir: pathlib.Path, max_to_keep: int = 3,
               are_finite: bool = True, writes: bool = False):
    """Opens the checkpoints of a run, and creates the folder if needed.

    Args:
      workdir: of the run.
      max_to_keep: older checkpoints are deleted.
      are_finite: treats a checkpoint with numbers that are not finite as
        damaged. False for many seeds, since some may have diverged.
      writes: whether this is the one process that trains the run. It clears
        what a process that was killed left half written.

    Raises:
      UsageError: the store cannot handle the path.
    """
    check_path(workdir)
    self._are_finite = are_finite
    self._directory = _directory(workdir)
    self._options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    self._unverified: tuple[int, Any, dict[str, ArrayFacts]] | None = None
    self._has_verified = False
    if writes:
      for path in self._directory.glob(_TEMPORARY):
        shutil.rmtree(path)
    self._unraisable = sys.unraisablehook
    sys.unraisablehook = _without_event_loop(sys.unraisablehook)
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    handlers = {name: ocp.StandardCheckpointHandler() for name in ITEMS}
    return ocp.CheckpointManager(
        self._directory, options=self._options,
        item_handlers=handlers | {MANIFEST: ocp.JsonCheckpointHandler()})

  def latest_step(self) -> int | None:
    """Returns the step of the newest checkpoint; None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves a RunState of NumPy arrays in the background.

    Does nothing if there is a checkpoint of `step`. First waits for the
    checkpoint before it, and reads that one back. The first one is read back
    at once, so that a store that does not work ends a run early.

    Raises:
      OSError: this checkpoint, or the one before it, cannot be written or read
        back.
    """
    if self._manager.latest_step() == step:
      return
    parts = _parts(state)
    arrays = manifest.facts(parts)
    with self._writing():
      self._verify()
      self._manager.save(step, args=ocp.args.Composite(
          **{name: ocp.args.StandardSave(part)
             for name, part in parts.items()},
          **{MANIFEST: ocp.args.JsonSave(manifest.to_json(arrays))}))
      self._unverified = (step, _empty(parts), arrays)
      if not self._has_verified:
        self._verify()

  def restore(self, like: Any, set_aside: bool = False) -> Any:
    """Returns the newest checkpoint that can be read.

    Logs a warning for each checkpoint that cannot be read, and tries the one
    before it. Looks again if a writer has removed a checkpoint meanwhile.

    Args:
      like: a RunState with arrays of the expected shapes and dtypes. With an
        empty `source`, that of the checkpoint is not read.
      set_aside: moves unreadable checkpoints aside once an older one was read.
        Only the process that trains may do so.

    Returns:
      A RunState of NumPy arrays; None if there is no checkpoint.

    Raises:
      UsageError: no checkpoint can be read; or they are of another network; or
        the system refuses to open them.
    """
    for _ in range(MAX_LOOKS):
      steps = sorted(self._manager.all_steps(), reverse=True)
      try:
        return self._newest(steps, like, set_aside)
      except _NewerError:
        continue
    raise UsageError(f"a run in {self._directory} writes checkpoints faster "
                     "than they can be read: try again after its end")

  def _newest(self, steps: Sequence[int], like: Any, set_aside: bool) -> Any:
    """Returns the newest checkpoint of `steps` that can be read."""
    for number, step in enumerate(steps):
      try:
        stored = self._read(step, like)
      except Exception as error:  # pylint: disable=broad-except
        # A damaged file makes the readers raise errors of many types.
        if self._has_newer(steps[0]):
          raise _NewerError from None
        if isinstance(error, UsageError):
          raise
        _refuse_if_sound(error, self._directory / str(step))
        continue
      if set_aside:
        self._set_aside(steps[:number])
      return _filled(like, stored)
    if steps:
      raise UsageError(
          f"none of the checkpoints {steps} in {self._directory} can be read")
    return None

  def _has_newer(self, step: int) -> bool:
    """Returns whether a writer has written a newer checkpoint meanwhile.

    Only then has it removed an older one.
    """
    try:
      self._manager.reload()
    except OSError:  # Such as too many open files.
      return False
    return max(self._manager.all_steps(), default=step) > step

  def close(self) -> None:
    """Waits until everything is written and read back, then closes.

    Raises:
      OSError: a checkpoint cannot be written or read back.
    """
    with self._writing():
      try:
        self._manager.wait_until_finished()
        self._verify()
      finally:
        self._manager.close()
        sys.unraisablehook = self._unraisable

  def _verify(self) -> None:
    """Reads the last checkpoint back; raises if it is not what was saved."""
    if self._unverified is None:
      return
    (step, like, arrays), self._unverified = self._unverified, None
    self._manager.wait_until_finished()
    try:
      stored = self._restore(step, like)
      manifest.check(stored, arrays)
      if manifest.facts(stored).keys() != arrays.keys():
        raise ValueError("arrays are missing")
    except Exception as error:
      raise OSError(f"checkpoint {step} cannot be read back after it was "
                    f"written: {error}") from error
    self._has_verified = True

  def _read(self, step: int, like: Any) -> dict[str, Any]:
    _open_files(self._directory / str(step))
    arrays = self._manifest(step)
    self._check_network(step, like, arrays)
    stored = self._restore(step, _parts(like))
    if arrays is not None:
      manifest.check(stored, arrays)
    if self._are_finite:
      _check_finite(stored)
    return stored

  def _restore(self, step: int, parts: Mapping[str, Any]) -> dict[str, Any]:
    found = self._manager.restore(step, args=ocp.args.Composite(**{
        name: ocp.args.StandardRestore(part) for name, part in parts.items()}))
    return dict(found.items())

  def _manifest(self, step: int) -> dict[str, ArrayFacts] | None:
    """Returns what was written; None for a checkpoint of an older version."""
    path = self._directory / str(step)
    if not (path / MANIFEST).exists():
      logging.warning("checkpoint %s has no checksums: what is read may not be "
                      "what was written", path)
      return None
    found = self._manager.restore(step, args=ocp.args.Composite(
        **{MANIFEST: ocp.args.JsonRestore()}))
    return manifest.from_json(found[MANIFEST])

  @contextlib.contextmanager
  def _writing(self):
    try:
      yield
    except Exception as error:  # pylint: disable=broad-except
      # A full disk makes the writers raise errors of many types.
      reason = ("No space left on device" if "ENOSPC" in str(error)
                else str(error).strip().split("\n")[0][:200])
      raise OSError(f"cannot save in {self._directory}: {reason}") from error

  def _check_network(self, step: int, like: Any,
                     arrays: Mapping[str, ArrayFacts] | None) -> None:
    """Raises a UsageError if a sound checkpoint has other arrays."""
    parts = _parts(like)
    if arrays is None:
      stored = self._manager.item_metadata(step)
      found = _kinds({name: stored[name].tree for name in parts})
    else:
      found = {name: str(each) for name, each in arrays.items()
               if name.split("/")[0] in parts}
      missing = parts.keys() - {name.split("/")[0] for name in found}
      if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    wanted = _kinds(parts)
    path = self._directory / str(step)
    for name in sorted(found.keys() | wanted.keys()):
      if found.get(name) != wanted.get(name):
        raise UsageError(
            f"the checkpoint {path} is of another network: {name} is "
            f"{found.get(name, 'missing')}, expected "
            f"{wanted.get(name, 'none')}")

  def _set_aside(self, steps: Sequence[int]) -> None:
    if not steps:
      return
    self._manager.close()
    for step in steps:
      source = self._directory / str(step)
      target = self._directory.parent / f"damaged-checkpoint-{step}"
      logging.warning("moved %s to %s", source, target)
      if target.exists():
        shutil.rmtree(target)
      source.rename(target)
    self._manager = self._open()


def saved_step(workdir: pathlib.Path) -> int | None:
  """Returns the step of the newest checkpoint without opening the store."""
  return max((int(path.name) for path in _directory(workdir).glob("*")
              if path.name.isdigit()), default=None)


def _directory(workdir):
  return (workdir / "checkpoints").absolute()


def check_path(workdir: pathlib.Path) -> None:
  """Refuses a path that the store cannot handle.

  Orbax takes brackets for a pattern when it writes. TensorStore takes a
  backslash for a slash.

  Raises:
    UsageError: the path has such a character.
  """
  bad = "[]" if os.name == "nt" else "[]\\"
  found = [char for char in bad if char in str(workdir.absolute())]
  if found:
    raise UsageError(
        f"--workdir={workdir}: checkpoints cannot be stored in a path with "
        f"{' or '.join(found)}; choose or rename to a path without")


def _without_event_loop(hook: Callable[[Any], None]) -> Callable[[Any], None]:
  """Returns a hook that drops what Orbax's unfinished writes complain of.

  After one write has failed, each of the others prints a traceback that its
  event loop is closed. The failure itself is raised.
  """
  def drop(unraisable):
    if "Event loop is closed" not in str(unraisable.exc_value):
      hook(unraisable)

  return drop


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
  if isinstance(error, OSError) and error.errno != errno.ENOENT:
    # No access, or too many open files.
    raise UsageError(f"cannot read {path}: {error}") from None
  logging.warning(
      "CHECKPOINT %s CANNOT BE READ (%s: %s); falling back to the one "
      "before it", path, type(error).__name__,
      str(error).strip().split("\n")[0][:200])


def _open_files(directory: pathlib.Path) -> None:
  """Raises an OSError if a file cannot be opened; Orbax hides its name."""
  def fail(error):
    raise error

  for folder, _, names in os.walk(directory, onerror=fail):
    for name in names:
      with open(os.path.join(folder, name), "rb"):
        pass


def _check_finite(tree: Any) -> None:
  for array in jax.tree.leaves(tree):
    if (np.issubdtype(array.dtype, np.floating)
        and not np.isfinite(array).all()):
      raise ValueError("found values that are not finite")
