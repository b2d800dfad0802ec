"""Nth farthest: which vector is the n-th farthest from a given one."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from tasks import base, classification


@dataclasses.dataclass(frozen=True)
class NthFarthest(classification.ClassificationTask):
  """Answer with the label of the n-th farthest vector from vector m.

  An episode of k objects, a step each: a vector uniform in [-1, 1)^D together
  with its label, and, the same at every step, n and the label m of one of the
  objects. At the last of these steps the label is asked for of the object whose
  vector is the n-th farthest (Euclidean) from that of m. Labels are distinct
  and in no order, n is uniform in [1, k]; all three are one-hot. So the vector
  of m itself, at distance 0, is the k-th farthest, the answer to n = k. k is
  uniform in [min_objects, level]. The inputs are in this order: vector, label,
  n, m.

  See "Relational recurrent neural networks" (Santoro et al., 2018, arXiv
  1806.01822), section 4.1.

  Notes:
    The code that was released with the paper (Sonnet's) counts the other way,
    and from 0: its n is the n-th nearest, m itself the 0-th. So its n is k - n
    of here; what is to be learnt is the same.

  Attributes:
    num_objects: most objects, the highest level.
    num_dims: D, the size of a vector.
    min_objects: fewest objects; `num_objects` if None, so that k is fixed.
    num_labels: O, the size of a label; `num_objects` if None. A larger one has
      room for evaluation with more objects.
  """

  num_objects: int = 8
  num_dims: int = 16
  min_objects: int | None = None
  num_labels: int | None = None

  main_metric: ClassVar[str] = "accuracy"
  level_name: ClassVar[str] = "objects"

  def __post_init__(self):
    base.check_positive(num_objects=self.num_objects, num_dims=self.num_dims)
    base.check_range("min_objects", self._min_objects, "num_objects",
                     self.num_objects)
    base.check_range("num_objects", self.num_objects, "num_labels",
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
  def num_steps(self) -> int:
    return self.num_objects

  @property
  def num_answers(self) -> int:
    return 1

  @property
  def max_level(self) -> int:
    return self.num_objects

  def at_level(self, level: int) -> "NthFarthest":
    """This task with exactly `level` objects; the label keeps its size."""
    return dataclasses.replace(self, num_objects=level, min_objects=level,
                               num_labels=self.output_size)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    del data
    number_key, vector_key, label_key, query_key = jax.random.split(key, 4)
    k = base.draw_level(number_key, self._min_objects, level)
    vectors = jax.random.uniform(
        vector_key, (self.num_objects, self.num_dims), minval=-1, maxval=1)
    # The order of random numbers, as `permutation` is slow to compile.
    labels = jnp.argsort(jax.random.uniform(label_key, (self.output_size,)))
    labels = jax.nn.one_hot(labels[:self.num_objects], self.output_size)
    # They are in no order, so any place will do for m; but it is drawn, as the
    # network might learn the place.
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
    """The label `[O]` that `inputs [T, F]` ask for."""
    d, o = self.num_dims, self.output_size
    vectors, labels, nth, m = jnp.split(inputs, (d, d + o, d + 2 * o), axis=1)
    reference = vectors[jnp.argmax((labels * m).sum(1))]
    distance = jnp.square(vectors - reference).sum(1)
    shown = labels.any(1)
    order = jnp.argsort(jnp.where(shown, -distance, jnp.inf))
    return labels[order[jnp.argmax(nth[0])]]

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Measures all distances, and sorts them."""
    answer = jax.vmap(self._answer, 1)(batch.inputs)
    return 20 * jnp.broadcast_to(answer, batch.targets.shape)

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Share of labels right."""
    wrong = classification.is_wrong(outputs, batch)
    return {"accuracy": 1 - classification.mean_over_steps(wrong, batch.mask)}

  def trivial(self, batch: base.Batch) -> jax.Array:
    """Always the same label, which is as good as any other."""
    return jnp.zeros_like(batch.targets)

  @property
  def trivial_score(self) -> float:
    """However many objects, each label is as likely as another."""
    return 1 / self.output_size
