"""Losses and metrics. A task has one `Score`, which tasks of a kind share.

A score is a frozen dataclass, so it is hashable and can be compared. All its
methods are pure JAX. Scores that only one task needs are in that task's file.

Letters: T time steps, B batch, O output size.
"""

import abc
import dataclasses
import types
from collections.abc import Mapping
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import optax

from tasks.batch import Batch


@dataclasses.dataclass(frozen=True)
class Measure:
  """Names the metrics by which runs of a task are compared.

  Attributes:
    main_metric: name of the metric by which runs are compared.
    lower_is_better: whether a lower main metric is a better one.
    judged_metric: name of the metric (nats, lower is better) by which a
      curriculum decides whether a level has been learnt: the loss, or a part of
      it if the rest cannot be learnt.
    ratios: maps a derived metric to (numerator, denominator), two metrics that
      are per-episode counts; the derived metric is sum(numerator) /
      sum(denominator) over all episodes.

  Example:
    >>> score = tasks.Copy().score
    >>> score.main_metric, score.lower_is_better, score.judged_metric
    ('bits_wrong', True, 'loss')
    >>> tasks.LearningToExecute().score.with_ratios(
    ...     {"loss": 2., "characters_right": 3., "characters": 4.})
    {'loss': 2.0, 'character_accuracy': 0.75}
  """

  main_metric: str
  lower_is_better: ClassVar[bool] = True
  judged_metric: ClassVar[str] = "loss"
  ratios: ClassVar[Mapping[str, tuple[str, str]]] = types.MappingProxyType({})

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `means` with the derived metrics in place of their counts.

    Args:
      means: maps a name to the mean of a metric over episodes. May hold other
        means too, such as that of the loss; these are kept.
    """
    counts = {name for pair in self.ratios.values() for name in pair}
    kept = {name: mean for name, mean in means.items() if name not in counts}
    return kept | {name: means[numerator] / means[denominator]
                   for name, (numerator, denominator) in self.ratios.items()}


@dataclasses.dataclass(frozen=True)
class Returns(Measure):
  """Compares agents by the sum of rewards of an episode.

  Example:
    >>> score = tasks.MiniPacman().score
    >>> score == tasks.Returns(), score.main_metric, score.lower_is_better
    (True, 'return', False)
  """

  main_metric: str = "return"
  lower_is_better: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class Score(Measure, abc.ABC):
  """Represents how the outputs of a network are scored.

  Attributes:
    of_targets: whether it takes the log-probabilities `[T, B]` of the targets
      in place of answers, and the targets are integers `[T, B]`.

  Example:
    >>> class Largest(tasks.Score):
    ...   def loss(self, outputs, batch):
    ...     errors = jnp.abs(outputs - batch.targets).max(-1)
    ...     return (errors * batch.mask).max(0)
    ...   def metrics(self, outputs, batch):
    ...     return {"largest": self.loss(outputs, batch)}
    >>> batch = tasks.Batch(*jnp.zeros([2, 3, 1, 2]), jnp.ones([3, 1]))
    >>> Largest("largest").loss(batch.targets + 5, batch).tolist()
    [5.0]
  """

  of_targets: ClassVar[bool] = False

  @abc.abstractmethod
  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the loss of each episode, `[B]`, from `outputs [T, B, O]`."""

  @abc.abstractmethod
  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the metrics of each episode: maps a name to values `[B]`."""


@dataclasses.dataclass(frozen=True)
class Bits(Score):
  """Scores answers in bits: one logit each, targets 0 or 1.

  Example:
    >>> batch = tasks.Batch(
    ...     jnp.zeros([1, 1, 3]), jnp.array([[[1., 0., 1.]]]), jnp.ones([1, 1]))
    >>> logits = jnp.array([[[9., 9., 9.]]])  # The second bit is wrong.
    >>> for name, value in tasks.Bits().metrics(logits, batch).items():
    ...   print(name, round(float(value[0]), 2))
    bits_wrong 1.0
    bit_accuracy 0.67
    sequence_accuracy 0.0
  """

  main_metric: str = "bits_wrong"

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the mean cross-entropy (nats) of an episode's bits, `[B]`."""
    chex.assert_equal_shape([outputs, batch.targets])
    bits = optax.sigmoid_binary_cross_entropy(outputs, batch.targets)
    return jnp.einsum("tbo,tb->b", bits, batch.mask) / _num_bits(batch)

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the number of wrong bits, and the shares of right ones.

    `bit_accuracy` is a share of bits, `sequence_accuracy` is 1 for an episode
    without a wrong bit.
    """
    chex.assert_equal_shape([outputs, batch.targets])
    wrong = (outputs > 0) != (batch.targets > 0.5)
    wrong = jnp.einsum("tbo,tb->b", wrong.astype(jnp.float32), batch.mask)
    return {
        "bits_wrong": wrong,
        "bit_accuracy": 1 - wrong / _num_bits(batch),
        "sequence_accuracy": (wrong == 0).astype(jnp.float32),
    }


def _num_bits(batch: Batch) -> jax.Array:
  return jnp.maximum(batch.mask.sum(0), 1) * batch.targets.shape[-1]


@dataclasses.dataclass(frozen=True)
class Classes(Score):
  """Scores answers in classes: one logit each, one-hot targets.

  Example:
    >>> targets = jax.nn.one_hot(jnp.array([[0], [2]]), 3)  # Two steps.
    >>> batch = tasks.Batch(targets, targets, jnp.ones([2, 1]))
    >>> logits = jnp.zeros([2, 1, 3]).at[..., 0].set(1.)  # Class 0 twice.
    >>> tasks.Classes().metrics(logits, batch)["accuracy"].tolist()
    [0.5]
  """

  main_metric: str = "accuracy"
  lower_is_better: ClassVar[bool] = False

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the mean cross-entropy (nats) of an episode's steps, `[B]`."""
    return mean_over_steps(cross_entropy(outputs, batch), batch.mask)

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the share of right classes."""
    wrong = is_wrong(outputs, batch)
    return {"accuracy": 1 - mean_over_steps(wrong, batch.mask)}


@dataclasses.dataclass(frozen=True)
class ClassErrors(Classes):
  """Scores answers in classes, and compares runs by the share of errors."""

  main_metric: str = "error"
  lower_is_better: ClassVar[bool] = True

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the shares of wrong and of right classes."""
    error = mean_over_steps(is_wrong(outputs, batch), batch.mask)
    return {"error": error, "accuracy": 1 - error}


def cross_entropy(outputs: jax.Array, batch: Batch) -> jax.Array:
  """Returns the cross-entropy (nats) of each step's class, `[T, B]`.

  Args:
    outputs: `[T, B, O]` logits.
    batch: has one-hot targets.
  """
  chex.assert_equal_shape([outputs, batch.targets])
  return optax.softmax_cross_entropy(outputs, batch.targets)


def is_wrong(outputs: jax.Array, batch: Batch) -> jax.Array:
  """Returns 1 where the largest logit is not that of the right class.

  If several logits are equal, the first counts.

  Args:
    outputs: `[T, B, O]` logits.
    batch: has one-hot targets.

  Returns:
    `[T, B]` float32.
  """
  chex.assert_equal_shape([outputs, batch.targets])
  wrong = outputs.argmax(2) != batch.targets.argmax(2)
  return wrong.astype(jnp.float32)


def mean_over_steps(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Returns the mean over an episode's steps with mask 1.

  Args:
    values: `[T, B]`.
    mask: `[T, B]`.

  Returns:
    `[B]`; 0 for an episode without such steps.
  """
  return (values * mask).sum(0) / jnp.maximum(mask.sum(0), 1)


@dataclasses.dataclass(frozen=True)
class Regression(Score):
  """Scores answers that are numbers, at the steps with mask 1.

  Example:
    >>> numbers = jnp.array([[[3.]], [[5.]]])  # Two steps, the last one counts.
    >>> batch = tasks.Batch(numbers, numbers, jnp.array([[0.], [1.]]))
    >>> metrics = tasks.Regression().metrics(numbers + 2, batch)
    >>> for name, value in metrics.items():
    ...   print(name, value.tolist())
    mse [4.0]
    mae [2.0]
  """

  main_metric: str = "mse"

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the mean squared error of an episode's numbers, `[B]`."""
    return mean_over_numbers(jnp.square(errors(outputs, batch)), batch.mask)

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the mean squared and the mean absolute error."""
    error = errors(outputs, batch)
    return {
        "mse": mean_over_numbers(jnp.square(error), batch.mask),
        "mae": mean_over_numbers(jnp.abs(error), batch.mask),
    }


def errors(outputs: jax.Array, batch: Batch) -> jax.Array:
  """Returns `outputs - targets`, 0 at steps with mask 0, `[T, B, O]`.

  An output at a step with mask 0 may be infinite. Its gradient is 0.
  """
  chex.assert_equal_shape([outputs, batch.targets])
  return jnp.where(batch.mask[:, :, None] > 0, outputs - batch.targets, 0)


def mean_over_numbers(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Returns the mean over an episode's numbers at steps with mask 1.

  Args:
    values: `[T, B, O]`, 0 at steps with mask 0.
    mask: `[T, B]`.

  Returns:
    `[B]`; 0 for an episode without such steps.
  """
  return values.sum((0, 2)) / (jnp.maximum(mask.sum(0), 1) * values.shape[2])


@dataclasses.dataclass(frozen=True)
class Tokens(Score):
  """Scores a stream's tokens by their log-probabilities.

  In place of a network's answers, it takes the log-probabilities of the targets
  alone, `[T, B]`: a head may compute these at a lower cost than those of a
  whole vocabulary. Metrics are sums over targets.

  Example:
    >>> targets = jnp.array([[3], [1]])
    >>> batch = tasks.Batch(targets, targets, jnp.ones([2, 1]))
    >>> log_probs = jnp.log(jnp.array([[.25], [.25]]))  # Of the targets.
    >>> sums = tasks.Tokens().metrics(log_probs, batch)
    >>> round(float(tasks.Tokens().with_ratios(sums)["perplexity"][0]), 3)
    4.0
  """

  main_metric: str = "perplexity"
  of_targets: ClassVar[bool] = True

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Returns the mean negative log-probability of each row, `[B]`."""
    chex.assert_equal_shape([outputs, batch.mask])
    return mean_over_steps(-outputs, batch.mask)

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the sum of negative log-probabilities, and the count of targets.
    """
    # Not a product: where the mask is 0, a log-probability may be NaN.
    nats = jnp.where(batch.mask > 0, -outputs * batch.mask, 0).sum(0)
    return {"nats": nats, "targets": batch.mask.sum(0)}

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the loss (nats) of a target, and its exponential.

    A window may hold no target, and then has the loss 0.
    """
    kept = {name: mean for name, mean in means.items()
            if name not in ("nats", "targets")}
    loss = means["nats"] / jnp.maximum(means["targets"], 1e-9)
    return kept | {"loss": loss, "perplexity": jnp.exp(loss)}
