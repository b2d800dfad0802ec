"""Tests which checkpoints are read, moved aside and refused."""

import functools
import json
import os
import pathlib
import resource
import shutil
import threading
import zlib

import numpy as np
import pytest
from launch_helpers import assert_same

from launch.configs import config as config_lib
from launch.learning.learner import RunState, TrainState
from launch.runs import checkpoints, manifest, store

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
  save(tmp_path, state(1), state(2))
  return tmp_path


def save(workdir: pathlib.Path, *states: RunState) -> None:
  manager = checkpoints.Checkpoints(workdir, writes=True)
  for each in states:
    manager.save(int(each.train.step), each)
  manager.close()


def damage(workdir: pathlib.Path, step: int) -> None:
  shutil.rmtree(workdir / "checkpoints" / str(step) / "train")


def restore(workdir: pathlib.Path, like: RunState, writes: bool = False):
  manager = checkpoints.Checkpoints(workdir, writes=writes)
  try:
    return manager.restore(like)
  finally:
    manager.close()


def names(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (*workdir.iterdir(),
                                 *(workdir / "checkpoints").iterdir())}


@pytest.mark.parametrize("writes", [False, True])
def test_only_the_training_process_moves_a_damaged_one(workdir, writes, caplog):
  damage(workdir, 2)
  assert restore(workdir, state(0), writes).train.step == 1
  assert "checkpoints/2 CANNOT BE READ" in caplog.text
  assert ("damaged-checkpoint-2" in names(workdir)) == writes
  assert ("2" in names(workdir)) != writes


def test_none_is_moved_if_none_can_be_read(workdir):
  for step in (1, 2):
    damage(workdir, step)
  before = names(workdir)
  for _ in range(2):  # The first start changes nothing.
    with pytest.raises(config_lib.UsageError, match=r"none of .* \[2, 1\]"):
      restore(workdir, state(0), writes=True)
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
    restore(workdir, state(0, **params), writes=True)
  assert names(workdir) == before


def test_too_many_open_files_are_no_damage(workdir):
  manager = checkpoints.Checkpoints(workdir, writes=True)
  limits = resource.getrlimit(resource.RLIMIT_NOFILE)
  # The next file that is opened gets this number, or a higher one.
  free = os.open(os.devnull, os.O_RDONLY)
  os.close(free)
  resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
  try:
    with pytest.raises(config_lib.UsageError, match="Too many open files"):
      manager.restore(state(0))
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
  assert manager.restore(state(0)).train.step == 2
  manager.close()


@pytest.mark.parametrize("first", [True, False])
def test_a_failed_save_is_reported(tmp_path, monkeypatch, first):
  """Orbax writes in threads, which raise errors of many types."""
  def fail(*_):
    raise RuntimeError("Failed writing: No room [os_error_code='28']\nand more")

  manager = checkpoints.Checkpoints(tmp_path, writes=True)
  if not first:
    manager.save(1, state(1))
  monkeypatch.setattr(store.Store, "write", fail)
  with pytest.raises(
      OSError, match=r"cannot save in .*checkpoints: No space .* device$"):
    manager.save(2, state(2))
    assert not first
    manager.close()
  manager.close()


def test_source_state(tmp_path, caplog):
  """The source state is saved beside the training state; reads may omit it."""
  source = {"memory": np.arange(6, dtype=np.float32).reshape(2, 3),
            "position": np.arange(2, dtype=np.int32)}
  save(tmp_path, state(1, source),
       state(2))  # Damaged: the source state is missing.
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


def truncate(path: pathlib.Path, bit: int) -> None:
  path.write_bytes(path.read_bytes()[:bit // 8])


def remove(path: pathlib.Path, _: int) -> None:
  path.unlink()


@pytest.mark.parametrize("damage_file", [flip, truncate, remove])
def test_damage_never_gives_other_numbers(tmp_path, damage_file, caplog):
  """Reads exactly what was written, or loudly the checkpoint before it."""
  rng = np.random.default_rng(0)
  written = {step: state(step, dict(p=rng.integers(9, size=5)),
                         w=rng.normal(size=(7, 5)).astype(np.float32),
                         v=rng.normal(size=400)) for step in (1, 2)}
  save(tmp_path, *written.values())
  folder, whole = tmp_path / "checkpoints" / "2", tmp_path / "whole"
  shutil.copytree(folder, whole)
  counts = {1: 0, 2: 0}
  for path in files(tmp_path, 2):
    damage_file(path, int(rng.integers(8 * path.stat().st_size)))
    caplog.clear()
    found = restore(tmp_path, written[2])
    step = int(found.train.step)
    assert_same(found, written[step])
    assert ("2 CANNOT BE READ" in caplog.text) == (step == 1)
    counts[step] += 1
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
  assert counts[1] > 3  # The files of numbers are among those damaged.


def test_another_value_of_the_same_type_is_noticed(workdir, caplog):
  """Damage that no format notices: the arrays of another checkpoint."""
  folder = workdir / "checkpoints"
  shutil.rmtree(folder / "2" / "train")
  shutil.copytree(folder / "1" / "train", folder / "2" / "train")
  assert restore(workdir, state(0)).train.step == 1
  assert "train/step is not what was written" in caplog.text


def test_a_damaged_manifest_is_noticed(workdir):
  """Damage that looks like another network."""
  path = workdir / "checkpoints" / "2" / "manifest" / "metadata"
  assert "[3]" in path.read_text()
  path.write_text(path.read_text().replace("[3]", "[4]"))
  assert restore(workdir, state(0)).train.step == 1


def rewrite_manifest(workdir, step, change):
  path = workdir / "checkpoints" / str(step) / "manifest" / "metadata"
  stored = json.loads(path.read_text())
  change(stored)
  path.write_text(json.dumps(stored))


def test_a_manifest_without_a_format_is_read(workdir, caplog):
  """Versions before formats had the checksum of the arrays alone."""
  def age(stored):
    assert stored.pop("format") == manifest.FORMAT
    stored["checksum"] = zlib.crc32(json.dumps(
        stored["arrays"], sort_keys=True).encode())

  rewrite_manifest(workdir, 2, age)
  assert restore(workdir, state(0)).train.step == 2
  assert not caplog.text


@pytest.mark.parametrize("writes", [True, False])
def test_a_newer_format_is_no_damage(workdir, writes):
  def renew(stored):
    del stored["checksum"], stored["arrays"]
    stored |= {"format": manifest.FORMAT + 1, "tensors": [1]}
    stored["checksum"] = zlib.crc32(json.dumps(
        stored, sort_keys=True).encode())

  rewrite_manifest(workdir, 2, renew)
  before = names(workdir)
  with pytest.raises(config_lib.UsageError, match=(
      f"checkpoints/2 has format {manifest.FORMAT + 1}, and this version reads "
      f"formats 0 to {manifest.FORMAT}: a newer version has written it")):
    restore(workdir, state(0), writes)
  assert names(workdir) == before


def test_a_damaged_format_is_damage(workdir, caplog):
  rewrite_manifest(workdir, 2, lambda stored: stored.update(format=9))
  assert restore(workdir, state(0)).train.step == 1
  assert "2 CANNOT BE READ" in caplog.text


def test_a_checkpoint_without_checksums_is_read(workdir, caplog):
  shutil.rmtree(workdir / "checkpoints" / "2" / "manifest")
  assert restore(workdir, state(0)).train.step == 2
  assert [record.getMessage() for record in caplog.records
          if record.levelname == "WARNING"] == [
      f"checkpoint {workdir}/checkpoints/2 has no checksums: what is read may "
      "not be what was written"]
  with pytest.raises(config_lib.UsageError, match="w is float32"):
    restore(workdir, state(0, w=np.ones(4, np.float32)))


@pytest.mark.parametrize("first", [True, False])
def test_a_save_is_read_back(tmp_path, monkeypatch, first):
  """A store that drops what it is given is noticed, the first time at once."""
  manager = checkpoints.Checkpoints(tmp_path, max_to_keep=1, writes=True)
  if not first:
    manager.save(1, state(1))
  read = store.Store.read

  def other(self, step, like):
    found = read(self, step, like)
    found["train"]["params"]["w"] = found["train"]["params"]["w"] + 1
    return found

  monkeypatch.setattr(store.Store, "read", other)
  with pytest.raises(OSError, match="cannot be read back after it was written: "
                     "train/params/w is not what"):
    manager.save(2, state(2))
    assert not first
    manager.save(3, state(3))
  manager.close()
  # The one before it is not removed for one that is not good.
  assert first or {"1", "2"} <= names(tmp_path)


def test_a_state_may_change_once_save_returns(workdir, monkeypatch):
  """The training loop gives the memory of its state to the next update."""
  has_changed = threading.Event()
  facts = manifest.facts

  def wait(parts):
    assert has_changed.wait(60)
    return facts(parts)

  manager = checkpoints.Checkpoints(workdir, writes=True)
  manager.save(3, state(3))  # The first one is waited for.
  monkeypatch.setattr(manifest, "facts", wait)
  saved = state(4)
  manager.save(4, saved)
  saved.train.params["w"][:] = 7
  has_changed.set()
  manager.close()
  assert_same(restore(workdir, saved), state(4))


ODD_NAMES = [
    "[a]b", "back\\slash", "st*r", "q?m", "latin\udcff", "gs:", "ha#sh",
    "per%20cent", "sp ace", "ünï", "new\nline", "{br}", "-dash", "$d",
    "a,b:c;d", "/".join(9 * ["long" * 60])]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_path_works(tmp_path, name):
  # TensorStore would merge what is written into both.
  save(tmp_path / "star", state(1, w=np.zeros(3, np.float32)))
  save(tmp_path / name, state(1))
  found = restore(tmp_path / name, state(0))
  assert found.train.step == 1
  assert_same(found.train.params, state(1).train.params)


@pytest.mark.parametrize("name, is_refused", [
    ("[a]b", True), ("a]", True), ("back\\slash", True), ("plain", False),
    ("sp ace:#%", False)])
def test_a_path_without_a_way_around_is_refused(
    tmp_path, monkeypatch, name, is_refused):
  """Other systems than Linux do not show opened folders as files."""
  monkeypatch.setattr(store, "_OPENED", tmp_path / "none")
  open_ = functools.partial(checkpoints.Checkpoints, tmp_path / name)
  if not is_refused:
    open_().close()
    return
  with pytest.raises(config_lib.UsageError, match="rename to a path without"):
    open_()


def test_a_reader_looks_again_after_a_removal(workdir, monkeypatch, caplog):
  """The writer removes a checkpoint after the reader has listed it."""
  reader = checkpoints.Checkpoints(workdir)
  read = store.Store.read

  def after_a_removal(self, step, like):
    if step == 2:
      monkeypatch.undo()
      writer = checkpoints.Checkpoints(workdir, max_to_keep=1, writes=True)
      writer.save(3, state(3))
      writer.close()
      assert not {"1", "2"} & names(workdir)
    return read(self, step, like)

  monkeypatch.setattr(store.Store, "read", after_a_removal)
  assert reader.restore(state(0)).train.step == 3
  reader.close()
  assert not [record for record in caplog.records
              if record.levelname == "WARNING"]


def test_a_reader_gives_up_beside_a_writer_that_is_too_fast(
    workdir, monkeypatch):
  def vanish(self, step, like):
    self.path(step).rename(self.path(step + 1))
    raise FileNotFoundError

  monkeypatch.setattr(store.Store, "read", vanish)
  with pytest.raises(config_lib.UsageError, match="faster than they can be re"):
    restore(workdir, state(0))


def test_a_reader_writes_nothing(tmp_path):
  assert restore(tmp_path, state(0)) is None
  assert not list(tmp_path.iterdir())


def test_only_the_writer_clears_what_was_left_half_written(workdir):
  left = {workdir / "checkpoints" / name for name in
          ("3.orbax-checkpoint-tmp", "4.orbax-checkpoint-tmp-17", "1.removed")}
  for path in left:
    path.mkdir()
    (path / "train").touch()
  restore(workdir, state(0))
  assert all(path.exists() for path in left)
  checkpoints.Checkpoints(workdir, writes=True).close()
  assert not any(path.exists() for path in left)
  assert {"1", "2"} <= names(workdir)
