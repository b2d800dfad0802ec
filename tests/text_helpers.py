"""Small texts in files, and a small tokenizer."""

import pathlib
from collections.abc import Mapping

import pytest

import tasks
from tasks.data import errors

TEXTS = {
    "train": "the cat saw the dog\n\nthe dog saw <unk>\n" * 5 + "a cat\n",
    "valid": "the dog saw the cat\n a \n",
    "test": "the cat\n\nthe cat saw  \n",
}
# Splits of `TEXTS` in words.
WORDS = {split: [word for line in text.splitlines()
                 for word in [*line.split(), "<eos>"]]
         for split, text in TEXTS.items()}


def write(folder: pathlib.Path, texts: Mapping[str, str] | None = None,
          name: str = "{}.txt") -> pathlib.Path:
  """Writes a file for each split; returns the folder."""
  folder.mkdir(parents=True, exist_ok=True)
  for split, text in (texts or TEXTS).items():
    (folder / name.format(split)).write_bytes(text.encode())
  return folder


def ready(folder: pathlib.Path, **kwargs) -> tasks.Text:
  return tasks.Text(**kwargs).prepared(str(folder))


def words_in(task: tasks.Text, folder: pathlib.Path) -> dict[str, list[str]]:
  """Returns the words of each split, by the names of `TEXTS`."""
  loaded = {split: task.load(split, str(folder)) for split in (
      "train", "test")}
  corpora = {"train": loaded["train"].train, "test": loaded["test"].test,
             "valid": loaded["test"].validation}
  assert loaded["train"].test is loaded["test"].train is None
  entries = task.vocabulary.codec.entries
  return {split: [entries[token] for token in corpus.tokens]
          for split, corpus in corpora.items()}


def fails(folder: pathlib.Path, error=errors.DataError, **kwargs) -> str:
  with pytest.raises(error) as raised:
    ready(folder, **kwargs)
  assert "\n" not in str(raised.value)
  return str(raised.value)


def tokenizer_file(folder: pathlib.Path, text: str) -> pathlib.Path:
  """Trains parts of words on a text; skips the test without the package."""
  tokenizers = pytest.importorskip(
      "tokenizers", reason="needs the package tokenizers: pip install "
      "-e '.[test]'")
  tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
      add_prefix_space=False)
  tokenizer.decoder = tokenizers.decoders.ByteLevel()
  trainer = tokenizers.trainers.BpeTrainer(
      vocab_size=300, show_progress=False,
      initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
  tokenizer.train_from_iterator([text], trainer)
  path = folder / "tokenizer.json"
  tokenizer.save(str(path))
  return path
