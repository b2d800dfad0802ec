"""Learning to execute: the value of a program, read character by character."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.programs import digits, text_programs

# Maps a kind of program to its operations.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "addition": ("add",),
    "control": ("if", "for"),
    "program": ("add", "subtract", "multiply", "if", "for"),
}

# Maps a kind of memorisation to the length of the answer, in input lengths.
MEMORISATION: Mapping[str, int] = {"copy": 1, "reverse": 1, "double": 2}

_SCORE_EPISODES = 2**16


@dataclasses.dataclass(frozen=True)
class Characters(scores.Classes):
  """Scores answers of one class a step, where every step weighs the same.

  Attributes:
    longest: number of characters of the longest answer.
  """

  longest: int = 1

  ratios: ClassVar[Mapping[str, tuple[str, str]]] = {
      "character_accuracy": ("characters_right", "characters")}

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Returns the cross-entropy (nats) sum over `longest`, `[B]`.

    Every character of an update weighs the same, whatever the length of its
    answer, as in the released code. The loss is less than the nats per
    character, by as much as answers are shorter than the longest. A
    curriculum's threshold on the loss is therefore lower than it appears.
    """
    share = batch.mask.sum(0) / self.longest
    return super().loss(outputs, batch) * share

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Returns the shares of right characters and of episodes without errors.

    Also returns the numbers of characters and of right ones, from which
    `with_ratios` computes the share over all characters.
    """
    wrong = scores.is_wrong(outputs, batch)
    characters = batch.mask.sum(0)
    right = ((1 - wrong) * batch.mask).sum(0)
    return {
        "accuracy": 1 - scores.mean_over_steps(wrong, batch.mask),
        "characters": characters,
        "characters_right": right,
        "sequence_accuracy": (right == characters).astype(jnp.float32),
    }


@dataclasses.dataclass(frozen=True)
class LearningToExecute(
    base.Episodes, base.Levelled, base.Transcribable, base.Symbolic):
  """Reads a short program, then writes the digits of its value.

  An episode shows the characters of a program, one-hot, one a step, then an end
  marker, then silent steps. The targets at the silent steps are the digits of
  the value, one a step. There are two kinds of operations:

  - 'addition': `(4+27)+15`; 'control': conditions and loops, such as
    `x=(31if54>29else70)for[3]x+=12`; 'program': these two, and differences and
    products. A program applies `nesting` operations in turn. Its value is taken
    modulo 10^(length + 1), so it is never negative.
  - 'copy', 'reverse', 'double': the program is a single number. The answer is
    its digits, in reverse order for 'reverse', twice for 'double'. There is no
    nesting.

  All numbers of a program have exactly `length` digits. Each episode draws its
  length and nesting uniformly from [min_length, level] and [min_nesting,
  max_nesting]: the "mix" curriculum. The paper tests at the largest of both,
  which is the variant 'hardest' in `extrapolations`.

  See "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822), section 4.2, for the tasks, the code released with it (in Sonnet)
  for the programs, and "Learning to Execute" (Zaremba and Sutskever, 2014,
  arXiv 1410.4615) for their origin.

  Example:
    >>> task = tasks.LearningToExecute("control", max_length=2)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> batch.inputs.shape, batch.targets.shape
    ((34, 1, 29), (34, 1, 10))
    >>> task.transcribe(batch, batch.targets)[0]
    'x=20for[9]x+=34: 326, answered 326'

  Notes:
    In the paper an encoder reads the program. Its state at the true end of the
    program is the first state of a decoder whose inputs are zeros (the best of
    the paper's decoders). In the released code both are one core. Here too,
    there is one core and one sequence. The answer follows the program directly,
    without padding in between. The marker, which separates reading from
    writing, is added.

    Answers have digits only, so there are ten classes, not the 45 of the
    released code, most of which never occur. Neither here nor there is the end
    of an answer a target. `accuracy` is the mean over episodes of each
    episode's accuracy, so a character of a short answer weighs more.
    `character_accuracy`, the paper's metric, is the share of all characters.
    The mixtures of `+`, `-` and `*`, and of `if`, `+` and `-` in the released
    code are left out.

  Attributes:
    operation: 'addition', 'control' or 'program' for programs; 'copy',
      'reverse' or 'double' for memorisation.
    min_length: smallest number of digits of a number in a program.
    max_length: largest number of digits, the highest level.
    min_nesting: smallest number of operations in a program.
    max_nesting: largest number of operations in a program.
  """

  operation: str = "addition"
  min_length: int = 1
  max_length: int = 5
  min_nesting: int = 1
  max_nesting: int = 2

  level_name: ClassVar[str] = "length"

  def __post_init__(self):
    checks.check_member("operation", self.operation,
                        (*PROGRAMS, *MEMORISATION))
    checks.check_range("min_length", self.min_length, "max_length",
                       self.max_length)
    checks.check_range("min_nesting", self.min_nesting, "max_nesting",
                       self.max_nesting)
    checks.check_count(max_nesting=self.max_nesting)

  @property
  def score(self) -> Characters:
    return Characters(longest=self.num_answers)

  @property
  def input_size(self) -> int:
    """The characters, and the end marker."""
    return len(text_programs.VOCABULARY) + 1

  @property
  def output_size(self) -> int:
    return 10

  @property
  def input_names(self) -> Sequence[str]:
    return (*text_programs.VOCABULARY, "end")

  @property
  def output_names(self) -> Sequence[str]:
    return tuple("0123456789")

  @property
  def num_steps(self) -> int:
    return self._text_size + 1 + self.num_answers

  @property
  def num_answers(self) -> int:
    if self.operation in MEMORISATION:
      return MEMORISATION[self.operation] * self.max_length
    return self.max_length + 1

  @property
  def _text_size(self) -> int:
    if self.operation in MEMORISATION:
      return self.max_length
    return text_programs.max_text(PROGRAMS[self.operation], self.max_length,
                                  self.max_nesting)

  @property
  def max_level(self) -> int:
    return self.max_length

  def at_level(self, level: int) -> Self:
    """Returns this task with numbers of exactly `level` digits.

    The nesting stays the same.

    Raises:
      ValueError: `level` is below 1.
    """
    return dataclasses.replace(self, min_length=level, max_length=level)

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """The episodes with the longest numbers and the deepest nesting."""
    hardest = dataclasses.replace(self, min_length=self.max_length,
                                  min_nesting=self.max_nesting)
    return {} if hardest == self else {"hardest": hardest}

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    text, answer = self._draw(key, level)
    end = (text != digits.ABSENT).sum()
    text = digits.compact(text, self.num_steps)
    text = text.at[end].set(len(text_programs.VOCABULARY))
    answer = self._write(answer, end)
    return base.Batch(jax.nn.one_hot(text, self.input_size),
                      jax.nn.one_hot(answer, self.output_size),
                      (answer != digits.ABSENT).astype(jnp.float32))

  def _draw(self, key: jax.Array,
            level: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draws the codes of a text and its answer, absent ones among them."""
    length_key, nesting_key, program_key = jax.random.split(key, 3)
    length = base.draw_level(length_key, self.min_length, level)
    nesting = base.draw_level(nesting_key, self.min_nesting,
                              jnp.int32(self.max_nesting))
    size = self.max_length + 1
    if self.operation in MEMORISATION:
      value = text_programs.draw_literals(program_key, 1, length, size)[0]
      text = digits.text(value, length)
    else:
      text, value = text_programs.draw_program(
          program_key, PROGRAMS[self.operation], length, nesting, size,
          self.max_nesting)
    return text, self._answer(value, length)

  def _answer(self, value: jax.Array, length: jax.Array) -> jax.Array:
    """Returns the codes of the answer if literals have `length` digits."""
    if self.operation not in MEMORISATION:
      value = digits.keep(value, length + 1)
      return digits.text(value, digits.count(value))
    text = digits.text(value, length)
    if self.operation == "reverse":
      text = text[::-1]
    return jnp.tile(text, MEMORISATION[self.operation])

  def _write(self, answer: jax.Array, end: jax.Array) -> jax.Array:
    """Places the answer's codes after the marker, which is at `end`, `[T]`."""
    answer = digits.compact(answer, self.num_answers)
    step = jnp.arange(self.num_steps) - end - 1
    inside = (step >= 0) & (step < self.num_answers)
    return jnp.where(inside, answer[jnp.clip(step, 0, self.num_answers - 1)],
                     digits.ABSENT)

  def transcribe(self, batch: base.Batch, outputs: Any) -> list[str]:
    """Writes '<program>: <right answer>, answered <outputs>' for each."""
    inputs, targets, answers = (
        np.asarray(x).argmax(-1).T for x in (*batch[:2], outputs))
    shown: np.ndarray = np.asarray(batch.inputs)[:, :, :-1].max(-1).T > 0
    asked: np.ndarray = np.asarray(batch.mask).T > 0
    lines = []
    for b in range(len(inputs)):
      program, right, answered = (
          "".join(text) for text in (
              [text_programs.VOCABULARY[code] for code in inputs[b][shown[b]]],
              map(str, targets[b][asked[b]]), map(str, answers[b][asked[b]])))
      lines.append(f"{program}: {right}, answered {answered}")
    return lines

  @property
  def trivial_answer(self) -> np.ndarray:
    """Logits of the most frequent digit: 1 in most tasks, since it leads sums.
    """
    digit, _ = _best_guess(self)
    return 20 * np.eye(self.output_size, dtype=np.float32)[digit]

  @property
  def trivial_score(self) -> float:
    """Counted in `_SCORE_EPISODES` answers: no formula covers all programs."""
    return _best_guess(self)[1]


@functools.lru_cache
def _best_guess(task: LearningToExecute) -> tuple[int, float]:
  """Returns the most frequent digit, and its mean share in answers."""

  def shares():
    keys = jax.random.split(jax.random.key(0), _SCORE_EPISODES)
    answers = jax.vmap(lambda key: task._draw(key, jnp.int32(task.max_length))[
        1])(keys)
    counts = (answers[:, :, None] == jnp.arange(10)[None, None]).sum(1)
    return (counts / counts.sum(1, keepdims=True)).mean(0)

  # `trivial` may be traced; a program that is compiled runs anyway.
  share = np.asarray(jax.jit(shares).lower().compile()())
  digit = int(share.argmax())
  if share[digit] < 1.05 * share[1]:  # By chance.
    digit = 1
  return digit, float(share[digit])
