"""Program evaluation: the value of an expression of whole numbers."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.programs import digit_score, token_programs

MAX_EXACT = 2**24  # Whole numbers up to this one are exact in float32.


@dataclasses.dataclass(frozen=True)
class ProgramEvaluation(base.Episodes, base.Levelled, base.Symbolic):
  """Evaluates a program whose numbers are inputs as values, not as digits.

  An episode is one program, a token a step: `17 + 4 =`, or
  `(3 + 14) if 5 < 7 else 2 =`. A number is one step: its value is in the first
  channel, unscaled, and the one-hot channels of the tokens mark it as a number.
  The target is at the end mark `=`. The number of operations is uniform in
  [min_operations, level].

  Programs of kind 'addition' add. Those of kind 'full' add, subtract and choose
  with `if` and `else`, each equally likely. For how operations nest, see
  `tasks.programs.token_programs`.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.4, after "Learning to Execute" (Zaremba and Sutskever, 2014, arXiv
  1410.4615): trained on numbers in [0, 100), and evaluated on numbers of three
  and of four digits, as in `extrapolations`.

  Example:
    >>> task = tasks.ProgramEvaluation()
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> batch.inputs[:, 0, 0].tolist()  # The values; 0 at a symbol.
    [57.0, 0.0, 12.0, 0.0]
    >>> float(batch.targets[-1, 0, 0])
    69.0

  Notes:
    The paper shows neither a program nor the number of operations. The
    operations here are those of Zaremba and Sutskever that it names.
    The loss is the root of an episode's mean squared error, not of a batch's.
    With one answer, it is the absolute error.

  Attributes:
    program: kind of the programs, 'addition' or 'full'.
    min_operations: smallest number of operations in a program.
    max_operations: largest number of operations in a program, the highest
      level.
    min_value: smallest number in a program.
    max_value: largest number in a program.
  """

  program: str = "addition"
  min_operations: int = 1
  max_operations: int = 1
  min_value: int = 0
  max_value: int = 99

  score: ClassVar[scores.Score] = digit_score.DigitScore()
  level_name: ClassVar[str] = "operations"

  def __post_init__(self):
    checks.check_member("program", self.program, token_programs.OPERATIONS)
    checks.check_range("min_operations", self.min_operations,
                       "max_operations", self.max_operations)
    if not 0 <= self.min_value <= self.max_value:
      raise ValueError(f"need 0 <= min_value <= max_value, got min_value="
                       f"{self.min_value} and max_value={self.max_value}")
    if (self.max_operations + 1) * self.max_value > MAX_EXACT:
      raise ValueError(
          f"answers above {MAX_EXACT} are not exact in float32, got max_value="
          f"{self.max_value} with max_operations={self.max_operations}; lower "
          "one of them")

  @property
  def input_size(self) -> int:
    return 1 + len(token_programs.TOKENS)

  @property
  def output_size(self) -> int:
    return 1

  @property
  def input_names(self) -> Sequence[str]:
    return ("value", *token_programs.TOKENS)

  @property
  def output_names(self) -> Sequence[str]:
    return ("value",)

  @property
  def num_steps(self) -> int:
    return token_programs.num_steps(self.program, self.max_operations)

  @property
  def max_level(self) -> int:
    return self.max_operations

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, min_operations=level, max_operations=level)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    level_key, program_key = jax.random.split(key)
    number = base.draw_level(level_key, self.min_operations, level)
    kind, value, answer = token_programs.make(
        program_key, self.program, self.max_operations, number, self.min_value,
        self.max_value)
    tokens = jax.nn.one_hot(kind, len(token_programs.TOKENS))
    inputs = jnp.concatenate([value[:, None], tokens], axis=1)
    mask = tokens[:, token_programs.TOKENS.index("=")]
    return base.Batch(inputs, (mask * answer)[:, None], mask)

  def spell_inputs(self, inputs: np.ndarray) -> list[str]:
    kinds = inputs * (np.arange(inputs.shape[1]) > 0)  # Without the value.
    return [f"{value:.0f}" if kind == "number" else kind for kind, value in zip(
        super().spell_inputs(kinds), inputs[:, 0], strict=True)]

  def spell_answers(self, answers: np.ndarray) -> list[str]:
    return [f"{number:.4g}" for number in answers[:, 0]]

  @property
  def trivial_answer(self) -> float:
    """The median of the answers, the best constant for the loss."""
    values, shares = self._answers()
    return float(values[np.searchsorted(shares.cumsum(), 0.5)])

  @property
  def trivial_score(self) -> float:
    """The expected error in the digits of the median."""
    values, shares = self._answers()
    answers = jnp.full(values.shape, self.trivial_answer)
    matching = digit_score.matching_digits(
        answers, jnp.asarray(values, jnp.float32))
    return float(1 - np.asarray(matching, np.float64) @ shares)

  @property
  def extrapolations(self) -> Mapping[str, Self]:
    """Numbers of three and of four digits, if they exceed `max_value`."""
    return {
        f"{n}_digits": dataclasses.replace(
            self, min_value=10**(n - 1), max_value=10**n - 1)
        for n in (3, 4) if self.max_value < 10**(n - 1)}

  def _answers(self) -> tuple[np.ndarray, np.ndarray]:
    return answer_distribution(self.program, self.min_operations,
                               self.max_operations, self.min_value,
                               self.max_value)


@functools.lru_cache
def answer_distribution(program: str, min_operations: int, max_operations: int,
                        low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
  """Computes the distribution of the answers of random programs.

  Args:
    program: 'addition' or 'full'.
    min_operations: smallest number of operations.
    max_operations: largest number of operations; uniform in between.
    low: smallest number in a program.
    high: largest number in a program.

  Returns:
    The possible answers `[A]` and their probabilities `[A]` float64.
  """
  width = high - low + 1
  limit = (max_operations + 1) * high  # Answers are in [-limit, limit].
  values = np.arange(-limit, limit + 1)
  number = np.where((values >= low) & (values <= high), 1 / width, 0)

  def plus(shares, first):  # The sum with uniform numbers from `first` on.
    sums = np.concatenate([[0], shares.cumsum()])
    place = np.arange(values.size) - first
    upper = np.clip(place + 1, 0, values.size)
    lower = np.clip(place + 1 - width, 0, values.size)
    return (sums[upper] - sums[lower]) / width

  total, shares = np.zeros(values.size), number
  for operation in range(1, max_operations + 1):
    added = plus(shares, low)
    if program == "full":
      # The operand is on either side of a minus. As one of the four of an 'if',
      # it is the result with probability 1/4, averaged over '<' and '>'.
      subtracted = (plus(shares, -high) + plus(shares[::-1], low)) / 2
      added = (added + subtracted + shares / 4 + number * 3 / 4) / 3
    shares = added
    total += shares * (operation >= min_operations)
  return values, total / (max_operations - min_operations + 1)
