"""Writes and reads single checkpoints by Orbax, under any path.

A checkpoint is a folder named after its step. It appears and disappears by one
renaming, so whoever lists the folder sees whole checkpoints only. It holds
named parts (trees of NumPy arrays), and a manifest of all of them.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import orbax.checkpoint as ocp
from absl import logging

from launch.configs.config import UsageError, check_format
from launch.runs import manifest
from launch.runs.manifest import ArrayFacts

_MANIFEST = "manifest"
_REMOVED = ".removed"
# A run of several processes stores nothing but in process 0, which has all
# arrays. Orbax must wait for no other.
_ALONE = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0})
# Where Linux shows the files that a process has opened, by number.
_OPENED = pathlib.Path("/proc/self/fd")
# Orbax takes these for a pattern, for a cloud store, or, together with its own
# names, for too long; TensorStore takes a backslash for a slash.
_MISREAD = re.compile(r"[\[\]]" if os.name == "nt" else
                      r"[\[\]*?\\\ud800-\udfff]|(^|/)\w*:(/|$)|.{2000}", re.S)


class Store:
  """Holds checkpoints in a folder."""

  def __init__(self, directory: pathlib.Path):
    """Opens a folder, which need not exist; writes nothing.

    Raises:
      UsageError: see `check_path`.
    """
    check_path(directory)
    self.directory = directory.absolute()

  def path(self, step: int) -> pathlib.Path:
    """Returns the folder of a checkpoint."""
    return self.directory / str(step)

  def steps(self) -> list[int]:
    """Returns the steps of the checkpoints, newest first."""
    if not self.directory.exists():
      return []
    return sorted((int(name) for name in os.listdir(self.directory)
                   if re.fullmatch("[0-9]+", name)), reverse=True)

  def write(self, step: int, parts: Mapping[str, Any],
            arrays: Mapping[str, ArrayFacts]) -> None:
    """Writes a checkpoint; returns when it is there.

    Args:
      step: its name.
      parts: trees of NumPy arrays.
      arrays: `manifest.facts` of them.
    """
    items = {name: ocp.args.StandardSave(part) for name, part in parts.items()}
    items[_MANIFEST] = ocp.args.JsonSave(manifest.to_json(arrays))
    with (_readable(self.directory) as directory,
          ocp.Checkpointer(
              ocp.CompositeCheckpointHandler(
                  composite_options=ocp.CompositeOptions(
                      multiprocessing_options=_ALONE)),
              multiprocessing_options=_ALONE) as writer):
      writer.save(directory / str(step), args=ocp.args.Composite(**items))

  def read(self, step: int, like: Mapping[str, Any]) -> dict[str, Any]:
    """Reads parts of a checkpoint.

    Args:
      step: its name.
      like: the parts to read, with arrays of the stored shapes and dtypes.
    """
    with _readable(self.path(step)) as path:
      return {name: ocp.StandardCheckpointHandler().restore(
          path / name, args=ocp.args.StandardRestore(part))
              for name, part in like.items()}

  def manifest(self, step: int) -> dict[str, ArrayFacts] | None:
    """Returns what was written; None in a checkpoint of an older version.

    Raises:
      UsageError: a newer version has written the checkpoint.
      ValueError: the manifest is damaged.
    """
    folder = self.path(step) / _MANIFEST
    if not folder.exists():
      return None
    stored = json.loads((folder / "metadata").read_bytes())
    check_format(self.path(step), manifest.format_of(stored), manifest.FORMAT)
    return manifest.from_json(stored)

  def kinds(self, step: int, name: str) -> Any:
    """Returns dtypes and shapes of a part of a checkpoint without manifest."""
    with _readable(self.path(step)) as path:
      return ocp.StandardCheckpointHandler().metadata(path / name).tree

  def check_files(self, step: int) -> None:
    """Raises an OSError if a file cannot be opened; Orbax hides its name."""
    def fail(error):
      raise error

    for folder, _, names in os.walk(self.path(step), onerror=fail):
      for name in names:
        with open(os.path.join(folder, name), "rb"):
          pass

  def remove(self, step: int) -> None:
    """Removes a checkpoint at once for all who list the folder."""
    removed = self.directory / f"{step}{_REMOVED}"
    self.path(step).rename(removed)
    shutil.rmtree(removed)

  def set_aside(self, step: int) -> None:
    """Moves a damaged checkpoint to where it is not looked for."""
    target = self.directory.parent / f"damaged-checkpoint-{step}"
    logging.warning("moved %s to %s", self.path(step), target)
    if target.exists():
      shutil.rmtree(target)
    self.path(step).rename(target)

  def clear(self) -> None:
    """Deletes what a process that was killed has half written or removed."""
    # Before 0.11.20, Orbax added a time to the suffix.
    for pattern in ("*.orbax-checkpoint-tmp*", f"*{_REMOVED}"):
      for path in self.directory.glob(pattern):
        shutil.rmtree(path)


def check_path(path: pathlib.Path) -> None:
  """Refuses a path that the store cannot handle on this system.

  Raises:
    UsageError: Orbax misreads the path, and there is no way around.
  """
  found = _MISREAD.search(str(path.absolute()))
  if found and not _OPENED.exists():
    raise UsageError(
        f"checkpoints cannot be stored in {path}, because of "
        f"{found.group()[:20]!r} in it; choose or rename to a path without")


@contextlib.contextmanager
def _readable(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a path to a folder that Orbax does not misread."""
  if not _MISREAD.search(str(folder)):
    yield folder
    return
  number = os.open(folder, os.O_RDONLY)
  try:
    yield _OPENED / str(number)
  finally:
    os.close(number)
