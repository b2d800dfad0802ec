"""The programs: the only place for flags, devices and files."""

import importlib.util

# The others of the extra `programs` come with it, too.
if importlib.util.find_spec("ml_collections") is None:
  raise ImportError("the programs need more packages than the library; in the "
                    "checkout: pip install -e '.[programs]'")
