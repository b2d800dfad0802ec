"""bAbI's stories as one text, as catbAbI has them; see `tasks.babi.catbabi`.

Letters: N tokens of a text, M steps of all stories.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from tasks.babi import facts, reader
from tasks.data import errors
from tasks.stream import Corpus

PAD, END, QUESTION = "<pad>", "<eos>", "?"  # `PAD` never occurs.

_DIRECTIONS = ("e", "n", "s", "w")
_PATHS = (path for path in itertools.product(_DIRECTIONS, repeat=2)
          if set(path) not in ({"n", "s"}, {"e", "w"}))  # None leads back.
_CARRIED = (order for length in (2, 3) for order in itertools.permutations(
    ("apple", "football", "milk"), length))

# 154 words and symbols, 24 answers of several words, and the two of catbAbI.
VOCABULARY: tuple[str, ...] = (PAD, END, *(
    word for word in facts.VOCABULARY
    if word not in (facts.MARK, *_DIRECTIONS)),
    *map(",".join, (*_PATHS, *_CARRIED)))

_NUMBERS = {word: number for number, word in enumerate(VOCABULARY)}
_SEED = 0  # Of the order of the stories.


def corpus(stories: reader.Stories, part: int) -> Corpus:
  """Returns the text of a part of the stories, in a fixed random order.

  `END` comes first, and after each story. The label of a token is the number of
  its story's task; that of the first token is 0. The answers are scored.

  Args:
    stories: from `reader.load_stories`.
    part: 0 for the split's own stories, 1 for the validation stories.

  Raises:
    DataError: a word or an answer is not among those of bAbI v1.2.
  """
  tokens, is_kept, is_answer = _joined(stories)
  numbers = np.repeat(np.arange(len(facts.FACTS)), stories.count[part])
  index = stories.first[part][numbers] + np.concatenate(
      [np.arange(count) for count in stories.count[part]])
  order = np.random.default_rng(_SEED).permutation(len(index))
  texts, scored = [[_NUMBERS[END]]], [[False]]
  for i in index[order]:
    steps = slice(stories.start[i], stories.start[i] + stories.length[i])
    texts += [tokens[steps][is_kept[steps]], [_NUMBERS[END]]]
    scored += [is_answer[steps][is_kept[steps]], [False]]
  lengths = np.array([len(text) for text in texts[1::2]]) + 1
  labels = np.repeat(numbers[order] + 1, lengths)
  return Corpus(np.concatenate(texts).astype(np.uint8),
                np.concatenate(scored).astype(bool),
                labels=np.r_[0, labels].astype(np.uint8))


def _joined(stories: reader.Stories
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns tokens `[M]`, which of them to keep, and which are answers.

  The token of an answer of several words is in the place of its first word.
  """
  words, asked = np.asarray(stories.words), np.asarray(stories.asked)
  is_answer = asked & ~np.r_[False, asked[:-1]]
  number_of = np.array([_NUMBERS.get(word, -1) for word in facts.VOCABULARY])
  tokens = number_of[words]
  for start, end in _runs(asked):
    answer = ",".join(facts.VOCABULARY[word] for word in words[start:end])
    tokens[start] = _NUMBERS.get(answer, -1)
  is_kept = is_answer | ~asked
  unknown = np.flatnonzero(is_kept & (tokens < 0))
  if unknown.size:
    raise errors.DataError(
        f"bAbI's files have {_word(words, asked, unknown[0])!r}, which is not "
        f"among the {len(VOCABULARY) - 2} words and answers of bAbI v1.2; get "
        "the original tasks_1-20_v1-2.tar.gz")
  return tokens, is_kept, is_answer


def _word(words: np.ndarray, asked: np.ndarray, place: int) -> str:
  """Returns the word at a place, or the whole answer that begins there."""
  end = place + 1
  while asked[place] and end < len(asked) and asked[end]:
    end += 1
  return ",".join(facts.VOCABULARY[word] for word in words[place:end])


def _runs(asked: np.ndarray) -> Iterator[tuple[int, int]]:
  """Yields where each answer begins and ends."""
  changes = np.flatnonzero(np.diff(np.r_[False, asked, False].astype(int)))
  return zip(changes[::2], changes[1::2], strict=True)
