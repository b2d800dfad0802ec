"""Streams: texts that a network reads in windows of contiguous tokens.

Letters: N tokens of a text, R rows, T steps of a window, B rows of a batch.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from tasks.batch import Batch
from tasks.scores import Score
from tasks.task import Task


class Corpus(NamedTuple):
  """Holds a text. Its first token is only an input; the others are targets.

  Attributes:
    tokens: `[N]`, integers of any type.
    scored: `[N]` bool, which tokens count as targets; None for all of them.
    per_target: name of a unit -> `[]` float32, how many words, characters or
      bytes there are in the text for each target.
    labels: `[N]` integers, whatever else a task's own `window` has to know of
      each token; None if there is nothing.

  Example:
    >>> tokens = np.array([3, 1, 4, 1, 5])
    >>> corpus = tasks.Corpus(tokens, scored=tokens != 1)
    >>> int(corpus.scored[1:].sum())  # The targets that count.
    2
  """

  tokens: Any
  scored: Any = None
  per_target: Mapping[str, Any] = {}
  labels: Any = None


@dataclasses.dataclass(frozen=True)
class Stream(Task):
  """Represents a text, read in windows of contiguous tokens.

  `input_size` and `output_size` are the size of the vocabulary. R rows read
  separate parts of the text, all of them `row_length` targets long, and the
  last ones maybe shorter, so that no token is left out. A network's state is
  carried from one window of a row to the next. At the beginning of a row, and
  when the rows are read again, it starts anew.

  Attributes:
    drop_state: probability that a row's state starts anew before a window of
      training, beside the beginnings of rows. With 0, a network learns from
      states after a long text only, and may fail when an evaluation starts in a
      new state.

  Example:
    >>> class Digits(tasks.Stream):
    ...   num_steps, output_size, trivial_score = 3, 10, 10.
    ...   score = tasks.Tokens()
    ...   def corpus(self, data):
    ...     return tasks.Corpus(np.array([3, 1, 4, 1, 5, 9, 2]))
    >>> window = Digits().window(Digits().corpus(None), jnp.array([0, 1]), 2,
    ...                          position=jnp.zeros(2, int))
    >>> window.inputs.T.tolist(), window.targets.T.tolist()  # Of two rows.
    ([[3, 1, 4], [1, 5, 9]], [[1, 4, 1], [5, 9, 2]])
  """

  drop_state: float = 0.01

  encoder: ClassVar[str] = "tokens"
  head: ClassVar[str] = "softmax"

  def __post_init__(self):
    if not 0 <= self.drop_state <= 1:
      raise ValueError(
          f"drop_state must be from 0 to 1, got {self.drop_state}")

  @property
  @abc.abstractmethod
  def score(self) -> Score:
    """How outputs are scored."""

  @property
  @abc.abstractmethod
  def num_steps(self) -> int:
    """T, the number of steps of a window, over which gradients flow."""

  @property
  def input_size(self) -> int:
    return self.output_size

  @property
  def input_spec(self) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((), jnp.int32)

  @property
  def vocabulary_digest(self) -> int:
    """A number below 2^32 that changes with the meaning of the tokens."""
    return 0

  @abc.abstractmethod
  def corpus(self, data: Any) -> Corpus:
    """Returns the text that this task reads.

    Args:
      data: the result of `load`.
    """

  def check(self, data: Any, batch_size: int) -> None:
    """Refuses windows that are longer than a row."""
    corpus = self.corpus(data)
    length = row_length(corpus, batch_size)
    if self.num_steps > length:
      raise ValueError(
          f"num_steps={self.num_steps} is longer than a row: {batch_size} rows "
          f"of {corpus.tokens.shape[0] - 1:,} targets have {length} each; "
          "lower task.num_steps or batch_size")

  def window(self, corpus: Corpus, rows: jax.Array, num_rows: int,
             position: jax.Array) -> Batch:
    """Returns the next window of some rows.

    Args:
      corpus: the text.
      rows: `[B]` int32, numbers of the rows; those from `num_rows` on are
        empty.
      num_rows: R, over all devices.
      position: `[B]` int32, how many targets each row has read.

    Returns:
      `inputs [T, B]` int32, `targets [T, B]` int32, the token after each input,
      and `mask [T, B]` float32, 1 for targets that count.
    """
    length = row_length(corpus, num_rows)
    rows, position = rows[None], position[None]
    place = position + jnp.arange(self.num_steps)[:, None]
    index = rows * length + place
    is_target = (place < length) & (index < corpus.tokens.shape[0] - 1) & (
        rows < num_rows)
    index = jnp.where(is_target, index, 0)
    inputs, targets = (jnp.asarray(corpus.tokens)[index + i].astype(jnp.int32)
                       for i in (0, 1))
    if corpus.scored is not None:
      is_target &= jnp.asarray(corpus.scored)[index + 1]
    return Batch(inputs, targets, is_target.astype(jnp.float32))


def row_length(corpus: Corpus, num_rows: int) -> int:
  """Returns the number of targets in a row of a text cut into R rows.

  Example:
    >>> corpus = tasks.Corpus(np.arange(11))
    >>> tasks.row_length(corpus, 3)  # Of 10 targets.
    4
  """
  return -(-(corpus.tokens.shape[0] - 1) // num_rows)


def num_windows(task: Stream, corpus: Corpus, num_rows: int) -> int:
  """Returns the number of windows that read each of R rows once.

  Example:
    >>> corpus = tasks.Corpus(np.arange(1001))
    >>> tasks.num_windows(tasks.CatBabi(num_steps=30), corpus, 10)
    4
  """
  return -(-row_length(corpus, num_rows) // task.num_steps)
