"""The programs: the only place for flags, devices and files."""

import importlib.util
import os
import signal
import sys
from typing import Any, NoReturn

EXIT_INTERRUPTED = 130


def end_at_once(*_: Any) -> NoReturn:
  """Ends a program that is still importing: one line, and no traceback."""
  os.write(2, b"interrupted before the start; start again with the same "
           b"command\n")
  os._exit(EXIT_INTERRUPTED)


# Python is looking for the module of `python -m launch.train`, whose imports
# take seconds. `configs.endings.run` sets the usual handler again.
if sys.argv[:1] == ["-m"] and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler):
  signal.signal(signal.SIGINT, end_at_once)

# The others of the extra `train` come with it, too.
if importlib.util.find_spec("ml_collections") is None:
  raise ImportError("the programs need more packages than the library; in the "
                    "checkout: pip install -e '.[train]'")
