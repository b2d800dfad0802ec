"""Makes small data sets in the formats of the real ones."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tasks.babi import facts


def idx(array: np.ndarray) -> bytes:
  """Encodes as idx: two zeros, 8 for bytes, rank, big-endian sizes, data."""
  sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
  return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def png(pixels: np.ndarray, **options: Any) -> io.BytesIO:
  """Encodes a picture."""
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, "PNG", **options)
  file.seek(0)
  return file


def prepare(root: pathlib.Path, features: Mapping[str, Any],
            splits: Mapping[str, Sequence[Any]]) -> pathlib.Path:
  """Prepares a data set with TensorFlow Datasets; returns its folder.

  Args:
    root: where the folder is made.
    features: maps a name to a feature.
    splits: maps the name of a split to its examples.
  """

  class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    name = "small"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
      return tfds.core.DatasetInfo(
          builder=self, description="-",
          features=tfds.features.FeaturesDict(dict(features)))

    def _split_generators(self, dl_manager):
      return {split: enumerate(examples) for split, examples in splits.items()}

    def _generate_examples(self):
      raise NotImplementedError

  builder = Builder(data_dir=root, file_format="array_record")
  builder.download_and_prepare()
  return pathlib.Path(builder.data_dir)

FILLERS = ("the", "then", "there", "went", "back", "up", "down")


def babi_text(number: int, num_questions: int | None = None) -> str:
  """Returns a file of bAbI whose stories tell the answers.

  A story has two questions, or one if the task has no more. The answers are
  those of the task's test file, as often as there, in an order that mixes them.
  A filler behind each answer makes stories differ.

  Args:
    number: of the task.
    num_questions: the first so many; all if None.
  """
  answers = [answer for answer, count in facts.FACTS[number].answers.items()
             for _ in range(count)]
  rng = np.random.default_rng(number)
  order = rng.permutation(len(answers))
  lines, in_story = [], 2 if facts.FACTS[number].most_answers > 2 else 1
  for i, place in enumerate(order[:num_questions]):
    words, line = answers[place], 2 * (i % in_story)
    told = f"{words.replace(',', ' ')} {rng.choice(FILLERS)}"
    lines += [f"{line + 1} {told.capitalize()}.",
              f"{line + 2} ?\t{words}\t{line + 1}"]
  return "\n".join(lines) + "\n"


def write_babi(root: pathlib.Path, numbers: Sequence[int],
               size: str = "en-10k") -> pathlib.Path:
  """Writes the files of `babi_text`; returns the folder `size`."""
  folder = root / size
  folder.mkdir(parents=True)
  for number in numbers:
    for split in ("train", "test"):
      (folder / f"qa{number}_some-task_{split}.txt").write_text(
          babi_text(number))
  return folder
