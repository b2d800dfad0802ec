"""Checkpoints by Orbax: written in the background, whole or not at all."""

import pathlib
import shutil
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
    return ocp.CheckpointManager(self._directory, options=self._options)

  def latest_step(self) -> int | None:
    """The newest checkpoint's step; None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves a NamedTuple of NumPy arrays, in the background.

    Does nothing if `step` is there.
    """
    if self._manager.latest_step() != step:
      self._manager.save(step, args=ocp.args.StandardSave(_non_empty(state)))

  def restore(self, like: Any) -> Any:
    """The newest checkpoint that can be read.

    One that cannot is moved aside, with a warning, and the one before it tried.

    Args:
      like: a NamedTuple of arrays of the shapes and dtypes expected.

    Returns:
      It with NumPy arrays, or None if there is no checkpoint at all.

    Raises:
      UsageError: there are checkpoints, but none of them can be read.
    """
    steps = sorted(self._manager.all_steps(), reverse=True)
    for step in steps:
      try:
        fields = self._manager.restore(
            step, args=ocp.args.StandardRestore(_non_empty(like)))
        state = like._replace(**fields)
        _check_like(state, like, self._are_finite)
        return state
      except Exception as error:  # pylint: disable=broad-except
        # Whatever a damaged file makes the readers raise.
        self._set_aside(step, error)
    if steps:
      raise UsageError(
          f"none of the checkpoints {steps} in {self._directory} can be read")
    return None

  def close(self) -> None:
    """Waits until everything is written."""
    self._manager.wait_until_finished()
    self._manager.close()

  def _set_aside(self, step: int, error: Exception) -> None:
    source = self._directory / str(step)
    target = self._directory.parent / f"damaged-checkpoint-{step}"
    logging.warning(
        "CHECKPOINT %s CANNOT BE READ (%s: %s); moved to %s, falling back to "
        "the one before it", source, type(error).__name__,
        str(error).strip().split("\n")[0][:200], target)
    if target.exists():
      shutil.rmtree(target)
    self._manager.close()
    source.rename(target)
    self._manager = self._open()


def _non_empty(state: Any) -> dict[str, Any]:
  """The fields that hold arrays, so that a run does not depend on others."""
  return {name: value for name, value in state._asdict().items()
          if jax.tree.leaves(value)}


def _check_like(state: Any, like: Any, are_finite: bool) -> None:
  def check(array, wanted):
    if (array.shape, array.dtype) != (wanted.shape, wanted.dtype):
      raise ValueError(f"found {array.dtype}{array.shape}, expected "
                       f"{wanted.dtype}{wanted.shape}")
    if (are_finite and np.issubdtype(array.dtype, np.floating)
        and not np.isfinite(array).all()):
      raise ValueError("found values that are not finite")

  jax.tree.map(check, state, like)
