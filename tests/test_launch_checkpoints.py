"""Which checkpoints are read, which are moved, and which are refused."""

import os
import pathlib
import resource
import shutil

import numpy as np
import pytest

from launch import checkpoints
from launch import config as config_lib
from launch.learner import TrainState

# A restore that fails leaves some of Orbax's own reads behind, which complain
# later that they have no event loop.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning")


def state(step: int, **params: np.ndarray) -> TrainState:
  return TrainState(np.asarray(step, np.int32),
                    params or {"w": np.ones(3, np.float32)}, ())


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
  """With the checkpoints 1 and 2."""
  manager = checkpoints.Checkpoints(tmp_path)
  for step in (1, 2):
    manager.save(step, state(step))
  manager.close()
  return tmp_path


def damage(workdir: pathlib.Path, step: int) -> None:
  shutil.rmtree(workdir / "checkpoints" / str(step) / "default")


def restore(workdir: pathlib.Path, like: TrainState, **kwargs):
  manager = checkpoints.Checkpoints(workdir)
  try:
    return manager.restore(like, **kwargs)
  finally:
    manager.close()


def names(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (*workdir.iterdir(),
                                 *(workdir / "checkpoints").iterdir())}


@pytest.mark.parametrize("set_aside", [False, True])
def test_only_those_who_may_move_a_damaged_one(workdir, set_aside, caplog):
  damage(workdir, 2)
  assert restore(workdir, state(0), set_aside=set_aside).step == 1
  assert "checkpoints/2 CANNOT BE READ" in caplog.text
  assert ("damaged-checkpoint-2" in names(workdir)) == set_aside
  assert ("2" in names(workdir)) != set_aside


def test_none_is_moved_if_none_can_be_read(workdir):
  for step in (1, 2):
    damage(workdir, step)
  before = names(workdir)
  for _ in range(2):  # The second start finds what the first one found.
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
  # Whatever is opened next would get this number, or a higher one.
  free = os.open(os.devnull, os.O_RDONLY)
  os.close(free)
  resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
  try:
    with pytest.raises(config_lib.UsageError, match="Too many open files"):
      manager.restore(state(0), set_aside=True)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
  assert manager.restore(state(0)).step == 2
  manager.close()


@pytest.mark.parametrize("method", ["save", "wait_until_finished"])
def test_what_cannot_be_saved_is_told(workdir, monkeypatch, method):
  """Orbax writes in threads; what they raise is of no one type."""
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
