"""Nth farthest: which vector is the n-th farthest from a given one."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from tasks import base, checks, scores


@dataclasses.dataclass(frozen=True)
class NthFarthest(base.Episodes, base.Levelled):
  """Answers with the label of the n-th farthest vector from vector m.

  An episode shows k objects, one a step. A step shows the object's vector,
  uniform in [-1, 1)^D, and its label; and, the same at every step, n and the
  label m of one of the objects. The target, at the last of these steps, is the
  label of the object whose vector is the n-th farthest (Euclidean distance)
  from the vector of m. Labels are distinct and in random order, n is uniform in
  [1, k]. Labels, n and m are one-hot. The vector of m itself, at distance 0, is
  the k-th farthest, the answer to n = k. k is uniform in [min_objects, level].
  The order of the inputs is: vector, label, n, m.

  See "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822), section 4.1.

  Example:
    >>> task = tasks.NthFarthest(num_objects=3, num_dims=2)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 1)
    >>> batch.inputs.shape  # Vector, label, n and m.
    (3, 1, 11)
    >>> batch.targets[-1, 0].tolist(), round(task.trivial_score, 3)
    ([0.0, 0.0, 1.0], 0.333)

  Notes:
    The code released with the paper (in Sonnet) counts in the other direction,
    and from 0: its n is the n-th nearest, and m itself is the 0-th. Its n is
    k - n here. The functions to learn are the same.

  Attributes:
    num_objects: largest number of objects, the highest level.
    num_dims: D, the size of a vector.
    min_objects: smallest number of objects; `num_objects` if None, which fixes
      k.
    num_labels: O, the size of a label; `num_objects` if None. A larger value
      leaves room for evaluation with more objects.
  """

  num_objects: int = 8
  num_dims: int = 16
  min_objects: int | None = None
  num_labels: int | None = None

  score: ClassVar[scores.Score] = scores.Classes()
  level_name: ClassVar[str] = "objects"

  def __post_init__(self):
    checks.check_positive(num_objects=self.num_objects, num_dims=self.num_dims)
    checks.check_range("min_objects", self._min_objects, "num_objects",
                       self.num_objects)
    checks.check_range("num_objects", self.num_objects, "num_labels",
                       self.output_size)

  @property
  def _min_objects(self) -> int:
    return self.num_objects if self.min_objects is None else self.min_objects

  @property
  def input_size(self) -> int:
    return self.num_dims + 3 * self.output_size

  @property
  def output_size(self) -> int:
    return self.num_objects if self.num_labels is None else self.num_labels

  @property
  def input_names(self) -> Sequence[str]:
    return (*base.numbered("vector", self.num_dims), *self.output_names,
            *base.numbered("n", self.output_size),
            *base.numbered("m", self.output_size))

  @property
  def output_names(self) -> Sequence[str]:
    return base.numbered("label", self.output_size)

  @property
  def num_steps(self) -> int:
    return self.num_objects

  @property
  def num_answers(self) -> int:
    return 1

  @property
  def max_level(self) -> int:
    return self.num_objects

  def at_level(self, level: int) -> Self:
    """Returns this task with exactly `level` objects; labels keep their size.

    Raises:
      ValueError: `level` is below 1 or above `output_size`.
    """
    return dataclasses.replace(self, num_objects=level, min_objects=level,
                               num_labels=self.output_size)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    number_key, vector_key, label_key, query_key = jax.random.split(key, 4)
    k = base.draw_level(number_key, self._min_objects, level)
    vectors = jax.random.uniform(
        vector_key, (self.num_objects, self.num_dims), minval=-1, maxval=1)
    # The order of random numbers, since `permutation` is slow to compile.
    labels = jnp.argsort(jax.random.uniform(label_key, (self.output_size,)))
    labels = jax.nn.one_hot(labels[:self.num_objects], self.output_size)
    # Objects are in random order, so a fixed place would do for m. It is drawn
    # because a network could learn a fixed place.
    reference, nth = jax.random.randint(query_key, (2,), 0, k)
    nth = jax.nn.one_hot(nth, self.output_size)
    step = jnp.arange(self.num_steps)
    asking = jnp.concatenate([nth, labels[reference]])
    objects = jnp.concatenate(
        [vectors, labels, jnp.tile(asking, (self.num_steps, 1))], axis=1)
    inputs = base.place(objects, step, step < k)
    asked = step == k - 1
    answer = base.place(self._answer(inputs)[None], step, asked)
    return base.Batch(inputs, answer, asked.astype(jnp.float32))

  def _answer(self, inputs: jax.Array) -> jax.Array:
    """Returns the right label `[O]` for `inputs [T, F]`."""
    d, o = self.num_dims, self.output_size
    vectors, labels, nth, m = jnp.split(inputs, (d, d + o, d + 2 * o), axis=1)
    reference = vectors[jnp.argmax((labels * m).sum(1))]
    distance = jnp.square(vectors - reference[None]).sum(1)
    shown = labels.any(1)
    order = jnp.argsort(jnp.where(shown, -distance, jnp.inf))
    return labels[order[jnp.argmax(nth[0])]]

  @property
  def trivial_score(self) -> float:
    """Each label is equally likely, whatever the number of objects."""
    return 1 / self.output_size
