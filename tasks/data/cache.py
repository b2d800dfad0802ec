"""A cache of arrays in files. A file is either complete or absent.

All files lie in one folder, which may be deleted at any time. The folder of the
data is never written to.
"""

import contextlib
import contextvars
import hashlib
import os
import pathlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging

from tasks.data import files as files_lib

_chosen: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "cache_folder", default=None)


@contextlib.contextmanager
def placed_in(chosen: str | None) -> Iterator[None]:
  """Moves the cache while the context lasts.

  Args:
    chosen: the folder; None for the default of `folder`.
  """
  token = _chosen.set(chosen)
  try:
    yield
  finally:
    _chosen.reset(token)


def folder() -> pathlib.Path:
  """Returns the folder of the cache, which may not exist.

  It is the folder given to `placed_in`, or `$XDG_CACHE_HOME/rmc_nalu_sam`, or
  `~/.cache/rmc_nalu_sam`.
  """
  if chosen := _chosen.get():
    return pathlib.Path(os.path.expanduser(chosen))
  root = os.environ.get("XDG_CACHE_HOME", "")
  if not os.path.isabs(root):  # The standard says to ignore a relative one.
    root = os.path.expanduser("~/.cache")
  return pathlib.Path(root) / "rmc_nalu_sam"


def read(name: str) -> np.ndarray | None:
  """Reads an array that `write` stored, as `read_all`."""
  return (read_all(name) or {}).get("array")


def read_all(name: str) -> dict[str, np.ndarray] | None:
  """Reads the arrays that `write_all` stored.

  Args:
    name: of the file.

  Returns:
    The arrays by name, or None if there is no file or if it is broken. Logs a
    warning in the latter case.
  """
  path = folder() / name
  try:
    return files_lib.read_npz(path)  # A zip file: its checksums are verified.
  except FileNotFoundError:
    return None
  except Exception as error:  # A broken file raises nearly anything.
    logging.warning("Ignoring a broken cache, %s: %s", path, error)
    return None


def write(name: str, array: np.ndarray) -> None:
  """Stores an array, as `write_all`."""
  write_all(name, {"array": array})


def write_all(name: str, arrays: Mapping[str, np.ndarray]) -> None:
  """Stores arrays; logs a warning if the folder cannot be written.

  Args:
    name: of the file.
    arrays: what to store, by name.
  """
  # Renamed when complete, so no other process reads a partial file.
  part = folder() / f".{uuid.uuid4().hex}.part"
  try:
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
      with part.open("xb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))
      part.replace(folder() / name)
    finally:
      part.unlink(missing_ok=True)
  except OSError as error:
    logging.warning("Data are converted again in each run, since the cache "
                    "cannot be written: %s; choose another --cache_dir", error)


def fingerprint(version: int, *files: pathlib.Path) -> str:
  """Returns a string that changes with the contents of files.

  Args:
    version: of the format of the cached arrays; raise it when that changes.
    *files: existing files.
  """
  digest = hashlib.sha256(str(version).encode())
  for path in files:
    with path.open("rb") as file:
      digest.update(hashlib.file_digest(file, "sha256").digest())
  return digest.hexdigest()[:16]
