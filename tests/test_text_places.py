"""Where the files of a text lie, and what they are called."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_helpers import prepare
from text_helpers import TEXTS, WORDS, fails, ready, words_in, write

import tasks
from tasks.text import places

pytestmark = pytest.mark.usefixtures("own_cache")

NAMES = dict(zip(places.SPLITS, ("train", "valid", "test"), strict=True))


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


@pytest.mark.parametrize("name, is_text", [
    ("notes_from_underground.txt", True), ("Notes.txt", False),
    ("LICENSE.txt", False)])
def test_a_text_in_one_file_may_have_a_name_like_notes(tmp_path, name, is_text):
  folder = write(tmp_path, {"": "one two\n" * 50}, name)
  if is_text:
    assert words_in(ready(folder), folder)["train"][:2] == ["one", "two"]
  else:
    assert "there: no texts" in fails(folder, FileNotFoundError)


def test_folders_of_books(tmp_path):
  folder = tmp_path / "data"
  for split, text in TEXTS.items():
    lines = text.split("\n")[:-1]
    # The last line of a book also ends without a line feed.
    write(folder / split, {"b": "\n".join(lines[1:]),
                           "a": lines[0]})
    (folder / split / "notes.json").write_text("{}")
  assert words_in(ready(folder), folder) == WORDS


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


@pytest.mark.parametrize("examples, texts", [
    (["ab\nba"], ["ab\nba"]), (["ab\n"], ["ab\n"]),
    (["ab", "ba"], ["ab\nba", "ba\nab"]),  # Stored in either order.
    (["ab\n", "ba\n"], ["ab\nba\n", "ba\nab\n"])])
def test_prepared_examples_are_lines(tmp_path, examples, texts):
  """A single one, such as tiny_shakespeare's, is as it is."""
  folder = prepare(tmp_path, {"text": tfds.features.Text()}, {
      split: [{"text": text} for text in examples] for split in places.SPLITS})
  task = ready(folder, tokens="characters")
  corpus = task.load("train", str(folder)).train
  assert task.codec.decode(corpus.tokens) in texts


def test_prepared_without_a_text_or_a_split(tmp_path):
  folder = prepare(tmp_path / "a", {"label": np.int64}, {
      split: [{"label": 3}] for split in NAMES})
  assert "should have a feature 'text'; its features: label" in fails(folder)
  folder = prepare(tmp_path / "b", {"text": tfds.features.Text()}, {
      split: [{"text": "a"}] for split in ("train", "test")})
  assert "has no split 'validation'; its splits: " in fails(folder)
