"""Data sets prepared by TensorFlow Datasets, read without TensorFlow.

Import this module only where such data are read. It imports TensorFlow
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

INFO = "dataset_info.json"  # tfds writes it last, so the rest is complete.

_CHUNK = 500  # Examples read at once; bounds the memory for float32 images.


def find(folder: pathlib.Path,
         *others: pathlib.Path) -> pathlib.Path | None:
  """Finds a prepared data set, in a folder itself or in a version below it.

  Args:
    folder: the folder of the data set, `.../<name>` or `.../<name>/<version>`.
    *others: folders to try after `folder` itself and before its versions, of
      which the newest is tried first.

  Returns:
    The first folder that holds a prepared data set, or None.
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
  """Yields the examples of a split in the order stored, hundreds at a time.

  Args:
    builder: of the prepared data set, from `tfds.builder_from_directory`.
    split: 'train' or 'test'.
    encoded: names of features that are not decoded, such as a PNG.
    advice: what to do if the files cannot be read, for the error message.

  Raises:
    ValueError: only TensorFlow can read the format of the files.
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
    yield source.__getitems__(list(indices))  # 3 x faster than one by one.


def pixels(png: bytes) -> np.ndarray:
  """Decodes the first channel of a PNG, `[height, width]` uint8."""
  with Image.open(io.BytesIO(png)) as image:
    return np.asarray(image.convert("RGB"))[:, :, 0]
