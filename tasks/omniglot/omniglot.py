"""Omniglot: names of handwritten characters, learnt within the episode."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage

from tasks import base, checks, scores
from tasks.omniglot import archive, reader

MAX_CLASSES = min(archive.NUM_CHARACTERS.values())
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"} | {
    number: f"{number}th" for number in range(4, 11)}


@dataclasses.dataclass(frozen=True)
class PresentationScore(scores.Classes):
  """Scores answers in classes by how often a class has been shown.

  A curriculum is judged by `later_loss`. A label can only be guessed when its
  character is shown for the first time, so that part of the loss stays near the
  logarithm of the number of labels.

  Attributes:
    num_presentations: how often each class is shown in an episode.
  """

  main_metric: str = "error"
  lower_is_better: ClassVar[bool] = True
  judged_metric: ClassVar[str] = "later_loss"
  num_presentations: int = 10

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Returns the share of wrong labels, over all steps and by presentation.

    All characters of an episode have the same weight. `error_2nd`, for example,
    is the error at the steps that show a character for the second time, up to
    `error_10th`. `later_loss` is the mean cross-entropy (nats) at the steps
    that show a character for the second time or later; at all steps if each is
    shown once only.
    """
    wrong = scores.is_wrong(outputs, batch)
    shown = _count_showings(batch)
    is_later = shown >= min(2, self.num_presentations)
    mean = scores.mean_over_steps
    metrics = {
        "error": mean(wrong, batch.mask),
        "later_loss": mean(scores.cross_entropy(outputs, batch),
                           jnp.where(is_later, batch.mask, 0))}
    for times, ordinal in _ORDINALS.items():
      if times <= self.num_presentations:
        metrics[f"error_{ordinal}"] = mean(
            wrong, jnp.where(shown == times, batch.mask, 0))
    return metrics


def _count_showings(batch: base.Batch) -> jax.Array:
  """Returns how often a step's class has been shown up to it, `[T, B]` int32.

  Steps with mask 0 count as a class of their own. A cumulative sum of the
  targets would take seconds at 5,000 steps on a CPU, so steps are sorted by
  class, and counted within their class.
  """
  num_classes = batch.targets.shape[2]
  label = jnp.where(batch.mask > 0, batch.targets.argmax(2), num_classes)

  def of_episode(label):
    order = jnp.argsort(label, stable=True)
    ordered = label[order]
    place = jnp.arange(len(label))
    first = jnp.searchsorted(ordered, ordered)  # Of the class.
    return jnp.zeros_like(place).at[order].set(place - first + 1)

  return jax.vmap(of_episode, 1, 1)(label)


@dataclasses.dataclass(frozen=True)
class Omniglot(base.Episodes, base.Levelled):
  """Labels drawings of characters whose labels are new in every episode.

  An episode draws n characters, gives each a label of its own, and shows each
  `num_presentations` times, in random order and in different drawings. A step
  shows one drawing together with the label of the *preceding* one (none at the
  first step). The target is the label of this drawing. A network guesses it the
  first time that a character is shown, and can remember it from then on. n is
  uniform in [min_classes, level]. The answers are classes, one logit a label.

  See "Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes"
  (Rae et al., 2016, arXiv 1610.09027), section 4.5; the task is that of
  "One-shot Learning with Memory-Augmented Neural Networks" (Santoro et al.,
  2016, arXiv 1605.06065), with one-hot labels.

  Example:
    >>> task = tasks.Omniglot(num_classes=3, num_presentations=2)
    >>> drawings = np.zeros([7, 20, 20, 20], np.uint8)  # In place of `load`.
    >>> batch = jax.jit(task.sample, static_argnums=1)(
    ...     jax.random.key(0), 1, data=drawings)
    >>> batch.inputs.shape  # A drawing, and the label of the one before.
    (6, 1, 403)
    >>> batch.targets[:, 0].argmax(-1).tolist()
    [1, 0, 2, 2, 1, 0]

  Notes:
    Each character is rotated and stretched anew in every episode, all its
    drawings alike. The paper says no more than that, and the amount is our
    choice: quarter turns as in Santoro et al., which make new characters of old
    ones (3,856 of the 964 characters of training, of which an episode has one
    of each 4 at most), then up to `max_angle` either way and a factor of up to
    1 + `max_stretch` along or across, with the same odds for wide and narrow.

  Attributes:
    num_classes: largest number of characters in an episode, the highest level;
      at most 659, the characters held out for evaluation.
    num_presentations: how often each character is shown. Up to 20, the number
      of drawings of a character, no drawing repeats.
    num_labels: O, the size of a label; `num_classes` if None. A larger value
      leaves room for evaluation with more characters.
    min_classes: smallest number of characters; `num_classes` if None.
    image_size: S, width and height of the drawings in pixels, at most 105.
    quarter_turns: whether to turn characters by multiples of 90 degrees.
    max_angle: largest further rotation, in degrees, up to 180.
    max_stretch: largest stretch along each of the two axes, as a fraction.
  """

  num_classes: int = 5
  num_presentations: int = 10
  num_labels: int | None = None
  min_classes: int | None = None
  image_size: int = 20
  quarter_turns: bool = True
  max_angle: float = 11.25
  max_stretch: float = 0.2

  level_name: ClassVar[str] = "classes"

  def __post_init__(self):
    checks.check_range("min_classes", self._min_classes, "num_classes",
                       self.num_classes)
    checks.check_range("num_classes", self.num_classes, "num_labels",
                       self.output_size)
    checks.check_range("num_classes", self.num_classes,
                       "the characters held out for evaluation", MAX_CLASSES)
    checks.check_positive(num_presentations=self.num_presentations)
    checks.check_range("image_size", self.image_size, "105", 105)
    if not 0 <= self.max_angle <= 180:
      raise ValueError(
          f"need 0 <= max_angle <= 180, got max_angle={self.max_angle}")
    if not 0 <= self.max_stretch < float("inf"):
      raise ValueError(
          f"need max_stretch >= 0, got max_stretch={self.max_stretch}")

  @property
  def score(self) -> PresentationScore:
    return PresentationScore(num_presentations=self.num_presentations)

  @property
  def input_size(self) -> int:
    return self.image_size ** 2 + self.output_size

  @property
  def output_size(self) -> int:
    return self.num_classes if self.num_labels is None else self.num_labels

  @property
  def input_names(self) -> Sequence[str]:
    return (*base.numbered("pixel", self.image_size ** 2),
            *base.numbered("last label", self.output_size))

  @property
  def output_names(self) -> Sequence[str]:
    return base.numbered("label", self.output_size)

  @property
  def num_steps(self) -> int:
    return self.num_classes * self.num_presentations

  @property
  def max_level(self) -> int:
    return self.num_classes

  @property
  def _min_classes(self) -> int:
    return self.num_classes if self.min_classes is None else self.min_classes

  def at_level(self, level: int) -> Self:
    """Returns this task with exactly `level` characters.

    Labels keep their size.

    Raises:
      ValueError: `level` is below 1, above `output_size` or above 659.
    """
    return dataclasses.replace(self, num_classes=level, min_classes=level,
                               num_labels=self.output_size)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the drawings of a split, see `reader.load_images`."""
    return reader.load_images(split, data_dir, self.image_size,
                              self.num_classes)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """Draws one episode from drawings `[C, D, S, S]` uint8, ink 255."""
    self._check_data(data)
    level_key, draw_key, label_key, warp_key, order_key = jax.random.split(
        key, 5)
    n = base.draw_level(level_key, self._min_classes, level)
    images = self._draw_characters(draw_key, data)
    images = jax.vmap(self._warp)(
        jax.random.split(warp_key, self.num_classes), images)
    images = images.reshape(self.num_steps, -1)
    labels = jax.random.permutation(label_key, self.output_size)
    labels = labels[:self.num_classes].repeat(self.num_presentations)
    # A presentation's place is its rank in a lottery. The characters that this
    # episode leaves out come last.
    asked = jnp.arange(self.num_steps) < n * self.num_presentations
    ticket = jax.random.uniform(order_key, (self.num_steps,))
    order = jnp.argsort(jnp.where(asked, ticket, jnp.inf))
    targets = jax.nn.one_hot(labels, self.output_size)
    images = base.place(images, order, asked)
    targets = base.place(targets, order, asked)
    preceding = jnp.where(
        asked[:, None], jnp.roll(targets, 1, axis=0).at[0].set(0), 0)
    return base.Batch(jnp.concatenate([images, preceding], axis=1), targets,
                      asked.astype(jnp.float32))

  @property
  def trivial_score(self) -> float:
    """Each label is equally likely, whatever the number of characters."""
    return 1 - 1 / self.output_size

  def _check_data(self, data: Any) -> None:
    side = self.image_size
    if data is None:
      raise ValueError("need Omniglot's drawings as `data`, got None; pass "
                       "what `load` returns")
    if data.ndim != 4 or data.shape[2:] != (side, side):
      raise ValueError(f"need data of shape [characters, drawings, {side}, "
                       f"{side}], got {data.shape}")
    if data.dtype != jnp.uint8:
      raise ValueError(f"need data of dtype uint8, got {data.dtype}")
    if data.shape[0] < self.num_classes:
      raise ValueError(f"num_classes={self.num_classes}, but the data have "
                       f"only {data.shape[0]} characters")

  def _draw_characters(self, key: jax.Array, data: jax.Array) -> jax.Array:
    """Draws some drawings of some characters, `[N, P, S, S]` uint8."""
    character_key, drawing_key = jax.random.split(key)
    # The largest of random numbers. A permutation would sort them all, which
    # takes ten times longer.
    ticket = jax.random.uniform(character_key, (data.shape[0],))
    character = jax.lax.top_k(ticket, self.num_classes)[1]
    num_drawings = data.shape[1]
    if self.num_presentations <= num_drawings:
      ticket = jax.random.uniform(drawing_key, (self.num_classes, num_drawings))
      drawing = jax.lax.top_k(ticket, self.num_presentations)[1]
    else:
      drawing = jax.random.randint(
          drawing_key, (self.num_classes, self.num_presentations), 0,
          num_drawings)
    return jnp.asarray(data)[character[:, None], drawing]

  def _warp(self, key: jax.Array, images: jax.Array) -> jax.Array:
    """Rotates and stretches `[P, S, S]` uint8 alike, to float32 in [0, 1]."""
    images = images.astype(jnp.float32) / 255
    if not (self.quarter_turns or self.max_angle or self.max_stretch):
      return images
    turn_key, warp_key = jax.random.split(key)
    turns = jax.random.randint(turn_key, (), 0, 4) * int(self.quarter_turns)
    chance = jax.random.uniform(warp_key, (3,), minval=-1, maxval=1)
    angle = jnp.deg2rad(self.max_angle) * chance[0]
    zoom = jnp.log1p(self.max_stretch) * chance[1:, None, None]
    # The source of each pixel: first rotated back, then shrunk back. The
    # factors of quarter turns are whole numbers, so turns alone are exact. With
    # `jnp.rot90` of the images instead, the warp takes five times longer.
    centre = (self.image_size - 1) / 2
    source = jnp.asarray(
        np.mgrid[:self.image_size, :self.image_size] - centre, jnp.float32)
    source = _rotate(source, jnp.array([1., 0., -1., 0.])[turns],
                     jnp.array([0., 1., 0., -1.])[turns])
    source = _rotate(source, jnp.cos(angle), jnp.sin(angle))
    source = source * jnp.exp(-zoom) + centre
    return jax.vmap(
        lambda image: ndimage.map_coordinates(image, list(source), order=1)
    )(images)


def _rotate(yx: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
  y, x = yx
  return jnp.stack([cos * y + sin * x, cos * x - sin * y])
