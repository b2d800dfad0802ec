"""Codecs turn a text into numbers, and numbers into a text."""

import abc
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tasks.data import errors
from tasks.text import tokenizer_json

WORDS, CHARACTERS, BYTES, JSON = "words", "characters", "bytes", "json"
END, UNKNOWN = "<eos>", "<unk>"
_DAMAGED = "\ufffd"  # What stands for bytes that are not UTF-8.
# Tokens that `as_they_come` decodes again with each new one.
_MAX_READ = 64


class MissingError(ValueError):
  """Represents a text with a piece that a vocabulary lacks."""


class Codec(abc.ABC):
  """Represents a way to number the pieces of a text.

  Attributes:
    kind: 'words', 'characters', 'bytes' or 'json'.
  """

  kind: ClassVar[str]

  @property
  @abc.abstractmethod
  def size(self) -> int:
    """V, the number of different tokens."""

  @property
  @abc.abstractmethod
  def content(self) -> Any:
    """What `restored` needs beside the kind, as JSON."""

  @abc.abstractmethod
  def encode(self, text: str) -> np.ndarray:
    """Returns the numbers of a text's tokens, `[N]` int32.

    Raises:
      ValueError: the vocabulary lacks a piece of the text.
    """

  @abc.abstractmethod
  def decode(self, tokens: Iterable[int]) -> str:
    """Returns the text of some tokens.

    Raises:
      ValueError: a number is beyond the vocabulary.
    """

  def as_they_come(self, tokens: Iterable[int]) -> Iterator[str]:
    """Yields the text of tokens piece by piece, as soon as it is certain.

    A character may take several tokens, and is then whole.

    Args:
      tokens: numbers, which may be drawn one by one.
    """
    read: list[int] = []
    shown = ""
    for token in tokens:
      read.append(token)
      text = self.decode(read)
      if not text.endswith(_DAMAGED) and len(text) > len(shown):
        yield text[len(shown):]
        shown = text
        if len(read) > _MAX_READ:  # Else each token would take longer.
          read = read[-_MAX_READ // 4:]
          shown = self.decode(read)
    if rest := self.decode(read)[len(shown):]:
      yield rest

  def _check(self, tokens: Iterable[int]) -> list[int]:
    found = [int(token) for token in tokens]
    for token in found:
      if not 0 <= token < self.size:
        raise ValueError(f"token {token} is beyond the vocabulary of "
                         f"{self.size} {self.kind}; valid: 0 to "
                         f"{self.size - 1}")
    return found


class _Listed(Codec):
  """Numbers the entries of a list."""

  def __init__(self, entries: Sequence[str]):
    """Stores the entries.

    Args:
      entries: by number.

    Raises:
      ValueError: there are none, an entry is no text, or is there twice.
    """
    self.entries = tuple(entries)
    self.numbers = {entry: i for i, entry in enumerate(self.entries)}
    if not entries or len(self.numbers) < len(entries) or not all(
        isinstance(entry, str) for entry in entries):
      raise ValueError(f"{self.kind} of a vocabulary should be different texts")

  @property
  def size(self) -> int:
    return len(self.entries)

  @property
  def content(self) -> list[str]:
    return list(self.entries)

  def encode_all(self, pieces: Sequence[str]) -> np.ndarray:
    """Returns the numbers of words, or of characters; raises as `encode`."""
    other = self.numbers.get(UNKNOWN, -1)
    found = np.fromiter((self.numbers.get(piece, other) for piece in pieces),
                        np.int32, len(pieces))
    if (found < 0).any():
      raise missing(self.kind, self.size, pieces[int(found.argmin())])
    return found


class Words(_Listed):
  """Numbers words, what stands between white space; a line ends in `<eos>`.

  Unknown words are `<unk>` if the vocabulary has it. The white space itself is
  not kept: a decoded text has single spaces.
  """

  kind = WORDS

  def encode(self, text: str) -> np.ndarray:
    return self.encode_all(words_of(text))

  def decode(self, tokens: Iterable[int]) -> str:
    words = (self.entries[token] for token in self._check(tokens))
    text = "".join("\n" if word == END else f"{word} " for word in words)
    return text.replace(" \n", "\n").removesuffix(" ")  # No word has a space.


class Characters(_Listed):
  """Numbers characters."""

  kind = CHARACTERS

  def encode(self, text: str) -> np.ndarray:
    return self.encode_all(text)

  def decode(self, tokens: Iterable[int]) -> str:
    return "".join(self.entries[token] for token in self._check(tokens))


class Bytes(Codec):
  """Takes the bytes of UTF-8 as numbers. It needs no vocabulary."""

  kind = BYTES
  size = 256
  content = None

  def encode(self, text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

  def decode(self, tokens: Iterable[int]) -> str:
    return bytes(self._check(tokens)).decode(errors="replace")


class Json(Codec):
  """Numbers as a file `tokenizer.json` of Hugging Face's tokenizers says.

  No special tokens are added. Numbers are the file's own, not sorted by
  frequency. Whether a text comes back as it was depends on the file.
  """

  kind = JSON

  def __init__(self, text: str):
    """Makes the tokenizer.

    Args:
      text: content of the file.

    Raises:
      ValueError: it is not valid, or the package is not installed.
    """
    self._text, self._tokenizer = text, tokenizer_json.read(text)
    self._tokenizer.no_truncation()
    self._tokenizer.no_padding()
    numbers = self._tokenizer.get_vocab(with_added_tokens=True).values()
    if not numbers:
      raise ValueError("has no tokens")
    self._size = max(numbers) + 1
    self._unknown = tokenizer_json.unknown_token(text)

  @property
  def size(self) -> int:
    return self._size

  @property
  def content(self) -> str:
    return self._text

  def encode(self, text: str) -> np.ndarray:
    return self.encode_all([text])

  def encode_all(self, texts: Sequence[str]) -> np.ndarray:
    """Returns the numbers of several texts, one after the other."""
    encoded = self._tokenizer.encode_batch_fast(
        list(texts), add_special_tokens=False)
    found = [np.array(one.ids, np.int32) for one in encoded]
    return np.concatenate([np.zeros(0, np.int32), *found])

  def num_unknown(self, tokens: np.ndarray, text: str) -> int:
    """Returns how many tokens of a text stand for what the file lacks.

    Where the text has the unknown token itself, nothing is lacking.
    """
    if self._unknown is None:
      return 0
    number = self._tokenizer.token_to_id(self._unknown)
    return max(0, int((tokens == number).sum()) - text.count(self._unknown))

  def decode(self, tokens: Iterable[int]) -> str:
    return self._tokenizer.decode(self._check(tokens),
                                  skip_special_tokens=False)


def missing(kind: str, size: int, piece: str) -> MissingError:
  """Returns the error of a text with a piece that a vocabulary lacks."""
  return MissingError(f"{piece[:40]!r} is not among the {size} {kind} of the "
                      f"vocabulary, which has no {UNKNOWN}")


def words_of(text: str) -> list[str]:
  """Returns a text's words, with `<eos>` at the end of each line.

  A line ends in a line feed. White space is what `str.split` takes for it. This
  is how the AWD-LSTM and the Transformer-XL count words.
  """
  return text.replace("\n", f" {END} ").split()


def is_file(tokens: str) -> bool:
  """Returns whether `tokens` names a file, not a kind."""
  return tokens not in (WORDS, CHARACTERS, BYTES)


def of_file(name: str) -> Json:
  """Reads a `tokenizer.json`.

  Raises:
    FileNotFoundError: there is none.
    ValueError: it is not valid.
  """
  path = pathlib.Path(name).expanduser()
  if not path.is_file():
    raise FileNotFoundError(
        f"tokens={name!r} is no file; valid: {WORDS}, {CHARACTERS}, {BYTES}, "
        "or the path of a tokenizer.json")
  with errors.reading(path, "give a tokenizer.json of Hugging Face's "
                            "tokenizers, or choose tokens=words"):
    return Json(path.read_text(encoding="utf-8"))


def restored(kind: str, content: Any) -> Codec:
  """Returns the codec with this `kind` and `content`.

  Raises:
    ValueError: there is no such kind, or the content is not valid.
  """
  make: dict[str, Callable[[Any], Codec]] = {
      WORDS: Words, CHARACTERS: Characters, BYTES: lambda _: Bytes(),
      JSON: Json}
  if kind not in make:
    raise ValueError(f"unknown kind {kind!r}; valid kinds: {', '.join(make)}")
  return make[kind](content)


def identity(codec: Codec) -> str:
  """Returns what the codec is, as canonical JSON."""
  return json.dumps([codec.kind, codec.content])
