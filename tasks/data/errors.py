"""One line for whatever goes wrong while data are read."""

import contextlib
import pathlib
from collections.abc import Iterator

_MAX_WORDS = 300  # Characters of an error; some libraries list all they know.


class DataError(ValueError):
  """Represents data that cannot be used, in one line that names the file."""


@contextlib.contextmanager
def reading(path: pathlib.Path, advice: str) -> Iterator[None]:
  """Turns whatever is raised while a file is read into a `DataError`.

  Damaged data raise nearly anything: libraries for archives, pictures and
  protocol buffers have errors of their own, and a wrong size ends in a
  MemoryError. A reader's own checks raise a ValueError without the file's name.

  Args:
    path: the file, or what it is called in the message.
    advice: what to do, the end of the message.

  Raises:
    DataError: anything was raised. A DataError passes, since it names a file.
  """
  try:
    yield
  except DataError:
    raise
  except Exception as error:
    words = " ".join(str(error).split()) or type(error).__name__
    raise DataError(
        f"cannot read {path}: {words[:_MAX_WORDS]}; {advice}") from error
