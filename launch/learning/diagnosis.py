"""Finds the first update that is not finite, and what in it.

Training looks at means over many updates only, and gives the memory of its
states away. So a diagnosis costs nothing before it is needed: the updates since
the last checkpoint are repeated then, the last ones of them one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from launch.learning.learner import RunState
from launch.learning.trainer import Trainer

_MAX_NAMES = 3


def describe(trainer: Trainer, data: Any, state: RunState, first: int,
             last: int, streak: int, chunk: Callable[[int], int],
             must_end: Callable[[], bool]) -> str:
  """Repeats updates until one is not finite; returns a clause on it.

  Args:
    trainer: of the run.
    data: of the training split, on the devices.
    state: before `first`, on the host.
    first: step before the updates that it was seen in.
    last: step after them.
    streak: so many updates in a row that are not finite are looked for; the
      first of them is described.
    chunk: step -> how many updates the run does at once from there on.
    must_end: returns whether a signal ends the search, in all processes alike.
  """
  step, first = int(np.min(state.train.step)), first - streak + 1
  # A checkpoint may lie within the row of updates.
  earlier = state.train.skips.in_a_row if state.train.skips else 0
  state = trainer.put(state)
  ended = False
  while step < first and not (ended := must_end()):
    earlier = 0
    count = min(chunk(step), first - step)
    state, _ = trainer.train(state, data, count)
    step += count
  search = _Search(streak, np.broadcast_to(earlier, len(trainer.seeds)))
  while not ended and not must_end():
    seed = search.look(step, trainer.nonfinite(state, data))
    if seed is not None:
      return search.describe(seed, _names(state), trainer.seeds)
    if step >= last:
      return "the same updates were finite when they were repeated one by one"
    state, _ = trainer.train(state, data, 1)
    step += 1
  return "interrupted before the first such update was found"


def _names(state):
  return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _
          in jax.tree_util.tree_leaves_with_path(state.train.params)]


class _Search:
  """Looks for so many updates in a row that are not finite, in any seed."""

  def __init__(self, streak: int, earlier: np.ndarray):
    self._streak = streak
    self._earlier = earlier
    self._first: dict[int, tuple[Any, dict[str, np.ndarray]]] = {}
    self._lost: set[int] | None = None

  def look(self, step: int, flags: Mapping[str, np.ndarray]) -> int | None:
    """Returns the seed whose row of updates is complete; None if none is."""
    is_bad = [each.any() for each in np.concatenate(list(flags.values()), 1)]
    if self._lost is None:  # Those that had diverged long before.
      lost = flags["params"].any(1)
      self._lost = set() if lost.all() else set(np.flatnonzero(lost))
    for seed in set(range(len(is_bad))) - self._lost:
      if not is_bad[seed]:
        self._first.pop(seed, None)
        continue
      first, _ = self._first.setdefault(seed, (
          step - self._earlier[seed],
          {name: each[seed] for name, each in flags.items()}))
      if step - first + 1 >= self._streak:
        return seed
    self._earlier = np.zeros_like(self._earlier)
    return None

  def describe(self, seed: int, names: Sequence[str], seeds: Sequence[int]
               ) -> str:
    step, flags = self._first[seed]
    where = f" of seed {seeds[seed]}" if len(seeds) > 1 else ""
    params, gradients = (_listed([
        each for each, is_bad in zip(names, flags[name], strict=True)
        if is_bad]) for name in ("params", "gradients"))
    if params:
      return (f"since update {step}{where} the parameters {params} are not "
              "finite")
    return (f"update {step + 1}{where} is the first, in which " + (
        f"the gradients of {gradients} are not finite" if gradients else
        "the loss is not finite, and all gradients are"))


def _listed(names: Sequence[str]) -> str:
  more = len(names) - _MAX_NAMES
  return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0
                                          else "")
