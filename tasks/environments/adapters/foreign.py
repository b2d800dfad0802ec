"""Objects of other libraries, made by the name of what makes them."""

import functools
import importlib
from typing import Any


def make(path: Any, argument: str) -> Any:
  """Returns what a function or class returns.

  Equal arguments give the same object.

  Args:
    path: 'package.module:attribute', the function or class; anything else than
      a string is returned as it is.
    argument: of the call; '' for none.

  Raises:
    ValueError: the path cannot be imported, or the call fails.
  """
  return _called(path, argument) if isinstance(path, str) else path


@functools.cache
def _called(path, argument):
  module, colon, name = path.partition(":")
  if not (module and colon and name):
    raise ValueError(f"need path='package.module:attribute', got {path!r}")
  try:
    factory = getattr(importlib.import_module(module), name)
    return factory(argument) if argument else factory()
  except Exception as error:  # Whatever the other library raises.
    reason = " ".join(str(error).split())
    call = f"{path}({argument!r})" if argument else f"{path}()"
    raise ValueError(f"cannot make the environment {call}: "
                     f"{type(error).__name__}: {reason}") from error
