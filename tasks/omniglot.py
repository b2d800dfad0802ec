"""Omniglot: names of handwritten characters, learnt within the episode."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from tasks import base, classification

_PRESENTATIONS = {1: "error_1st", 2: "error_2nd", 5: "error_5th",
                  10: "error_10th"}


@dataclasses.dataclass(frozen=True)
class Omniglot(classification.ClassificationTask):
  """Label drawings of characters whose labels are new in every episode.

  An episode draws n characters, gives each a label of its own, and shows each
  `num_presentations` times, in random order and by any of its drawings. A step
  shows one drawing together with the label of the *preceding* one (none at the
  first), and the label of this one is asked for: to be guessed the first time
  that a character is shown, to be remembered from then on. n is uniform in
  [min_classes, level]. The answers are classes, one logit for each label.

  See "Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes"
  (Rae et al., 2016, arXiv 1610.09027), section 4.5; the task is that of
  "One-shot Learning with Memory-Augmented Neural Networks" (Santoro et al.,
  2016, arXiv 1605.06065), with one-hot labels.

  Notes:
    Each character is turned and stretched in every episode anew, all its
    drawings alike. The paper says no more than that; how far is our choice:
    quarter turns as in Santoro et al., which make new characters of old ones,
    and then up to `max_angle` either way and a factor of up to
    1 + `max_stretch` along or across, the same odds for wide as for narrow.

  Attributes:
    num_classes: most characters in an episode, the highest level.
    num_presentations: how often each is shown. Beyond the 20 drawings there
      are, a drawing may come again; up to that, none does.
    num_labels: O, the size of a label; `num_classes` if None. A larger one has
      room for evaluation with more characters.
    min_classes: fewest characters; `num_classes` if None.
    image_size: S, pixels of both sides.
    quarter_turns: whether to turn characters by multiples of 90 degrees.
    max_angle: of a further rotation, degrees.
    max_stretch: along each of the two axes, a fraction.
  """

  num_classes: int = 5
  num_presentations: int = 10
  num_labels: int | None = None
  min_classes: int | None = None
  image_size: int = 20
  quarter_turns: bool = True
  max_angle: float = 11.25
  max_stretch: float = 0.2

  main_metric: ClassVar[str] = "error"
  level_name: ClassVar[str] = "classes"

  def __post_init__(self):
    base.check_range("min_classes", self._min_classes, "num_classes",
                     self.num_classes)
    base.check_range("num_classes", self.num_classes, "num_labels",
                     self.output_size)
    base.check_positive(num_presentations=self.num_presentations)
    base.check_range("image_size", self.image_size, "105", 105)
    if not 0 <= self.max_angle <= 180:
      raise ValueError(f"need 0 <= max_angle <= 180, got {self.max_angle}")
    if not 0 <= self.max_stretch < float("inf"):
      raise ValueError(f"need max_stretch >= 0, got {self.max_stretch}")

  @property
  def input_size(self) -> int:
    return self.image_size ** 2 + self.output_size

  @property
  def output_size(self) -> int:
    return self.num_classes if self.num_labels is None else self.num_labels

  @property
  def num_steps(self) -> int:
    return self.num_classes * self.num_presentations

  @property
  def max_level(self) -> int:
    return self.num_classes

  @property
  def _min_classes(self) -> int:
    return self.num_classes if self.min_classes is None else self.min_classes

  def at_level(self, level: int) -> "Omniglot":
    """This task with exactly `level` characters; the label keeps its size."""
    return dataclasses.replace(self, num_classes=level, min_classes=level,
                               num_labels=self.output_size)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """The drawings of a split, see `omniglot_data.load_images`."""
    # TensorFlow Datasets takes a second to import: only who loads, waits.
    from tasks import omniglot_data

    return omniglot_data.load_images(split, data_dir, self.image_size)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """One episode from `data`, the drawings `[C, D, S, S]` uint8, ink 255."""
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
    # A presentation's place is its rank in a lottery; those of characters that
    # this episode leaves out come last.
    asked = jnp.arange(self.num_steps) < n * self.num_presentations
    ticket = jax.random.uniform(order_key, (self.num_steps,))
    order = jnp.argsort(jnp.where(asked, ticket, jnp.inf))
    targets = jax.nn.one_hot(labels, self.output_size)
    images = base.place(images, order, asked)
    targets = base.place(targets, order, asked)
    preceding = jnp.roll(targets, 1, axis=0).at[0].set(0) * asked[:, None]
    return base.Batch(jnp.concatenate([images, preceding], axis=1), targets,
                      asked.astype(jnp.float32))

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Share of labels wrong; and by the times that a character was shown.

    All characters of an episode weigh the same. `error_2nd`, say, is of the
    steps at which a character is shown for the second time.
    """
    wrong = classification.is_wrong(outputs, batch)
    shown = jnp.einsum("tbo,tbo->tb", batch.targets.cumsum(0), batch.targets)
    mean = classification.mean_over_steps
    errors = {"error": mean(wrong, batch.mask)}
    for times, name in _PRESENTATIONS.items():
      if times <= self.num_presentations:
        errors[name] = mean(wrong, batch.mask * (shown == times))
    return errors

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Knows a character again; guesses among the unused labels of a new one."""
    used = batch.targets.cumsum(0) - batch.targets
    is_known = (used * batch.targets).sum(2, keepdims=True) > 0
    answer = jnp.where(is_known, batch.targets, used == 0)
    return 20 * answer

  def trivial(self, batch: base.Batch) -> jax.Array:
    """Always the same label, which is as good as any other."""
    return jnp.zeros_like(batch.targets)

  @property
  def trivial_score(self) -> float:
    """Whatever the number of characters, each label is as likely as another."""
    return 1 - 1 / self.output_size

  def _check_data(self, data: Any) -> None:
    side = self.image_size
    if data is None:
      raise ValueError("Omniglot's episodes are drawn from images: pass what "
                       "`load` returns as `data`")
    if data.ndim != 4 or data.shape[2:] != (side, side):
      raise ValueError(f"need data of shape [characters, drawings, {side}, "
                       f"{side}], got {data.shape}")
    if data.dtype != jnp.uint8:
      raise ValueError(f"need data of dtype uint8, got {data.dtype}")
    if data.shape[0] < self.num_classes:
      raise ValueError(f"num_classes={self.num_classes}, but the data have "
                       f"only {data.shape[0]} characters")

  def _draw_characters(self, key: jax.Array, data: jax.Array) -> jax.Array:
    """Some drawings of some characters, `[N, P, S, S]` uint8."""
    character_key, drawing_key = jax.random.split(key)
    # The largest few of random numbers: a permutation would sort them all,
    # which takes ten times longer.
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
    """Turns and stretches `[P, S, S]` uint8 alike, to float32 in [0, 1]."""
    images = images.astype(jnp.float32) / 255
    if not (self.quarter_turns or self.max_angle or self.max_stretch):
      return images
    turn_key, warp_key = jax.random.split(key)
    turns = jax.random.randint(turn_key, (), 0, 4) * self.quarter_turns
    chance = jax.random.uniform(warp_key, (3,), minval=-1, maxval=1)
    angle = jnp.deg2rad(self.max_angle) * chance[0]
    zoom = jnp.log1p(self.max_stretch) * chance[1:, None, None]
    # Where a pixel comes from: turned back first, then shrunk back. Quarter
    # turns take whole numbers, so that alone they move pixels exactly; as
    # `jnp.rot90` of the images, the whole warp takes five times longer.
    centre = (self.image_size - 1) / 2
    source = jnp.mgrid[:self.image_size, :self.image_size] - centre
    source = _rotate(source, jnp.array([1, 0, -1, 0])[turns],
                     jnp.array([0, 1, 0, -1])[turns])
    source = _rotate(source, jnp.cos(angle), jnp.sin(angle))
    source = source * jnp.exp(-zoom) + centre
    return jax.vmap(
        lambda image: ndimage.map_coordinates(image, list(source), order=1)
    )(images)


def _rotate(yx: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
  y, x = yx
  return jnp.stack([cos * y + sin * x, cos * x - sin * y])
