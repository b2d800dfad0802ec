"""Saves and restores checkpoints by Orbax: asynchronous, and atomic.

A checkpoint holds a RunState on the host: `train`, which is the same on all
devices, and `source`, whose shards `Trainer.get` joined along the batch axis.
`Trainer.put` splits them again, so the number of devices may change. Parts
without arrays are not stored.
"""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from launch.configs.config import UsageError

ITEMS = ("train", "source")  # Stored apart, so that one can be read alone.

class Checkpoints:
  """Holds the newest states of a run, in `<workdir>/checkpoints/<step>`."""

  def __init__(self, workdir: pathlib.Path, max_to_keep: int = 3,
               are_finite: bool = True):
    """Opens the checkpoints of a run, and creates the folder if needed.

    Args:
      workdir: of the run.
      max_to_keep: older checkpoints are deleted.
      are_finite: treats a checkpoint with numbers that are not finite as
        damaged. False for many seeds, since some may have diverged.
    """
    self._are_finite = are_finite
    self._directory = (workdir / "checkpoints").absolute()
    self._options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
        self._directory, options=self._options,
        item_handlers={name: ocp.StandardCheckpointHandler()
                       for name in ITEMS})

  def latest_step(self) -> int | None:
    """Returns the step of the newest checkpoint; None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves a RunState of NumPy arrays in the background.

    Does nothing if there is a checkpoint of `step`.

    Raises:
      OSError: this checkpoint, or the one before it, cannot be written.
    """
    if self._manager.latest_step() != step:
      with self._writing():
        self._manager.save(step, args=ocp.args.Composite(**{
            name: ocp.args.StandardSave(part)
            for name, part in _parts(state).items()}))

  def restore(self, like: Any, set_aside: bool = False) -> Any:
    """Returns the newest checkpoint that can be read.

    Logs a warning for each checkpoint that cannot be read, and tries the one
    before it.

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
    steps = sorted(self._manager.all_steps(), reverse=True)
    for number, step in enumerate(steps):
      try:
        stored = self._read(step, like)
      except UsageError:
        raise
      except Exception as error:  # pylint: disable=broad-except
        # A damaged file makes the readers raise errors of many types.
        _refuse_if_sound(error, self._directory / str(step))
        continue
      if set_aside:
        self._set_aside(steps[:number])
      return _filled(like, stored)
    if steps:
      raise UsageError(
          f"none of the checkpoints {steps} in {self._directory} can be read")
    return None

  def close(self) -> None:
    """Waits until everything is written, then closes.

    Raises:
      OSError: a checkpoint cannot be written.
    """
    with self._writing():
      try:
        self._manager.wait_until_finished()
      finally:
        self._manager.close()

  def _read(self, step: int, like: Any) -> dict[str, Any]:
    _open_files(self._directory / str(step))
    self._check_network(step, like)
    parts = self._manager.restore(step, args=ocp.args.Composite(**{
        name: ocp.args.StandardRestore(part)
        for name, part in _parts(like).items()}))
    stored = dict(parts.items())
    if self._are_finite:
      _check_finite(stored)
    return stored

  @contextlib.contextmanager
  def _writing(self):
    try:
      yield
    except Exception as error:  # pylint: disable=broad-except
      # A full disk makes the writers raise errors of many types.
      reason = str(error).strip().split("\n")[0][:200]
      raise OSError(f"cannot save in {self._directory}: {reason}") from error

  def _check_network(self, step: int, like: Any) -> None:
    """Raises a UsageError if a sound checkpoint has other arrays."""
    stored = self._manager.item_metadata(step)
    parts = _parts(like)
    found = _arrays({name: stored[name].tree for name in parts})
    wanted = _arrays(parts)
    path = self._directory / str(step)
    for name in sorted(found.keys() | wanted.keys()):
      if found.get(name) != wanted.get(name):
        raise UsageError(
            f"the checkpoint {path} is of another network: {name} is "
            f"{_describe(found.get(name), 'missing')}, expected "
            f"{_describe(wanted.get(name), 'none')}")

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


def _arrays(tree: Any) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
  """Returns the path of each array -> dtype and shape."""
  return {jax.tree_util.keystr(path, simple=True, separator="/"):
          (np.dtype(leaf.dtype), tuple(leaf.shape))
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _describe(array: tuple[np.dtype, tuple[int, ...]] | None,
              absent: str) -> str:
  return absent if array is None else f"{array[0]}{list(array[1])}"


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
