"""Associative recall: the value that belongs to a key."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from tasks import base, checks, scores


@dataclasses.dataclass(frozen=True)
class AssociativeRecall(base.Episodes, base.Levelled):
  """Answers with the value of the pair whose key is shown again.

  Keys and values are items of `item_length` random vectors, as in the NTM
  paper. An episode of n pairs shows an item marker, the key and the value of
  each pair. Then it shows a query marker, one of the keys, and a query marker
  again. `item_length` silent steps follow, whose targets are the value of that
  key. Two extra channels carry the markers. n is uniform in [min_pairs, level].

  See "Neural Turing Machines" (Graves, Wayne, Danihelka, 2014, arXiv
  1410.5401), section 4.3, and Rae et al. 2016 (arXiv 1610.09027), section 4.2.

  Example:
    >>> task = tasks.AssociativeRecall(num_bits=2, item_length=1).at_level(3)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> print(batch.inputs[:, 0].astype(int).T)  # A row is a channel.
    [[0 1 1 0 1 1 0 1 0 0 1 0 0]
     [0 0 0 0 1 0 0 1 0 0 0 0 0]
     [1 0 0 1 0 0 1 0 0 0 0 0 0]
     [0 0 0 0 0 0 0 0 0 1 0 1 0]]
    >>> batch.targets[-1, 0].tolist()
    [1.0, 0.0]

  Notes:
    The NTM paper shows a chain of items, and the target is the item after the
    query. Here items come in pairs, as in Rae et al. If a key is shown twice,
    the target is the last of its values.

  Attributes:
    num_bits: number of bits in a vector.
    item_length: number of vectors in a key, and in a value.
    min_pairs: smallest number of pairs.
    max_pairs: largest number of pairs, the highest level.
  """

  num_bits: int = 6
  item_length: int = 3
  min_pairs: int = 3
  max_pairs: int = 6

  score: ClassVar[scores.Score] = scores.Bits()
  level_name: ClassVar[str] = "pairs"

  def __post_init__(self):
    checks.check_range("min_pairs", self.min_pairs, "max_pairs",
                       self.max_pairs)
    checks.check_positive(num_bits=self.num_bits, item_length=self.item_length)

  @property
  def input_size(self) -> int:
    return self.num_bits + 2

  @property
  def output_size(self) -> int:
    return self.num_bits

  @property
  def input_names(self) -> Sequence[str]:
    return (*self.output_names, "item", "query")

  @property
  def output_names(self) -> Sequence[str]:
    return base.numbered("bit", self.num_bits)

  @property
  def num_steps(self) -> int:
    return self.max_pairs * self._pair_steps + 2 * self.item_length + 2

  @property
  def max_level(self) -> int:
    return self.max_pairs

  @property
  def _pair_steps(self) -> int:
    return 2 * self.item_length + 1

  def at_level(self, level: int) -> Self:
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
    last_marker = (num_pairs * self._pair_steps + self.item_length + 1)
    asked = (step > last_marker) & (step <= last_marker + self.item_length)
    return base.Batch(
        self._inputs(pairs, query, num_pairs),
        base.place(answer, step - last_marker - 1, asked),
        asked.astype(jnp.float32))

  def _inputs(self, pairs: jax.Array, query: jax.Array,
              num_pairs: jax.Array) -> jax.Array:
    """Lays out `pairs [P, 2, L, bits]` and `query [L, bits]`, `[T, F]`."""
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
    return jnp.concatenate([vector, markers.astype(jnp.float32)], axis=1)

  def _last_value(self, pairs, query, num_pairs):
    """Returns the value `[L, bits]` of the last pair with the query's key."""
    found = (pairs[:, 0] == query[None]).all((1, 2))
    index = jnp.arange(self.max_pairs)
    return pairs[jnp.where(found & (index < num_pairs), index, -1).max(), 1]

  @property
  def trivial_score(self) -> float:
    """Half the bits of a value."""
    return self.num_bits * self.item_length / 2
