"""Texts in files: where they lie, how they are cut, what is wrong with them."""

import bz2
import gzip
import lzma
import pathlib
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_helpers import prepare
from text_helpers import TEXTS, ready, write

import tasks
from tasks.data import errors
from tasks.text import build, places, store

pytestmark = pytest.mark.usefixtures("own_cache")

# Splits of `TEXTS` in words.
WORDS = {split: [word for line in text.splitlines()
                 for word in [*line.split(), "<eos>"]]
         for split, text in TEXTS.items()}
NAMES = {"train": "train", "validation": "valid", "test": "test"}


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


@pytest.mark.parametrize("name", [
    "{}.txt", "{}", "wiki.{}.tokens", "wiki.{}.raw", "ptb.{}.txt",
    "my-text_{}.text"])
@pytest.mark.parametrize("valid", ["valid", "validation", "val", "dev"])
def test_names_of_files(tmp_path, name, valid):
  texts = {"train": TEXTS["train"], valid: TEXTS["valid"],
           "test": TEXTS["test"]}
  folder = write(tmp_path / "data", texts, name)
  (folder / "README.md").write_text("test")
  (folder / "LICENSE.txt").write_text("test")
  assert words_in(ready(folder), folder) == WORDS


@pytest.mark.parametrize("suffix, opener", [
    (".xz", lzma.open), (".gz", gzip.open), (".bz2", bz2.open)])
def test_packed_files(tmp_path, suffix, opener):
  folder = tmp_path / "data"
  folder.mkdir()
  for split, text in TEXTS.items():
    with opener(folder / f"wiki.{split}.txt{suffix}", "wt") as file:
      file.write(text)
  assert words_in(ready(folder), folder) == WORDS
  path = folder / f"wiki.train.txt{suffix}"
  path.write_bytes(path.read_bytes()[:-9])
  assert fails(folder).startswith(f"cannot read {path}: ")
  # A file that is also there unpacked is read once, and unpacked.
  write(folder, name="wiki.{}.txt")
  assert words_in(ready(folder), folder) == WORDS


def test_folders_of_books(tmp_path):
  folder = tmp_path / "data"
  for split, text in TEXTS.items():
    lines = text.split("\n")[:-1]
    # The last line of a book also ends without a line feed.
    write(folder / split, {"b": "\n".join(lines[1:]),
                           "a": lines[0]})
    (folder / split / "notes.json").write_text("{}")
  assert words_in(ready(folder), folder) == WORDS


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


def test_several_texts_in_one_folder(tmp_path):
  folder = write(tmp_path, name="one.{}.txt")
  write(folder, TEXTS | {"train": "other\n" * 7}, "two.{}.txt")
  write(folder / "three", TEXTS | {"train": "third\n" * 7})
  message = fails(folder, FileNotFoundError)
  assert message.endswith("several texts; choose one with --task.name=one|two")
  assert words_in(ready(folder, name="one"), folder) == WORDS
  for name, word in (("two", "other"), ("three", "third")):
    assert words_in(ready(folder, name=name), folder)["train"][0] == word
  message = fails(folder, FileNotFoundError, name="four")
  assert "no text four in" in message
  assert "there: one, two, three; pass" in message


def test_known_texts_are_found_under_their_usual_names(tmp_path):
  folder = write(tmp_path / "a" / "wikitext-2", name="wiki.{}.tokens")
  for given in (folder, folder.parent):
    assert words_in(ready(given, name="wikitext2"), given) == WORDS
  plain = write(tmp_path / "plain")
  task = ready(plain, name="wikitext2")
  # They are recognised by their counts.
  found = task.remarks(task.load("test", str(plain)))
  assert found == [
      f"validation: {len(WORDS['valid'])} words, not the published 217,646 of "
      "WikiText-2",
      f"test: {len(WORDS['test'])} words, not the published 245,569 of "
      "WikiText-2"]
  assert ready(plain).remarks(ready(plain).load("test", str(plain))) == []
  message = fails(tmp_path, FileNotFoundError, name="wikitext2")
  assert "get wikitext-2-v1.zip" in message


def test_missing_texts(tmp_path):
  with pytest.raises(FileNotFoundError, match="text needs --data_dir: pass a"):
    tasks.Text().prepared(None)
  with pytest.raises(FileNotFoundError, match=r"Treebank needs --data_dir: "
                     r"get simple-examples\.tgz"):
    tasks.Text(name="ptb").prepared(None)
  assert "is no folder; pass" in fails(tmp_path / "none", FileNotFoundError)
  assert "there: no texts; pass" in fails(tmp_path, FileNotFoundError)


@pytest.mark.parametrize("split", NAMES)
def test_missing_splits(tmp_path, split):
  folder = write(tmp_path / "data", name="wiki.{}.tokens")
  (folder / f"wiki.{NAMES[split]}.tokens").unlink()
  message = fails(folder, FileNotFoundError)
  assert message.startswith(f"wiki in --data_dir={folder} has no {split} split")


@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("split", TEXTS)
@pytest.mark.parametrize("content, words", [
    (b"", "is empty"),
    ("the cat\n".encode("utf-16"), "should be UTF-8, but "),
    (b"a caf\xe9\n", "should be UTF-8, but 'utf-8' codec can't decode byte "
     "0xe9 in position 5"),
])
def test_damaged_files(tmp_path, own_cache, tokens, split, content, words):
  folder = write(tmp_path / "data")
  (folder / f"{split}.txt").write_bytes(content)
  message = fails(folder, tokens=tokens)
  assert message.startswith(f"cannot read {folder / split}.txt: {words}")
  assert message.endswith("or one file such as text8, enwik8 or input.txt")
  assert not own_cache.exists()


@pytest.mark.parametrize("tokens", ["characters", "bytes"])
def test_a_text_of_one_token(tmp_path, tokens):
  folder = write(tmp_path / "data", TEXTS | {"test": "a"})
  with pytest.raises(ValueError, match="the test text should have at least 2 "
                     "tokens, has 1"):
    ready(folder, tokens=tokens)


def test_line_ends_and_a_mark_of_utf_8(tmp_path):
  other = {split: "\ufeff" + text.replace("\n", "\r\n")
           for split, text in TEXTS.items()}
  folder = write(tmp_path / "data", other)
  assert words_in(ready(folder), folder) == WORDS
  assert "\ufeff" not in ready(folder, tokens="characters"
                               ).vocabulary.codec.entries
  whole = ready(folder, tokens="bytes").load("train", str(folder)).train
  assert whole.tokens.tobytes() == other["train"].encode()  # As it is.


def test_words_are_sorted_by_frequency(tmp_path):
  folder = write(tmp_path / "data")
  task = ready(folder)
  # 'a' once in training; ties are in the order of the alphabet.
  assert task.vocabulary.codec.entries == (
      "<eos>", "the", "dog", "saw", "cat", "<unk>", "a")
  rare = write(tmp_path / "rare", TEXTS | {"test": "the zebra ate the dog\n"})
  assert ready(rare).vocabulary.codec.entries[-2:] == ("ate", "zebra")
  for kwargs, unknown in ((dict(vocabulary_from="train"), ["zebra", "ate"]),
                          (dict(max_words=5), ["zebra", "ate"]),
                          (dict(max_words=3), ["zebra", "ate", "dog"])):
    task = ready(rare, **kwargs)
    assert words_in(task, rare)["test"] == [
        "<unk>" if word in unknown else word
        for word in ["the", "zebra", "ate", "the", "dog", "<eos>"]]
    data = task.load("test", str(rare))
    assert task.remarks(data)[-1] == (
        f"test: {len(unknown)} of 6 words are not in the vocabulary and count "
        "as <unk>")
    # They are not a text's own words, so bits per byte would be too few.
    assert set(data.test.per_target) == {"words"}
  assert ready(rare, max_words=4).vocabulary.codec.entries == (
      "<unk>", "<eos>", "the", "dog")


def test_unknown_words_without_a_word_for_them(tmp_path):
  texts = {split: text.replace("<unk>", "it") for split, text in TEXTS.items()}
  folder = write(tmp_path / "data", texts | {"test": "the zebra\n"})
  message = fails(folder, ValueError, vocabulary_from="train")
  assert message.startswith("test: 'zebra' is not among the 7 words of the ")
  assert "choose vocabulary_from=all, or" in message
  assert ready(folder, vocabulary_from="train", max_words=99).output_size == 8


def test_another_text_in_the_words_of_a_vocabulary(tmp_path):
  folder = write(tmp_path / "data")
  other = write(tmp_path / "other", {
      "train": "the zebra\n", "valid": "a zebra\n", "test": "no zebra\n"})
  known = ready(folder).vocabulary
  task = ready(other, vocabulary=known)
  assert task.vocabulary == known
  assert words_in(task, other)["test"] == ["<unk>", "<unk>", "<eos>"]
  again = ready(other)
  assert again.vocabulary_digest != task.vocabulary_digest
  assert words_in(again, other)["test"] == ["no", "zebra", "<eos>"]


def test_the_cache(tmp_path, own_cache, monkeypatch):
  folder = write(tmp_path / "data")
  task = ready(folder)
  names = {path.name for path in own_cache.iterdir()}
  assert len(names) == 4  # The vocabulary, and three splits.
  # From now on nothing is converted.
  monkeypatch.setattr(store.build, "learn", None)
  monkeypatch.setattr(store.build, "encode", None)
  assert ready(folder) == task
  assert words_in(ready(folder), folder) == WORDS
  assert {path.name for path in own_cache.iterdir()} == names
  monkeypatch.undo()
  monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache.parent))
  for path in own_cache.iterdir():
    path.write_bytes(b"broken")
  assert ready(folder) == task
  assert words_in(ready(folder), folder) == WORDS
  for changed in (dict(tokens="bytes"), dict(max_words=3),
                  dict(vocabulary_from="train")):
    ready(folder, **changed)
  before = len(list(own_cache.iterdir()))
  (folder / "test.txt").write_text("the dog\n")
  assert words_in(ready(folder), folder)["test"] == ["the", "dog", "<eos>"]
  assert len(list(own_cache.iterdir())) == before + 4


def test_one_file(tmp_path):
  text = "".join(f"{i % 10}" for i in range(999)) + "é"
  folder = write(tmp_path / "data", {"input": text})
  for tokens, size in (("characters", 1000), ("bytes", 1001)):
    task = ready(folder, tokens=tokens)
    data = [task.load(split, str(folder)) for split in ("train", "test")]
    lengths = [len(corpus.tokens) for corpus in (
        data[0].train, data[1].validation, data[1].test)]
    assert lengths == [900, 50, size - 950]
    assert task.remarks(data[0]) == [
        "the text is one file: the first 90 % are for training, the next 5 % "
        "for validation, and the last 5 % are the test"]


def test_one_file_is_not_cut_within_words_or_characters(tmp_path):
  line = "ééééé six words\n"
  folder = write(tmp_path / "data", {"input": line * 41})
  # Both would be cut otherwise.
  cuts = [int(41 * len(line.encode()) * share) for share in (.9, .95)]
  assert all(cut % len(line.encode()) for cut in cuts)
  assert ready(folder).vocabulary.codec.entries == (
      "<eos>", "six", "words", "ééééé")
  folder = write(tmp_path / "other", {"input": "é" * 41})
  task = ready(folder, tokens="characters")
  assert task.output_size == 1
  assert len(task.load("train", str(folder)).train.tokens) == 37


def test_files_of_the_hutter_prize(tmp_path, monkeypatch):
  monkeypatch.setattr("tasks.text.reader._HUTTER_SIZE", 1000)
  monkeypatch.setattr("tasks.text.reader._HUTTER_CUTS", (700, 900))
  folder = write(tmp_path / "data", {"text8": "ab cd " * 166 + "abcd"}, "{}")
  task = ready(folder, tokens="characters", name="text8")
  train, test = (task.load(split, str(folder)) for split in ("train", "test"))
  assert [len(corpus.tokens) for corpus in (
      train.train, test.validation, test.test)] == [700, 200, 100]
  assert not any("one file" in remark for remark in task.remarks(train))


def test_pieces_are_as_good_as_the_whole(tmp_path, monkeypatch):
  folder = write(tmp_path / "data", {
      split: text.replace("cat", "cät") for split, text in TEXTS.items()})
  for tokens in ("words", "characters", "bytes"):
    whole = ready(folder, tokens=tokens).load("train", str(folder))
    for size in (1, 7):
      monkeypatch.setattr("tasks.text.reader._PIECE", size)
      monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"{tokens}{size}"))
      pieces = ready(folder, tokens=tokens).load("train", str(folder))
      np.testing.assert_array_equal(whole.train.tokens, pieces.train.tokens)
      assert whole.train.per_target == pieces.train.per_target


def test_prepared_by_tensorflow_datasets(tmp_path):
  folder = prepare(tmp_path / "build", {"text": tfds.features.Text()}, {
      split: [{"text": text.rstrip("\n")}] for split, text in zip(
          NAMES, TEXTS.values(), strict=True)})
  root = tmp_path / "data" / "tiny_shakespeare"
  root.mkdir(parents=True)
  folder.rename(root / "1.0.0")
  for given, name in ((root.parent, "shakespeare"), (root, ""),
                      (root / "1.0.0", ""), (root.parent, "tiny_shakespeare")):
    assert words_in(ready(given, name=name), given) == WORDS


def test_prepared_without_a_text_or_a_split(tmp_path):
  folder = prepare(tmp_path / "a", {"label": np.int64}, {
      split: [{"label": 3}] for split in NAMES})
  assert "should have a feature 'text'; its features: label" in fails(folder)
  folder = prepare(tmp_path / "b", {"text": tfds.features.Text()}, {
      split: [{"text": "a"}] for split in ("train", "test")})
  assert "has no split 'validation'; its splits: " in fails(folder)


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


def test_units():
  assert build.units_of("a bé\n\n c") == (5, 8, 9)
  assert build.units_of("a bé\n\n c".encode()) == (5, 8, 9)


def test_names_of_splits():
  assert tuple(NAMES) == places.SPLITS
