"""A tiny text as a stream, whose letters are those of a file."""

import dataclasses
import json
import pathlib
import zlib

import numpy as np

import tasks
from tasks import scores


class Codec:
  def __init__(self, letters):
    self._letters = letters

  def encode(self, text):
    for letter in text:
      if letter not in self._letters:
        raise ValueError(f"{letter!r} is not among {self._letters!r}")
    return np.array([self._letters.index(letter) for letter in text], int)

  def as_they_come(self, tokens):
    for token in tokens:
      yield self._letters[token]


@dataclasses.dataclass(frozen=True)
class Letters(tasks.Stream, tasks.Readable):
  num_steps: int = 3
  letters: str | None = None

  score = scores.Tokens()
  trivial_score = 5.

  @property
  def output_size(self):
    return len(self.letters)

  @property
  def vocabulary_digest(self):
    return zlib.crc32(self.letters.encode())

  @property
  def codec(self):
    return Codec(self.letters)

  @property
  def vocabulary_json(self):
    return json.dumps(self.letters)

  def with_vocabulary_json(self, text):
    return dataclasses.replace(self, letters=json.loads(text))

  def prepared(self, data_dir=None):
    return dataclasses.replace(self, letters="".join(sorted(set(
        read(data_dir)))))

  def load(self, split, data_dir=None):
    return tasks.Corpus(self.codec.encode(read(data_dir)))

  def corpus(self, data):
    return data


def read(data_dir):
  return (pathlib.Path(data_dir) / "text.txt").read_text()
