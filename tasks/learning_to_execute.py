"""Learning to execute: the value of a program, read character by character."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, classification, digits, programs

# The operations of each kind of program.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "addition": ("add",),
    "control": ("if", "for"),
    "program": ("add", "subtract", "multiply", "if", "for"),
}

# How many times each answer to a number is as long as the number.
MEMORISATION: Mapping[str, int] = {"copy": 1, "reverse": 1, "double": 2}

_SCORE_EPISODES = 2**16


@dataclasses.dataclass(frozen=True)
class LearningToExecute(classification.ClassificationTask):
  """Read a short program, then write the digits of its value.

  An episode: the characters of a program, one-hot, one a step; an end marker;
  and silent steps at which the digits of its value are asked for, one a step.
  `operation` says what is to be learnt:

  - 'addition': `(4+27)+15`; 'control': conditions and loops, such as
    `x=(31if54>29else70)for[3]x+=12`; 'program': these two and differences and
    products. A program applies `nesting` of them in turn. Its value is taken
    modulo 10^(length + 1), so that it is never negative.
  - 'copy', 'reverse', 'double': the program is a single number, the answer its
    digits, from the last to the first, or twice. There is no nesting.

  All numbers of a program have exactly `length` digits. Length and nesting are
  uniform in [min_length, level] and [min_nesting, max_nesting], each episode by
  itself: the "mix" curriculum. The paper tests at the largest of both: that is
  the variant 'hardest' in `extrapolations`.

  See "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822), section 4.2, for the tasks, and the code released with it
  (Sonnet's) for the programs; "Learning to Execute" (Zaremba and Sutskever,
  2014, arXiv 1410.4615) for where they come from.

  Notes:
    In the paper an encoder reads the program, and its state, at the program's
    true end, is the first of a decoder that sees nothing but zeros (of its
    decoders the one that worked best). In the released code both are one core,
    and so here, on one sequence: the answer follows at once upon the program,
    so that no padding comes between. The marker, which tells reading from
    writing, is added.

    Only digits are ever answered, so there are ten classes and not the 45 of
    the released code, most of which never occur. Neither there nor here is the
    end of the answer to be answered. `accuracy` is that of each episode, and
    then the mean, so that a character of a short answer weighs more;
    `character_accuracy`, the paper's, is the share of all characters.
    The code's mixtures of `+`, `-` and `*`, and of `if`, `+` and `-`, are not
    here.

  Attributes:
    operation: a name in `PROGRAMS` or `MEMORISATION`.
    min_length: fewest digits of a number in a program.
    max_length: most digits, the highest level.
    min_nesting: fewest operations in a program.
    max_nesting: most operations.
  """

  operation: str = "addition"
  min_length: int = 1
  max_length: int = 5
  min_nesting: int = 1
  max_nesting: int = 2

  main_metric: ClassVar[str] = "accuracy"
  ratios: ClassVar[Mapping[str, tuple[str, str]]] = {
      "character_accuracy": ("characters_right", "characters")}
  level_name: ClassVar[str] = "length"
  is_text: ClassVar[bool] = True

  def __post_init__(self):
    valid = (*PROGRAMS, *MEMORISATION)
    if self.operation not in valid:
      raise ValueError(f"unknown operation {self.operation!r}; valid "
                       f"operations: {', '.join(valid)}")
    base.check_range("min_length", self.min_length, "max_length",
                     self.max_length)
    base.check_range("min_nesting", self.min_nesting, "max_nesting",
                     self.max_nesting)

  @property
  def input_size(self) -> int:
    """The characters, and the marker."""
    return len(programs.VOCABULARY) + 1

  @property
  def output_size(self) -> int:
    return 10

  @property
  def num_steps(self) -> int:
    return self._text_size + 1 + self.num_answers

  @property
  def num_answers(self) -> int:
    return self._answer_size

  @property
  def _answer_size(self) -> int:
    """Characters of the longest answer."""
    if self.operation in MEMORISATION:
      return MEMORISATION[self.operation] * self.max_length
    return self.max_length + 1

  @property
  def _text_size(self) -> int:
    if self.operation in MEMORISATION:
      return self.max_length
    return programs.max_text(PROGRAMS[self.operation], self.max_length,
                             self.max_nesting)

  @property
  def max_level(self) -> int:
    return self.max_length

  def at_level(self, level: int) -> "LearningToExecute":
    """This task with numbers of exactly `level` digits, nested as they were."""
    return dataclasses.replace(self, min_length=level, max_length=level)

  @property
  def extrapolations(self) -> Mapping[str, base.Task]:
    """The 'hardest' of its own episodes."""
    hardest = dataclasses.replace(self, min_length=self.max_length,
                                  min_nesting=self.max_nesting)
    return {} if hardest == self else {"hardest": hardest}

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    text, answer = self._draw(key, level)
    end = (text != digits.ABSENT).sum()
    text = digits.compact(text, self.num_steps)
    text = text.at[end].set(len(programs.VOCABULARY))
    answer = self._write(answer, end)
    return base.Batch(jax.nn.one_hot(text, self.input_size),
                      jax.nn.one_hot(answer, self.output_size),
                      (answer != digits.ABSENT).astype(jnp.float32))

  def _draw(self, key: jax.Array,
            level: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Codes of a text and its answer, with absent ones among them."""
    length_key, nesting_key, program_key = jax.random.split(key, 3)
    length = base.draw_level(length_key, self.min_length, level)
    nesting = base.draw_level(nesting_key, self.min_nesting,
                              jnp.int32(self.max_nesting))
    size = self.max_length + 1
    if self.operation in MEMORISATION:
      value = programs.draw_literals(program_key, 1, length, size)[0]
      text = digits.text(value, length)
    else:
      text, value = programs.draw_program(
          program_key, PROGRAMS[self.operation], length, nesting, size,
          self.max_nesting)
    return text, self._answer(value, length)

  def _answer(self, value: jax.Array, length: jax.Array) -> jax.Array:
    """Codes of the answer where literals have `length` digits."""
    if self.operation not in MEMORISATION:
      value = digits.keep(value, length + 1)
      return digits.text(value, digits.count(value))
    text = digits.text(value, length)
    if self.operation == "reverse":
      text = text[::-1]
    return jnp.tile(text, MEMORISATION[self.operation])

  def _write(self, answer: jax.Array, end: jax.Array) -> jax.Array:
    """The answer's codes at the steps after the marker, which is at `end`."""
    answer = digits.compact(answer, self.num_answers)
    step = jnp.arange(self.num_steps) - end - 1
    inside = (step >= 0) & (step < self.num_answers)
    return jnp.where(inside, answer[jnp.clip(step, 0, self.num_answers - 1)],
                     digits.ABSENT)

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Cross-entropy (nats) of an answer by the size of the longest, `[B]`.

    So every character of an update weighs the same, whatever the size of its
    answer, as in the released code. It is less than the nats a character by as
    much as answers are shorter than the longest: a curriculum's threshold on
    the loss is lower than it looks.
    """
    share = batch.mask.sum(0) / self._answer_size
    return super().loss(outputs, batch) * share

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Reads and executes the program, in the order of its characters."""

    def solve(inputs):
      codes = jnp.where(inputs.any(1), inputs.argmax(1), digits.ABSENT)
      value, literal = programs.evaluate(codes, self.max_length + 1)
      answer = self._answer(value, digits.count(literal))
      return self._write(answer, jnp.argmax(inputs[:, -1]))

    answers = jax.vmap(solve, 1, 1)(batch.inputs)
    return classification.classes_to_logits(answers, self.output_size)

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Share of characters right, and of episodes without a wrong one.

    And of how many characters how many are right, for the share over all.
    """
    wrong = classification.is_wrong(outputs, batch)
    characters = batch.mask.sum(0)
    right = ((1 - wrong) * batch.mask).sum(0)
    return {
        "accuracy": 1 - classification.mean_over_steps(wrong, batch.mask),
        "characters": characters,
        "characters_right": right,
        "sequence_accuracy": (right == characters).astype(jnp.float32),
    }

  def transcribe(self, batch: base.Batch, outputs: Any) -> list[str]:
    """Each program, its answer, and what was answered."""
    inputs, targets, answers = (
        np.asarray(x).argmax(-1).T for x in (*batch[:2], outputs))
    shown: np.ndarray = np.asarray(batch.inputs)[:, :, :-1].max(-1).T > 0
    asked: np.ndarray = np.asarray(batch.mask).T > 0
    write = "".join
    return [
        f"{write(programs.VOCABULARY[code] for code in inputs[b][shown[b]])}: "
        f"{write(map(str, targets[b][asked[b]]))}, answered "
        f"{write(map(str, answers[b][asked[b]]))}"
        for b in range(len(inputs))]

  def trivial(self, batch: base.Batch) -> jax.Array:
    """The most frequent digit: a one, which leads sums, in most tasks."""
    digit, _ = _best_guess(self)
    return jnp.zeros_like(batch.targets).at[:, :, digit].set(20)

  @property
  def trivial_score(self) -> float:
    """Counted in `_SCORE_EPISODES` answers: no formula covers all programs."""
    return _best_guess(self)[1]


@functools.lru_cache
def _best_guess(task: LearningToExecute) -> tuple[int, float]:
  """The most frequent digit, and its mean share in the answers of episodes."""

  @jax.jit
  def shares():
    keys = jax.random.split(jax.random.key(0), _SCORE_EPISODES)
    answers = jax.vmap(lambda key: task._draw(key, jnp.int32(task.max_length))[
        1])(keys)
    counts = (answers[:, :, None] == jnp.arange(10)).sum(1)
    return (counts / counts.sum(1, keepdims=True)).mean(0)

  with jax.ensure_compile_time_eval():  # `trivial` may be in a program.
    share = np.asarray(shares())
  digit = int(share.argmax())
  if share[digit] < 1.05 * share[1]:  # By chance.
    digit = 1
  return digit, float(share[digit])
