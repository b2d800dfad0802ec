"""Omniglot's images: from its own two archives to one array.

Omniglot ("Human-level concept learning through probabilistic program
induction", Lake, Salakhutdinov, Tenenbaum, 2015, Science 350) has 1623
characters of 50 alphabets, each drawn once by 20 people, as PNGs of 105 x 105
pixels of one bit. Its authors split it in 964 background and 659 evaluation
characters.
"""

import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
from absl import logging

from tasks import checks
from tasks.data import cache, errors, prepared
from tasks.omniglot import archive
from tasks.omniglot.archive import ARCHIVES, NUM_DRAWINGS, SIZE

_FORMAT = 3  # Of the cached arrays; raise it when their content changes.
_CHUNK = 500  # Drawings scaled at once; bounds the memory for float32 images.
# Earlier versions prepared the archives in such a folder beside them.
_EARLIER = "omniglot_zip/1.0.0"
_PACKED = (SIZE, (SIZE + 7) // 8)


def load_images(split: str, data_dir: str | None, image_size: int = 20,
                min_characters: int = 1) -> np.ndarray:
  """Loads all drawings of a split, scaled down.

  `data_dir` holds the two archives, or the data set `omniglot` prepared by
  TensorFlow Datasets. Either may also be in the subfolder `omniglot`. Scaled
  images are cached, see `cache.folder`; `data_dir` is only read.

  Args:
    split: 'train' (964 characters) or 'test' (659 others).
    data_dir: folder of the data.
    image_size: S, width and height in pixels, at most 105. Images are scaled by
      averaging over areas.
    min_characters: how many characters are needed.

  Returns:
    `[C, 20, S, S]` uint8, ink 255 and paper 0, characters sorted by number and
    drawings by drawer. The stock builder does not store the drawers. With it,
    the drawings of a character are in the order stored.

  Raises:
    FileNotFoundError: `data_dir` is None or holds none of these.
    ValueError: the split or the size is not valid, or the data are not.
  """
  checks.check_member("split", split, ARCHIVES)
  checks.check_range("image_size", image_size, str(SIZE), SIZE)
  if data_dir is None:
    raise FileNotFoundError(f"Omniglot needs --data_dir: {archive.HELP}")
  source = _find(split, data_dir)
  with errors.reading(source, archive.HELP):
    images = _load(source, split, image_size)
    if len(images) < min_characters:
      raise ValueError(f"need at least {min_characters} characters, there "
                       f"are {len(images)}")
  return images


def _find(split: str, data_dir: str) -> pathlib.Path:
  """Returns an archive, or the folder of a prepared data set."""
  given = pathlib.Path(os.path.expanduser(data_dir))
  for folder in (given, given / "omniglot"):
    if (folder / ARCHIVES[split]).is_file():
      return folder / ARCHIVES[split]
    # Both '<data_dir>/omniglot/<version>' and '<data_dir>/<version>' are
    # stock layouts.
    found = prepared.find(folder, folder / _EARLIER)
    if found:
      return found
  there = [name for name in ARCHIVES.values() if (given / name).is_file()]
  raise FileNotFoundError(
      f"no Omniglot in --data_dir={data_dir}: looked for {ARCHIVES[split]} and "
      f"for a prepared data set with {prepared.INFO}, in it and in its "
      f"omniglot (archives there: {', '.join(there) or 'none'}); "
      f"{archive.HELP}")


def _load(source: pathlib.Path, split: str, image_size: int) -> np.ndarray:
  """Reads images from the cache, or from the source into the cache."""
  data = None
  files: tuple[pathlib.Path, ...] = (source,)
  if source.is_file():
    archive.check_size(source)
  else:
    most = archive.NUM_CHARACTERS[split] * NUM_DRAWINGS
    data = prepared.Split(source, split, most, archive.HELP)
    files = data.files
  key = cache.fingerprint(_FORMAT, *files)
  name = f"omniglot_{split}_{image_size}_{key}.npz"
  images = cache.read(name)
  if images is not None and images.dtype == np.uint8 and images.shape[1:] == (
      NUM_DRAWINGS, image_size, image_size):
    return images
  logging.info("Converting Omniglot from %s, once", source)
  images = (_read_prepared(data, split, image_size) if data else
            _scale_all(archive.read(source, split), image_size))
  images = images.reshape(-1, NUM_DRAWINGS, image_size, image_size)
  if cache.fingerprint(_FORMAT, *files) == key:  # Not changed meanwhile.
    cache.write(name, images)
  return images


def _read_prepared(data: prepared.Split, split: str,
                   image_size: int) -> np.ndarray:
  """Reads, scales and sorts the drawings of a prepared data set."""
  own = "packed_ink" in data.features
  chunks = _packed_chunks(data) if own else _stock_chunks(data)
  order: list[archive.Drawing] = []
  images = []
  for ink, drawings in chunks:
    images.append(_scale(np.stack(ink), image_size))
    order += drawings
  if not own:  # The drawers, in the order stored.
    drawers = {drawing.character: itertools.count(1) for drawing in order}
    order = [drawing._replace(drawer=next(drawers[drawing.character]))
             for drawing in order]
  archive.check(order, split)
  ranks = sorted(range(len(order)), key=order.__getitem__)
  return np.concatenate(images)[ranks]


_Chunks = Iterator[tuple[list[np.ndarray], list[archive.Drawing]]]


def _packed_chunks(data: prepared.Split) -> _Chunks:
  """Reads what an earlier version prepared: rows of bits, and the drawers."""
  data.check("packed_ink", _PACKED, dtype=np.uint8)
  for name in ("character", "drawer"):
    data.check(name, (), dtype=np.integer)
  for chunk in data.chunks({
      "packed_ink": lambda rows: np.unpackbits(rows, axis=1, count=SIZE),
      "character": int, "drawer": int, "alphabet": bytes}):
    yield chunk["packed_ink"], [
        archive.Drawing(character, drawer, alphabet.decode())
        for character, drawer, alphabet in zip(
            chunk["character"], chunk["drawer"], chunk["alphabet"],
            strict=True)]


def _stock_chunks(data: prepared.Split) -> _Chunks:
  """Reads what the stock builder prepared: images without drawers."""
  data.check_image("image", SIZE)
  data.check("label", (), dtype=np.integer)
  for chunk in data.chunks({"image": prepared.image(SIZE), "label": int}):
    yield list(map(archive.ink_of, chunk["image"])), [
        archive.Drawing(label, 0, "") for label in chunk["label"]]


def _scale_all(drawings: Iterable[np.ndarray], image_size: int) -> np.ndarray:
  """Scales drawings, some hundred at a time."""
  drawings = iter(drawings)
  return np.concatenate([
      _scale(np.stack(chunk), image_size)
      for chunk in iter(lambda: list(itertools.islice(drawings, _CHUNK)), [])])


def _scale(ink: np.ndarray, image_size: int) -> np.ndarray:
  """Averages over areas: `[n, 105, 105]` in {0, 1} to `[n, S, S]` uint8."""
  low = np.arange(image_size)[:, None] * SIZE / image_size
  high = low + SIZE / image_size
  pixel = np.arange(SIZE)
  overlap = np.minimum(high, pixel + 1) - np.maximum(low, pixel)
  weights = np.maximum(overlap, 0) * image_size / SIZE  # [S, 105]
  weights = weights.astype(np.float32)
  means = weights @ ink.astype(np.float32) @ weights.T
  return np.round(255 * means).astype(np.uint8)
