"""MNIST parity: how many even digits an image has."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.mnist import reader, series

_SIZE = reader.SIZE
# Arrangements drawn at once. Of arrangements of five digits in the paper's
# image, 1 % are valid, so one round suffices for nine of ten images. The
# slowest image of a batch determines its time.
_TRIES = 256


@dataclasses.dataclass(frozen=True)
class MnistParity(base.Episodes, base.Levelled):
  """Counts the even digits among several on one large image.

  The digits are at random places at least 28 pixels apart. Their number is
  uniform in [min_digits, level]. The answers are classes, one logit for each
  number of even digits.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.6; the task is that of "Learning to count with deep object
  features" (Segui, Pujol, Vitria, 2015, arXiv 1505.08082).

  Example:
    >>> from tasks.mnist.reader import Digits  # `load` reads those of MNIST.
    >>> digits = Digits(np.zeros([10, 28, 28], np.uint8), np.arange(10))
    >>> task = tasks.MnistParity(max_digits=2, image_size=60)
    >>> batch = jax.jit(task.sample, static_argnums=1)(
    ...     jax.random.key(0), 3, data=digits)
    >>> batch.inputs.shape, batch.targets[0].argmax(-1).tolist()
    ((1, 3, 3600), [1, 2, 1])

  Notes:
    The sources say "up to 5" digits; that there is at least one is our choice.
    The distance is Euclidean, so the corners of two digits' squares may
    overlap. There, the darker ink is shown. `trivial_score` assumes that even
    and odd digits are equally likely (49.3 % of MNIST's test images are even).

  Attributes:
    max_digits: largest number of digits in an image, the highest level.
    min_digits: smallest number of digits in an image.
    num_classes: O, the size of the answer; `max_digits` + 1 if None. A larger
      value leaves room for evaluation with more digits.
    image_size: S, width and height of the image in pixels.
  """

  max_digits: int = 5
  min_digits: int = 1
  num_classes: int | None = None
  image_size: int = 100

  score: ClassVar[scores.Score] = scores.ClassErrors()
  level_name: ClassVar[str] = "digits"
  encoder: ClassVar[str] = "cnn"

  def __post_init__(self):
    checks.check_range("28", _SIZE, "image_size", self.image_size)
    # Half of a square lattice: beyond it, random places hardly ever fit.
    room = ((self.image_size // _SIZE) ** 2 + 1) // 2
    checks.check_range("min_digits", self.min_digits, "max_digits",
                       self.max_digits)
    if self.max_digits > room:
      raise ValueError(f"image_size={self.image_size} has room for {room} "
                       f"digits, got max_digits={self.max_digits}; enlarge the "
                       "image or take fewer digits")
    checks.check_range("max_digits + 1", self.max_digits + 1, "num_classes",
                       self.output_size)

  @property
  def input_size(self) -> int:
    return self.image_size ** 2

  @property
  def output_size(self) -> int:
    return (self.max_digits + 1 if self.num_classes is None
            else self.num_classes)

  @property
  def input_names(self) -> Sequence[str]:
    return base.numbered("pixel", self.input_size)

  @property
  def output_names(self) -> Sequence[str]:
    return tuple(f"{number} even" for number in range(self.output_size))

  @property
  def num_steps(self) -> int:
    return 1

  @property
  def max_level(self) -> int:
    return self.max_digits

  def at_level(self, level: int) -> Self:
    """Returns this task with exactly `level` digits; answers keep their size.

    Raises:
      ValueError: `level` is below 1, or too high for the image or the answer.
    """
    return dataclasses.replace(self, max_digits=level, min_digits=level,
                               num_classes=self.output_size)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the digits of a split, see `reader.load_digits`."""
    return reader.load_digits(split, data_dir)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """Draws one episode of `data`, a `reader.Digits`."""
    series.check_data(data)
    level_key, digit_key, place_key = jax.random.split(key, 3)
    number = base.draw_level(level_key, self.min_digits, level)
    index = jax.random.randint(
        digit_key, (self.max_digits,), 0, data.labels.shape[0])
    places = draw_places(place_key, number, self.max_digits, self.image_size)
    present = jnp.arange(self.max_digits) < number
    canvas = _paste(jnp.asarray(data.images)[index], places, present,
                    self.image_size)
    is_even = jnp.asarray(data.labels)[index] % 2 == 0
    targets = jax.nn.one_hot((is_even & present).sum(), self.output_size)
    return base.Batch(canvas.astype(jnp.float32).reshape(1, -1) / 255,
                      targets[None], jnp.ones(1))

  @property
  def trivial_answer(self) -> jax.Array:
    """Logits of the odds of each number of even digits."""
    return jnp.log(jnp.asarray(self._odds(), jnp.float32) + 1e-9)

  @property
  def trivial_score(self) -> float:
    """The odds of all numbers except the most frequent."""
    return float(1 - self._odds().max())

  def _odds(self) -> np.ndarray:
    """Returns the odds of each number of even digits, `[O]`."""
    numbers = range(self.min_digits, self.max_digits + 1)
    odds = np.zeros(self.output_size)
    odds[:self.max_digits + 1] = [
        np.mean([math.comb(n, even) / 2 ** n for n in numbers])
        for even in range(self.max_digits + 1)]
    return odds


def _paste(images: jax.Array, places: jax.Array, present: jax.Array,
           image_size: int) -> jax.Array:
  """Draws `images [N, 28, 28]` on one canvas, `[S, S]` uint8."""
  canvas = jnp.zeros((image_size, image_size), jnp.uint8)
  for image, place, is_there in zip(images, places, present, strict=True):
    window = jax.lax.dynamic_slice(canvas, place, (_SIZE, _SIZE))
    canvas = jax.lax.dynamic_update_slice(
        canvas, jnp.maximum(window, image * is_there.astype(jnp.uint8)), place)
  return canvas


def draw_places(key: jax.Array, number: jax.Array, max_number: int,
                image_size: int) -> jax.Array:
  """Draws upper left corners of digits that are at least 28 pixels apart.

  Uses rejection, so all such arrangements are equally likely.

  Args:
    key: consumed.
    number: int32 scalar; the places of digits from this one on are arbitrary.
    max_number: N.
    image_size: width and height of the image in pixels.

  Returns:
    `[N, 2]` int32, rows and columns.
  """
  present = jnp.arange(max_number) < number
  pair = present[:, None] & present[None] & ~jnp.eye(max_number, dtype=bool)

  def attempt(carry):
    key, draw_key = jax.random.split(carry[0])
    tries = jax.random.randint(
        draw_key, (_TRIES, max_number, 2), 0, image_size - _SIZE + 1)
    offset = tries[:, :, None] - tries[:, None]
    clash = ((offset ** 2).sum(3) < _SIZE ** 2) & pair[None]
    fits = ~clash.any((1, 2))
    return key, tries[jnp.argmax(fits)], fits.any()

  first = key, jnp.zeros((max_number, 2), jnp.int32), jnp.asarray(False)
  return jax.lax.while_loop(lambda carry: ~carry[2], attempt, first)[1]
