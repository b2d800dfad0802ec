"""Omniglot's images: from its own two archives to one array.

Omniglot ("Human-level concept learning through probabilistic program
induction", Lake, Salakhutdinov, Tenenbaum, 2015, Science 350) has 1623
characters of 50 alphabets, each drawn once by 20 people, as PNGs of 105 x 105
pixels of one bit. Its authors split it in 964 background and 659 evaluation
characters.

Import this module only where images are read. It imports TensorFlow Datasets,
which takes a second. TensorFlow itself is not needed. That is the reason for a
builder of our own: the stock one cannot prepare its data without TensorFlow.
"""

import collections
import contextlib
import pathlib
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from tasks import checks
from tasks.data import cache
from tasks.data import prepared as prepared_lib

ARCHIVES = {"train": "images_background.zip", "test": "images_evaluation.zip"}
NUM_DRAWINGS = 20
SIZE = 105  # Width and height in pixels.

_HELP = (
    f"get {ARCHIVES['train']} and {ARCHIVES['test']} (14 MB) from the folder "
    "python/ of https://github.com/brendenlake/omniglot, do not unpack them, "
    "and pass their folder as --data_dir")
_FORMAT = 2  # Of the cached arrays; raise it when their content changes.
_NAME = re.compile(r"images_\w+/([^/]+)/character\d+/(\d+)_(\d+)\.png")


class Drawing(NamedTuple):
  """Represents one PNG of an archive.

  Attributes:
    character: number of the character in the whole data set, from 1 to 1623.
    drawer: number of the person who drew it, from 1 to 20.
    alphabet: name of the alphabet.
    member: path in the archive.
  """

  character: int
  drawer: int
  alphabet: str
  member: str


class OmniglotZip(tfds.core.GeneratorBasedBuilder):
  """Prepares Omniglot from its archives in `manual_dir`, packed to bits.

  The name differs from that of the stock builder, `omniglot`, since the
  features differ. An image is 105 rows of 14 bytes, `np.packbits` of its ink.
  """

  VERSION = tfds.core.Version("1.0.0")
  MANUAL_DOWNLOAD_INSTRUCTIONS = _HELP

  def _info(self) -> tfds.core.DatasetInfo:
    features = tfds.features.FeaturesDict({
        "packed_ink": tfds.features.Tensor(
            shape=(SIZE, (SIZE + 7) // 8), dtype=np.uint8, encoding="bytes"),
        "character": tfds.features.Scalar(np.int32),
        "drawer": tfds.features.Scalar(np.int32),
        "alphabet": tfds.features.Text(),
    })
    return tfds.core.DatasetInfo(
        builder=self, features=features, description="Omniglot, ink as bits.",
        homepage="https://github.com/brendenlake/omniglot")

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    return {split: self._generate_examples(dl_manager.manual_dir / name)
            for split, name in ARCHIVES.items()}

  def _generate_examples(
      self, path: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with zipfile.ZipFile(path) as archive:
      for drawing in _drawings(path):
        ink = 1 - _pixels(archive.read(drawing.member))  # Paper is 1.
        yield drawing.character * 100 + drawing.drawer, {
            "packed_ink": np.packbits(ink, axis=1),
            "character": drawing.character,
            "drawer": drawing.drawer,
            "alphabet": drawing.alphabet,
        }


def load_images(split: str, data_dir: str | None,
                image_size: int = 20) -> np.ndarray:
  """Loads all drawings of a split, scaled down.

  `data_dir` holds the two archives, which are prepared there at the first call
  (20 s), or a prepared data set, made by `OmniglotZip` or by the stock builder
  of TensorFlow Datasets, `omniglot`. Each may also be in the subfolder
  `omniglot`. Scaled images are cached beside the prepared data. If `data_dir`
  is not writable, they are cached in `$XDG_CACHE_HOME/rmc_nalu_sam`
  (`~/.cache/rmc_nalu_sam` if that is not set).

  Args:
    split: 'train' (964 characters) or 'test' (659 others).
    data_dir: folder of the data.
    image_size: S, width and height in pixels, at most 105. Images are scaled by
      averaging over areas.

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
  prepared = _find_or_prepare(data_dir)
  fingerprint = cache.fingerprint(_FORMAT, prepared / prepared_lib.INFO)
  name = f"{split}_{image_size}_{fingerprint}.npz"
  folders = (prepared.parent, cache.user_folder())
  for folder in folders:
    images = cache.read(folder / name)
    if images is not None and images.shape == (
        len(images), NUM_DRAWINGS, image_size, image_size):
      return images
  images = _read_prepared(prepared, split, image_size)
  cache.write(folders, name, images)
  return images


def _find_or_prepare(data_dir: str | None) -> pathlib.Path:
  """Returns the folder of the prepared data set, `.../<name>/<version>`."""
  if data_dir is None:
    raise FileNotFoundError(f"Omniglot needs --data_dir: {_HELP}")
  given = pathlib.Path(data_dir).expanduser()
  for folder in (given, given / "omniglot"):
    # Both '<data_dir>/omniglot/<version>' and '<data_dir>/<version>' are
    # stock layouts.
    prepared = prepared_lib.find(folder, _own_folder(folder))
    if prepared:
      return prepared
    if all((folder / name).is_file() for name in ARCHIVES.values()):
      return _prepare(folder)
  found = [name for name in ARCHIVES.values() if (given / name).is_file()]
  raise FileNotFoundError(
      f"no Omniglot in --data_dir={data_dir} (archives there: "
      f"{', '.join(found) or 'none'}; no prepared data set): {_HELP}")


def _own_folder(root: pathlib.Path) -> pathlib.Path:
  return root / OmniglotZip.name / str(OmniglotZip.VERSION)


def _prepare(archives: pathlib.Path) -> pathlib.Path:
  """Prepares the archives if that is not done, beside them if possible."""
  root = archives
  if not cache.is_writable(archives):
    files = [archives / name for name in ARCHIVES.values()]
    fingerprint = cache.fingerprint(_FORMAT, *files)
    root = cache.user_folder() / f"omniglot_{fingerprint}"
  prepared = _own_folder(root)
  if (prepared / prepared_lib.INFO).is_file():
    return prepared
  for name in ARCHIVES.values():
    _drawings(archives / name)  # Raises if it is broken, before work begins.
  logging.log(logging.INFO if root == archives else logging.WARNING,
              "Preparing Omniglot from %s in %s, once", archives, prepared)
  root.mkdir(parents=True, exist_ok=True)
  # tfds reports on stdout, which is for results, and makes a folder for
  # downloads, of which there are none.
  with (contextlib.redirect_stdout(sys.stderr),
        tempfile.TemporaryDirectory() as downloads):
    config = tfds.download.DownloadConfig(
        manual_dir=archives, try_download_gcs=False)
    try:
      OmniglotZip(data_dir=root, file_format="array_record"
                  ).download_and_prepare(
                      download_dir=downloads, download_config=config)
    except OSError:
      # Another process may have finished the same folder first.
      if not (prepared / prepared_lib.INFO).is_file():
        raise
  return prepared


def _drawings(path: pathlib.Path) -> list[Drawing]:
  """Lists the drawings of an archive; raises a ValueError if it is broken."""
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except zipfile.BadZipFile as error:
    raise ValueError(f"{path} is not a whole archive: {error}; {_HELP}"
                     ) from error
  matches = [match for match in map(_NAME.fullmatch, names) if match]
  drawings = [Drawing(int(match[2]), int(match[3]), match[1], match[0])
              for match in matches]
  counts = collections.Counter(drawing.character for drawing in drawings)
  wrong = [f"{character}: {count}" for character, count in counts.items()
           if count != NUM_DRAWINGS]
  if wrong or not drawings:
    raise ValueError(
        f"{path} should have {NUM_DRAWINGS} drawings of each character as "
        "images_*/<alphabet>/character<n>/<character>_<drawer>.png, got "
        f"{', '.join(wrong) or 'no such file'}; {_HELP}")
  return drawings


def _pixels(png: bytes) -> np.ndarray:
  """Decodes the first channel of a PNG to {0, 1}, `[105, 105]` uint8."""
  pixels = prepared_lib.pixels(png)
  if pixels.shape != (SIZE, SIZE):
    raise ValueError(f"Omniglot should have images of {SIZE} x {SIZE} pixels, "
                     f"has one of {pixels.shape}; {_HELP}")
  # Paper is 1 or 255, depending on the writer.
  return (pixels > 0).astype(np.uint8)


def _read_prepared(prepared: pathlib.Path, split: str,
                   image_size: int) -> np.ndarray:
  """Reads, scales and sorts the drawings of a prepared data set."""
  builder = tfds.builder_from_directory(prepared)
  own = "packed_ink" in builder.info.features
  if not own and not {"image", "label"} <= set(builder.info.features):
    raise ValueError(f"{prepared} is not Omniglot: its features are "
                     f"{', '.join(sorted(builder.info.features))}; {_HELP}")
  images: list[np.ndarray] = []
  order: list[tuple[int, int]] = []
  for examples in prepared_lib.chunks(
      builder, split, () if own else ("image",), _HELP):
    if own:
      packed = np.stack([example["packed_ink"] for example in examples])
      ink = np.unpackbits(packed, axis=2, count=SIZE)
      order += [(int(e["character"]), int(e["drawer"])) for e in examples]
    else:
      ink = np.stack([1 - _pixels(example["image"]) for example in examples])
      order += [(int(e["label"]), i)
                for i, e in enumerate(examples, len(order))]
    images.append(_scale(ink, image_size))
  counts = collections.Counter(character for character, _ in order)
  if set(counts.values()) != {NUM_DRAWINGS}:
    raise ValueError(f"{prepared} should have {NUM_DRAWINGS} drawings of each "
                     f"character, has {sorted(set(counts.values()))}")
  ranks = sorted(range(len(order)), key=order.__getitem__)
  return np.concatenate(images)[ranks].reshape(
      -1, NUM_DRAWINGS, image_size, image_size)


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
