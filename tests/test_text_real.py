"""Real texts, as they are counted in publications."""

import tarfile

import numpy as np
import pytest
from text_helpers import fails, ready

pytestmark = pytest.mark.usefixtures("own_cache")


def count(data_root, name: str, **kwargs):
  folder = data_root / "text"
  task = ready(folder, name=name, **kwargs)
  train, test = (task.load(split, str(folder)) for split in ("train", "test"))
  return task, [corpus.tokens for corpus in (
      train.train, test.validation, test.test)]


def test_wikitext2(data_root):
  task, tokens = count(data_root, "wikitext2")
  assert list(map(len, tokens)) == [2_088_628, 217_646, 245_569]
  assert task.output_size == 33_278
  assert {x.dtype for x in tokens} == {np.dtype(np.uint16)}
  counts = np.bincount(tokens[0], minlength=33_278)
  assert (np.diff(counts) <= 0).all()
  assert counts[-1] > 0  # No word of the others is missing in training.
  # How much of the test the most frequent words cover.
  for rank, share in ((1000, .736), (2000, .800), (4000, .865),
                      (10_000, .938), (20_000, .981)):  # With other ties.
    assert (tokens[2] < rank).mean() == pytest.approx(share, abs=1e-3)
  # The frequencies of training words alone.
  assert task.extrapolations["test"].trivial_score == pytest.approx(914, abs=.5)
  data = task.load("test", str(data_root / "text"))
  assert task.remarks(data) == []
  assert data.test.per_target["words"] == 1


def test_wikitext103_has_no_training_text_here(data_root):
  message = fails(data_root / "text", FileNotFoundError, name="wikitext103")
  assert "has no train split, only validation, test" in message
  assert "get wikitext-103-v1.zip" in message


def test_tiny_shakespeare(data_root):
  task, tokens = count(data_root, "shakespeare", tokens="characters")
  assert sum(map(len, tokens)) == 1_115_394
  assert task.output_size == 65
  assert len(task.remarks(task.load("train", str(data_root / "text")))) == 1


def test_a_piece_of_wikipedia(data_root):
  task, tokens = count(data_root, "enwiki_sample", tokens="bytes")
  assert sum(map(len, tokens)) == 6_089_746
  assert len(np.unique(np.concatenate(tokens))) == 201
  assert task.output_size == 256


def test_the_real_books_as_folders(tmp_path, data_root):
  with tarfile.open(data_root / "text" / "gutenberg12.tar.xz") as archive:
    archive.extractall(tmp_path, filter="data")
  books = sorted((tmp_path / "gutenberg").iterdir())[:4]
  for split, chosen in (("train", books[:2]), ("valid", books[2:3]),
                        ("test", books[3:])):
    (tmp_path / "data" / split).mkdir(parents=True)
    for book in chosen:
      book.rename(tmp_path / "data" / split / book.name)
  task = ready(tmp_path / "data", vocabulary_from="train", max_words=5000)
  assert task.output_size == 5000
  remark, = task.remarks(task.load("train", str(tmp_path / "data")))
  assert "words are not in the vocabulary and count as <unk>" in remark
