"""Data sets that people compare with: usual names, sizes, where to get them."""

from collections.abc import Mapping
from typing import NamedTuple

from tasks.text import codecs

_WORDS = codecs.WORDS


class Known(NamedTuple):
  """Describes a published data set.

  Attributes:
    title: its name in messages.
    names: of its folder, or the prefix of its files.
    help: where to get it, and which files it has.
    counts: kind of tokens -> tokens of train, validation and test; a line end
      is a word.
  """

  title: str
  names: tuple[str, ...]
  help: str
  counts: Mapping[str, tuple[int, int, int]] = {}


# The authors' first address, s3.amazonaws.com/research.metamind.io, is gone.
_SMERITY = "https://wikitext.smerity.com"

KNOWN: Mapping[str, Known] = {
    "wikitext2": Known(
        "WikiText-2", ("wikitext2", "wikitext-2", "wiki"),
        f"get wikitext-2-v1.zip (4 MB, for example from {_SMERITY}), unpack "
        "it, and pass the folder of wiki.train.tokens as --data_dir",
        {_WORDS: (2_088_628, 217_646, 245_569)}),
    "wikitext103": Known(
        "WikiText-103", ("wikitext103", "wikitext-103", "wiki"),
        f"get wikitext-103-v1.zip (190 MB, for example from {_SMERITY}), "
        "unpack it, and pass the folder of wiki.train.tokens as --data_dir",
        {_WORDS: (103_227_021, 217_646, 245_569)}),
    "ptb": Known(
        "Penn Treebank", ("ptb", "penn"),
        "get simple-examples.tgz of T. Mikolov (34 MB), unpack it, and pass "
        "the folder of ptb.train.txt as --data_dir",
        {_WORDS: (929_589, 73_760, 82_430)}),
    "text8": Known(
        "text8", ("text8",),
        "get text8.zip (31 MB, http://mattmahoney.net/dc/text8.zip), unpack "
        "it, and pass its folder as --data_dir",
        {codecs.CHARACTERS: (90_000_000, 5_000_000, 5_000_000)}),
    "enwik8": Known(
        "enwik8", ("enwik8",),
        "get enwik8.zip (36 MB, http://mattmahoney.net/dc/enwik8.zip), unpack "
        "it, and pass its folder as --data_dir",
        {codecs.BYTES: (90_000_000, 5_000_000, 5_000_000)}),
    "shakespeare": Known(
        "tiny Shakespeare",
        ("tinyshakespeare", "tiny_shakespeare", "shakespeare", "input"),
        "get input.txt (1 MB) of char-rnn's data/tinyshakespeare, or prepare "
        "tiny_shakespeare with TensorFlow Datasets, and pass its folder as "
        "--data_dir",
        {codecs.CHARACTERS: (1_003_854, 55_770, 55_770)}),
    "gutenberg": Known(
        "Project Gutenberg", ("gutenberg",),
        "get books as .txt files, for example of PG-19, in the folders train, "
        "valid and test, and pass the folder of these three as --data_dir"),
    "gigaword": Known(
        "GigaWord v5", ("gigaword",),
        "get LDC2011T07 from the Linguistic Data Consortium, write its text as "
        "train.txt, valid.txt and test.txt, a sentence a line, and pass their "
        "folder as --data_dir"),
}

HELP = ("pass a folder with train, valid and test files, such as "
        "wiki.train.tokens, ptb.valid.txt or test.txt, folders of books "
        "train/, valid/ and test/, or one file such as text8, enwik8 or "
        "input.txt")


def help_of(name: str) -> str:
  """Returns what to do if a data set is not found."""
  return KNOWN[name].help if name in KNOWN else HELP


def names_of(name: str) -> tuple[str, ...]:
  """Returns the names under which to look for a data set."""
  return KNOWN[name].names if name in KNOWN else (name,)


def counts_of(name: str, tokens: str) -> tuple[int, int, int] | None:
  """Returns how many tokens the splits of a data set have, if it is known."""
  return KNOWN[name].counts.get(tokens) if name in KNOWN else None
