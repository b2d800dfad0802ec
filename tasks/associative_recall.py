"""Associative recall: the value that belongs to a key."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from tasks import base


@dataclasses.dataclass(frozen=True)
class AssociativeRecall(base.BitsTask):
  """Answer with the value of the pair whose key is shown again.

  Keys and values are items of `item_length` random vectors, as in the NTM
  paper. An episode of n pairs: for each an item marker, the key and the value;
  then a query marker, one of the keys, a query marker again, and `item_length`
  silent steps at which its value is to be answered. Two extra channels carry
  the markers. n is uniform in [min_pairs, level].

  See "Neural Turing Machines" (Graves, Wayne, Danihelka, 2014, arXiv
  1410.5401), section 4.3, and Rae et al. 2016 (arXiv 1610.09027), section 4.2.

  Notes:
    The NTM paper shows a chain of items and asks for the item after the query;
    here they are pairs, as in Rae et al. Should a key be shown twice, the last
    of its values counts.

  Attributes:
    num_bits: bits in a vector.
    item_length: vectors in a key, and in a value.
    min_pairs: fewest pairs.
    max_pairs: most pairs, the highest level.
  """

  num_bits: int = 6
  item_length: int = 3
  min_pairs: int = 3
  max_pairs: int = 6

  level_name: ClassVar[str] = "pairs"

  def __post_init__(self):
    base.check_range("min_pairs", self.min_pairs, "max_pairs", self.max_pairs)
    base.check_positive(num_bits=self.num_bits, item_length=self.item_length)

  @property
  def input_size(self) -> int:
    return self.num_bits + 2

  @property
  def output_size(self) -> int:
    return self.num_bits

  @property
  def num_steps(self) -> int:
    return self.max_pairs * self._pair_steps + 2 * self.item_length + 2

  @property
  def max_level(self) -> int:
    return self.max_pairs

  @property
  def _pair_steps(self) -> int:
    return 2 * self.item_length + 1

  def at_level(self, level: int) -> "AssociativeRecall":
    return dataclasses.replace(self, min_pairs=level, max_pairs=level)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    bits_key, pairs_key, query_key = jax.random.split(key, 3)
    num_pairs = base.draw_level(pairs_key, self.min_pairs, level)
    shape = (self.max_pairs, 2, self.item_length, self.num_bits)
    pairs = jax.random.bernoulli(bits_key, shape=shape).astype(jnp.float32)
    query = pairs[jax.random.randint(query_key, (), 0, num_pairs), 0]
    answer = self._last_value(pairs, query, num_pairs)

    step = jnp.arange(self.num_steps)
    position = step % self._pair_steps
    end = num_pairs * self._pair_steps  # The step of the first query marker.
    vectors = pairs.reshape(-1, self.num_bits)
    source = step // self._pair_steps * 2 * self.item_length + position - 1
    vector = base.place(vectors, source, (step < end) & (position > 0))
    asking = (step > end) & (step <= end + self.item_length)
    vector += base.place(query, step - end - 1, asking)
    last_marker = end + self.item_length + 1
    markers = jnp.stack([(step < end) & (position == 0),
                         (step == end) | (step == last_marker)], axis=1)
    asked = (step > last_marker) & (step <= last_marker + self.item_length)
    return base.Batch(
        jnp.concatenate([vector, markers], axis=1),
        base.place(answer, step - last_marker - 1, asked),
        asked.astype(jnp.float32))

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Reads the pairs and the query off the inputs, and looks the key up."""

    def solve(inputs):
      length = self.max_pairs * self._pair_steps
      shown = inputs[:length, :self.num_bits].reshape(
          self.max_pairs, self._pair_steps, self.num_bits)
      pairs = shown[:, 1:].reshape(
          self.max_pairs, 2, self.item_length, self.num_bits)
      end = jnp.argmax(inputs[:, -1])
      query = jax.lax.dynamic_slice_in_dim(
          inputs[:, :self.num_bits], end + 1, self.item_length)
      answer = self._last_value(pairs, query, end // self._pair_steps)
      first = end + self.item_length + 2
      step = jnp.arange(inputs.shape[0])
      asked = (step >= first) & (step < first + self.item_length)
      return base.place(answer, step - first, asked)

    return base.bits_to_logits(jax.vmap(solve, 1, 1)(batch.inputs))

  def _last_value(self, pairs, query, num_pairs):
    found = (pairs[:, 0] == query).all((1, 2))
    index = jnp.arange(self.max_pairs)
    return pairs[jnp.where(found & (index < num_pairs), index, -1).max(), 1]

  @property
  def trivial_score(self) -> float:
    """Half the bits of a value."""
    return self.num_bits * self.item_length / 2
