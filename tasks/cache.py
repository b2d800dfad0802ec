"""Arrays that took long to make, kept in files that are whole or not there."""

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
  """The array that `write` kept, or None if there is none to be trusted.

  Args:
    path: of the file. One that is broken is ignored, with a warning.
  """
  try:
    # A zip, so that its checksum is verified. Opened here because NumPy does
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
  """Keeps the array in the first folder that can be written to.

  Args:
    folders: in the order to try them; made if missing. If none can be written
      to, the array is not kept.
    name: of the file.
    array: what to keep.
  """
  for folder in folders:
    if not is_writable(folder):
      continue
    # Renamed when whole, so that no other process reads half of it.
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
  """Another one when a file is another, or was changed.

  Args:
    version: of what is made of them; to be raised when that changes.
    *files: exist.
  """
  stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
           for file in files]
  return hashlib.sha256(repr((version, stats)).encode()).hexdigest()[:12]


def user_folder() -> pathlib.Path:
  """The user's cache of this project: may not exist."""
  root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  return pathlib.Path(root).expanduser() / "rmc_nalu_sam"


def is_writable(folder: pathlib.Path) -> bool:
  """Whether files can be made in the folder, which is made if missing."""
  # What its owner marked read-only stays as it is, even for root, whom the
  # mode does not stop.
  if folder.exists() and not folder.stat().st_mode & stat.S_IWUSR:
    return False
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      return True
  except OSError:
    return False
