"""Priority sort: vectors in the order of their priorities."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from tasks import base, checks, scores


@dataclasses.dataclass(frozen=True)
class PrioritySort(base.Episodes, base.Levelled):
  """Answers with the vectors of highest priority, highest first.

  An episode of n keys has n steps, each with a random bit vector and a priority
  uniform in [-1, 1), then an end marker, then silent steps. The targets at the
  silent steps are the four fifths of the vectors with the highest priorities
  (the first 16 of 20, as in the papers). Two extra channels carry the priority
  and the marker. n is uniform in [min_keys, level].

  See "Neural Turing Machines" (Graves, Wayne, Danihelka, 2014, arXiv
  1410.5401), section 4.5, and Rae et al. 2016 (arXiv 1610.09027), section 4.2.

  Example:
    >>> task = tasks.PrioritySort(num_bits=1, max_keys=5)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> print(batch.inputs[:5, 0, :2].round(1).T)  # Bits, and their priorities.
    [[ 1.   0.   1.   0.   1. ]
     [-0.8 -0.3 -0.7  0.6 -0.6]]
    >>> batch.targets[-4:, 0, 0].tolist()  # The four of highest priority.
    [0.0, 0.0, 1.0, 1.0]

  Notes:
    The papers give one size, the top 16 of 20 keys. For n keys there are
    ceil(4 n / 5) targets here, which is 16 for n = 20. Rae et al. vary n in
    their curriculum, but do not give the number of targets. The NTM paper
    describes no end marker.

  Attributes:
    num_bits: number of bits in a vector.
    min_keys: smallest number of keys; `max_keys` if None, which fixes n.
    max_keys: largest number of keys, the highest level.
  """

  num_bits: int = 8
  min_keys: int | None = None
  max_keys: int = 20

  score: ClassVar[scores.Score] = scores.Bits()
  level_name: ClassVar[str] = "keys"

  def __post_init__(self):
    checks.check_range("min_keys", self._min_keys, "max_keys", self.max_keys)
    checks.check_positive(num_bits=self.num_bits)

  @property
  def _min_keys(self) -> int:
    return self.max_keys if self.min_keys is None else self.min_keys

  @property
  def input_size(self) -> int:
    return self.num_bits + 2

  @property
  def output_size(self) -> int:
    return self.num_bits

  @property
  def input_names(self) -> Sequence[str]:
    return (*self.output_names, "priority", "end")

  @property
  def output_names(self) -> Sequence[str]:
    return base.numbered("bit", self.num_bits)

  @property
  def num_steps(self) -> int:
    return self.max_keys + 1 + _num_answers(self.max_keys)

  @property
  def max_level(self) -> int:
    return self.max_keys

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, min_keys=level, max_keys=level)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    bits_key, priority_key, number_key = jax.random.split(key, 3)
    num_keys = base.draw_level(number_key, self._min_keys, level)
    bits = jax.random.bernoulli(
        bits_key, shape=(self.max_keys, self.num_bits)).astype(jnp.float32)
    priorities = jax.random.uniform(
        priority_key, (self.max_keys,), minval=-1, maxval=1)

    step = jnp.arange(self.num_steps)
    shown = jnp.concatenate([bits, priorities[:, None]], axis=1)
    inputs = jnp.concatenate(
        [base.place(shown, step, step < num_keys),
         (step == num_keys)[:, None].astype(jnp.float32)], axis=1)
    return base.Batch(inputs, *self._answer(bits, priorities, num_keys))

  def _answer(self, bits, priorities, num_keys):
    """Returns the targets `[T, O]` and the mask `[T]`."""
    valid = jnp.arange(self.max_keys) < num_keys
    order = jnp.argsort(jnp.where(valid, -priorities, jnp.inf))
    step = jnp.arange(self.num_steps) - num_keys - 1
    asked = (step >= 0) & (step < _num_answers(num_keys))
    return base.place(bits[order], step, asked), asked.astype(jnp.float32)

  @property
  def trivial_score(self) -> float:
    """Half the bits of the mean number of answers."""
    numbers = range(self._min_keys, self.max_keys + 1)
    answers = sum(_num_answers(n) for n in numbers) / len(numbers)
    return self.num_bits * answers / 2


def _num_answers(num_keys):
  """Returns four fifths, rounded up: 16 of 20, and 1 of 1."""
  return (4 * num_keys + 4) // 5
