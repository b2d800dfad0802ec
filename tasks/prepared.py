"""Data sets that TensorFlow Datasets has prepared, read without TensorFlow.

Import this module only where such data are read: it imports TensorFlow
Datasets, which takes a second.
"""

import io
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

INFO = "dataset_info.json"  # tfds writes it last, so the rest is there.

_CHUNK = 500  # Examples read at once; of these and their float32 images.


def find(folder: pathlib.Path,
         *others: pathlib.Path) -> pathlib.Path | None:
  """Where a data set lies prepared: in a folder itself, or in a version of it.

  Args:
    folder: a data set's, `.../<name>` or `.../<name>/<version>`.
    *others: looked at after the folder itself and before its versions, of which
      the newest counts.

  Returns:
    The folder of the first that there is, or None.
  """
  versions = sorted(folder.glob("[0-9]*.[0-9]*.[0-9]*"), key=_version)
  for prepared in (folder, *others, *reversed(versions)):
    if (prepared / INFO).is_file():
      return prepared
  return None


def _version(folder: pathlib.Path) -> list[int]:
  return [int(number) for number in re.findall(r"\d+", folder.name)]


def chunks(builder: tfds.core.DatasetBuilder, split: str,
           encoded: tuple[str, ...],
           advice: str) -> Iterator[list[dict[str, Any]]]:
  """The examples of a split in the order stored, some hundreds at a time.

  Args:
    builder: of the prepared data set, from `tfds.builder_from_directory`.
    split: 'train' or 'test'.
    encoded: features to be left as they are stored, such as a PNG.
    advice: what a user may do instead if the files cannot be read.

  Raises:
    ValueError: it is in a format that only TensorFlow reads.
  """
  decoders = {name: tfds.decode.SkipDecoding() for name in encoded}
  try:
    source = builder.as_data_source(split=split, decoders=decoders or None)
  except NotImplementedError as error:
    raise ValueError(
        f"{builder.data_dir} cannot be read without TensorFlow: prepare it "
        f"with file_format='array_record', or {advice}") from error
  for start in range(0, len(source), _CHUNK):
    indices = range(start, min(start + _CHUNK, len(source)))
    yield source.__getitems__(list(indices))  # 3 x faster than singly.


def pixels(png: bytes) -> np.ndarray:
  """A PNG's first channel, `[height, width]` uint8."""
  with Image.open(io.BytesIO(png)) as image:
    return np.asarray(image.convert("RGB"))[:, :, 0]
