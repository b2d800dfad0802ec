"""MNIST's images and labels, as arrays.

MNIST ("Gradient-based learning applied to document recognition", LeCun,
Bottou, Bengio, Haffner, 1998, Proceedings of the IEEE 86) has 60,000 + 10,000
handwritten digits of 28 x 28 pixels, in files of the simple format idx.
"""

import gzip
import pathlib
import zlib
from typing import Any, NamedTuple

import numpy as np

from tasks import checks

SIZE = 28  # Width and height in pixels.
NUM_VALIDATION = 5000
SPLITS = ("train", "validation", "test")
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}

_ALL_FILES = sum(FILES.values(), ())
_HELP = (
    f"get the four original files {', '.join(_ALL_FILES)} (11 MB, for example "
    "from https://storage.googleapis.com/cvdf-datasets/mnist/), do not unpack "
    "them, and pass their folder as --data_dir")
_UINT8 = 0x08  # The type code of idx.


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
  TensorFlow. Either may also be in the subfolder `mnist`.

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
  digits, source = _load_stored(stored, data_dir)
  _check(digits, source)
  if split == "test":
    return digits
  if len(digits.labels) <= NUM_VALIDATION:
    raise ValueError(
        f"need more than {NUM_VALIDATION} training digits, since the last "
        f"{NUM_VALIDATION} are for validation; {source} has "
        f"{len(digits.labels)} digits")
  rows = slice(-NUM_VALIDATION, None) if split == "validation" else (
      slice(-NUM_VALIDATION))
  return Digits(*(array[rows] for array in digits))


def _load_stored(split: str,
                 data_dir: str | None) -> tuple[Digits, pathlib.Path]:
  """Returns the digits as stored, and the file or folder to name in errors."""
  if data_dir is None:
    raise FileNotFoundError(f"MNIST needs --data_dir: {_HELP}")
  given = pathlib.Path(data_dir).expanduser()
  folders = (given, given / "mnist")
  for folder in folders:
    images, labels = (folder / name for name in FILES[split])
    if images.is_file() and labels.is_file():
      return Digits(_read_idx(images, 3), _read_idx(labels, 1).astype(np.int32)
                    ), images
  if given.is_dir():
    # TensorFlow Datasets takes a second to import, so import it only here.
    from tasks.data import prepared as prepared_lib

    for folder in folders:
      prepared = prepared_lib.find(folder)
      if prepared:
        return _read_prepared(prepared, split), prepared
  found = [name for folder in folders for name in _ALL_FILES
           if (folder / name).is_file()]
  raise FileNotFoundError(
      f"no MNIST in --data_dir={data_dir} (files there: "
      f"{', '.join(found) or 'none'}; no prepared data set): {_HELP}")


def _read_idx(path: pathlib.Path, num_axes: int) -> np.ndarray:
  """Reads the array of a packed idx file of bytes.

  The format is: two zeros, a type code, the number of axes, a big-endian int32
  for each axis, and the numbers, with the last axis fastest.
  """
  try:
    content = gzip.decompress(path.read_bytes())
  except (EOFError, gzip.BadGzipFile, zlib.error) as error:
    raise ValueError(f"{path} is not a whole gzip file: {error}; {_HELP}"
                     ) from error
  magic = bytes((0, 0, _UINT8, num_axes))
  start = len(magic) + 4 * num_axes
  if content[:4] != magic or len(content) < start:
    raise ValueError(
        f"{path} should begin with the magic number {magic.hex()} and "
        f"{num_axes} sizes, begins with {content[:start].hex()}; {_HELP}")
  shape = tuple(map(int, np.frombuffer(content, ">i4", num_axes, 4)))
  numbers = np.frombuffer(content, np.uint8, offset=start)
  if numbers.size != np.prod(shape):
    raise ValueError(f"{path} should hold {shape} = {np.prod(shape)} bytes "
                     f"according to its header, holds {numbers.size}; {_HELP}")
  return numbers.reshape(shape)


def _read_prepared(prepared: pathlib.Path, split: str) -> Digits:
  """Reads the digits of a data set prepared by TensorFlow Datasets."""
  import tensorflow_datasets as tfds

  from tasks.data import prepared as prepared_lib

  builder = tfds.builder_from_directory(prepared)
  if not {"image", "label"} <= set(builder.info.features):
    raise ValueError(f"{prepared} is not MNIST: its features are "
                     f"{', '.join(sorted(builder.info.features))}; {_HELP}")
  examples = [
      example for chunk in prepared_lib.chunks(builder, split, ("image",),
                                               _HELP) for example in chunk]
  images = [prepared_lib.pixels(example["image"]) for example in examples]
  shapes = {image.shape for image in images}
  if shapes != {(SIZE, SIZE)}:
    raise ValueError(f"{prepared} should have images of {SIZE} x {SIZE} "
                     f"pixels, has {sorted(shapes)}; {_HELP}")
  return Digits(np.stack(images),
                np.array([example["label"] for example in examples], np.int32))


def _check(digits: Digits, source: pathlib.Path) -> None:
  """Raises a ValueError unless the arrays hold digits."""
  images, labels = digits
  if images.shape[1:] != (SIZE, SIZE):
    raise ValueError(f"{source} should have images of {SIZE} x {SIZE} pixels, "
                     f"has {images.shape[1:]}; {_HELP}")
  if len(images) != len(labels) or not len(images):
    raise ValueError(f"{source} has {len(images)} images, but there are "
                     f"{len(labels)} labels; {_HELP}")
  if labels.max() > 9:
    raise ValueError(f"the labels of {source} should be digits, but one is "
                     f"{labels.max()}; {_HELP}")
