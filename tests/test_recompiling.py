"""Each compilation of the updates after the first one is logged with a cause.
"""

import re

import jax
import pytest
from learning_helpers import COPY, COPY_OF_LENGTHS, make_trainer, start

from launch.learning.curriculum import Exponential

# Every ten updates double the level.
GROWING = Exponential(threshold=1e9, patience=10, max_level=4)
AGAIN = re.compile(
    r"compiled training again at step (\d+) \([\d.e-]+ s\): (.*)")


@pytest.fixture
def lines(caplog):
  """Returns a function: (severity, step, cause) of what was logged."""
  caplog.set_level("INFO", logger="absl")

  def found():
    matches = [(each.levelname, AGAIN.fullmatch(each.getMessage()))
               for each in caplog.records]
    return [(level, int(match[1]), match[2]) for level, match in matches
            if match]
  return found


def test_another_chunk(lines):
  trainer, state = start(devices=1)
  for chunk in (2, 2, 3, 2, 3):
    state, _ = trainer.train(state, None, chunk)
  assert lines() == [
      ("INFO", 4, "chunk of 3 updates, after chunks of 2")]


def test_another_level(lines):
  trainer, state = start(
      task=COPY_OF_LENGTHS, devices=1, curriculum=GROWING)
  for _ in range(8):
    state, _ = trainer.train(state, None, 10)
  assert trainer.level(state) == 4
  found = lines()
  assert {cause for _, _, cause in found} == {
      "first updates at levels 2 to 2 (padded to 2)",
      "first updates at levels 3 to 4 (padded to 4)"}
  assert len(found) == 2
  assert all(level == "INFO" and step % 10 == 0 for level, step, _ in found)


def test_a_fault_is_a_warning(lines):
  """The program was lost: nothing else was to be compiled."""
  trainer, state = start(task=COPY, devices=1)
  state, _ = trainer.train(state, None, 2)
  trainer._train = make_trainer(task=COPY, devices=1)._train
  trainer.train(state, None, 2)
  (level, step, cause), = lines()
  assert (level, step) == ("WARNING", 2)
  assert "cause unknown" in cause and "JAX_EXPLAIN_CACHE_MISSES=1" in cause
  assert "jax_explain_cache_misses" in jax.config.values  # It exists.
