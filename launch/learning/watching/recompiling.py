"""Logs each compilation of the updates after the first one, with its cause.

The updates are one program for each number of updates in a call, and for each
bucket of levels of a curriculum. Both are known before the call, so a program
that is compiled for a pair that had one is a fault, and is logged as a warning.
"""

from absl import logging

from launch.learning.curriculum import Levels

_UNKNOWN = ("cause unknown, it was compiled before for the same chunk and "
            "levels; JAX_EXPLAIN_CACHE_MISSES=1 in the environment tells more")


class Recompilations:
  """Knows the programs that were compiled, to name the cause of another."""

  def __init__(self):
    self._known: set[tuple[int, Levels | None]] = set()

  def compiled(self, step: int, seconds: float, num_updates: int,
               levels: Levels | None) -> None:
    """Logs a line, unless this is the first compilation.

    Args:
      step: updates done before the call.
      seconds: that it took.
      num_updates: updates in the call.
      levels: their bucket; None without a curriculum.
    """
    new = (num_updates, levels)
    if self._known:
      cause = self._cause(*new)
      log = logging.warning if cause == _UNKNOWN else logging.info
      log("compiled training again at step %d (%.3g s): %s", step, seconds,
          cause)
    self._known.add(new)

  def _cause(self, num_updates, levels) -> str:
    if (num_updates, levels) in self._known:
      return _UNKNOWN
    chunks = sorted(chunk for chunk, known in self._known if known == levels)
    if chunks or levels is None:
      return (f"chunk of {num_updates} updates, after chunks of "
              f"{', '.join(map(str, chunks))}")
    return (f"first updates at levels {levels.below + 1} to {levels.room} "
            f"(padded to {levels.room})")
