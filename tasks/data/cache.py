"""A cache of arrays in files. A file is either complete or absent."""

import hashlib
import os
import pathlib
import stat
import tempfile
import uuid
import zipfile
from collections.abc import Sequence

import numpy as np
from absl import logging


def read(path: pathlib.Path) -> np.ndarray | None:
  """Reads an array that `write` stored.

  Args:
    path: the file.

  Returns:
    The array, or None if there is no file or if it is broken. Logs a warning in
    the latter case.
  """
  try:
    # A zip file, so its checksum is verified. Opened here because NumPy does
    # not close a broken one.
    with path.open("rb") as raw, np.load(raw) as file:
      return file["array"]
  except FileNotFoundError:
    return None
  except (OSError, ValueError, KeyError, EOFError,
          zipfile.BadZipFile) as error:
    logging.warning("Ignoring a broken cache, %s: %s", path, error)
    return None


def write(folders: Sequence[pathlib.Path], name: str,
          array: np.ndarray) -> None:
  """Stores an array in the first writable folder, or nowhere if there is none.

  Args:
    folders: in the order to try; missing folders are created.
    name: of the file.
    array: what to store.
  """
  for folder in folders:
    if not is_writable(folder):
      continue
    # Renamed when complete, so no other process reads a partial file.
    part = folder / f".{uuid.uuid4().hex}.part"
    try:
      with part.open("xb") as file:
        np.savez_compressed(file, array=array)
      part.replace(folder / name)
      return
    except OSError as error:
      part.unlink(missing_ok=True)
      logging.warning("Cannot write to %s: %s", folder, error)


def fingerprint(version: int, *files: pathlib.Path) -> str:
  """Returns a string that changes with the files and with their contents.

  Args:
    version: of the format of the cached arrays; raise it when that changes.
    *files: existing files.
  """
  stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
           for file in files]
  return hashlib.sha256(repr((version, stats)).encode()).hexdigest()[:12]


def user_folder() -> pathlib.Path:
  """Returns the user's cache folder of this project, which may not exist."""
  root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  return pathlib.Path(root).expanduser() / "rmc_nalu_sam"


def is_writable(folder: pathlib.Path) -> bool:
  """Returns whether files can be made in a folder; creates a missing one."""
  # A folder that its owner marked read-only is left alone, also by root, whom
  # the mode does not stop.
  if folder.exists() and not folder.stat().st_mode & stat.S_IWUSR:
    return False
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      return True
  except OSError:
    return False
