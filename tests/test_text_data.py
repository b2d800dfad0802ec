"""Texts in files: how they are cut and counted, and what is wrong with them."""

import numpy as np
import pytest
from text_helpers import TEXTS, WORDS, fails, ready, words_in, write

from tasks.data import errors
from tasks.text import build, store

pytestmark = pytest.mark.usefixtures("own_cache")

@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("split", TEXTS)
@pytest.mark.parametrize("content, words", [
    (b"", "is empty"),
    ("the cat\n".encode("utf-16"), "should be UTF-8, but has the byte 0xff "
     "after b''; "),
    (b"a caf\xe9\n", "should be UTF-8, but has the byte 0xe9 after b'a "
     "caf'; "),
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
  assert fails(folder, tokens=tokens).startswith(
      f"cannot read {folder / 'test.txt'}: the test text should have 2 to "
      "2,000,000,000 tokens, has 1; pass")


def test_a_text_whose_places_are_beyond_int32(tmp_path, monkeypatch):
  folder = write(tmp_path / "data")
  monkeypatch.setattr("tasks.text.store._MAX_TOKENS", 9)
  assert "the train text should have 2 to 9 tokens, has 63" in fails(folder)


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
  message = fails(folder, ValueError, vocabulary_from="train",
                  tokens="characters")
  assert "'b' is not among" in message
  assert message.endswith("choose vocabulary_from=all")  # No words, no bound.


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


def test_another_text_with_characters_that_a_vocabulary_lacks(tmp_path):
  known = ready(write(tmp_path / "data"), tokens="characters").vocabulary
  other = write(tmp_path / "other", TEXTS | {"test": "the zebra\n"})
  task = ready(other, tokens="characters", vocabulary=known)
  assert len(task.load("train", str(other)).train.tokens) > 1
  with pytest.raises(errors.DataError) as raised:
    task.load("test", str(other))
  assert str(raised.value).startswith(
      f"cannot read {other / 'test.txt'}: test: 'b' is not among the ")
  assert str(raised.value).endswith("vocabulary was made of, or train anew")


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


@pytest.mark.parametrize("end", ["", "\n"])
def test_one_line_is_cut_between_words(tmp_path, end):
  """The end of the only line is no place to cut."""
  words = [f"w{i % 7}" for i in range(999)]
  folder = write(tmp_path / "data", {"input": " ".join(words) + end})
  found = words_in(ready(folder), folder)
  assert [len(found[split]) for split in TEXTS] == [900, 51, 51]
  assert [word for split in TEXTS for word in found[split][:-1]] == words
  assert {found[split][-1] for split in TEXTS} == {"<eos>"}


def test_one_file_that_is_too_short_to_be_cut(tmp_path):
  folder = write(tmp_path / "data", {"input": "ab"})
  message = fails(folder, tokens="characters")
  assert message.startswith(f"cannot read {folder / 'input.txt'}: is too short "
                            "to be cut: its ")


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


def test_units():
  assert build.units_of("a bé\n\n c") == (5, 8, 9)
  assert build.units_of("a bé\n\n c".encode()) == (5, 8, 9)
