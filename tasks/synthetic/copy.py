"""Copy: repeat a sequence of random vectors."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from tasks import base, checks, scores


@dataclasses.dataclass(frozen=True)
class Copy(base.Episodes, base.Levelled):
  """Repeats a sequence of random bit vectors after its end marker.

  An episode of length L has a start marker, L vectors, an end marker, and L
  silent steps. The targets at the silent steps are the vectors in order. Two
  extra channels carry the markers. L is uniform in [min_length, level].

  See "Neural Turing Machines" (Graves, Wayne, Danihelka, 2014, arXiv
  1410.5401), section 4.1, and Rae et al. 2016 (arXiv 1610.09027), section 4.2.

  Example:
    >>> task = tasks.Copy(num_bits=2).at_level(3)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> print(batch.inputs[:, 0].astype(int).T)  # A row is a channel.
    [[0 1 1 1 0 0 0 0]
     [0 0 0 1 0 0 0 0]
     [1 0 0 0 0 0 0 0]
     [0 0 0 0 1 0 0 0]]
    >>> print(batch.targets[:, 0].astype(int).T)
    [[0 0 0 0 0 1 1 1]
     [0 0 0 0 0 0 0 1]]

  Notes:
    The NTM paper has one marker, the delimiter after the sequence. The start
    marker, with a step and a channel of its own, is added here.

  Attributes:
    num_bits: number of bits in a vector.
    min_length: length of the shortest sequence.
    max_length: length of the longest sequence, the highest level.
  """

  num_bits: int = 8
  min_length: int = 1
  max_length: int = 20

  score: ClassVar[scores.Score] = scores.Bits()
  level_name: ClassVar[str] = "length"

  def __post_init__(self):
    checks.check_range("min_length", self.min_length, "max_length",
                       self.max_length)
    checks.check_positive(num_bits=self.num_bits)

  @property
  def input_size(self) -> int:
    return self.num_bits + 2

  @property
  def output_size(self) -> int:
    return self.num_bits

  @property
  def input_names(self) -> Sequence[str]:
    return (*self.output_names, "start", "end")

  @property
  def output_names(self) -> Sequence[str]:
    return base.numbered("bit", self.num_bits)

  @property
  def num_steps(self) -> int:
    return 2 * self.max_length + 2

  @property
  def max_level(self) -> int:
    return self.max_length

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, min_length=level, max_length=level)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    bits_key, length_key = jax.random.split(key)
    length = base.draw_level(length_key, self.min_length, level)
    step = jnp.arange(self.num_steps)
    bits = jax.random.bernoulli(
        bits_key, shape=(self.max_length, self.num_bits)).astype(jnp.float32)
    shown = (step >= 1) & (step <= length)
    asked = (step >= length + 2) & (step < 2 * length + 2)
    markers = jnp.stack([step == 0, step == length + 1], axis=1)
    inputs = jnp.concatenate(
        [base.place(bits, step - 1, shown), markers.astype(jnp.float32)],
        axis=1)
    return base.Batch(inputs, base.place(bits, step - length - 2, asked),
                      asked.astype(jnp.float32))

  @property
  def trivial_score(self) -> float:
    """Half the bits of a sequence of mean length."""
    return self.num_bits * (self.min_length + self.max_length) / 4
