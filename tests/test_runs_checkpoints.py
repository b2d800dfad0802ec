"""Tests which checkpoints are read, moved aside and refused."""

import os
import pathlib
import resource
import shutil

import numpy as np
import pytest

from launch.configs import config as config_lib
from launch.learning.learner import RunState, TrainState
from launch.runs import checkpoints

# A failed restore leaves some of Orbax's own reads unfinished. They warn later
# that they have no event loop.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning")


def state(step: int, source=(), **params: np.ndarray) -> RunState:
  return RunState(TrainState(
      np.asarray(step, np.int32), params or {"w": np.ones(3, np.float32)}, ()),
                  source)


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
  """Returns a folder with the checkpoints 1 and 2."""
  manager = checkpoints.Checkpoints(tmp_path)
  for step in (1, 2):
    manager.save(step, state(step))
  manager.close()
  return tmp_path


def damage(workdir: pathlib.Path, step: int) -> None:
  shutil.rmtree(workdir / "checkpoints" / str(step) / "train")


def restore(workdir: pathlib.Path, like: RunState, **kwargs):
  manager = checkpoints.Checkpoints(workdir)
  try:
    return manager.restore(like, **kwargs)
  finally:
    manager.close()


def names(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (*workdir.iterdir(),
                                 *(workdir / "checkpoints").iterdir())}


@pytest.mark.parametrize("set_aside", [False, True])
def test_only_the_training_process_moves_a_damaged_one(
    workdir, set_aside, caplog):
  damage(workdir, 2)
  assert restore(workdir, state(0), set_aside=set_aside).train.step == 1
  assert "checkpoints/2 CANNOT BE READ" in caplog.text
  assert ("damaged-checkpoint-2" in names(workdir)) == set_aside
  assert ("2" in names(workdir)) != set_aside


def test_none_is_moved_if_none_can_be_read(workdir):
  for step in (1, 2):
    damage(workdir, step)
  before = names(workdir)
  for _ in range(2):  # The first start changes nothing.
    with pytest.raises(config_lib.UsageError, match=r"none of .* \[2, 1\]"):
      restore(workdir, state(0), set_aside=True)
    assert names(workdir) == before


@pytest.mark.parametrize("params, words", [
    (dict(w=np.ones(4, np.float32)), r"w is float32\[3\], expected float32\[4"),
    (dict(w=np.ones(3, np.int32)), r"w is float32\[3\], expected int32\[3\]"),
    (dict(v=np.ones(3, np.float32)), r"v is missing, expected float32\[3\]"),
    (dict(w=np.ones(3, np.float32), z=np.ones(1, np.float32)),
     r"z is missing, expected float32\[1\]"),
    (dict(w=dict(v=np.ones(3, np.float32))), r"w is float32\[3\], expected no"),
])
def test_another_network_is_no_damage(workdir, params, words):
  before = names(workdir)
  with pytest.raises(config_lib.UsageError, match=f"another netw.*{words}"):
    restore(workdir, state(0, **params), set_aside=True)
  assert names(workdir) == before


def test_too_many_open_files_are_no_damage(workdir):
  manager = checkpoints.Checkpoints(workdir)
  limits = resource.getrlimit(resource.RLIMIT_NOFILE)
  # The next file that is opened gets this number, or a higher one.
  free = os.open(os.devnull, os.O_RDONLY)
  os.close(free)
  resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
  try:
    with pytest.raises(config_lib.UsageError, match="Too many open files"):
      manager.restore(state(0), set_aside=True)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
  assert manager.restore(state(0)).train.step == 2
  manager.close()


@pytest.mark.parametrize("method", ["save", "wait_until_finished"])
def test_a_failed_save_is_reported(workdir, monkeypatch, method):
  """Orbax writes in threads, which raise errors of many types."""
  def fail(*_, **__):
    raise RuntimeError("No space left on device\nand a long story")

  manager = checkpoints.Checkpoints(workdir)
  with monkeypatch.context() as patch:
    patch.setattr(manager._manager, method, fail)
    with pytest.raises(
        OSError, match=r"cannot save in .*checkpoints: No space .* device$"):
      manager.save(3, state(3))
      manager.close()
  manager.close()


def test_source_state(tmp_path, caplog):
  """The source state is saved beside the training state; reads may omit it."""
  source = {"memory": np.arange(6, dtype=np.float32).reshape(2, 3),
            "position": np.arange(2, dtype=np.int32)}
  manager = checkpoints.Checkpoints(tmp_path)
  manager.save(1, state(1, source))
  manager.save(2, state(2))  # Damaged: the source state is missing.
  manager.close()
  empty = {name: 0 * value for name, value in source.items()}
  like = state(0, empty)
  like = like._replace(train=like.train._replace(step=np.int32(0)))  # A scalar.
  found = restore(tmp_path, like)
  assert "checkpoints/2 CANNOT BE READ" in caplog.text
  assert found.train.step == 1
  for name, value in source.items():
    np.testing.assert_array_equal(found.source[name], value)
  shutil.rmtree(tmp_path / "checkpoints" / "2")
  assert restore(tmp_path, state(0)).source == ()
  with pytest.raises(config_lib.UsageError, match="source/position is int32"):
    restore(tmp_path, state(0, empty | {"position": np.zeros(3, np.int32)}))
