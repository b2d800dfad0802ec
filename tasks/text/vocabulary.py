"""A vocabulary: what tokens mean, and what the training text says of them."""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

from tasks.data import errors, replacing
from tasks.text import codecs

_FORMAT = 1  # Of the file.
_HELP = "give the vocabulary.json that a run has written"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """Holds the meaning of tokens. Two are equal if digest and numbers are.

  Attributes:
    size: V, the number of tokens.
    digest: 16 hexadecimal digits, which change with the meaning of a token.
    frequent: see `score.TextScore`.
    trivial: the main metric of the frequencies of the training text, each
      count increased by 1, on the validation and on the test text.
    codec: turns texts into tokens and back.
  """

  size: int
  digest: str
  frequent: tuple[int, int] | None
  trivial: tuple[float, float]
  codec: codecs.Codec = dataclasses.field(compare=False, repr=False)

  def to_json(self) -> str:
    """Returns all of it as JSON."""
    return json.dumps(dict(
        format=_FORMAT, kind=self.codec.kind, size=self.size,
        digest=self.digest, frequent=self.frequent, trivial=self.trivial,
        content=self.codec.content), ensure_ascii=False)

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes it into a file, which is either complete or as before."""
    replacing.replace_text(pathlib.Path(path), self.to_json())

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
    """Reads a file that `save` wrote.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is not valid.
    """
    path = pathlib.Path(path)
    if not path.exists():
      raise FileNotFoundError(f"no vocabulary in {path}; {_HELP}")
    with errors.reading(path, _HELP):
      return from_json(path.read_text(encoding="utf-8"))


def from_json(text: str) -> Vocabulary:
  """Undoes `Vocabulary.to_json`.

  Raises:
    ValueError: it is not valid.
  """
  try:
    found = _of_fields(json.loads(text))
  except (TypeError, LookupError, RecursionError) as error:
    raise ValueError(f"is no vocabulary, {error} is not as it should be"
                     ) from None
  size, digest = found.codec.size, digest_of(found.codec)
  if (found.size, found.digest) != (size, digest):
    raise ValueError(f"is damaged: {found.size} tokens of digest "
                     f"{found.digest}, but its content has {size} of {digest}")
  return found


def _of_fields(stored: Any) -> Vocabulary:
  if stored["format"] != _FORMAT:
    raise ValueError(f"has the format {stored['format']!r}, not {_FORMAT}")
  frequent = stored["frequent"]
  validation, test = map(float, stored["trivial"])
  return Vocabulary(
      stored["size"], stored["digest"],
      None if frequent is None else (int(frequent[0]), int(frequent[1])),
      (validation, test), codecs.restored(stored["kind"], stored["content"]))


def digest_of(codec: codecs.Codec) -> str:
  """Returns 16 hexadecimal digits that identify the meaning of tokens."""
  return hashlib.sha256(codecs.identity(codec).encode()).hexdigest()[:16]
