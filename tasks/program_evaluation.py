"""Program evaluation: what an expression of whole numbers is equal to."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, expressions, regression

MAX_EXACT = 2**24  # Whole numbers up to here are exact in float32.
_NUM_DIGITS = 9  # As many as int32 has room for.


@dataclasses.dataclass(frozen=True)
class ProgramEvaluation(regression.RegressionTask):
  """Evaluate a program whose numbers are shown as values, not as digits.

  An episode is one program, a token a step: `17 + 4 =`, or
  `(3 + 14) if 5 < 7 else 2 =`. A number is one step: its value in the first
  channel, as it is, and a one for 'number' among the one-hot channels of the
  tokens. The answer is asked for at the end mark `=`. Level: operations in a
  program; their number is uniform in [min_operations, level].

  `program='addition'` adds; 'full' adds, subtracts and chooses with `if` and
  `else`, each as likely as the other. See `tasks.programs` for how they nest.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.4, after "Learning to Execute" (Zaremba and Sutskever, 2014, arXiv
  1410.4615): trained on numbers in [0, 100), and evaluated on numbers of three
  and of four digits, as in `extrapolations`.

  Notes:
    The paper shows neither a program nor the number of operations: the
    operations here are those of Zaremba and Sutskever that it names.
    The loss is the root of an episode's mean squared error, not of a batch's:
    with one answer, the absolute error.

  Attributes:
    program: 'addition' or 'full'.
    min_operations: fewest operations in a program.
    max_operations: most operations, the highest level.
    min_value: the least number in a program.
    max_value: the greatest.
  """

  program: str = "addition"
  min_operations: int = 1
  max_operations: int = 1
  min_value: int = 0
  max_value: int = 99

  main_metric: ClassVar[str] = "digit_error"
  level_name: ClassVar[str] = "operations"

  def __post_init__(self):
    if self.program not in expressions.OPERATIONS:
      raise ValueError(f"unknown program {self.program!r}; valid programs: "
                       f"{', '.join(expressions.OPERATIONS)}")
    base.check_range("min_operations", self.min_operations, "max_operations",
                     self.max_operations)
    if not 0 <= self.min_value <= self.max_value:
      raise ValueError(f"need 0 <= min_value <= max_value, got min_value="
                       f"{self.min_value} and max_value={self.max_value}")
    if (self.max_operations + 1) * self.max_value > MAX_EXACT:
      raise ValueError(
          f"answers beyond {MAX_EXACT} are not exact: max_value="
          f"{self.max_value} with max_operations={self.max_operations}")

  @property
  def input_size(self) -> int:
    return 1 + len(expressions.TOKENS)

  @property
  def output_size(self) -> int:
    return 1

  @property
  def num_steps(self) -> int:
    return expressions.num_steps(self.program, self.max_operations)

  @property
  def max_level(self) -> int:
    return self.max_operations

  def at_level(self, level: int) -> "ProgramEvaluation":
    return dataclasses.replace(self, min_operations=level, max_operations=level)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    level_key, program_key = jax.random.split(key)
    number = base.draw_level(level_key, self.min_operations, level)
    kind, value, answer = expressions.make(
        program_key, self.program, self.max_operations, number, self.min_value,
        self.max_value)
    tokens = jax.nn.one_hot(kind, len(expressions.TOKENS))
    inputs = jnp.concatenate([value[:, None], tokens], axis=1)
    mask = tokens[:, expressions.TOKENS.index("=")]
    return base.Batch(inputs, (mask * answer)[:, None], mask)

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """The root of the mean squared error of an episode's answers, `[B]`."""
    square = super().loss(outputs, batch)
    # The root has no gradient at 0: there, it is 0.
    exact = square == 0
    return jnp.where(exact, 0, jnp.sqrt(jnp.where(exact, 1, square)))

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Errors; and how much of the answer, rounded and written, is right.

    `digit_accuracy` is the share of `matching_digits`, `digit_error` what is
    missing of it; `exact_accuracy` is 1 where the whole answer is right.
    """
    matching = jnp.where(batch.mask[:, :, None] > 0, matching_digits(
        outputs, batch.targets), 0)
    matching = regression.masked_mean(matching, batch.mask)
    return super().metrics(outputs, batch) | {
        "digit_error": 1 - matching,
        "digit_accuracy": matching,
        "exact_accuracy": (matching == 1).astype(jnp.float32),
    }

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Reads the tokens with a stack."""
    shown = batch.inputs[:, :, 1:].any(2)
    kind = jnp.where(shown, batch.inputs[:, :, 1:].argmax(2), expressions.NONE)
    evaluate = functools.partial(expressions.evaluate,
                                 max_depth=self.max_operations)
    return jax.vmap(evaluate, 1, 1)(kind, batch.inputs[:, :, 0])[:, :, None]

  @property
  def trivial_answer(self) -> float:
    """The median of the answers, the best constant for the loss."""
    values, shares = self._answers()
    return float(values[np.searchsorted(shares.cumsum(), 0.5)])

  @property
  def trivial_score(self) -> float:
    """The expected error in its digits."""
    values, shares = self._answers()
    answers = jnp.full(values.shape, self.trivial_answer)
    matching = matching_digits(answers, jnp.asarray(values, jnp.float32))
    return float(1 - np.asarray(matching, np.float64) @ shares)

  @property
  def extrapolations(self) -> Mapping[str, "ProgramEvaluation"]:
    """Numbers of three and of four digits, where they are new."""
    return {
        f"{n}_digits": dataclasses.replace(
            self, min_value=10**(n - 1), max_value=10**n - 1)
        for n in (3, 4) if self.max_value < 10**(n - 1)}

  def _answers(self) -> tuple[np.ndarray, np.ndarray]:
    return answer_distribution(self.program, self.min_operations,
                               self.max_operations, self.min_value,
                               self.max_value)


def matching_digits(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """The share of digits that two numbers have in common.

  Both are rounded to whole numbers, and written without leading zeros, one
  below the other, the units in one column. The share is that of columns with
  twice the same digit, among the columns of the longer. It is 0 if one number
  is positive and the other negative, and if the prediction is not finite.

  Args:
    predictions: any shape; beyond nine digits they are cut.
    targets: the same shape.

  Returns:
    The same shape, float32 in [0, 1].
  """
  chex.assert_equal_shape([predictions, targets])
  limit = 10**_NUM_DIGITS - 1
  finite = jnp.isfinite(predictions)
  places = 10**jnp.arange(_NUM_DIGITS)

  def write(numbers):
    # The limit itself is not a float32: clip where it is exact.
    size = jnp.abs(jnp.round(numbers))
    size = jnp.where(size < limit, size, 0).astype(jnp.int32) + jnp.where(
        size < limit, 0, limit)
    length = jnp.maximum((size[..., None] >= places).sum(-1), 1)
    return size[..., None] // places % 10, length

  ours, our_length = write(jnp.where(finite, predictions, 0))
  theirs, their_length = write(targets)
  written = jnp.arange(_NUM_DIGITS) < jnp.minimum(
      our_length, their_length)[..., None]
  share = ((ours == theirs) & written).sum(-1) / jnp.maximum(
      our_length, their_length)
  opposed = jnp.sign(jnp.round(predictions)) * jnp.sign(targets) < 0
  return jnp.where(finite & ~opposed, share, 0).astype(jnp.float32)


@functools.lru_cache
def answer_distribution(program: str, min_operations: int, max_operations: int,
                        low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
  """The answers of random programs, and the probability of each.

  Args:
    program: 'addition' or 'full'.
    min_operations: fewest operations.
    max_operations: most operations; their number is uniform in between.
    low: the least number in a program.
    high: the greatest.
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
      # The operand is either side of a minus; of the four of an 'if', it is
      # the result with probability 1/4, one comparison with the other.
      subtracted = (plus(shares, -high) + plus(shares[::-1], low)) / 2
      added = (added + subtracted + shares / 4 + number * 3 / 4) / 3
    shares = added
    total += shares * (operation >= min_operations)
  return values, total / (max_operations - min_operations + 1)
