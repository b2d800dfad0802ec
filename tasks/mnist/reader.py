"""MNIST's images and labels, as arrays.

MNIST ("Gradient-based learning applied to document recognition", LeCun,
Bottou, Bengio, Haffner, 1998, Proceedings of the IEEE 86) has 60,000 + 10,000
handwritten digits of 28 x 28 pixels, in files of the simple format idx.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks import checks
from tasks.data import errors, files, prepared

SIZE = 28  # Width and height in pixels.
NUM_VALIDATION = 5000
SPLITS = ("train", "validation", "test")
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
NUM_DIGITS = {"train": 60_000, "test": 10_000}

_ALL_FILES = sum(FILES.values(), ())
_HELP = (
    f"get the four original files {', '.join(_ALL_FILES)} (11 MB, for example "
    "from https://storage.googleapis.com/cvdf-datasets/mnist/), packed or "
    "unpacked, and pass their folder as --data_dir")
_SUBFOLDERS = ("", "mnist", "MNIST/raw", "raw")  # torchvision makes MNIST/raw.
# The first labels of the original files tell which of the two a file is.
_FIRST_LABELS = {
    "train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7),
    "test": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5),
}


class Digits(NamedTuple):
  """Holds handwritten digits.

  Attributes:
    images: `[N, 28, 28]` uint8, ink 255 and paper 0.
    labels: `[N]` int32 in [0, 9].
  """

  images: Any
  labels: Any


def load_digits(split: str, data_dir: str | None) -> Digits:
  """Loads all digits of a split, in the order stored.

  `data_dir` holds the four original files, or the data set `mnist` prepared by
  TensorFlow Datasets with `file_format="array_record"`. Reading needs no
  TensorFlow. Either may also be in the subfolder `mnist`, and the files in
  `MNIST/raw` or `raw`. The files may be unpacked, and have names such as
  `train-images.idx3-ubyte`. If there are several, the first in the order of
  `_candidates` is read.

  Args:
    split: 'train' for the training digits except the last 5000, 'validation'
      for these 5000, or 'test'.
    data_dir: folder of the data.

  Raises:
    FileNotFoundError: `data_dir` is None or holds neither.
    ValueError: the split is unknown, or the data are not valid.
  """
  checks.check_member("split", split, SPLITS)
  stored = "test" if split == "test" else "train"
  if data_dir is None:
    raise FileNotFoundError(f"MNIST needs --data_dir: {_HELP}")
  digits, source = _load_stored(stored, data_dir)
  with errors.reading(source, _HELP):
    _check(digits, stored)
  if split == "test":
    return digits
  rows = slice(-NUM_VALIDATION, None) if split == "validation" else (
      slice(-NUM_VALIDATION))
  return Digits(*(array[rows] for array in digits))


def _load_stored(split: str, data_dir: str) -> tuple[Digits, pathlib.Path]:
  """Returns the digits as stored, and the file or folder to name in errors."""
  given = pathlib.Path(os.path.expanduser(data_dir))
  for folder in (given / name for name in _SUBFOLDERS):
    images, labels = (_first_file(folder, name) for name in FILES[split])
    if images and labels:
      return _read_idx(images, labels, NUM_DIGITS[split]), labels
  for folder in (given, given / "mnist"):
    found = prepared.find(folder)
    if found:
      return _read_prepared(found, split), found
  there = [str(path.relative_to(given)) for path in (
      _first_file(given / folder, name)
      for folder in _SUBFOLDERS for name in _ALL_FILES) if path]
  raise FileNotFoundError(
      f"no MNIST in --data_dir={data_dir}: looked for "
      f"{' and '.join(FILES[split])}, also unpacked or with a dot before "
      f"'idx', in it and in its {', '.join(_SUBFOLDERS[1:])}, and for a "
      f"prepared data set with {prepared.INFO} (files there: "
      f"{', '.join(there) or 'none'}); {_HELP}")


def _first_file(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  return next((folder / candidate for candidate in _candidates(name)
               if (folder / candidate).is_file()), None)


def _candidates(name: str) -> Sequence[str]:
  """Returns the names of a file in the order in which they are tried."""
  dotted = name.replace("-idx", ".idx")
  return [name, name.removesuffix(".gz"), dotted, dotted.removesuffix(".gz")]


def _read_idx(images: pathlib.Path, labels: pathlib.Path,
              num: int) -> Digits:
  with errors.reading(images, _HELP):
    pixels = files.read_idx(images, (num, SIZE, SIZE))
  with errors.reading(labels, _HELP):
    return Digits(pixels, files.read_idx(labels, (num,)).astype(np.int32))


def _read_prepared(folder: pathlib.Path, split: str) -> Digits:
  """Reads the digits of a data set prepared by TensorFlow Datasets."""
  data = prepared.Split(folder, split, NUM_DIGITS[split], _HELP)
  data.check_image("image", SIZE)
  data.check("label", (), dtype=np.integer)
  images: list[np.ndarray] = []
  labels: list[int] = []
  for chunk in data.chunks({"image": prepared.image(SIZE), "label": int}):
    images += chunk["image"]
    labels += chunk["label"]
  return Digits(np.stack(images), np.array(labels, np.int32))


def _check(digits: Digits, split: str) -> None:
  """Raises a ValueError unless the arrays hold digits of the split."""
  images, labels = digits
  if len(images) != len(labels):
    raise ValueError(f"there are {len(images)} images, but {len(labels)} "
                     "labels")
  if labels.min() < 0 or labels.max() > 9:
    raise ValueError("labels should be digits, but they are "
                     f"{labels.min()} to {labels.max()}")
  other = "train" if split == "test" else "test"
  first = _FIRST_LABELS[other]
  if tuple(labels[:len(first)]) == first:
    raise ValueError(f"holds the digits of {other}, under a name of {split}; "
                     "the files were swapped")
  if split == "train" and len(labels) <= NUM_VALIDATION:
    raise ValueError(f"need more than {NUM_VALIDATION} training digits, since "
                     f"the last {NUM_VALIDATION} are for validation; there "
                     f"are {len(labels)}")
