"""Files made to harm: they take no memory, execute nothing, and write nothing.

Each is refused in one line that names it. tests/test_damaged_data.py has the
pictures and archives of Omniglot, and the files of MNIST.
"""

import contextlib
import gzip
import io
import json
import lzma
import pathlib
import pickle
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from data_helpers import babi_text, idx, png, prepare

from launch.benchmarks import index_recall
from tasks.babi import reader as babi
from tasks.data import cache, errors, files
from tasks.mnist import reader as mnist
from tasks.omniglot import archive as omniglot
from tasks.text import places
from tasks.text import reader as text


@contextlib.contextmanager
def little_memory():
  """Fails if more than 64 MiB are taken at once."""
  tracemalloc.start()
  try:
    yield
    assert tracemalloc.get_traced_memory()[1] < 2 ** 26
  finally:
    tracemalloc.stop()


class Bomb:
  """Writes a file when it is unpickled."""

  def __init__(self, path):
    self._path = str(path)

  def __reduce__(self):
    return pathlib.Path.touch, (pathlib.Path(self._path),)


def npy(shape, dtype="<f4", content=b"") -> bytes:
  """Returns an array's file, with any shape in its header."""
  file = io.BytesIO()
  np.lib.format.write_array_header_1_0(file, dict(
      descr=dtype, fortran_order=False, shape=shape))
  return file.getvalue() + content


def npz(path, content, compression=zipfile.ZIP_DEFLATED, name="array.npy"):
  with zipfile.ZipFile(path, "w", compression) as archive:
    archive.writestr(name, content)


NPZ = {
    "10^12 numbers": (npy((10 ** 12,), content=bytes(40)),
                      r"hold \(1000000000000,\) = 4000000000000 bytes"),
    "overflow": (npy((2 ** 40, 2 ** 40), content=bytes(40)), "should hold"),
    "negative": (npy((-1, -10), content=bytes(40)), "should hold"),
    "too short": (npy((10,), content=bytes(39)), "holds 39"),
    "too long": (npy((10,), content=bytes(41)), "holds 41"),
    "bomb": (npy((10 ** 7,), content=bytes(4 * 10 ** 7)), "has 40000"),
    "not an array": (b"x" * 100, "magic string"),
    "a long header": (b"\x93NUMPY\x02\0\xff\xff\xff\xff" + bytes(40),
                      "array header"),
}


@pytest.mark.parametrize("name", NPZ)
def test_arrays(tmp_path, caplog, name):
  content, words = NPZ[name]
  path = tmp_path / "found.npz"
  npz(path, npy((10,), content=bytes(40)))
  assert files.read_npz(path)["array"].shape == (10,)
  npz(path, content)
  with little_memory(), pytest.raises(ValueError, match=words):
    files.read_npz(path)
  with cache.placed_in(str(tmp_path)):
    assert cache.read_all("found.npz") is None
  assert f"Ignoring a broken cache, {path}: " in caplog.text
  with pytest.raises(errors.DataError, match=f"cannot read {path}: .*{words}"):
    index_recall._records(tmp_path)


def test_the_size_of_an_archive_member(tmp_path):
  """The header of the archive claims 3 GiB."""
  path = tmp_path / "found.npz"
  npz(path, npy((10,), content=bytes(40)), zipfile.ZIP_STORED)
  content = bytearray(path.read_bytes())
  place = content.index(b"PK\1\2")
  content[place + 20:place + 28] = struct.pack("<2I", *[3 * 2 ** 30] * 2)
  path.write_bytes(content)
  with little_memory(), pytest.raises(
      ValueError, match=r"array\.npy should be packed from"):
    files.read_npz(path)


def test_no_object_is_unpickled(tmp_path):
  touched, path = tmp_path / "touched", tmp_path / "found.npz"
  pickled = pickle.dumps(Bomb(touched))
  npz(path, npy((), "|O", pickled))
  with pytest.raises(ValueError, match="allow_pickle=False"):
    files.read_npz(path)
  assert not touched.exists()
  pickle.loads(pickled)  # It would have been.
  assert touched.exists()


@pytest.mark.parametrize("ending, pack", [
    (".gz", lambda content: gzip.compress(content, 9)), (".xz", lzma.compress)])
def test_a_text_bomb(tmp_path, ending, pack):
  path = tmp_path / f"text.txt{ending}"
  path.write_bytes(pack(b"a b\n" * 2 ** 23))  # 32 MiB.
  source = places.Source(whole=path, parts={}, folder=None, label="a text")
  reader = text.Reader(source, "words", "text")
  with little_memory(), pytest.raises(errors.DataError) as error:
    list(reader.pieces("train"))
  assert str(error.value).startswith(
      f"cannot read {path}: unpacks to more than {2 ** 24} bytes")


def test_a_text_is_not_packed_though_its_name_says_so(tmp_path):
  path = tmp_path / "text.txt.gz"
  path.write_text("<html>not found</html>")
  with pytest.raises(gzip.BadGzipFile), files.Unpacked(path) as file:
    file.read()


def tar_of(path, members):
  """Writes an archive of (name, content, change of the header)."""
  with tarfile.open(path, "w:gz") as archive:
    for name, content, change in members:
      info = tarfile.TarInfo(name)
      info.size = len(content)
      change(info)
      archive.addfile(info, io.BytesIO(content))


def of_babi(tmp_path, *more):
  path = tmp_path / "tasks_1-20_v1-2.tar.gz"
  content = babi_text(1).encode()
  tar_of(path, [*more, *((f"babi/en/qa1_x_{split}.txt", content, lambda _: None)
                         for split in ("train", "test"))])
  return path


def test_a_header_of_gigabytes_in_a_tar(tmp_path, monkeypatch):
  """tarfile reads a long name into memory, whatever its size."""
  monkeypatch.setattr(babi, "_MAX_UNPACKED", 2 ** 23)
  path = tmp_path / "tasks_1-20_v1-2.tar.gz"
  header = tarfile.TarInfo("x")
  header.type, header.size = tarfile.GNUTYPE_LONGNAME, 10 ** 10
  path.write_bytes(gzip.compress(
      header.tobuf(tarfile.GNU_FORMAT) + bytes(10 ** 8), 1))
  with little_memory(), pytest.raises(errors.DataError) as error:
    babi.load_stories("train", str(tmp_path), "en", {1: 1000})
  assert str(error.value).startswith(
      f"cannot read {path}: unpacks to more than {2 ** 23} bytes")


OUTSIDE = ["../../out.txt", "/tmp/rmc_nalu_sam_out.txt",
           "../../en/qa1_x_train.extra.txt", "C:\\out.txt"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_in_a_tar_write_nothing(tmp_path, name):
  def link(info):
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0

  (tmp_path / "a" / "b").mkdir(parents=True)
  of_babi(tmp_path / "a" / "b", (name, b"1 a b.\n", lambda _: None),
          ("babi/en/qa2_x_train.txt", b"", link))
  before = sorted(tmp_path.rglob("*"))
  data = babi.load_stories("train", str(tmp_path / "a" / "b"), "en", {1: 1000})
  assert data.count.sum()
  assert sorted(tmp_path.rglob("*")) == before
  assert not pathlib.Path("/tmp/rmc_nalu_sam_out.txt").exists()


@pytest.mark.parametrize("name", [
    "../../images_evaluation/Own/character01/0970_01.png", "/etc/out.png"])
def test_names_in_a_zip_write_nothing(tmp_path, name):
  folder = tmp_path / "a" / "b"
  folder.mkdir(parents=True)
  with zipfile.ZipFile(folder / "images_evaluation.zip", "w") as archive:
    for drawer in range(1, 21):
      archive.writestr(
          f"images_evaluation/Own/character01/0970_{drawer:02}.png",
          png(np.eye(105) > 0).getvalue())
    archive.writestr(name, "x")
  before = sorted(tmp_path.rglob("*"))
  assert len(list(omniglot.read(folder / "images_evaluation.zip", "test"))
             ) == 20
  assert sorted(tmp_path.rglob("*")) == before


def test_an_idx_file_of_40_bytes(tmp_path):
  images, labels = (tmp_path / name for name in mnist.FILES["test"])
  labels.write_bytes(idx(np.zeros(13, np.uint8)))
  images.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2 ** 31, 28, 28)
                     + bytes(24))
  with little_memory(), pytest.raises(
      errors.DataError, match="according to its header"):
    mnist.load_digits("test", str(tmp_path))


def test_a_prepared_folder_names_no_module_to_import(tmp_path, monkeypatch):
  import tensorflow_datasets as tfds
  image = tfds.features.Image(shape=(28, 28, 1), encoding_format="png")
  folder = prepare(tmp_path, {"image": image, "label": np.int64}, {
      "test": [{"image": png(np.eye(28) > 0), "label": 1}]})
  module = tmp_path / "modules" / "hostile_features.py"
  module.parent.mkdir()
  module.write_text("import pathlib\npathlib.Path(__file__).unlink()\n")
  monkeypatch.syspath_prepend(module.parent)
  path = folder / "features.json"
  stored = json.loads(path.read_text())
  features = stored["featuresDict"]["features"]
  features["label"]["pythonClassName"] = "hostile_features.Scalar"
  path.write_text(json.dumps(stored))
  with pytest.raises(errors.DataError) as error:
    mnist.load_digits("test", str(folder))
  assert str(error.value).startswith(
      f"cannot read {path}: should have features of tensorflow_datasets.")
  assert "has hostile_features.Scalar" in str(error.value)
  assert module.exists()
