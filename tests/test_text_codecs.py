"""Texts as numbers and back; vocabularies in files."""

import json

import numpy as np
import pytest
from text_helpers import TEXTS, ready, tokenizer_file, write

from tasks.data import errors
from tasks.text import codecs, vocabulary

ODD = "Ein Maß\r\nvoll\t \x0c“Bier”\u2028 🍺🍺\n\n ende"
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(params=["words", "characters", "bytes", "json"])
def tokens(request, tmp_path) -> str:
  """Returns each way to cut a text into tokens."""
  if request.param == "json":
    return str(tokenizer_file(tmp_path, TEXTS["train"]))
  return request.param


def of(tmp_path, tokens, **kwargs) -> vocabulary.Vocabulary:
  folder = write(tmp_path / "odd", TEXTS | {"train": TEXTS["train"] + ODD})
  return ready(folder, tokens=tokens, **kwargs).vocabulary


def test_a_text_comes_back(tmp_path, tokens):
  found = of(tmp_path, tokens)
  for text in (ODD, TEXTS["train"], ""):
    numbers = found.codec.encode(text)
    assert numbers.dtype == np.int32
    assert numbers.max(initial=0) < found.size
    back = found.codec.decode(numbers)
    if tokens == "words":  # White space is not kept, line ends are.
      assert [line.split() for line in back.split("\n")] == [
          line.split() for line in text.split("\n")]
    else:
      assert back == text
  assert found.codec.decode(found.codec.encode("the cat\n\nsaw")) == (
      "the cat\n\nsaw")


def test_text_as_it_comes(tmp_path, tokens):
  codec = of(tmp_path, tokens).codec
  numbers = codec.encode(ODD)
  shown = list(codec.as_they_come(iter(numbers)))
  assert "".join(shown) == codec.decode(numbers)
  assert len(shown) > 7
  assert not any("\ufffd" in piece for piece in shown)  # No half characters.
  half = codecs.Bytes().encode("🍺")[:2]
  assert "".join(codecs.Bytes().as_they_come(half)) == "\ufffd"


def test_a_vocabulary_comes_back_from_its_file(tmp_path, tokens):
  found = of(tmp_path, tokens)
  path = tmp_path / "vocabulary.json"
  found.save(path)
  again = vocabulary.Vocabulary.load(path)
  assert again == found
  assert hash(again) == hash(found)
  np.testing.assert_array_equal(again.codec.encode(ODD),
                                found.codec.encode(ODD))
  assert [file.name for file in tmp_path.iterdir()
          if file.name.endswith(".part")] == []


def test_the_digest_is_of_the_meaning(tmp_path):
  digests = {of(tmp_path, tokens, **kwargs).digest for tokens, kwargs in (
      ("words", {}), ("characters", {}), ("bytes", {}),
      ("words", dict(max_words=5)))}
  assert len(digests) == 4
  assert {len(digest) for digest in digests} == {16}


@pytest.mark.parametrize("change, words", [
    (lambda stored: stored.update(format=2), "has the format 2, not 1"),
    (lambda stored: stored.pop("content"), "is no vocabulary, 'content'"),
    (lambda stored: stored.update(kind="runes"), "unknown kind 'runes'"),
    (lambda stored: stored["content"].append("new"), "is damaged: 7 tokens"),
    (lambda stored: stored["content"].append("cat"), "words of a vocabulary "),
    (lambda stored: stored.update(trivial=None), "is no vocabulary"),
    (lambda stored: stored.update(frequent=[1]), "is no vocabulary"),
])
def test_damaged_vocabularies(tmp_path, change, words):
  path = tmp_path / "vocabulary.json"
  ready(write(tmp_path / "data")).vocabulary.save(path)
  stored = json.loads(path.read_text())
  change(stored)
  path.write_text(json.dumps(stored))
  with pytest.raises(errors.DataError) as error:
    vocabulary.Vocabulary.load(path)
  assert str(error.value).startswith(f"cannot read {path}: {words}")
  assert "\n" not in str(error.value)


def test_a_missing_vocabulary(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"no vocabulary in .*; give"):
    vocabulary.Vocabulary.load(tmp_path / "vocabulary.json")


def test_unknown_pieces(tmp_path):
  codec = ready(write(tmp_path / "data")).vocabulary.codec
  assert codec.decode(codec.encode("the zebra")) == "the <unk>"
  known = {split: text.replace("<unk>", "it") for split, text in TEXTS.items()}
  codec = ready(write(tmp_path / "known", known)).vocabulary.codec
  with pytest.raises(ValueError, match=r"'zebra' is not among the 7 words of "
                     "the vocabulary, which has no <unk>"):
    codec.encode("the zebra")
  codec = ready(tmp_path / "data", tokens="characters").vocabulary.codec
  with pytest.raises(ValueError, match=r"'Z' is not among the \d+ characters"):
    codec.encode("a Zebra")


def test_tokens_beyond_the_vocabulary(tmp_path, tokens):
  found = of(tmp_path, tokens)
  for token in (-1, found.size):
    with pytest.raises(ValueError, match=f"token {token} is beyond"):
      found.codec.decode([0, token])


@pytest.mark.parametrize("content, words", [
    ("{}", "is no tokenizer.json"), ("<html>", "is no tokenizer.json")])
def test_damaged_tokenizers(tmp_path, content, words):
  tokenizer_file(tmp_path, "a")
  path = tmp_path / "tokenizer.json"
  path.write_text(content)
  with pytest.raises(errors.DataError, match=f"{path}: {words}"):
    ready(write(tmp_path / "data"), tokens=str(path))


def test_tokens_that_are_no_file(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"tokens='word' is no file; valid"
                     ": words, characters, bytes, or the path"):
    ready(write(tmp_path / "data"), tokens="word")


def test_without_the_package(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
  path = tmp_path / "tokenizer.json"
  path.write_text("{}")
  with pytest.raises(errors.DataError, match="needs the package tokenizers"):
    ready(write(tmp_path / "data"), tokens=str(path))
