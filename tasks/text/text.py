"""A text as a stream: words, characters, bytes, or any tokenizer's tokens."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from tasks import checks
from tasks.capabilities import Readable
from tasks.stream import Corpus, Stream
from tasks.text import build, codecs, known, store
from tasks.text.places import SPLITS
from tasks.text.score import TextScore
from tasks.text.vocabulary import Vocabulary, from_json


class Texts(NamedTuple):
  """Holds the texts of a split, and what to remark on them.

  Attributes:
    train: the training text; None in the split 'test'.
    validation: the validation text; None in the split 'train'.
    test: the test text; None in the split 'train'.
    unknown: name of a text -> `[]` int32, tokens that are `<unk>` because the
      vocabulary lacks a piece of the text.
    is_cut: `[]` bool, whether the texts are parts of one file.
  """

  train: Corpus | None
  validation: Corpus | None
  test: Corpus | None
  unknown: Mapping[str, Any]
  is_cut: Any


@dataclasses.dataclass(frozen=True)
class Text(Stream, Readable):
  r"""Predicts the next token of a text: a language model.

  Training reads the training text, evaluation the validation text, and the
  variant 'test' the test text. Files are found as people have them: see
  `places.find`. A text is one of these:

  - three files, such as wiki.train.tokens, ptb.valid.txt, test.txt, with any
    prefix; also packed as .xz, .gz or .bz2;
  - three folders train, valid and test of .txt files, read in the order of
    their names;
  - one file, cut into 90, 5 and 5 %: text8, enwik8, input.txt;
  - a data set with a text, prepared by TensorFlow Datasets.

  Words are what stands between white space, and each line ends in the word
  `<eos>`, also a blank one. Nothing is put in lower case. The perplexity per
  word is that of all words but the first of a text, `<eos>` and `<unk>`
  included: N - 1 targets of N words. This is how the AWD-LSTM and the
  Transformer-XL count; they drop the words that do not fill a row, and here
  none is dropped. Characters and bytes keep the text as it is, and so do most
  tokenizers. Their perplexity is per word, too: exp(nats of all targets / words
  with line ends). Bits per character and per byte are left out if pieces of
  the text are `<unk>`.

  `perplexity_over_10000`, `_1000_to_10000` and `_under_1000` are over words
  that are that often in the training text, see "Relational recurrent neural
  networks" (Santoro et al., 2018, arXiv 1806.01822), Table 3.

  Attributes:
    tokens: 'words', 'characters', 'bytes', or the path of a tokenizer.json of
      Hugging Face's tokenizers.
    num_steps: T, tokens of a window, over which gradients flow.
    drop_state: see `Stream`.
    name: which text to read if the folder holds several: the prefix of its
      files or a folder. Names of known data sets are wikitext2, wikitext103,
      ptb, text8, enwik8, shakespeare, gutenberg and gigaword.
    vocabulary_from: texts whose words or characters are the vocabulary, 'all'
      or 'train'. Other words are '<unk>' if the vocabulary has it.
    max_words: size of the vocabulary; the most frequent words are kept, the
      others are '<unk>'. None for no bound.
    vocabulary: meaning of the tokens; `prepared` finds it.

  Example:
    >>> import pathlib, tempfile
    >>> task = tasks.Text(num_steps=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   for name in ("train", "valid", "test"):
    ...     _ = pathlib.Path(folder, f"{name}.txt").write_text(
    ...         "the cat sat\non the mat\n")
    ...   task = task.prepared(folder)
    ...   corpus = task.corpus(task.load("train", folder))
    >>> task.output_size, "".join(task.codec.as_they_come(corpus.tokens))
    (6, 'the cat sat\non the mat\n')
  """

  tokens: str = codecs.WORDS
  num_steps: int = 35
  name: str = ""
  vocabulary_from: str = build.ALL
  max_words: int | None = None
  vocabulary: Vocabulary | None = None

  _split: ClassVar[str] = "validation"

  def __post_init__(self):
    super().__post_init__()
    checks.check_positive(num_steps=self.num_steps)
    checks.check_member("vocabulary_from", self.vocabulary_from,
                        (build.ALL, build.TRAIN))
    if self.max_words is not None:
      if self.tokens != codecs.WORDS:
        raise ValueError(f"max_words={self.max_words} is for tokens=words, got "
                         f"tokens={self.tokens}; leave it out")
      if self.max_words < 2:
        raise ValueError(f"need max_words >= 2, got {self.max_words}")

  @property
  def output_size(self) -> int:
    return self._known.size

  @property
  def vocabulary_digest(self) -> int:
    return int(self._known.digest[:8], 16)

  @property
  def codec(self) -> codecs.Codec:
    return self._known.codec

  @property
  def vocabulary_json(self) -> str:
    return self._known.to_json()

  def with_vocabulary_json(self, text: str) -> Self:
    return dataclasses.replace(self, vocabulary=from_json(text))

  @property
  def score(self) -> TextScore:
    kind = codecs.JSON if codecs.is_file(self.tokens) else self.tokens
    return TextScore(store.METRICS[kind], self._known.frequent)

  @property
  def trivial_score(self) -> float:
    """Predicts by the frequencies of the training text, each count plus 1."""
    return self._known.trivial[SPLITS.index(self._split) - 1]

  @property
  def extrapolations(self) -> Mapping[str, "Text"]:
    return {"test": TextTest(**{
        field.name: getattr(self, field.name)
        for field in dataclasses.fields(self)})}

  @property
  def _known(self) -> Vocabulary:
    if self.vocabulary is None:
      raise ValueError(f"the {self.tokens} of the text are not known yet; call "
                       "prepared(data_dir) first")
    return self.vocabulary

  def prepared(self, data_dir: str | None = None) -> Self:
    """Returns this task with the vocabulary of the texts, if it has none."""
    if self.vocabulary is not None:
      return self
    return dataclasses.replace(
        self, vocabulary=self._store(data_dir).vocabulary())

  def load(self, split: str, data_dir: str | None = None) -> Texts:
    """Loads the training text, or the two others for 'test'.

    Raises:
      FileNotFoundError: there is no text.
      ValueError: a file is not valid, or has a piece that the vocabulary lacks.
    """
    checks.check_member("split", split, ("train", "test"))
    texts = self._store(data_dir)
    vocabulary = self.vocabulary or texts.vocabulary()
    corpora: dict[str, Corpus] = {}
    unknown, is_cut = {}, False
    for one in SPLITS[:1] if split == "train" else SPLITS[1:]:
      encoded = texts.load(one, vocabulary)
      corpora[one] = Corpus(encoded.tokens, per_target={
          unit: np.float32(count) for unit, count in store.per_target(
              encoded, vocabulary.codec.kind).items()})
      unknown[one] = np.int32(encoded.unknown)
      is_cut |= bool(encoded.is_cut)
    train, validation, test = map(corpora.get, SPLITS)
    return Texts(train, validation, test, unknown, np.bool_(is_cut))

  def _store(self, data_dir: str | None) -> store.Store:
    return store.Store(data_dir, self.name, self.tokens, self.vocabulary_from,
                       self.max_words,
                       self.vocabulary.codec if self.vocabulary else None)

  def corpus(self, data: Any) -> Corpus:
    """Returns the training text if `data` has it, else this task's own."""
    if not isinstance(data, Texts):
      raise ValueError(
          f"need texts as `data`, got "
          f"{'None' if data is None else type(data).__name__}; pass what "
          "`load` returns")
    return data.train or getattr(data, self._split)

  def metrics_of(self, means: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Returns metrics per word, character and byte; by frequency if evaluated.
    """
    found = self.score.of_text(means, self.corpus(data).per_target)
    return found if data.train else found | self.score.by_frequency(means)

  def remarks(self, data: Any) -> Sequence[str]:
    found = ["the text is one file: the first 90 % are for training, the next "
             "5 % for validation, and the last 5 % are the test"
             ] if data.is_cut else []
    published = known.counts_of(self.name, self.tokens) or (None,) * 3
    for split, count in zip(SPLITS, published, strict=True):
      if split in data.unknown:
        size = len(getattr(data, split).tokens)
        found += [f"{split}: {remark}" for remark in self._remarks_on(
            size, data.unknown[split], count)]
    return found

  def _remarks_on(self, size: int, unknown: int, published: int | None
                  ) -> list[str]:
    """Says how a text with so many tokens differs from the published one."""
    found = []
    if unknown:
      pieces = "tokens" if codecs.is_file(self.tokens) else "words"
      found.append(f"{unknown:,} of {size:,} {pieces} are not in the "
                   f"vocabulary and count as {codecs.UNKNOWN}")
    if published not in (None, size):
      found.append(f"{size:,} {self.tokens}, not the published "
                   f"{published:,} of {known.KNOWN[self.name].title}")
    return found


@dataclasses.dataclass(frozen=True)
class TextTest(Text):
  """Reads the test text."""

  _split: ClassVar[str] = "test"

  @property
  def extrapolations(self) -> Mapping[str, Text]:
    return {}
