"""Turns texts into tokens, and finds the vocabulary on the way."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.text import codecs
from tasks.text.places import SPLITS
from tasks.text.reader import Reader

UNITS = ("words", "characters", "bytes")
TRAIN, ALL = "train", "all"
_NUM_CODE_POINTS = 0x110000
_LISTED = {codecs.WORDS: codecs.Words, codecs.CHARACTERS: codecs.Characters}


class Encoded(NamedTuple):
  """Holds a split as tokens.

  Attributes:
    tokens: `[N]` of the smallest unsigned type.
    units: `[3]` int64, how many words (a line end is one), characters and bytes
      it has.
    unknown: `[]` int64, how many tokens are `<unk>` (or what a tokenizer has
      for it) because the vocabulary lacks a piece of the text.
    is_cut: `[]` bool, whether it is a part of one file that only this program
      cuts.
  """

  tokens: np.ndarray
  units: np.ndarray
  unknown: np.ndarray
  is_cut: np.ndarray


def learn(reader: Reader, kind: str, vocabulary_from: str,
          max_words: int | None) -> tuple[codecs.Codec, dict[str, Encoded]]:
  """Finds the vocabulary of a text, and encodes all its splits.

  Tokens are sorted by how often they are in the training text, then by name.

  Args:
    reader: of the text.
    kind: 'words' or 'characters'.
    vocabulary_from: 'all' splits, or 'train' alone.
    max_words: keeps only the most frequent, `<unk>` among them; None for all.

  Raises:
    ValueError: the files cannot be read; or a split has a word that the
      vocabulary lacks, and there is no `<unk>`.
  """
  raw = _Raw(reader, kind, SPLITS)
  used = raw.counts[TRAIN] if vocabulary_from == TRAIN else np.sum(
      list(raw.counts.values()), 0)
  count_of = {raw.names[i]: int(raw.counts[TRAIN][i])
              for i in np.flatnonzero(used).tolist()}
  if max_words is not None:
    count_of = _most_frequent(count_of, max_words)
  names = sorted(count_of, key=lambda name: (-count_of[name], name))
  codec = _LISTED[kind](names)
  try:
    return codec, {split: raw.encoded(split, codec) for split in SPLITS}
  except codecs.MissingError as error:
    other = ("" if kind != codecs.WORDS else
             f", or a max_words, which counts such as {codecs.UNKNOWN}")
    raise ValueError(f"{error}; choose vocabulary_from=all{other}") from None


def encode(reader: Reader, codec: codecs.Codec, split: str) -> Encoded:
  """Encodes a split.

  Raises:
    ValueError: the files cannot be read, or hold what the codec lacks.
  """
  if isinstance(codec, codecs.Words | codecs.Characters):
    return _Raw(reader, codec.kind, [split]).encoded(split, codec)
  unknown, dtype = [0], smallest(codec.size)

  def number(piece: Any) -> np.ndarray:
    if not isinstance(codec, codecs.Json):
      return np.frombuffer(piece, np.uint8)
    tokens = codec.encode_all(piece.splitlines(keepends=True))
    unknown.append(codec.num_unknown(tokens, piece))
    return tokens.astype(dtype)

  found, units = _read(reader, codec.kind, split, number)
  return Encoded(np.concatenate(found), units,
                 np.array(sum(unknown), np.int64), np.array(reader.is_cut))


def smallest(size: int) -> type:
  """Returns the smallest unsigned type that holds all tokens."""
  return np.uint8 if size <= 2**8 else np.uint16 if size <= 2**16 else np.uint32


class _Raw:
  """Holds splits as provisional numbers: words by first occurrence, characters
  by code point. So each file is read only once.

  Attributes:
    names: by provisional number.
    counts: split -> how often each number is there.
  """

  def __init__(self, reader: Reader, kind: str, splits: Sequence[str]):
    numbers: collections.defaultdict[str, int] = collections.defaultdict()
    self._is_cut = np.array(reader.is_cut)
    numbers.default_factory = numbers.__len__
    number = _code_points if kind == codecs.CHARACTERS else (
        lambda words: np.fromiter(
            map(numbers.__getitem__, words), np.uint32, len(words)))
    self._read = {split: _read(reader, kind, split, number)
                  for split in splits}
    self.names: Sequence[str] = list(numbers) if kind == codecs.WORDS else (
        _CodePoints())
    self.counts = {
        split: sum((np.bincount(piece, minlength=len(self.names))
                    for piece in pieces),
                   np.zeros(len(self.names), np.int64))
        for split, (pieces, _) in self._read.items()}

  def encoded(self, split: str, codec: Any) -> Encoded:
    """Returns a split in the numbers of a codec; forgets it here."""
    pieces, units = self._read.pop(split)
    counts, unknown = self.counts[split], 0
    number_of: np.ndarray = np.zeros(len(self.names), smallest(codec.size))
    for i in np.flatnonzero(counts).tolist():
      number = codec.numbers.get(self.names[i])
      if number is None:
        number, unknown = codec.numbers.get(codecs.UNKNOWN), unknown + counts[i]
      if number is None:
        error = codecs.missing(codec.kind, codec.size, self.names[i])
        raise codecs.MissingError(f"{split}: {error}")
      number_of[i] = number
    return Encoded(np.concatenate([number_of[piece] for piece in pieces]),
                   units, np.array(unknown, np.int64), self._is_cut)


class _CodePoints(Sequence[str]):
  """All characters, by code point."""

  def __len__(self) -> int:
    return _NUM_CODE_POINTS

  def __getitem__(self, index: Any) -> Any:
    return chr(index)


def _read(reader: Reader, kind: str, split: str,
          number: Callable[[Any], np.ndarray]
          ) -> tuple[list[np.ndarray], np.ndarray]:
  """Returns the tokens of a split, and how many units it has.

  Args:
    reader: of the text.
    kind: of the tokens.
    split: to read.
    number: numbers a list of words, a text, or bytes.
  """
  found, units = [], np.zeros(len(UNITS), np.int64)
  pieces: Any = (reader.pieces if kind == codecs.BYTES else reader.texts)(split)
  for text in pieces:
    if kind == codecs.WORDS:
      words = codecs.words_of(text)
      found.append(number(words))
      units += (len(words), len(text), len(text.encode()))
    else:
      found.append(number(text))
      units += units_of(text)
  return found, units


def units_of(text: str | bytes) -> tuple[int, int, int]:
  """Returns how many words, characters and bytes a text has."""
  if isinstance(text, bytes):
    # Bytes that begin with the bits 10 continue a character.
    later = (np.frombuffer(text, np.uint8) & 0xC0) == 0x80
    return (len(text.split()) + text.count(b"\n"),
            len(text) - int(later.sum()), len(text))
  return (len(text.split()) + text.count("\n"), len(text), len(text.encode()))


def _most_frequent(count_of: Mapping[str, int], size: int) -> dict[str, int]:
  """Returns the counts of at most `size` words, `<unk>` with all the others.
  """
  words = sorted((word for word in count_of if word != codecs.UNKNOWN),
                 key=lambda word: (-count_of[word], word))[:size - 1]
  kept = {word: count_of[word] for word in words}
  others = sum(count_of.values()) - sum(kept.values())
  return kept | {codecs.UNKNOWN: others}


def _code_points(text: str) -> np.ndarray:
  return np.frombuffer(text.encode("utf-32-le"), "<u4")
