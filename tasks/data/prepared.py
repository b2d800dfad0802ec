"""Data sets prepared by TensorFlow Datasets, read without TensorFlow."""

import contextlib
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tasks.data import errors, files

INFO = "dataset_info.json"  # tfds writes it last, so the rest is complete.

_FEATURES = "features.json"
# It imports the modules of the classes that a description names.
_LIBRARY = "tensorflow_datasets.core.features."
_CLASS = ("pythonClassName", "python_class_name", "type")
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


class Split:
  """Reads one split of a prepared data set.

  Attributes:
    features: the names of the features.
    files: all that the examples depend on, existing files.
  """

  def __init__(self, folder: pathlib.Path, split: str, max_examples: int,
               advice: str):
    """Checks the descriptions and the names of the files.

    Args:
      folder: from `find`.
      split: 'train' or 'test'.
      max_examples: upper bound of the number of examples.
      advice: what to do if the files cannot be read, for the error message.

    Raises:
      DataError: the data set is damaged, or its format or size is another.
    """
    tfds, self._open = _libraries(folder, advice)
    self._folder = folder
    self._advice = ("prepare it again with file_format='array_record', or "
                    f"{advice}")
    _check_code(folder / _FEATURES, self._reading(_FEATURES))
    with self._reading(INFO):
      info = tfds.builder_from_directory(folder).info
      if split not in info.splits:
        raise ValueError(f"has no split {split!r}; its splits: "
                         f"{', '.join(info.splits) or 'none'}")
      if info.file_format.value != "array_record":
        raise ValueError(f"the format {info.file_format.value} needs "
                         "TensorFlow")
      stored = info.splits[split]
      if not 0 < stored.num_examples <= max_examples:
        raise ValueError(f"should have at most {max_examples} examples of "
                         f"{split}, has {stored.num_examples}")
      self._features = info.features
      self._is_png = {name: isinstance(feature, tfds.features.Image)
                      for name, feature in info.features.items()}
      self._skip = tfds.decode.SkipDecoding()
      self._shards = {
          pathlib.Path(path): length for path, length in zip(
              stored.filepaths, stored.shard_lengths, strict=True)}
    self.features = tuple(self._features)
    self.files = (folder / INFO, folder / _FEATURES, *self._shards)
    for path in self.files:
      with self._reading(path.name):
        path.stat()

  def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
    return errors.reading(self._folder / name, self._advice)

  def check(self, name: str, *shapes: tuple[int, ...], dtype: type) -> None:
    """Checks the shape and the type of a feature.

    Raises:
      DataError: the feature is missing, or another one.
    """
    with self._reading(_FEATURES):
      if name not in self.features:
        raise ValueError(f"should have a feature {name!r}; its features: "
                         f"{', '.join(sorted(self.features))}")
      feature = self._features[name]
      is_right = np.issubdtype(feature.np_dtype, dtype)
      if not is_right or tuple(feature.shape) not in shapes:
        raise ValueError(
            f"feature {name!r} should be {dtype.__name__} of shape "
            f"{' or '.join(map(str, shapes))}, is "
            f"{np.dtype(feature.np_dtype)} of shape {tuple(feature.shape)}")

  def check_image(self, name: str, size: int) -> None:
    """Checks a feature that `image` reads; raises as `check`."""
    self.check(name, (size, size), *((size, size, c) for c in (1, 3, 4)),
               dtype=np.uint8)

  def chunks(self, read: Mapping[str, Callable[[Any], Any]]
             ) -> Iterator[dict[str, list[Any]]]:
    """Yields the examples in the order stored, hundreds at a time.

    Args:
      read: maps a feature to a function of its value, such as `int`. A PNG is
        not decoded.

    Yields:
      Maps a feature to what its function returned for each example.

    Raises:
      DataError: a file is damaged.
    """
    decoders = {name: self._skip for name in read if self._is_png[name]}
    for path, length in self._shards.items():
      with self._reading(path.name), contextlib.closing(
          self._open(str(path))) as shard:
        if shard.num_records() != length:
          raise ValueError(f"should hold {length} examples according to "
                           f"{INFO}, holds {shard.num_records()}")
        for start in range(0, length, _CHUNK):
          examples = [
              self._features.deserialize_example_np(record, decoders=decoders)
              for record in shard.read(start, min(start + _CHUNK, length))]
          yield {name: [function(example[name]) for example in examples]
                 for name, function in read.items()}


def _check_code(path: pathlib.Path,
                reading: contextlib.AbstractContextManager[None]) -> None:
  """Refuses a description that makes the library import another one.

  Args:
    path: of the features, as JSON.
    reading: adds the name of the file to an error.
  """
  try:
    found = _classes(json.loads(path.read_text()))
  except (OSError, ValueError):
    return  # The library reports it.
  with reading:
    for name in found:
      if not name.startswith(_LIBRARY):
        raise ValueError(f"should have features of {_LIBRARY}*, has {name}")


def _classes(stored: Any) -> list[str]:
  """Returns the names of classes in a description, at any depth."""
  if isinstance(stored, list):
    return [name for each in stored for name in _classes(each)]
  if not isinstance(stored, dict):
    return []
  own = [stored[key] for key in _CLASS if isinstance(stored.get(key), str)]
  return own + _classes(list(stored.values()))


def image(size: int) -> Callable[[Any], np.ndarray]:
  """Returns a function that reads an image's first channel, `[size, size]`.

  The image was stored as a PNG, or as an array with or without channels.
  """
  def read(value: Any) -> np.ndarray:
    if isinstance(value, bytes):
      return files.read_png(value, size)
    return np.asarray(value).reshape(size, size, -1)[:, :, 0]
  return read


def _libraries(folder: pathlib.Path, advice: str) -> tuple[Any, Any]:
  """Returns TensorFlow Datasets, and the reader of its files.

  They are imported only here, since they take a second.
  """
  try:
    import tensorflow_datasets as tfds
    from array_record.python import array_record_module
  except ImportError as error:
    raise errors.DataError(
        f"cannot read {folder}, which TensorFlow Datasets prepared: {error}; "
        f"pip install -e '.[train]', or {advice}") from error
  return tfds, array_record_module.ArrayRecordReader
