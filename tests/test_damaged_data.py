"""Data that arrived damaged or halfway: one line that names the file."""

import gzip
import io
import pathlib
import struct
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_helpers import idx, png, prepare
from launch_helpers import run

from launch import train
from launch.configs import config as config_lib
from tasks.data import errors
from tasks.mnist import reader as mnist
from tasks.omniglot import reader as omniglot

ARCHIVE = "images_evaluation.zip"
SHARD = "small-test.array_record-00000-of-00001"
INFO, FEATURES = "dataset_info.json", "features.json"
NUM = 13  # Digits.


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def refused(load, path: pathlib.Path, words: str) -> None:
  """Checks the message of the error that `load` raises."""
  with pytest.raises(errors.DataError) as error:
    load()
  message = str(error.value)
  assert message.startswith(f"cannot read {path}")
  assert words in message
  assert "get " in message  # What to do.
  assert "\n" not in message
  assert len(message) < 1200


# The archives of Omniglot.


def bomb(side: int = 100_000) -> bytes:
  """Returns a PNG whose header alone asks for 30 GB."""
  picture = bytearray(png(np.zeros((105, 105), bool)).getvalue())
  picture[16:24] = struct.pack(">2I", side, side)
  picture[29:33] = struct.pack(">I", zlib.crc32(picture[12:29]))
  return bytes(picture)


def archive_of(change=lambda drawer, content: content,
               compression=zipfile.ZIP_STORED, drawers: int = 20) -> bytes:
  """Returns an archive of one character."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", compression) as archive:
    for drawer in range(1, drawers + 1):
      content = png(np.eye(105) < drawer / 21).getvalue()
      archive.writestr(f"images_evaluation/Own/character01/0970_{drawer:02}.png",
                       change(drawer, content))
  return file.getvalue()


def only(number: int, content: bytes):
  return lambda drawer, whole: content if drawer == number else whole


def in_headers(offset: int, value: bytes) -> bytes:
  """Returns an archive with other numbers in both headers of member 7.

  Args:
    offset: of the number in the local header; two more in the central one.
    value: the number, little-endian.
  """
  content = bytearray(archive_of())
  name = b"images_evaluation/Own/character01/0970_07.png"
  local, central = content.index(name) - 30, content.rindex(name) - 46
  assert content[local:local + 4] == b"PK\3\4"
  assert content[central:central + 4] == b"PK\1\2"
  for start in (local + offset, central + offset + 2):
    content[start:start + len(value)] = value
  return bytes(content)


def flipped(content: bytes, place: int) -> bytes:
  return content[:place] + bytes([content[place] ^ 16]) + content[place + 1:]


MEMBER = "/images_evaluation/Own/character01/0970_07.png"
ARCHIVES = {
    "empty": (b"", "", "not a zip file"),
    "text": (b"<html>not found</html>", "", "not a zip file"),
    "half": (archive_of()[:3000], "", "not a zip file"),
    "no drawing": (archive_of(drawers=0), "", "no such file"),
    "one drawing too few": (archive_of(drawers=19), "", "970: 19"),
    "flipped": (flipped(archive_of(), archive_of().index(b"0970_07.png") + 90),
                MEMBER, "CRC"),
    "wrong CRC": (in_headers(14, b"\1\2\3\4"), MEMBER, "CRC"),
    "encrypted": (in_headers(6, b"\1\0"), MEMBER, "encrypted"),
    "unknown compression": (in_headers(8, b"\x63\0"), MEMBER, "compression 99"),
    "lzma": (archive_of(compression=zipfile.ZIP_LZMA), MEMBER[:-6],
             "compression 14 is not supported; valid: stored, deflated"),
    "3 GB": (in_headers(22, struct.pack("<I", 3 * 2 ** 30)), MEMBER,
             "should have at most 65536 bytes, has 3221225472"),
    "3 GB packed": (in_headers(18, struct.pack("<I", 3 * 2 ** 30)), MEMBER,
                    "should have at most 65536 bytes, has 3221225472"),
    "zeros": (archive_of(only(7, bytes(10 ** 5)), zipfile.ZIP_DEFLATED),
              MEMBER, "has 100000"),
    "PNG bomb": (archive_of(only(7, bomb())), MEMBER,
                 "should have 105 x 105 pixels, has 100000 x 100000"),
    "another size": (archive_of(only(7, png(np.eye(28) > 0).getvalue())),
                     MEMBER, "105 x 105 pixels, has 28 x 28"),
    "half a PNG": (archive_of(only(
        7, png(np.eye(105) > 0).getvalue()[:60])), MEMBER, "truncated"),
    "no PNG": (archive_of(only(7, b"GIF89a, and so on, and so on")), MEMBER,
               "is not a PNG"),
    "empty PNG": (archive_of(only(7, b"")), MEMBER, "is not a PNG"),
}


@pytest.mark.parametrize("damage", ARCHIVES)
def test_archives(tmp_path, damage):
  content, member, words = ARCHIVES[damage]
  path = tmp_path / ARCHIVE
  path.write_bytes(archive_of())
  assert omniglot.load_images("test", str(tmp_path)).shape[0] == 1
  path.write_bytes(content)
  refused(lambda: omniglot.load_images("test", str(tmp_path)),
          pathlib.Path(f"{path}{member}"), words)


def test_an_archive_of_gigabytes(tmp_path):
  with (tmp_path / ARCHIVE).open("wb") as file:
    file.truncate(3 * 2 ** 30)  # No disk is used.
  refused(lambda: omniglot.load_images("test", str(tmp_path)),
          tmp_path / ARCHIVE, "at most 134217728 bytes, has 3221225472")


# The files of MNIST.


def test_a_gzip_bomb_takes_no_memory(tmp_path):
  images, labels = (tmp_path / name for name in mnist.FILES["test"])
  labels.write_bytes(idx(np.zeros(NUM, np.uint8)))
  zeros = bytes(10 ** 8)
  images.write_bytes(gzip.compress(
      idx(np.zeros((NUM, 28, 28), np.uint8)) + zeros, 1))
  assert images.stat().st_size < 10 ** 6
  tracemalloc.start()
  try:
    refused(lambda: mnist.load_digits("test", str(tmp_path)), images,
            "holds more than 10192")
    assert tracemalloc.get_traced_memory()[1] < 10 ** 7
  finally:
    tracemalloc.stop()


# Prepared folders.


def digits(change=lambda i, content: content):
  return [{"image": change(i, png(np.full((28, 28), i, np.uint8))), "label": i}
          for i in range(NUM - 4)]


def make_digits(root: pathlib.Path, examples, split="test") -> pathlib.Path:
  image = tfds.features.Image(shape=(28, 28, 1), encoding_format="png")
  return prepare(root, {"image": image, "label": np.int64}, {split: examples})


def of_shard(change):
  return SHARD, lambda path: path.write_bytes(change(path.read_bytes()))


def of_text(name, old, new):
  def change(path):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
  return name, change


PREPARED = {
    "missing shard": ((SHARD, pathlib.Path.unlink), "No such file"),
    "empty shard": (of_shard(lambda content: b""), "64KB"),
    "other shard": (of_shard(lambda content: b"x" * 10 ** 5), "Corrupted"),
    "half a shard": (of_shard(lambda content: content[:70_000]), "Corrupted"),
    "flipped shard": (of_shard(lambda content: flipped(content, 200)),
                      "hash mismatch"),
    "shard too short": (of_text(INFO, '"9"', '"11"'),
                        "should hold 11 examples according to"),
    "shard too long": (of_text(INFO, '"9"', '"7"'),
                       "should hold 7 examples according to"),
    "no example": (of_text(INFO, '"9"', '"0"'), "at most 10000 examples"),
    "too many": (of_text(INFO, '"9"', '"10001"'), "at most 10000 examples"),
    "no description": ((INFO, lambda path: path.write_text("")), "JSON"),
    "half a description": (of_text(INFO, "}", ""), "JSON"),
    "later version": (of_text(INFO, '"name": "small"',
                              '"novelty": 3, "name": "small"'), "novelty"),
    "no split": (of_text(INFO, '"test"', '"train"'), "no split 'test'"),
    "tfrecord": (of_text(INFO, '"array_record"', '"tfrecord"'),
                 "the format tfrecord needs TensorFlow"),
    "no features": ((FEATURES, pathlib.Path.unlink), "small"),
    "empty features": ((FEATURES, lambda path: path.write_text("{}")), "name"),
    "later feature": (of_text(FEATURES, "image_feature.Image",
                              "image_feature.Hologram"), "Hologram"),
}
# TensorFlow Datasets reads both descriptions at once.
NAMED = {"shard too short": SHARD, "shard too long": SHARD,
         **dict.fromkeys(("no features", "empty features", "later feature"),
                         INFO)}


@pytest.fixture(scope="module")
def small_digits(tmp_path_factory) -> dict[str, bytes]:
  folder = make_digits(tmp_path_factory.mktemp("digits"), digits())
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(small_digits, tmp_path) -> pathlib.Path:
  (tmp_path / "mnist").mkdir()
  for name, content in small_digits.items():
    (tmp_path / "mnist" / name).write_bytes(content)
  return tmp_path / "mnist"


@pytest.mark.parametrize("damage", PREPARED)
def test_prepared_folders(folder, damage):
  assert len(mnist.load_digits("test", str(folder)).labels) == NUM - 4
  (name, change), words = PREPARED[damage]
  change(folder / name)
  refused(lambda: mnist.load_digits("test", str(folder)),
          folder / NAMED.get(damage, name), words)


@pytest.mark.parametrize("picture, words", [
    (bomb(), "should have 28 x 28 pixels, has 100000 x 100000"),
    (png(np.zeros((105, 105), bool)).getvalue(), "has 105 x 105"),
    (b"\xff\xd8\xff\xe0 JPEG", "is not a PNG"),
], ids=["bomb", "another size", "no PNG"])
def test_prepared_pictures(tmp_path, picture, words):
  folder = make_digits(tmp_path, digits(
      lambda i, content: io.BytesIO(picture) if i == 5 else content))
  refused(lambda: mnist.load_digits("test", str(folder)), folder / SHARD, words)


def test_prepared_labels(tmp_path):
  folder = make_digits(tmp_path, [
      *digits(), {"image": png(np.eye(28) > 0), "label": -1}])
  refused(lambda: mnist.load_digits("test", str(folder)), folder,
          "should be digits, but they are -1 to 8")


@pytest.mark.parametrize("library", [
    "tensorflow_datasets", "array_record.python"])
def test_without_the_libraries(folder, monkeypatch, library):
  for name in [name for name in sys.modules if name.startswith(library)]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, library, None)
  refused(lambda: mnist.load_digits("test", str(folder)), folder,
          "pip install -e '.[train]'")


# In a program.


@pytest.mark.parametrize("family", ["mnist", "omniglot"])
def test_programs_say_it_in_one_line(folder, tmp_path, capfd, family):
  (folder / SHARD).write_bytes(flipped((folder / SHARD).read_bytes(), 200))
  (tmp_path / "images_background.zip").write_bytes(
      in_headers(6, b"\1\0").replace(b"_evaluation", b"_background"))
  workdir = tmp_path / "run"
  argv = {"mnist": ["--task=mnist_counting", f"--data_dir={folder}"],
          "omniglot": ["--task=omniglot", f"--data_dir={tmp_path}"]}[family]
  if family == "mnist":
    text = (folder / INFO).read_text()
    (folder / INFO).write_text(text.replace('"test"', '"train"'))
    (folder / SHARD).rename(folder / SHARD.replace("test", "train"))
  capfd.readouterr()
  status = run(train, *argv, f"--workdir={workdir}")
  out, err = capfd.readouterr()
  assert status == config_lib.EXIT_USAGE
  assert out == ""
  assert err.startswith("error: cannot read ")
  assert err.count("\n") == 1 and err.endswith("\n")
  assert ("small-train.array_record" if family == "mnist" else
          "images_background.zip") in err
  assert not (workdir / "config.json").exists()
