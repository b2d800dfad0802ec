"""What a task can do beside drawing episodes.

A task derives from a kind (`tasks.base.Episodes`, for example) and from each of
its capabilities. Test for a capability with `isinstance`.

Letters: T time steps, B batch, O output size.
"""

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, Self

import jax
import numpy as np

from tasks.batch import Batch


class Levelled(abc.ABC):
  """Represents a task whose episodes have levels, which a curriculum raises.

  A level is an integer from 1 on that bounds the difficulty of an episode: a
  length, a number of items or of classes. Shapes are those of `max_level`, so
  the level of a batch may be a traced value.

  Attributes:
    level_name: what a level counts, for tables and plots.

  Example:
    >>> task = tasks.Copy(max_length=20)
    >>> isinstance(task, tasks.Levelled), task.level_name, task.max_level
    (True, 'length', 20)
    >>> longer = task.at_level(50)
    >>> task.num_steps, longer.num_steps
    (42, 102)
  """

  level_name: ClassVar[str] = "level"

  @property
  @abc.abstractmethod
  def max_level(self) -> int:
    """The highest level that fits the shapes."""

  @abc.abstractmethod
  def at_level(self, level: int) -> Self:
    """Returns this task with every episode at exactly `level`.

    Passing a lower level to `sample` also gives episodes of exactly that level,
    padded to this task's shapes.

    Raises:
      ValueError: the task has no such level.
    """


class Countable(abc.ABC):
  """Represents a task with a finite number of episodes.

  An evaluation takes each of them once instead of drawing at random.

  Example:
    >>> task = tasks.LanguageNumbers(split="test")
    >>> isinstance(task, tasks.Countable), task.num_examples
    (True, 631)
    >>> task.example(0).inputs.shape
    (5, 30)
  """

  @property
  @abc.abstractmethod
  def num_examples(self) -> int:
    """The number of episodes."""

  @abc.abstractmethod
  def example(self, index: jax.Array, data: Any = None) -> Batch:
    """Returns one episode, with the shapes of `Episodes.episode`.

    Args:
      index: int32 scalar below `num_examples`, may be traced.
      data: the result of `load` or `instance`, or None.
    """


class Transcribable(abc.ABC):
  """Represents a task whose episodes can be written as text.

  Example:
    >>> task = tasks.LearningToExecute("reverse", max_length=4)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 2)
    >>> for line in task.transcribe(batch, batch.targets):
    ...   print(line)
    12: 21, answered 21
    22: 22, answered 22
  """

  @abc.abstractmethod
  def transcribe(self, batch: Batch, outputs: Any) -> list[str]:
    """Writes each episode and a network's answer to it as one line.

    Args:
      batch: a batch of this task.
      outputs: `[T, B, O]`.

    Returns:
      B lines.
    """


class Symbolic(abc.ABC):
  """Represents a task that shows one symbol at a step: a word, a character.

  A picture writes these symbols below the steps.

  Example:
    >>> task = tasks.Babi()
    >>> isinstance(task, tasks.Symbolic), task.input_names[:4]
    (True, ('-', '.', '?', 'a'))
    >>> task.spell_inputs(np.eye(task.input_size)[[3, 0]])
    ['a', '-']
  """

  @property
  @abc.abstractmethod
  def input_names(self) -> Sequence[str]:
    """As those of `Episodes`: the symbols."""

  @property
  @abc.abstractmethod
  def output_names(self) -> Sequence[str]:
    """As those of `Episodes`: the symbols."""

  def spell_inputs(self, inputs: np.ndarray) -> list[str]:
    """Writes what each step of an episode shows.

    Args:
      inputs: `[T, F]`, on the host.

    Returns:
      T symbols, '' for a step that shows none.
    """
    return _spell(inputs, self.input_names)

  def spell_answers(self, answers: np.ndarray) -> list[str]:
    """Writes targets or outputs, as `spell_inputs` does.

    Args:
      answers: `[T, O]`, on the host.
    """
    return _spell(answers, self.output_names)


def _spell(rows: np.ndarray, names: Sequence[str]) -> list[str]:
  """Returns the name of the largest number of each row; '' if all are 0."""
  return [names[int(np.argmax(row))] if np.any(row) else "" for row in rows]


class Codec(Protocol):
  """Turns a text into tokens and back."""

  def encode(self, text: str) -> np.ndarray:
    """Returns the tokens of a text, `[N]` integers.

    Raises:
      ValueError: the vocabulary lacks a piece of the text.
    """

  def as_they_come(self, tokens: Iterable[int]) -> Iterator[str]:
    """Yields the text of tokens piece by piece, in whole characters.

    Args:
      tokens: numbers, which may be drawn one by one.
    """


class Readable(abc.ABC):
  """Represents a `tasks.Stream` whose tokens are text.

  A run keeps the vocabulary in its folder, so that a text can be continued
  without the data.

  Example:
    >>> task = tasks.CatBabi()
    >>> tokens = task.codec.encode("mary went to the garden .")
    >>> len(tokens)
    6
    >>> list(task.codec.as_they_come(tokens[:2]))
    ['mary', ' went']
  """

  @property
  @abc.abstractmethod
  def codec(self) -> Codec:
    """What the tokens mean; of a prepared task."""

  @property
  @abc.abstractmethod
  def vocabulary_json(self) -> str:
    """All that `with_vocabulary_json` needs; of a prepared task."""

  @abc.abstractmethod
  def with_vocabulary_json(self, text: str) -> Self:
    """Returns this task as `prepared` does, but from `vocabulary_json`.

    Raises:
      ValueError: the text is not valid.
    """
