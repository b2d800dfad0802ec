"""Curricula: the level of the episodes grows with what has been learnt.

An upper bound h of the level is doubled whenever the mean loss over some
updates is below a threshold. Some answers can only be guessed, such as
Omniglot's at the first showing of a character, where the loss stays near the
logarithm of the number of labels however well a network remembers. Their share
of the loss would hide what has been learnt. So a task's score names the metric
that is judged (`tasks.scores.Score.judged_metric`): the loss, unless only a
part of it can be learnt. The level of each minibatch is a uniform integer
in [1, h]. See "Scaling Memory-Augmented Neural Networks with Sparse Reads and
Writes" (Rae et al., 2016, arXiv 1610.09027), section 4.3.

A network that solves the low levels by its controller alone never learns to
address its memory, and fails at the levels that the controller cannot hold. Any
curriculum is a trap for it, Omniglot's growing number of characters too. Two
cures: start at a level at which the controller fails (`--curriculum.start`), or
let the output depend on the words read alone (`--core.output_from=reads`).

Updates run in blocks of `STRETCH`. A block draws a bucket: a range of levels
that ends at a value h has had. The block's episodes are padded to the bucket's
end, so there is one compiled program per doubling, and short minibatches do not
pay for the longest. Buckets are drawn in proportion to the number of their
levels in [1, h], and each update draws a level within the bucket, so every
level is as likely as any other. The N blocks between two judgements draw from
the N equal parts of [1, h], one each, in random order. Otherwise, the levels of
two blocks are all in the lower half a quarter of the time, and h doubles though
the upper half was not seen.

Notes:
  The paper gives neither the threshold nor the number of episodes. Its levels
  start at 0. Here they start at 1, the shortest episode with an answer. The
  levels of one block lie in the same bucket, so they are not independent.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

STRETCH = 10  # Updates of a block; blocks begin at multiples of it.
MAX_LEVEL = 2**30


class Levels(NamedTuple):
  """Represents a bucket: the levels above `below` and up to `room`.

  Episodes are padded to level `room`.
  """

  below: int
  room: int


class CurriculumState(NamedTuple):
  """Holds what changes in training.

  Attributes:
    level: `[]` int32, the bound h.
    loss_sum: `[]` float32, of the judged losses since h was last judged.
  """

  level: Any
  loss_sum: Any


@dataclasses.dataclass(frozen=True)
class Exponential:
  """Doubles the bound of the level when the loss is low.

  Attributes:
    start: First bound of the level. If a core's controller solves this level
      alone, the core may never learn to address its memory.
    threshold: The bound doubles when the mean loss (nats a bit or a label) is
      below this. Answers that can only be guessed are left out.
    patience: Updates that the mean is taken over, a multiple of 10; the bound
      is judged once in so many updates.
    max_level: The bound grows no further than this.
  """

  start: int = 1
  threshold: float = 0.05
  patience: int = 100
  max_level: int = 4096

  def __post_init__(self):
    if not 1 <= self.start <= self.max_level <= MAX_LEVEL:
      raise ValueError(
          "need 1 <= start <= max_level <= 2**30, got "
          f"start={self.start} and max_level={self.max_level}")
    if not self.threshold > 0:
      raise ValueError(f"need threshold > 0, got threshold={self.threshold}")
    if self.patience < 1 or self.patience % STRETCH:
      raise ValueError(f"patience must be a multiple of {STRETCH}, got "
                       f"{self.patience}")

  def initial_state(self) -> CurriculumState:
    """Returns the state before the first update, on the host."""
    return CurriculumState(np.int32(self.start), np.float32(0))

  def next_state(self, state: CurriculumState, step: jax.Array,
                 loss: jax.Array) -> CurriculumState:
    """Returns the state after an update.

    Args:
      state: the state before it.
      step: `[]` int32, updates done before it.
      loss: `[]` float32, its mean loss, or the part of it that is judged.
    """
    loss_sum = state.loss_sum + loss
    is_judged = (step + 1) % self.patience == 0
    has_learnt = is_judged & (loss_sum < self.threshold * self.patience)
    doubled = jnp.minimum(2 * state.level, self.max_level)
    return CurriculumState(jnp.where(has_learnt, doubled, state.level),
                           jnp.where(is_judged, 0, loss_sum))

  def draw_levels(self, seed: int, step: int, level: int) -> Levels:
    """Draws the bucket of the block that `step` lies in.

    Args:
      seed: of the run.
      step: updates done.
      level: the bound h.
    """
    blocks = self.patience // STRETCH
    window, place = divmod(step // STRETCH, blocks)
    random = np.random.default_rng((seed % 2**32, window))
    parts = random.permutation(blocks) + random.random(blocks)
    drawn = min(1 + int(level * parts[place] / blocks), level)
    below, room = 0, self.start
    while room < drawn:
      below, room = room, min(2 * room, self.max_level)
    return Levels(below, room)


def draw_level(key: jax.Array, levels: Levels) -> jax.Array:
  """Draws a level of the bucket uniformly: `[]` int32."""
  return jax.random.randint(key, (), levels.below + 1, levels.room + 1)


CURRICULA: Mapping[str, Callable[..., Exponential]] = {
    "exponential": Exponential}
