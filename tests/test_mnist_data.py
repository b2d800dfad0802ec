"""MNIST's files, idx or prepared, as arrays; test_damaged_data.py has more."""

import gzip
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_helpers import idx, png, prepare

from tasks.mnist import reader

NUM = {"train": 5011, "test": 13}
NUMBERS = {split: np.random.default_rng(seed) for seed, split in
           enumerate(NUM)}
IMAGES = {split: rng.integers(0, 256, (NUM[split], 28, 28), np.uint8)
          for split, rng in NUMBERS.items()}
LABELS = {split: rng.integers(0, 10, NUM[split]).astype(np.uint8)
          for split, rng in NUMBERS.items()}


def pack(content: bytes) -> bytes:
  return gzip.compress(content, 1)


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
  return {name: pack(idx(array[split]))
          for split, names in reader.FILES.items()
          for name, array in zip(names, (IMAGES, LABELS), strict=True)}


@pytest.fixture
def folder(packed, tmp_path) -> pathlib.Path:
  (tmp_path / "data").mkdir()
  for name, content in packed.items():
    (tmp_path / "data" / name).write_bytes(content)
  return tmp_path / "data"


def load(split: str, folder: pathlib.Path) -> reader.Digits:
  return reader.load_digits(split, str(folder))


def test_names_are_those_of_the_originals():
  assert set(sum(reader.FILES.values(), ())) == {
      "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
      "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}


@pytest.mark.parametrize("split, rows", [
    ("train", slice(0, 11)), ("validation", slice(11, None)),
    ("test", slice(None))])
@pytest.mark.parametrize("subfolder", [False, True])
def test_splits(folder, tmp_path, split, rows, subfolder):
  stored = "test" if split == "test" else "train"
  if subfolder:
    folder.rename(tmp_path / "mnist")
    folder = tmp_path
  images, labels = load(split, folder)
  assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
  assert len(images) == {"train": 11, "validation": 5000, "test": 13}[split]
  np.testing.assert_array_equal(images, IMAGES[stored][rows])
  np.testing.assert_array_equal(labels, LABELS[stored][rows])


def test_a_split_needs_its_own_files_alone(folder):
  for name in reader.FILES["train"]:
    (folder / name).unlink()
  assert len(load("test", folder).labels) == 13
  with pytest.raises(FileNotFoundError, match=r"looked for train-images-idx3-u"
                     r"byte.*there: t10k-images-idx3-ubyte\.gz, "
                     r"t10k-labels-idx1-ubyte\.gz\)"):
    load("train", folder)


def test_missing_data_say_what_to_get(tmp_path):
  for data_dir in (None, str(tmp_path), str(tmp_path / "nowhere")):
    with pytest.raises(FileNotFoundError) as error:
      reader.load_digits("train", data_dir)
    for names in reader.FILES.values():
      assert all(name in str(error.value) for name in (*names, "--data_dir"))


def test_unknown_splits_are_refused(folder):
  with pytest.raises(ValueError, match="unknown split 'valid'; valid splits: "
                     "train, validation, test"):
    load("valid", folder)


IMAGE_FILE, LABEL_FILE = reader.FILES["test"]


def words_of(error) -> str:
  """Returns a message without its final advice, which names all files."""
  return str(error.value).partition("; get the four")[0]


@pytest.mark.parametrize("name, content, words", [
    (IMAGE_FILE, b"", "should begin with the magic number 00000803"),
    (IMAGE_FILE, b"no gzip", "should begin with the magic number 00000803"),
    (IMAGE_FILE, pack(idx(IMAGES["test"]))[:-1000], "end-of-stream"),
    (IMAGE_FILE, pack(idx(IMAGES["test"])) + b"no gzip", "gzip"),
    (IMAGE_FILE, pack(idx(LABELS["test"])), "magic number 00000803"),
    (LABEL_FILE, pack(idx(IMAGES["test"])), "magic number 00000801"),
    (LABEL_FILE, pack(idx(LABELS["test"])[:6]), "begins with 000008010000"),
    (IMAGE_FILE, pack(idx(IMAGES["test"])[:-1]),
     r"\(13, 28, 28\) = 10192 bytes .* holds 10191"),
    (LABEL_FILE, pack(idx(LABELS["test"]) + b"x"), "holds more than 13"),
    (LABEL_FILE, pack(idx(LABELS["test"][:11])),
     "there are 13 images, but 11 labels"),
    (LABEL_FILE, pack(idx(np.append(LABELS["test"][:12], np.uint8(11)))),
     "should be digits, but they are 0 to 11"),
    (IMAGE_FILE, pack(idx(IMAGES["test"][:, :27])), r"has \(13, 27, 28\)"),
    (IMAGE_FILE, pack(idx(IMAGES["test"][:0])), r"has \(0, 28, 28\)"),
    # A bomb: the header alone is read.
    (IMAGE_FILE, pack(b"\0\0\x08\x03" + b"\xff" * 12 + bytes(10 ** 6)),
     "up to .* has .4294967295"),
], ids=range(14))
def test_broken_files_are_named(folder, name, content, words):
  (folder / name).write_bytes(content)
  with pytest.raises(ValueError, match=words) as error:
    load("test", folder)
  # If images and labels do not match, the message names the labels.
  assert {name, LABEL_FILE} & set(re.findall(r"[\w-]+\.gz", words_of(error)))
  assert len(load("train", folder).labels) == 11


def test_a_flipped_bit_is_found(folder):
  # Flip a bit in the middle of the packed data, which has a checksum.
  content = bytearray((folder / IMAGE_FILE).read_bytes())
  content[len(content) // 2] ^= 1
  (folder / IMAGE_FILE).write_bytes(content)
  with pytest.raises(ValueError, match=rf"cannot read .*{IMAGE_FILE}: "):
    load("test", folder)


def test_too_few_digits_for_validation(folder):
  for name, array in zip(reader.FILES["train"], (IMAGES, LABELS),
                         strict=True):
    (folder / name).write_bytes(pack(idx(array["train"][:5000])))
  for split in ("train", "validation"):
    with pytest.raises(ValueError, match="there are 5000"):
      load(split, folder)


FORMS = {
    "packed": lambda name: name,
    "unpacked": lambda name: name.removesuffix(".gz"),
    "packed, with a dot": lambda name: name.replace("-idx", ".idx"),
    "with a dot": lambda name: name.replace("-idx", ".idx").removesuffix(".gz"),
}


@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw", "raw"])
@pytest.mark.parametrize("form", FORMS)
def test_files_as_people_have_them(tmp_path, packed, place, form):
  (tmp_path / place).mkdir(parents=True, exist_ok=True)
  for name in reader.FILES["test"]:
    given = FORMS[form](name)
    content = packed[name]
    (tmp_path / place / given).write_bytes(
        content if given.endswith(".gz") else gzip.decompress(content))
  images, labels = load("test", tmp_path)
  np.testing.assert_array_equal(images, IMAGES["test"])
  np.testing.assert_array_equal(labels, LABELS["test"])


def test_content_tells_whether_a_file_is_packed(folder, packed):
  for name in reader.FILES["test"]:  # As some browsers save them.
    (folder / name).write_bytes(gzip.decompress(packed[name]))
  np.testing.assert_array_equal(load("test", folder).images, IMAGES["test"])


def test_of_several_files_the_original_is_read(folder):
  for form in ("unpacked", "with a dot"):
    for name in reader.FILES["test"]:
      (folder / FORMS[form](name)).write_bytes(b"not read")
  assert len(load("test", folder).labels) == 13


def test_swapped_files_are_found_by_their_content(tmp_path):
  # The first labels of the two original files, as published.
  first = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7],
           "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5]}
  for split, other in (("train", "test"), ("test", "train")):
    images, labels = (tmp_path / name for name in reader.FILES[split])
    images.write_bytes(idx(np.zeros((6007, 28, 28), np.uint8)))
    for digits, words in ((first[other], "the files were swapped"),
                          (first[split], "")):
      labels.write_bytes(idx(np.resize(np.uint8(digits), 6007)))
      if words:
        with pytest.raises(ValueError, match=rf"{labels.name}.*{words}"):
          load(split, tmp_path)
      else:
        load(split, tmp_path)
  # Whatever the labels are, there are only so many.
  images.write_bytes(idx(np.zeros((10_001, 28, 28), np.uint8)))
  with pytest.raises(ValueError, match=r"up to \(10000, 28, 28\), has \(10001"):
    load("test", tmp_path)


@pytest.fixture(scope="module")
def stock(tmp_path_factory) -> pathlib.Path:
  """Makes a folder as the stock builder of TensorFlow Datasets does."""
  root = tmp_path_factory.mktemp("stock")
  features = {
      "image": tfds.features.Image(shape=(28, 28, 1), encoding_format="png"),
      "label": tfds.features.ClassLabel(num_classes=10)}
  folder = prepare(root / "build", features, {split: [
      {"image": png(image, compress_level=0), "label": int(label)}
      for image, label in zip(IMAGES[split], LABELS[split], strict=True)]
      for split in NUM})
  shutil.copytree(folder, root / "tfds" / "mnist" / "3.0.1")
  return root / "tfds"


def test_prepared_folders_are_read(stock):
  seen = {}
  for split in reader.SPLITS:
    images, labels = load(split, stock)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    for image, label in zip(images, labels, strict=True):
      seen[image.tobytes()] = (split, label)
  # The stored order differs, so the training and validation splits differ too.
  for split, rest in (("test", {"test"}), ("train", {"train", "validation"})):
    found = [seen.pop(image.tobytes()) for image in IMAGES[split]]
    assert {split for split, _ in found} == rest
    np.testing.assert_array_equal([label for _, label in found], LABELS[split])
  assert not seen
  for given in (stock / "mnist", stock / "mnist" / "3.0.1"):
    np.testing.assert_array_equal(load("test", given).images,
                                  load("test", stock).images)


def make_tensors(root: pathlib.Path, feature, convert) -> pathlib.Path:
  """Prepares the test digits as arrays, not as pictures."""
  return prepare(root, {"image": feature, "label": np.int64}, {"test": [
      {"image": convert(image), "label": int(label)}
      for image, label in zip(IMAGES["test"], LABELS["test"], strict=True)]})


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (28, 28, 3)])
@pytest.mark.parametrize("encoding", ["none", "bytes", "zlib"])
def test_prepared_tensors_are_read(tmp_path, shape, encoding):
  feature = tfds.features.Tensor(
      shape=shape, dtype=np.uint8, encoding=encoding)
  images, labels = load("test", make_tensors(
      tmp_path, feature, lambda image: np.broadcast_to(
          image.reshape(28, 28, *shape[2:] and (1,)), shape).copy()))
  found = {image.tobytes(): label
           for image, label in zip(images, labels, strict=True)}
  assert found == {image.tobytes(): label for image, label in zip(
      IMAGES["test"], LABELS["test"], strict=True)}


@pytest.mark.parametrize("feature, words", [
    (tfds.features.Tensor(shape=(28, 28), dtype=np.float32), "is float32"),
    (tfds.features.Tensor(shape=(784,), dtype=np.uint8), r"shape \(784,\)"),
    (tfds.features.Text(), "is "),
], ids=["float", "flat", "text"])
def test_prepared_features_of_other_kinds_are_refused(tmp_path, feature, words):
  converters = {(28, 28): np.float32, (784,): np.ravel, (): lambda _: "x"}
  folder = make_tensors(tmp_path, feature, converters[feature.shape])
  with pytest.raises(ValueError, match=r"features.json: feature 'image' should "
                     rf"be uint8 of shape .*{words}"):
    load("test", folder)


def test_other_prepared_data_sets_are_refused(stock, tmp_path):
  folder = shutil.copytree(stock / "mnist" / "3.0.1", tmp_path / "mnist")
  content = json.loads((folder / "features.json").read_text())
  features = content["featuresDict"]["features"]
  features["picture"] = features.pop("image")
  (folder / "features.json").write_text(json.dumps(content))
  with pytest.raises(ValueError, match="feature 'image'; its features: "
                     "label, picture"):
    load("test", folder)


def test_tfrecord_folders_are_refused(stock, tmp_path):
  folder = shutil.copytree(stock / "mnist" / "3.0.1", tmp_path / "mnist")
  content = json.loads((folder / "dataset_info.json").read_text())
  assert content["fileFormat"] == "array_record"
  content["fileFormat"] = "tfrecord"
  (folder / "dataset_info.json").write_text(json.dumps(content))
  with pytest.raises(ValueError, match="file_format='array_record'"):
    load("test", folder)


def test_the_original_files_need_no_tfds(folder):
  code = ("import sys; from tasks.mnist import reader; "
          f"reader.load_digits('test', {str(folder)!r}); "
          "sys.exit('tensorflow_datasets' in sys.modules)")
  root = pathlib.Path(__file__).parents[1]
  assert subprocess.run([sys.executable, "-c", code], cwd=root,
                        check=False).returncode == 0
  assert "tensorflow_datasets" in sys.modules  # The name is still right.


def test_real_files(data_root):
  digits = {split: load(split, data_root / "mnist")
            for split in reader.SPLITS}
  assert {split: len(labels) for split, (_, labels) in digits.items()} == {
      "train": 55_000, "validation": 5_000, "test": 10_000}
  # Published values: the count of each digit in test, and the first digits of
  # train.
  np.testing.assert_array_equal(
      np.bincount(digits["test"].labels),
      [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
  np.testing.assert_array_equal(digits["train"].labels[:5], [5, 0, 4, 1, 9])
  # The published mean and standard deviation of the pixels.
  odds = np.bincount(digits["train"].images.ravel(), minlength=256)
  mean, square = (odds @ (np.arange(256) / 255) ** power / odds.sum()
                  for power in (1, 2))
  np.testing.assert_allclose(mean, 0.1307, atol=3e-4)
  np.testing.assert_allclose(np.sqrt(square - mean ** 2), 0.3081, atol=3e-4)
