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


def flip(path: pathlib.Path, bit: int) -> None:
  """Flips one bit of a file."""
  data = bytearray(path.read_bytes())
  data[bit // 8 % len(data)] ^= 1 << bit % 8
  path.write_bytes(data)


def files(workdir: pathlib.Path, step: int) -> list[pathlib.Path]:
  folder = workdir / "checkpoints" / str(step)
  return sorted(path for path in folder.rglob("*")
                if path.is_file() and path.stat().st_size)


@pytest.mark.parametrize("number", range(6))
def test_a_flipped_bit_is_noticed(tmp_path, number):
  """Reads exactly what was written, or the checkpoint before it."""
  rng = np.random.default_rng(number)
  written = {}
  manager = checkpoints.Checkpoints(tmp_path)
  for step in (1, 2):
    written[step] = state(step, w=rng.normal(size=(7, 5)).astype(np.float32),
                          v=np.zeros(400, np.float32))
    manager.save(step, written[step])
  manager.close()
  like = written[2]
  found_in = set()
  whole = tmp_path / "whole"
  shutil.copytree(tmp_path / "checkpoints", whole)
  for path in files(tmp_path, 2):
    flip(path, int(rng.integers(8 * path.stat().st_size)))
    found = restore(tmp_path, like)
    step = int(found.train.step)
    found_in.add(step)
    for name, array in written[step].train.params.items():
      np.testing.assert_array_equal(found.train.params[name], array)
    shutil.rmtree(tmp_path / "checkpoints")
    shutil.copytree(whole, tmp_path / "checkpoints")
  assert 1 in found_in  # The files of numbers are among those damaged.


def test_another_value_of_the_same_type_is_noticed(workdir, caplog):
  """Damage that no format notices: the arrays of another checkpoint."""
  folder = workdir / "checkpoints"
  shutil.rmtree(folder / "2" / "train")
  shutil.copytree(folder / "1" / "train", folder / "2" / "train")
  assert restore(workdir, state(0)).train.step == 1
  assert "train/step is not what was written" in caplog.text


def test_a_damaged_manifest_is_noticed(workdir):
  path, = (path for path in files(workdir, 2) if b"[3]" in path.read_bytes()
           and "manifest" in path.parts)
  path.write_text(path.read_text().replace("[3]", "[4]"))
  assert restore(workdir, state(0)).train.step == 1


def test_a_checkpoint_without_checksums_is_read(workdir, caplog):
  shutil.rmtree(workdir / "checkpoints" / "2" / "manifest")
  assert restore(workdir, state(0)).train.step == 2
  assert "checkpoints/2 has no checksums" in caplog.text
  with pytest.raises(config_lib.UsageError, match="w is float32"):
    restore(workdir, state(0, w=np.ones(4, np.float32)))


@pytest.mark.parametrize("first", [True, False])
def test_a_save_is_read_back(tmp_path, monkeypatch, first):
  """A store that drops what it is given is noticed, the first time at once."""
  manager = checkpoints.Checkpoints(tmp_path)
  if not first:
    manager.save(1, state(1))
  restored = manager._restore

  def other(step, like):
    found = restored(step, like)
    found["train"]["params"]["w"] = found["train"]["params"]["w"] + 1
    return found

  monkeypatch.setattr(manager, "_restore", other)
  with pytest.raises(OSError, match="cannot be read back after it was written: "
                     "train/params/w is not what"):
    manager.save(2, state(2))
    assert not first
    manager.save(3, state(3))
  manager.close()


@pytest.mark.parametrize("name", ["a[b]", "a]", "back\\slash"])
def test_a_path_that_the_store_cannot_handle_is_refused(tmp_path, name):
  with pytest.raises(config_lib.UsageError, match="rename to a path without"):
    checkpoints.Checkpoints(tmp_path / name)


@pytest.mark.parametrize("name", [
    "st*r", "q?m", "ha#sh", "per%20cent", "sp ace", "ünï", "new\nline", "{br}",
    "-dash", "$d", "a,b:c;d"])
def test_other_paths_work(tmp_path, name):
  manager = checkpoints.Checkpoints(tmp_path / name)
  manager.save(1, state(1))
  manager.close()
  assert restore(tmp_path / name, state(0)).train.step == 1


def test_a_reader_looks_again_after_a_removal(workdir, monkeypatch, caplog):
  """The writer removes a checkpoint after the reader has listed it."""
  reader = checkpoints.Checkpoints(workdir)
  read = reader._read

  def after_a_removal(step, like):
    if step == 2:
      for old in (1, 2):
        shutil.rmtree(workdir / "checkpoints" / str(old))
      writer = checkpoints.Checkpoints(workdir)
      writer.save(3, state(3))
      writer.close()
    return read(step, like)

  monkeypatch.setattr(reader, "_read", after_a_removal)
  assert reader.restore(state(0)).train.step == 3
  reader.close()
  assert "CANNOT BE READ" not in caplog.text


def test_only_the_writer_clears_what_was_left_half_written(workdir):
  left = workdir / "checkpoints" / "3.orbax-checkpoint-tmp"
  left.mkdir()
  (left / "train").touch()
  restore(workdir, state(0))
  assert left.exists()
  checkpoints.Checkpoints(workdir, writes=True).close()
  assert not left.exists()
