"""What a task is: it makes episodes, and says how well they were answered.

A task is a frozen dataclass: hashable, so it can be a static argument of
`jax.jit`, and changed with `dataclasses.replace`. It knows arrays and keys,
nothing of networks, devices or flags. Everything but `load` is pure JAX, so
that sampling runs on the device, inside the training step.

Letters: T time steps, B batch, F input size, O output size.
"""

import abc
import dataclasses
import types
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import chex
import jax
import jax.numpy as jnp
import optax


class Batch(NamedTuple):
  """Episodes, time-major. One episode alone has no B axis.

  Attributes:
    inputs: `[T, B, F]` float32, what the network sees.
    targets: `[T, B, O]` float32, what it should answer: bits or labels in
      [0, 1], or any numbers of a regression task.
    mask: `[T, B]` float32, 1 where an answer is asked for, else 0.
  """

  inputs: jax.Array
  targets: jax.Array
  mask: jax.Array


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
  """Base of all supervised tasks.

  The difficulty of an episode is bounded by its `level`, an integer that a
  curriculum can raise (a length, a number of items or of classes). Shapes are
  those of `max_level`, so the level may be a traced value.

  Class attributes:
    main_metric: the metric in `metrics` by which runs are compared.
    ratios: name of a further metric -> the two metrics, each a number of what
      an episode has, the ratio of whose sums over all episodes it is.
    level_name: what a level counts, for tables and plots.
    encoder: what kind of inputs these are, and so what encodes them by default
      before the network sees them: 'none' for vectors, 'embed' for one-hot
      tokens, 'cnn' for flattened square images.
    is_text: whether episodes can be put into words, see `transcribe`.
  """

  main_metric: ClassVar[str]
  ratios: ClassVar[Mapping[str, tuple[str, str]]] = types.MappingProxyType({})
  level_name: ClassVar[str] = "level"
  encoder: ClassVar[str] = "none"
  is_text: ClassVar[bool] = False

  @property
  @abc.abstractmethod
  def input_size(self) -> int:
    """F, the size of the input at one step."""

  @property
  @abc.abstractmethod
  def output_size(self) -> int:
    """O, how many numbers (or logits) the network is to answer at one step."""

  @property
  @abc.abstractmethod
  def num_steps(self) -> int:
    """T, the number of steps of an episode, padding included."""

  @property
  def num_answers(self) -> int:
    """At no more steps of an episode is an answer asked for.

    Read-outs are computed at so many; what is asked beyond would be answered
    with zeros.
    """
    return self.num_steps

  @property
  @abc.abstractmethod
  def max_level(self) -> int:
    """The highest level that the shapes have room for."""

  @abc.abstractmethod
  def at_level(self, level: int) -> "Task":
    """This task with every episode at exactly `level`.

    A lower level that is passed to `sample` is had exactly, too, in the shapes
    of this one.

    Raises:
      ValueError: `level` cannot be had, whatever the shapes.
    """

  @abc.abstractmethod
  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> Batch:
    """One episode: `inputs [T, F]`, `targets [T, O]`, `mask [T]`.

    Args:
      key: consumed.
      level: int32 scalar, at most `max_level`.
      data: what `load` or `instance` returned, or None.
    """

  @abc.abstractmethod
  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """The loss of each episode, `[B]`, from `outputs [T, B, O]`."""

  @abc.abstractmethod
  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Name -> value for each episode, `[B]`."""

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Means of metrics over episodes, with those that `ratios` names.

    Args:
      means: name -> mean of a metric, or of the loss and others.

    Returns:
      The ratios, in the place of what they are of.
    """
    parts = {part for ratio in self.ratios.values() for part in ratio}
    return {name: mean for name, mean in means.items() if name not in parts} | {
        name: means[above] / means[below]
        for name, (above, below) in self.ratios.items()}

  @abc.abstractmethod
  def oracle(self, batch: Batch) -> jax.Array:
    """The answers (logits, where it asks for bits) of a perfect solver.

    Args:
      batch: whose `inputs` alone are looked at, drawn with `data` None.

    Returns:
      `[T, B, O]`.
    """

  @abc.abstractmethod
  def trivial(self, batch: Batch) -> jax.Array:
    """The best answers that ignore the input, `[T, B, O]`."""

  @property
  @abc.abstractmethod
  def trivial_score(self) -> float:
    """The expected `main_metric` of `trivial`."""

  @property
  def extrapolations(self) -> Mapping[str, "Task"]:
    """Name -> variant of this task to be evaluated beside it.

    They differ in what they draw (another range, longer sequences, another
    split), not in the sizes of a step, and take the same `data`. Where several
    of them go ever further from what is trained on, they are in that order.
    """
    return {}

  @property
  def solved_below(self) -> float | None:
    """A run solves this task if its mean `main_metric` is below this.

    None if there is no such criterion.
    """
    return None

  def instance(self, key: jax.Array) -> Any:
    """What is drawn once for a whole run, so that each seed has its own task.

    Pure JAX, so that it can be mapped over the keys of many seeds. Where it is
    not None it is the `data` of all episodes of the run, those of the
    evaluation and of `extrapolations` included; a task has this or `load`, not
    both. Without it (`data` None), such a task is one fixed example of itself.

    Args:
      key: consumed; of the run's seed alone, not of its step or its device.

    Returns:
      A tree of arrays, or None if all runs have the same task.
    """
    del key
    return None

  @property
  def num_examples(self) -> int | None:
    """How many episodes there are in all, if they can be counted, else None.

    An evaluation of such a task takes `example(i)` for every i below this, once
    each, instead of drawing at random.
    """
    return None

  def example(self, index: jax.Array, data: Any = None) -> Batch:
    """Episode number `index` of `num_examples`; shapes as from `episode`.

    Args:
      index: int32 scalar, may be traced.
      data: as for `episode`.
    """
    raise NotImplementedError(
        f"the episodes of {type(self).__name__} cannot be counted")

  def transcribe(self, batch: Batch, outputs: Any) -> list[str]:
    """Episodes as lines for people, with what was answered; if `is_text`.

    Args:
      batch: as from `sample`.
      outputs: `[T, B, O]`.

    Returns:
      B lines.
    """
    raise NotImplementedError(
        f"the episodes of {type(self).__name__} are no text")

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """The arrays that episodes of `split` draw from; none for synthetic tasks.

    Args:
      split: 'train' or 'test'.
      data_dir: where real data lies.
    """
    del split, data_dir
    return None

  def sample(self, key: jax.Array, batch_size: int,
             level: chex.Numeric | None = None, data: Any = None) -> Batch:
    """A batch of independent episodes.

    Args:
      key: consumed.
      batch_size: B.
      level: the highest level to draw, a number or a traced int32 scalar;
        `max_level` if None.
      data: what `load` or `instance` returned, or None.

    Returns:
      A `Batch`, time-major.
    """
    return self.sample_from_keys(jax.random.split(key, batch_size), level, data)

  def sample_from_keys(self, keys: jax.Array,
                       level: chex.Numeric | None = None,
                       data: Any = None) -> Batch:
    """As `sample`, episode i from `keys[i]`: for a batch split over devices."""
    if level is None:
      level = self.max_level
    level = jnp.asarray(level, jnp.int32)
    return jax.vmap(self.episode, (0, None, None), 1)(keys, level, data)


@dataclasses.dataclass(frozen=True)
class BitsTask(Task):
  """A task answered in bits, one logit each: losses and metrics they share."""

  main_metric: ClassVar[str] = "bits_wrong"

  def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Mean cross-entropy (nats) of the bits that an episode asks for, `[B]`."""
    chex.assert_equal_shape([outputs, batch.targets])
    bits = optax.sigmoid_binary_cross_entropy(outputs, batch.targets)
    total = jnp.einsum("tbo,tb->b", bits, batch.mask)
    return total / self._num_bits(batch)

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Bits wrong an episode, share of bits right, share of episodes right."""
    chex.assert_equal_shape([outputs, batch.targets])
    wrong = (outputs > 0) != (batch.targets > 0.5)
    wrong = jnp.einsum("tbo,tb->b", wrong.astype(jnp.float32), batch.mask)
    return {
        "bits_wrong": wrong,
        "bit_accuracy": 1 - wrong / self._num_bits(batch),
        "sequence_accuracy": (wrong == 0).astype(jnp.float32),
    }

  def trivial(self, batch: Batch) -> jax.Array:
    """Every bit a coin that never lands on one: half of them wrong."""
    return jnp.zeros_like(batch.targets)

  def _num_bits(self, batch: Batch) -> jax.Array:
    return jnp.maximum(batch.mask.sum(0), 1) * self.output_size


class OneLevel(Task):
  """A task whose episodes are all of one difficulty."""

  @property
  def max_level(self) -> int:
    return 1

  def at_level(self, level: int) -> Self:
    if level != 1:
      raise ValueError(f"{type(self).__name__} has level 1 alone, not "
                       f"level={level}")
    return self


def check_positive(**values: int) -> None:
  """Raises a ValueError that names the first value below 1."""
  for name, value in values.items():
    if value < 1:
      raise ValueError(f"need {name} >= 1, got {name}={value}")


def check_range(low_name: str, low: int, high_name: str, high: int) -> None:
  """Raises a ValueError unless 1 <= low <= high."""
  if not 1 <= low <= high:
    raise ValueError(
        f"need 1 <= {low_name} <= {high_name}, got {low_name}={low} and "
        f"{high_name}={high}")


def draw_level(key: jax.Array, low: int, high: jax.Array) -> jax.Array:
  """A uniform integer in [low, high]; `high` itself where that is less."""
  return jax.random.randint(key, (), jnp.minimum(low, high), high + 1)


def place(rows: jax.Array, index: jax.Array, where: jax.Array) -> jax.Array:
  """`rows[index]` at the steps `where`, zeros elsewhere: `[T, F]`."""
  index = jnp.clip(index, 0, rows.shape[0] - 1)
  return jnp.where(where[:, None], rows[index], 0)


def bits_to_logits(bits: jax.Array) -> jax.Array:
  """Logits of a solver that is sure."""
  return 20 * (2 * bits - 1)
