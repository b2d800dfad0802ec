"""Readers of single files. Sizes are checked before memory is taken.

Each raises a ValueError or the error of a library; wrap them in
`errors.reading`, which adds the name of the file.
"""

import bz2
import gzip
import io
import lzma
import math
import os
import pathlib
import struct
import zipfile
from typing import IO, Any

import numpy as np

_GZIP_MAGIC = b"\x1f\x8b"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_UINT8 = 0x08  # The type code of idx.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# How a packed file begins, and how its name may end.
_PACKED = ((_GZIP_MAGIC, (".gz", ".tgz"), gzip.open),
           (b"BZh", (".bz2",), bz2.open),
           (b"\xfd7zXZ\x00", (".xz",), lzma.open))
_PIECE = 2 ** 20  # Bytes unpacked at once.
# Texts and images are packed to a tenth; zeros to a thousandth. Small files may
# be anything.
_MAX_RATIO = 250
_SMALL = 2 ** 24


def read_idx(path: pathlib.Path, max_shape: tuple[int, ...]) -> np.ndarray:
  """Reads the array of an idx file of bytes, packed with gzip or not.

  The format is: two zeros, a type code, the number of axes, a big-endian int32
  for each axis, and the numbers, with the last axis fastest.

  Args:
    path: the file. Its content tells whether it is packed.
    max_shape: the shape, with the most items along the first axis.
  """
  with path.open("rb") as raw:
    is_packed = raw.read(2) == _GZIP_MAGIC
    raw.seek(0)
    if not is_packed:
      return _read_idx(raw, max_shape)
    with gzip.GzipFile(fileobj=raw) as file:
      return _read_idx(file, max_shape)


def _read_idx(file, max_shape: tuple[int, ...]) -> np.ndarray:
  magic = bytes((0, 0, _UINT8, len(max_shape)))
  header = file.read(len(magic) + 4 * len(max_shape))
  if header[:4] != magic or len(header) < 4 + 4 * len(max_shape):
    raise ValueError(
        f"should begin with the magic number {magic.hex()} and "
        f"{len(max_shape)} sizes, begins with {header.hex() or 'nothing'}")
  shape = struct.unpack_from(f">{len(max_shape)}I", header, 4)
  if shape[1:] != max_shape[1:] or not 0 < shape[0] <= max_shape[0]:
    raise ValueError(f"should have a shape up to {max_shape}, has {shape} "
                     "according to its header")
  size = int(np.prod(shape))
  content = file.read(size + 1)  # To the end, where a checksum is verified.
  if len(content) != size:
    held = len(content) if len(content) < size else f"more than {size}"
    raise ValueError(f"should hold {shape} = {size} bytes according to its "
                     f"header, holds {held}")
  return np.frombuffer(content, np.uint8).reshape(shape)


def read_member(archive: zipfile.ZipFile, name: str, max_size: int) -> bytes:
  """Reads a file of a zip archive.

  Args:
    archive: the archive.
    name: of the file.
    max_size: bound of its size in bytes, packed and unpacked.
  """
  info = archive.getinfo(name)
  # Of the others, zipfile unpacks more than is asked for.
  if info.compress_type not in _COMPRESSIONS:
    raise ValueError(f"compression {info.compress_type} is not supported; "
                     "valid: stored, deflated")
  if max(info.file_size, info.compress_size) > max_size:
    raise ValueError(f"should have at most {max_size} bytes, has "
                     f"{max(info.file_size, info.compress_size)}")
  return archive.read(info)


def most_unpacked(size: int) -> int:
  """Returns the bytes that a packed file of `size` may have unpacked."""
  return max(_MAX_RATIO * size, _SMALL)


class Unpacked:
  """Reads a file that is packed or not, up to a number of bytes.

  It is a binary file for those that read it: a text, or `tarfile`, which takes
  the sizes of an archive's headers for true.
  """

  def __init__(self, path: pathlib.Path, most: int | None = None):
    """Opens a file, packed or not, by its name or its first bytes.

    Args:
      path: the file.
      most: bytes that it may have unpacked; by default `most_unpacked`.
    """
    with path.open("rb") as raw:
      size, begin = os.fstat(raw.fileno()).st_size, raw.read(8)
    self._most = most_unpacked(size) if most is None else most
    opener: Any = next((
        opener for magic, endings, opener in _PACKED
        if path.suffix in endings or begin.startswith(magic)), open)
    if opener is open:
      self._most = max(self._most, size)
    self._file: IO[bytes] = opener(path, "rb")

  def read(self, size: int = -1) -> bytes:
    """Reads `size` bytes, or all that is left.

    Raises:
      ValueError: it would go beyond the bound.
    """
    left = self._most - self._file.tell()
    size = left + 1 if size < 0 else min(size, left + 1)
    pieces = []
    while size and (piece := self._file.read(min(size, _PIECE))):
      size -= len(piece)
      pieces.append(piece)
    if self._file.tell() > self._most:
      raise ValueError(f"unpacks to more than {self._most} bytes")
    return b"".join(pieces)

  def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
    """Moves as `io.IOBase.seek`."""
    return self._file.seek(place, whence)

  def tell(self) -> int:
    """Returns the place in the unpacked content."""
    return self._file.tell()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def __enter__(self) -> "Unpacked":
    return self

  def __exit__(self, *_: Any) -> None:
    self.close()


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of a file of `np.savez` or `np.savez_compressed`.

  Objects, which NumPy would unpickle, are refused.

  Raises:
    ValueError: an array is larger than the file can hold.
  """
  with path.open("rb") as raw:
    with zipfile.ZipFile(raw) as archive:
      for info in archive.infolist():
        _check_npy(archive, info, os.fstat(raw.fileno()).st_size)
    raw.seek(0)
    with np.load(raw, allow_pickle=False) as found:
      return dict(found)


def _check_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int
               ) -> None:
  """Refuses an array whose headers do not agree with a file of `size`."""
  packed, unpacked = info.compress_size, info.file_size
  if info.compress_type not in _COMPRESSIONS or packed > size or (
      unpacked > most_unpacked(packed)):
    raise ValueError(f"{info.filename} should be packed from at most "
                     f"{most_unpacked(min(packed, size))} bytes, has "
                     f"{unpacked}")
  with archive.open(info) as file:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
      shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
      shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    held = unpacked - file.tell()
  is_whole = math.prod(shape) * dtype.itemsize == held
  if min(shape, default=0) < 0 or not (is_whole or dtype.hasobject):
    raise ValueError(f"{info.filename} should hold {shape} = "
                     f"{math.prod(shape) * dtype.itemsize} bytes according to "
                     f"its header, holds {held}")


def read_png(png: bytes, size: int) -> np.ndarray:
  """Decodes the first channel of a PNG, `[size, size]` uint8."""
  if png[:8] != _PNG_MAGIC or len(png) < 24:
    raise ValueError(f"is not a PNG, begins with {png[:8].hex() or 'nothing'}")
  found = struct.unpack_from(">2I", png, 16)  # Width and height.
  if found != (size, size):
    raise ValueError(f"should have {size} x {size} pixels, has {found[0]} x "
                     f"{found[1]}")
  from PIL import Image  # Only programs install it.

  with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
    return np.asarray(image.convert("RGB"))[:, :, 0]
