"""Reads the files of a text in pieces that fit into memory."""

import io
import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from tasks.data import errors, files, prepared
from tasks.text import codecs, known, places

_PIECE = 2 ** 22  # Bytes read at once.
_MARK = b"\xef\xbb\xbf"  # Some programs write it in front of UTF-8.

# One file is cut after these shares; after these bytes if it has the size of
# text8 and enwik8, as everybody cuts those.
_CUTS = (0.9, 0.95)
_HUTTER_SIZE = 100_000_000
_HUTTER_CUTS = (90_000_000, 95_000_000)

# Features of prepared data sets that are a text.
_FEATURES = ("text", "book_text")
_MAX_EXAMPLES = 10 ** 9


class Reader:
  """Reads the splits of a text, each as often as needed.

  Attributes:
    files: all that the text depends on.
  """

  def __init__(self, source: places.Source, kind: str, name: str):
    """Constructs a reader.

    Args:
      source: where the text lies.
      kind: of the tokens: 'words', 'characters', 'bytes' or 'json'.
      name: of the data set.

    Raises:
      ValueError: a prepared data set cannot be read.
    """
    self._source, self._kind = source, kind
    self._help = known.help_of(name)
    self._parts: dict[str, bytes] = {}
    self._prepared = {split: prepared.Split(
        source.folder, split, _MAX_EXAMPLES, self._help)
        for split in places.SPLITS} if source.folder is not None else {}
    files = [path for split in places.SPLITS for path in (
        self._prepared[split].files if self._prepared
        else source.parts.get(split, ()))]
    self.files = tuple(dict.fromkeys(files)) if source.whole is None else (
        source.whole,)

  @property
  def identity(self) -> Any:
    """Returns what decides the splits, apart from the content of `files`."""
    return [[split, len(files)] for split, files in self._source.parts.items()]

  @property
  def is_cut(self) -> bool:
    """Returns whether this reader cut one file into the splits."""
    whole = sum(map(len, self._cut().values()))
    return whole not in (0, _HUTTER_SIZE)

  def file_of(self, split: str) -> pathlib.Path:
    """Returns the first file of a split, to name it in an error."""
    return self._source.parts.get(split, self.files)[0]

  def pieces(self, split: str) -> Iterator[bytes]:
    """Yields the content of a split, in pieces that end in white space.

    Raises:
      ValueError: a file is empty or damaged.
    """
    return self._converted(split, bytes)

  def texts(self, split: str) -> Iterator[str]:
    """Yields the pieces of a split as text.

    For words, a line may end as on any system, and each file's last line ends
    in a line feed. Otherwise nothing is changed.

    Raises:
      ValueError: a file is empty, damaged, or not UTF-8.
    """
    return self._converted(split, self._text)

  def _converted(self, split: str, convert: Callable[[bytes], Any]
                 ) -> Iterator[Any]:
    for place, file in self._open(split):
      with errors.reading(place, self._help), file:
        piece, is_first = b"", True
        for piece in _pieces(file):
          if is_first and self._kind != codecs.BYTES:
            piece = piece.removeprefix(_MARK)
          is_first = False
          yield convert(piece)
        if is_first:
          raise ValueError("is empty" if self._source.whole is None else
                           f"is too short to be cut: its {split} part is empty")
        if self._kind == codecs.WORDS and not piece.endswith((b"\n", b"\r")):
          yield "\n"

  def _text(self, piece: bytes) -> str:
    try:
      text = piece.decode()
    except UnicodeDecodeError as error:
      # Its position is that in the piece, not in the file.
      before = piece[max(0, error.start - 20):error.start]
      raise ValueError("should be UTF-8, but has the byte "
                       f"{piece[error.start]:#x} after {before!r}") from None
    return (text.replace("\r\n", "\n").replace("\r", "\n")
            if self._kind == codecs.WORDS else text)

  def _open(self, split: str) -> Iterator[tuple[pathlib.Path, Any]]:
    """Yields the files of a split, each with the name for messages."""
    source = self._source
    if source.whole is not None:
      yield source.whole, io.BytesIO(self._cut()[split])
    elif source.folder is not None:
      for text in self._examples(split):
        yield source.folder / split, io.BytesIO(text)
    for path in source.parts.get(split, ()):
      yield path, files.Unpacked(path)

  def _cut(self) -> dict[str, bytes]:
    """Returns the three parts of one file."""
    path = self._source.whole
    if not self._parts and path is not None:
      with errors.reading(path, self._help), files.Unpacked(path) as file:
        content = file.read()
      edges = _edges(content, self._kind)
      self._parts = {
          split: content[edges[i]:edges[i + 1]]
          for i, split in enumerate(places.SPLITS)}
    return self._parts

  def _examples(self, split: str) -> Iterator[bytes]:
    """Yields the examples of a prepared data set.

    Each but the last ends in a line feed. A text that is one example, such as
    tiny_shakespeare, is not changed.
    """
    data = self._prepared[split]
    feature = next((name for name in _FEATURES if name in data.features),
                   _FEATURES[0])
    data.check(feature, (), dtype=np.object_)
    examples = (text for chunk in data.chunks({feature: bytes})
                for text in chunk[feature])
    for text, following in itertools.pairwise(
        itertools.chain(examples, [None])):
      needs_end = following is not None or not text
      yield text.removesuffix(b"\n") + b"\n" if needs_end else text


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
  """Yields the content of a file.

  All pieces but the last end in a line feed, or in a space if there is none, so
  that neither a word nor a character is cut.
  """
  rest = b""
  while read := file.read(_PIECE):
    rest += read
    end = (rest.rfind(b"\n") + 1) or (rest.rfind(b" ") + 1)
    if end:
      yield rest[:end]
      rest = rest[end:]
  if rest:
    yield rest


def _edges(content: bytes, kind: str) -> tuple[int, int, int, int]:
  """Returns where each part of a file begins, and where the last one ends."""
  size = len(content)
  first, second = _HUTTER_CUTS if size == _HUTTER_SIZE else (
      int(size * share) for share in _CUTS)
  return (0, _border(content, first, second, kind),
          _border(content, second, size, kind), size)


def _border(content: bytes, cut: int, limit: int, kind: str) -> int:
  """Returns the first place from `cut` on that cuts no piece of a text.

  It is between two bytes, two characters, or two lines. If no line ends within
  a million bytes, or before `limit`, it is between two words.
  """
  if kind == codecs.BYTES:
    return cut
  if kind == codecs.CHARACTERS:
    while cut < len(content) and content[cut] & 0xC0 == 0x80:
      cut += 1
    return cut
  for end in (b"\n", b" "):
    place = content.find(end, max(cut - 1, 0),
                         min(cut + 1_000_000, limit - 1))
    if place >= 0:
      return place + 1
  return cut
