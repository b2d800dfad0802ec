"""MNIST parity: how many even digits an image has."""

import dataclasses
import math
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tasks import base, mnist_data, mnist_series

_SIZE = mnist_data.SIZE
# Arrangements drawn at once. Of those of five digits in the paper's image 1 %
# will do, so that nine of ten images are done at once; the slowest of a batch
# counts.
_TRIES = 256


@dataclasses.dataclass(frozen=True)
class MnistParity(base.Task):
  """Count the even digits among those strewn over one large image.

  The digits are at random places at least 28 pixels apart. How many there are
  is uniform in [min_digits, level]. The answers are classes, one logit for each
  number of even digits.

  See "Neural Arithmetic Logic Units" (Trask et al., 2018, arXiv 1808.00508),
  section 4.6; the task is that of "Learning to count with deep object
  features" (Segui, Pujol, Vitria, 2015, arXiv 1505.08082).

  Notes:
    Of how many digits there are the sources say "up to 5"; that there is at
    least one is our choice. The distance is Euclid's, so that the corners of
    two digits' squares may overlap, where the darker ink is seen.
    `trivial_score` takes even and odd digits to be equally likely (in MNIST's
    test images 49.3 % are even).

  Attributes:
    max_digits: most digits in an image, the highest level.
    min_digits: fewest digits in an image.
    num_classes: O, the size of the answer; `max_digits` + 1 if None. A larger
      one has room for evaluation with more digits.
    image_size: S, pixels of both sides.
  """

  max_digits: int = 5
  min_digits: int = 1
  num_classes: int | None = None
  image_size: int = 100

  main_metric: ClassVar[str] = "error"
  level_name: ClassVar[str] = "digits"
  encoder: ClassVar[str] = "cnn"

  def __post_init__(self):
    base.check_range("28", _SIZE, "image_size", self.image_size)
    # Half of a square lattice: beyond it, random places hardly ever fit.
    room = ((self.image_size // _SIZE) ** 2 + 1) // 2
    base.check_range("min_digits", self.min_digits, "max_digits",
                     self.max_digits)
    if self.max_digits > room:
      raise ValueError(f"image_size={self.image_size} has room for {room} "
                       f"digits, got max_digits={self.max_digits}")
    base.check_range("max_digits + 1", self.max_digits + 1, "num_classes",
                     self.output_size)

  @property
  def input_size(self) -> int:
    return self.image_size ** 2

  @property
  def output_size(self) -> int:
    return (self.max_digits + 1 if self.num_classes is None
            else self.num_classes)

  @property
  def num_steps(self) -> int:
    return 1

  @property
  def max_level(self) -> int:
    return self.max_digits

  def at_level(self, level: int) -> "MnistParity":
    """This task with exactly `level` digits; the answer keeps its size."""
    return dataclasses.replace(self, max_digits=level, min_digits=level,
                               num_classes=self.output_size)

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """The digits of a split, see `mnist_data.load_digits`."""
    return mnist_data.load_digits(split, data_dir)

  def episode(self, key: jax.Array, level: jax.Array, data: Any) -> base.Batch:
    """One episode of `data`, a `mnist_data.Digits`."""
    mnist_series.check_data(data)
    level_key, digit_key, place_key = jax.random.split(key, 3)
    number = base.draw_level(level_key, self.min_digits, level)
    index = jax.random.randint(
        digit_key, (self.max_digits,), 0, data.labels.shape[0])
    images = jnp.asarray(data.images)[index]
    places = draw_places(place_key, number, self.max_digits, self.image_size)
    canvas = jnp.zeros((self.image_size, self.image_size), jnp.uint8)
    present = jnp.arange(self.max_digits) < number
    for image, place, is_there in zip(images, places, present, strict=True):
      window = jax.lax.dynamic_slice(canvas, place, (_SIZE, _SIZE))
      canvas = jax.lax.dynamic_update_slice(
          canvas, jnp.maximum(window, image * is_there.astype(jnp.uint8)),
          place)
    is_even = jnp.asarray(data.labels)[index] % 2 == 0
    targets = jax.nn.one_hot((is_even & present).sum(), self.output_size)
    return base.Batch(canvas.astype(jnp.float32).reshape(1, -1) / 255,
                      targets[None], jnp.ones(1))

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Cross-entropy (nats) of the number of even digits, `[B]`."""
    chex.assert_equal_shape([outputs, batch.targets])
    return optax.softmax_cross_entropy(outputs, batch.targets)[0]

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Share of images counted wrongly, and rightly."""
    chex.assert_equal_shape([outputs, batch.targets])
    wrong = outputs[0].argmax(1) != batch.targets[0].argmax(1)
    return {"error": wrong.astype(jnp.float32),
            "accuracy": 1 - wrong.astype(jnp.float32)}

  def oracle(self, batch: base.Batch) -> jax.Array:
    """Reads the targets: how to read a digit is what is to be learnt."""
    return base.bits_to_logits(batch.targets)

  def trivial(self, batch: base.Batch) -> jax.Array:
    """The logarithm of each number's odds."""
    return jnp.broadcast_to(
        jnp.log(jnp.asarray(self._odds(), jnp.float32) + 1e-9),
        batch.targets.shape)

  @property
  def trivial_score(self) -> float:
    """All but the most frequent number are wrong."""
    return 1 - max(self._odds())

  def _odds(self) -> np.ndarray:
    """Of each number of even digits."""
    numbers = range(self.min_digits, self.max_digits + 1)
    return np.array([
        np.mean([math.comb(n, even) / 2 ** n for n in numbers])
        for even in range(self.output_size)])


def draw_places(key: jax.Array, number: jax.Array, max_number: int,
                image_size: int) -> jax.Array:
  """Upper left corners of digits that are at least 28 pixels apart.

  By rejection: all such arrangements are equally likely.

  Args:
    key: consumed.
    number: int32 scalar; of those beyond it, the place is any.
    max_number: N.
    image_size: pixels of both sides.

  Returns:
    `[N, 2]` int32, rows and columns.
  """
  present = jnp.arange(max_number) < number
  pair = present[:, None] & present & ~jnp.eye(max_number, dtype=bool)

  def attempt(carry):
    key, draw_key = jax.random.split(carry[0])
    tries = jax.random.randint(
        draw_key, (_TRIES, max_number, 2), 0, image_size - _SIZE + 1)
    offset = tries[:, :, None] - tries[:, None]
    clash = ((offset ** 2).sum(3) < _SIZE ** 2) & pair
    fits = ~clash.any((1, 2))
    return key, tries[jnp.argmax(fits)], fits.any()

  first = key, jnp.zeros((max_number, 2), jnp.int32), jnp.asarray(False)
  return jax.lax.while_loop(lambda carry: ~carry[2], attempt, first)[1]
