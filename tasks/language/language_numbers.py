"""Language to number: 'two hundred and five' is 205."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.language import number_words

# Number of strings in each split.
SPLIT_SIZES: Mapping[str, int] = {"train": 169, "validation": 200, "test": 631}
_PADDING = -1


@dataclasses.dataclass(frozen=True)
class LanguageNumbers(
    base.Episodes, base.Countable, base.Transcribable, base.Symbolic):
  """Translates a string of English words to a number, word by word.

  An episode is one string of at most five words, one a step, one-hot. The
  target, the number itself, is at the last word. Silent steps follow a shorter
  string. The numbers below 1000 are divided once into 169 training strings,
  which contain every word, 200 for validation and 631 for the test;
  `extrapolations` are the latter two. Episodes are countable, so an evaluation
  takes each string of a split exactly once.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.3 and Table 3: the training strings are 0 to 19 and a random sample
  "adjusted to make sure that each unique token is present at least once".

  Example:
    >>> task = tasks.LanguageNumbers()
    >>> batch = task.sample(jax.random.key(0), batch_size=2)
    >>> batch.inputs.shape, task.numbers[:3].tolist()
    ((5, 2, 30), [0, 1, 2])
    >>> for line in task.transcribe(batch, batch.targets):
    ...   print(line)
    three 0  hundred 0  and 0  fifty 0  four 354  (354)
    six 0  hundred 0  and 0  eighty 680  (680)

  Notes:
    The paper says "0 to 1000" of 1000 strings: here 0 to 999, with 30 words.
    Its split is not published. Ours is drawn again until every word occurs.

  Attributes:
    split: 'train', 'validation' or 'test'.
    split_seed: seed of the division of the numbers into splits.
  """

  split: str = "train"
  split_seed: int = 0

  score: ClassVar[scores.Score] = scores.Regression(main_metric="mae")
  encoder: ClassVar[str] = "embed"

  def __post_init__(self):
    checks.check_member("split", self.split, SPLIT_SIZES)
    if self.split_seed < 0:
      raise ValueError(
          f"need split_seed >= 0, got split_seed={self.split_seed}")

  @property
  def input_size(self) -> int:
    return len(number_words.WORDS)

  @property
  def output_size(self) -> int:
    return 1

  @property
  def input_names(self) -> Sequence[str]:
    return number_words.WORDS

  @property
  def output_names(self) -> Sequence[str]:
    return ("number",)

  @property
  def num_steps(self) -> int:
    return number_words.MAX_WORDS

  @property
  def num_examples(self) -> int:
    return SPLIT_SIZES[self.split]

  @property
  def numbers(self) -> np.ndarray:
    """The numbers of the split, in rising order, `[num_examples]`."""
    return np.sort(split_numbers(self.split_seed)[self.split])

  def example(self, index: jax.Array, data: Any = None) -> base.Batch:
    del data
    number = jnp.asarray(self.numbers)[index]
    tokens = jnp.asarray(_all_tokens())[number]
    last = jnp.sum(tokens != _PADDING) - 1
    mask = (jnp.arange(self.num_steps) == last).astype(jnp.float32)
    return base.Batch(jax.nn.one_hot(tokens, self.input_size),
                      (mask * number.astype(jnp.float32))[:, None], mask)

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    del level
    return self.example(jax.random.randint(key, (), 0, self.num_examples), data)

  def transcribe(self, batch: base.Batch, outputs: Any) -> list[str]:
    """Writes each string with the output at every word.

    For example: 'seven 6.98  hundred 699.9  (700)'. Only the output at the last
    word is trained. See the paper's Figure 3.
    """
    inputs, outputs = np.asarray(batch.inputs), np.asarray(outputs)
    targets = np.sum(batch.targets, axis=(0, 2))
    return ["  ".join([
        *(f"{number_words.WORDS[int(np.argmax(word))]} {answer:.4g}"
          for word, answer in zip(inputs[:, b], outputs[:, b, 0], strict=True)
          if word.any()),
        f"({target:.0f})"]) for b, target in enumerate(targets)]

  def spell_answers(self, answers: np.ndarray) -> list[str]:
    return [f"{number:.4g}" for number in answers[:, 0]]

  @property
  def trivial_answer(self) -> float:
    """The median of the split."""
    return float(np.median(self.numbers))

  @property
  def trivial_score(self) -> float:
    """The mean absolute deviation from the median."""
    return float(np.abs(self.numbers - self.trivial_answer).mean())

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """The strings outside the training split, if this is that split."""
    if self.split != "train":
      return {}
    return {split: dataclasses.replace(self, split=split)
            for split in ("validation", "test")}

  @property
  def solved_below(self) -> float:
    """0.5: right on average, after rounding."""
    return 0.5


@functools.lru_cache
def split_numbers(seed: int, num_train: int = SPLIT_SIZES["train"]
                  ) -> Mapping[str, np.ndarray]:
  """Divides the numbers 0 to 999 into splits, each in random order.

  Args:
    seed: of the division.
    num_train: size of the training split, large enough for all words; the test
      split is what is left.

  Returns:
    Maps a split to its numbers.
  """
  rng = np.random.default_rng(seed)
  small = np.arange(20)
  while True:
    others = rng.permutation(np.arange(20, number_words.NUM_NUMBERS))
    train = np.concatenate([small, others[:num_train - 20]])
    if {word for n in train for word in number_words.number_words(int(n))
        } == set(number_words.WORDS):
      break
  rest = others[num_train - 20:]
  first = SPLIT_SIZES["validation"]
  return {"train": train, "validation": rest[:first], "test": rest[first:]}


def encode(texts: Sequence[str]) -> np.ndarray:
  """Encodes strings of words as inputs of a network, grammatical or not.

  Args:
    texts: B strings, words separated by spaces.

  Returns:
    `[T, B, F]` float32, with T words in the longest string; zeros after the
    end.

  Raises:
    ValueError: a word is not in `number_words.WORDS`.
  """
  words = [text.split() for text in texts]
  inputs = np.zeros((max(map(len, words)), len(words),
                     len(number_words.WORDS)), np.float32)
  for b, row in enumerate(words):
    for t, word in enumerate(row):
      checks.check_member("word", word, number_words.WORDS)
      inputs[t, b, number_words.WORDS.index(word)] = 1
  return inputs


@functools.lru_cache
def _all_tokens() -> np.ndarray:
  """Returns the words of all numbers, as indices into WORDS, `[1000, T]`."""
  tokens = np.full((number_words.NUM_NUMBERS, number_words.MAX_WORDS),
                   _PADDING, np.int32)
  for n in range(number_words.NUM_NUMBERS):
    words = [number_words.WORDS.index(word)
             for word in number_words.number_words(n)]
    tokens[n, :len(words)] = words
  return tokens
