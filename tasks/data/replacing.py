"""Writes whole files: another process, or a full disk, sees no part of one."""

import pathlib
import uuid


def replace_text(path: pathlib.Path, text: str) -> None:
  """Writes a text into a file, which is either complete or as before.

  Args:
    path: of the file, there or not.
    text: is written in UTF-8.

  Raises:
    OSError: it cannot be written; nothing is left behind.
  """
  part = path.with_name(f".{uuid.uuid4().hex}.part")
  try:
    part.write_text(text, encoding="utf-8")
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)
