"""Texts as arrays, converted once and then read from the cache."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from tasks.data import cache, errors
from tasks.text import build, codecs, known, places, score
from tasks.text.places import SPLITS
from tasks.text.reader import Reader
from tasks.text.vocabulary import Vocabulary, digest_of, from_json

# Places in a text are int32; a window may reach a little beyond the end.
_MAX_TOKENS = 2_000_000_000
_ANOTHER = ("pass the --data_dir of the text that the vocabulary was made of, "
            "or train anew")
_MAX_EXPONENT = 700  # Beyond it, `math.exp` raises an error.
_FORMAT = 2  # Of the cached arrays; raise it when their content changes.


class Store:
  """Reads the text of one folder."""

  def __init__(self, data_dir: str | None, name: str, tokens: str,
               vocabulary_from: str, max_words: int | None,
               codec: codecs.Codec | None = None):
    """Finds the files.

    Args:
      data_dir: folder of the files.
      name: see `places.find`.
      tokens: 'words', 'characters', 'bytes' or the path of a tokenizer.json.
      vocabulary_from: see `build.learn`.
      max_words: see `build.learn`.
      codec: what tokens mean if that is known.

    Raises:
      FileNotFoundError: no text, or no tokenizer.
      ValueError: something is not valid.
    """
    source = places.find(data_dir, name)
    self._codec = codec or (
        codecs.Bytes() if tokens == codecs.BYTES else
        codecs.of_file(tokens) if codecs.is_file(tokens) else None)
    self._kind = self._codec.kind if self._codec else tokens
    self._help = known.help_of(name)
    self._reader = Reader(source, self._kind, name)
    self._label = source.label
    self._settings = (vocabulary_from, max_words)
    self._files = self._fingerprint()

  def vocabulary(self) -> Vocabulary:
    """Returns the vocabulary, from the cache or from the text.

    Raises:
      ValueError: the files are not valid.
    """
    meaning = digest_of(self._codec) if self._codec else self._settings
    name = f"vocabulary_{self._key(meaning)}.npz"
    if stored := _cached(name):
      return stored
    logging.info("Converting %s, once", self._label)
    codec, splits = self._learned()
    for split, encoded in splits.items():
      self._check(split, encoded)
    found = _describe(codec, splits)
    if self._fingerprint() == self._files:  # Not changed meanwhile.
      for split, encoded in splits.items():
        self._write(split, found, encoded)
      cache.write(name, np.frombuffer(found.to_json().encode(), np.uint8))
    return found

  def _learned(self) -> tuple[codecs.Codec, dict[str, build.Encoded]]:
    """Returns what tokens mean, and all splits in them."""
    if self._codec is None:
      return build.learn(self._reader, self._kind, *self._settings)
    return self._codec, {split: build.encode(self._reader, self._codec, split)
                         for split in SPLITS}

  def load(self, split: str, vocabulary: Vocabulary) -> build.Encoded:
    """Returns a split in the tokens of a vocabulary.

    Raises:
      ValueError: the files are not valid, or hold what the vocabulary lacks.
    """
    stored = cache.read_all(self._name(split, vocabulary))
    if stored is not None and set(stored) == set(build.Encoded._fields):
      return build.Encoded(**stored)
    with errors.reading(self._reader.file_of(split), _ANOTHER):
      encoded = build.encode(self._reader, vocabulary.codec, split)
    self._check(split, encoded)
    if self._fingerprint() == self._files:
      self._write(split, vocabulary, encoded)
    return encoded

  def _check(self, split: str, encoded: build.Encoded) -> None:
    """Raises a DataError if a text is too short or too long."""
    with errors.reading(self._reader.file_of(split), self._help):
      if not 2 <= len(encoded.tokens) <= _MAX_TOKENS:
        raise ValueError(f"the {split} text should have 2 to {_MAX_TOKENS:,} "
                         f"tokens, has {len(encoded.tokens):,}")

  def _fingerprint(self) -> str:
    return cache.fingerprint(_FORMAT, *self._reader.files)

  def _key(self, *more: Any) -> str:
    text = json.dumps([self._files, self._reader.identity, self._kind, more])
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  def _name(self, split: str, vocabulary: Vocabulary) -> str:
    return f"text_{split}_{self._key(vocabulary.digest)}.npz"

  def _write(self, split, vocabulary, encoded):
    cache.write_all(self._name(split, vocabulary), encoded._asdict())


def _cached(name: str) -> Vocabulary | None:
  """Returns a vocabulary from the cache; None if it is not there, or broken."""
  stored = cache.read(name)
  if stored is None:
    return None
  try:
    return from_json(stored.tobytes().decode())
  except ValueError as error:
    logging.warning("Ignoring a broken cache, %s: %s", name, error)
    return None


def _describe(codec: codecs.Codec, splits: Mapping[str, build.Encoded]
              ) -> Vocabulary:
  """Returns a vocabulary with what the training text says about it."""
  counts = np.bincount(splits["train"].tokens, minlength=codec.size)
  nats = -np.log((counts + 1) / (counts.sum() + codec.size))
  validation, test = (_trivial(codec.kind, nats, splits[split])
                      for split in SPLITS[1:])
  frequent = (int((counts > score.OFTEN).sum()),
              int((counts >= score.SELDOM).sum()))
  return Vocabulary(codec.size, digest_of(codec),
                    frequent if codec.kind == codecs.WORDS else None,
                    (validation, test), codec)


def _trivial(kind: str, nats: np.ndarray, encoded: build.Encoded) -> float:
  """Returns the main metric of tokens that cost `nats`, whatever came before.
  """
  metric = METRICS[kind]
  loss = float(nats[encoded.tokens[1:]].mean())
  loss /= per_target(encoded, kind)[score.UNITS[metric]]
  if metric != score.PERPLEXITY:
    return loss / math.log(2)
  return math.exp(loss) if loss < _MAX_EXPONENT else math.inf


# Kind of the tokens -> main metric.
METRICS: Mapping[str, str] = {
    codecs.WORDS: score.PERPLEXITY,
    codecs.JSON: score.PERPLEXITY,
    codecs.CHARACTERS: score.BITS_PER_CHARACTER,
    codecs.BYTES: score.BITS_PER_BYTE,
}


def per_target(encoded: build.Encoded, kind: str) -> dict[str, float]:
  """Returns how many words, characters and bytes there are for each target.

  The first token is not a target, so each count is lowered by one. With
  `<unk>` for a piece of the text, a network does not predict the text itself,
  so characters and bytes are left out.
  """
  found = dict(zip(build.UNITS, (
      max(float(count) - 1, 1) / (len(encoded.tokens) - 1)
      for count in encoded.units), strict=True))
  if kind == codecs.WORDS:
    found["words"] = 1.
  if encoded.unknown:
    del found["characters"], found["bytes"]
  return found
