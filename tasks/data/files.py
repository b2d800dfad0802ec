"""Readers of single files. Sizes are checked before memory is taken.

Each raises a ValueError or the error of a library; wrap them in
`errors.reading`, which adds the name of the file.
"""

import gzip
import io
import pathlib
import struct
import zipfile

import numpy as np

_GZIP_MAGIC = b"\x1f\x8b"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_UINT8 = 0x08  # The type code of idx.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


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
