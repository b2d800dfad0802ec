"""Checkpoints by Orbax: written in the background, whole or not at all."""

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

from launch.config import UsageError


class Checkpoints:
  """The newest few states of a run, in `<workdir>/checkpoints/<step>`."""

  def __init__(self, workdir: pathlib.Path, max_to_keep: int = 3,
               are_finite: bool = True):
    """Opens, and creates if needed, the checkpoints of a run.

    Args:
      workdir: of the run.
      max_to_keep: older ones are deleted.
      are_finite: whether one with numbers that are not finite is damaged; of
        many seeds, some may have diverged.
    """
    self._are_finite = are_finite
    self._directory = (workdir / "checkpoints").absolute()
    self._options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
        self._directory, options=self._options,
        item_handlers=ocp.StandardCheckpointHandler())

  def latest_step(self) -> int | None:
    """The newest checkpoint's step; None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves a NamedTuple of NumPy arrays, in the background.

    Does nothing if `step` is there.

    Raises:
      OSError: it, or the one before it, cannot be written.
    """
    if self._manager.latest_step() != step:
      with self._writing():
        self._manager.save(step, args=ocp.args.StandardSave(_non_empty(state)))

  def restore(self, like: Any, set_aside: bool = False) -> Any:
    """The newest checkpoint that can be read.

    If one cannot be read there is a warning, and the one before it is tried.

    Args:
      like: a NamedTuple of arrays of the shapes and dtypes expected.
      set_aside: whether those that cannot be read are moved aside once an older
        one was; for the one process that trains.

    Returns:
      It with NumPy arrays, or None if there is no checkpoint at all.

    Raises:
      UsageError: there are checkpoints, but none of them can be read, or they
        are of another network, or the system refuses to open them.
    """
    steps = sorted(self._manager.all_steps(), reverse=True)
    for number, step in enumerate(steps):
      path = self._directory / str(step)
      try:
        _open_files(path)
        self._check_network(step, like)
        fields = self._manager.restore(
            step, args=ocp.args.StandardRestore(_non_empty(like)))
        if self._are_finite:
          _check_finite(fields)
      except UsageError:
        raise
      except Exception as error:  # pylint: disable=broad-except
        # Whatever a damaged file makes the readers raise.
        if isinstance(error, OSError) and error.errno != errno.ENOENT:
          # No access, too many open files: the checkpoint may well be sound.
          raise UsageError(f"cannot read {path}: {error}") from None
        logging.warning(
            "CHECKPOINT %s CANNOT BE READ (%s: %s); falling back to the one "
            "before it", path, type(error).__name__,
            str(error).strip().split("\n")[0][:200])
        continue
      if set_aside:
        self._set_aside(steps[:number])
      return like._replace(**fields)
    if steps:
      raise UsageError(
          f"none of the checkpoints {steps} in {self._directory} can be read")
    return None

  def close(self) -> None:
    """Waits until everything is written.

    Raises:
      OSError: it cannot be written.
    """
    with self._writing():
      try:
        self._manager.wait_until_finished()
      finally:
        self._manager.close()

  @contextlib.contextmanager
  def _writing(self):
    try:
      yield
    except Exception as error:  # pylint: disable=broad-except
      # Whatever a full disk makes the writers raise.
      reason = str(error).strip().split("\n")[0][:200]
      raise OSError(f"cannot save in {self._directory}: {reason}") from error

  def _check_network(self, step: int, like: Any) -> None:
    """Raises a UsageError if a checkpoint is sound, but does not fit."""
    found = _arrays(self._manager.item_metadata(step).tree)
    wanted = _arrays(_non_empty(like))
    for name in sorted(found.keys() | wanted.keys()):
      if found.get(name) != wanted.get(name):
        raise UsageError(
            f"the checkpoint {self._directory / str(step)} is of another "
            f"network: {name} is {found.get(name, 'missing')}, expected "
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


def _non_empty(state: Any) -> dict[str, Any]:
  """The fields that hold arrays, so that a run does not depend on others."""
  return {name: value for name, value in state._asdict().items()
          if jax.tree.leaves(value)}


def _arrays(tree: Any) -> dict[str, str]:
  """Path of each array -> dtype and shape."""
  return {jax.tree_util.keystr(path, simple=True, separator="/"):
          f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _open_files(directory: pathlib.Path) -> None:
  """Raises an OSError if a file cannot be opened; Orbax hides which it was."""
  def fail(error):
    raise error

  for folder, _, names in os.walk(directory, onerror=fail):
    for name in names:
      with open(os.path.join(folder, name), "rb"):
        pass


def _check_finite(fields: Any) -> None:
  for array in jax.tree.leaves(fields):
    if (np.issubdtype(array.dtype, np.floating)
        and not np.isfinite(array).all()):
      raise ValueError("found values that are not finite")
