"""MNIST's files, packed idx or prepared, as arrays."""

import gzip
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tasks.mnist import reader

NUM = {"train": 5011, "test": 13}
NUMBERS = {split: np.random.default_rng(seed) for seed, split in
           enumerate(NUM)}
IMAGES = {split: rng.integers(0, 256, (NUM[split], 28, 28), np.uint8)
          for split, rng in NUMBERS.items()}
LABELS = {split: rng.integers(0, 10, NUM[split]).astype(np.uint8)
          for split, rng in NUMBERS.items()}


def idx(array: np.ndarray) -> bytes:
  """Encodes as idx: two zeros, 8 for bytes, rank, big-endian sizes, data."""
  sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
  return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


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
  with pytest.raises(FileNotFoundError, match=r"there: t10k-images-idx3-ubyte\."
                     r"gz, t10k-labels-idx1-ubyte\.gz; no prepared"):
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
    (IMAGE_FILE, b"no gzip", "is not a whole gzip file"),
    (IMAGE_FILE, pack(idx(IMAGES["test"]))[:-1000], "is not a whole gzip file"),
    (IMAGE_FILE, pack(idx(LABELS["test"])), "magic number 00000803"),
    (LABEL_FILE, pack(idx(IMAGES["test"])), "magic number 00000801"),
    (LABEL_FILE, pack(idx(LABELS["test"])[:6]), "begins with 000008010000"),
    (IMAGE_FILE, pack(idx(IMAGES["test"])[:-1]),
     r"\(13, 28, 28\) = 10192 bytes .* holds 10191"),
    (LABEL_FILE, pack(idx(LABELS["test"]) + b"x"), "= 13 bytes .* holds 14"),
    (LABEL_FILE, pack(idx(LABELS["test"][:11])),
     "has 13 images, but there are 11 labels"),
    (LABEL_FILE, pack(idx(np.append(LABELS["test"][:12], np.uint8(11)))),
     "should be digits, but one is 11"),
    (IMAGE_FILE, pack(idx(IMAGES["test"][:, :27])), r"has \(27, 28\)"),
], ids=range(11))
def test_broken_files_are_named(folder, name, content, words):
  (folder / name).write_bytes(content)
  with pytest.raises(ValueError, match=words) as error:
    load("test", folder)
  # If images and labels do not match, the message names the images.
  assert {name, IMAGE_FILE} & set(re.findall(r"[\w-]+\.gz", words_of(error)))
  assert len(load("train", folder).labels) == 11


def test_a_flipped_bit_is_found(folder):
  # Flip a bit in the middle of the packed data, which has a checksum.
  content = bytearray((folder / IMAGE_FILE).read_bytes())
  content[len(content) // 2] ^= 1
  (folder / IMAGE_FILE).write_bytes(content)
  with pytest.raises(ValueError, match="is not a whole gzip file"):
    load("test", folder)


def test_too_few_digits_for_validation(folder):
  for name, array in zip(reader.FILES["train"], (IMAGES, LABELS),
                         strict=True):
    (folder / name).write_bytes(pack(idx(array["train"][:5000])))
  for split in ("train", "validation"):
    with pytest.raises(ValueError, match="has 5000 digits"):
      load(split, folder)


class Stock(tfds.core.GeneratorBasedBuilder):
  """Stores MNIST like the stock builder of TensorFlow Datasets."""

  name = "mnist_stock"
  VERSION = tfds.core.Version("3.0.1")

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self, description="-", features=tfds.features.FeaturesDict({
            "image": tfds.features.Image(
                shape=(28, 28, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
        }))

  def _split_generators(self, dl_manager):
    return {split: self._generate_examples(split) for split in NUM}

  def _generate_examples(self, split):
    for i, image in enumerate(IMAGES[split]):
      file = io.BytesIO()
      Image.fromarray(image).save(file, "PNG", compress_level=0)
      file.seek(0)
      yield i, {"image": file, "label": int(LABELS[split][i])}


@pytest.fixture(scope="module")
def stock(tmp_path_factory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("stock")
  builder = Stock(data_dir=root / "build", file_format="array_record")
  builder.download_and_prepare()
  shutil.copytree(builder.data_dir, root / "tfds" / "mnist" / "3.0.1")
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


def test_other_prepared_data_sets_are_refused(stock, tmp_path):
  folder = shutil.copytree(stock / "mnist" / "3.0.1", tmp_path / "mnist")
  content = json.loads((folder / "features.json").read_text())
  features = content["featuresDict"]["features"]
  features["picture"] = features.pop("image")
  (folder / "features.json").write_text(json.dumps(content))
  with pytest.raises(ValueError, match=r"is not MNIST: .*label, picture"):
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
