"""Parses the text of one of bAbI's files into numbers."""

import re
from typing import NamedTuple

import numpy as np

from tasks.babi import facts

_NUMBERS = {word: number for number, word in enumerate(facts.VOCABULARY)}
_LINE = re.compile(r"([1-9]\d*) ([^\t]+)(?:\t([^\t]+)(?:\t[\d ]*)?)?")


class Story(NamedTuple):
  """Holds one story.

  Attributes:
    words: `[T]` int32, numbers of words; the answer's where one is asked for.
    asked: `[T]` bool, where an answer is asked for.
    num_questions: a question may ask for several words.
  """

  words: np.ndarray
  asked: np.ndarray
  num_questions: int


def parse(content: bytes) -> list[Story]:
  """Returns the stories of a file, in its order.

  A line is `NUMBER TEXT`, or `NUMBER QUESTION<tab>ANSWER<tab>FACTS`. A story
  begins at number 1. An answer of several words has commas between them.

  Args:
    content: of the file.

  Raises:
    ValueError: it is empty or not UTF-8, a line is not of this form or out of
      order, a word is unknown, or a story asks nothing.
  """
  try:
    lines = content.decode("utf-8-sig").rstrip().split("\n")
  except UnicodeDecodeError as error:
    raise ValueError(f"should be UTF-8, but {error}") from None
  if lines == [""]:
    raise ValueError("is empty")
  found: list[Story] = []
  words: list[int] = []
  asked: list[bool] = []
  first, expected, num_questions = 1, 1, 0

  def end() -> None:
    if not num_questions:
      raise ValueError(f"the story at line {first} asks nothing")
    found.append(Story(np.array(words, np.int32), np.array(asked, bool),
                       num_questions))

  for place, line in enumerate(lines, 1):
    match = _LINE.fullmatch(line.rstrip())
    if not match:
      raise ValueError(
          f"line {place} should be 'NUMBER TEXT' or 'NUMBER QUESTION<tab>"
          f"ANSWER<tab>FACTS', is {line[:60]!r}")
    number, text, answer = int(match[1]), match[2], match[3]
    if number == 1 and place > 1:
      end()
      first, expected, num_questions = place, 1, 0
      words, asked = [], []
    if number != expected:
      raise ValueError(f"line {place} should have the number {expected}"
                       f"{' or 1' if expected > 1 else ''}, has {number}")
    expected += 1
    numbers = _encode(text, place)
    answers = _encode(answer.replace(",", " "), place) if answer else []
    words += numbers + answers
    asked += [False] * len(numbers) + [True] * len(answers)
    num_questions += bool(answers)
  end()
  return found


def _encode(text: str, place: int) -> list[int]:
  """Returns the numbers of the words, '.' and '?' of a text."""
  words = text.lower().replace(".", " . ").replace("?", " ? ").split()
  try:
    return [_NUMBERS[word] for word in words]
  except KeyError as error:
    raise ValueError(
        f"line {place} has {error}, which is not among the "
        f"{len(facts.VOCABULARY)} words and symbols of bAbI v1.2") from None
