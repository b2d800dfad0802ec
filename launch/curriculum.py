"""A curriculum: episodes grow with what has been learnt.

An upper bound h of the level is doubled whenever the mean loss over some
updates is below a threshold, and the level of each minibatch is a uniform
integer in [1, h]. See "Scaling Memory-Augmented Neural Networks with Sparse
Reads and Writes" (Rae et al., 2016, arXiv 1610.09027), section 4.3.

The shapes of a compiled program are those of its longest episode. So the
updates run in stretches of `STRETCH`, each in the least room that its levels
need, and rooms are the values that h has had: there is one program a doubling,
and short minibatches do not pay for the longest. A room is drawn with the share
that its levels have in [1, h], and within it each update draws a level of its
own, so that every level is as likely as any other.

Notes:
  The paper gives neither the threshold nor the number of episodes. Its levels
  start at 0; here at 1, the shortest episode that asks for anything. Levels of
  the same stretch lie in the same room, so they are not independent.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

CURRICULA = ("exponential", "none")

STRETCH = 10  # Updates; stretches begin at its multiples.


class Levels(NamedTuple):
  """The levels above `below` and up to `room`, which the shapes are for."""

  below: int
  room: int


class CurriculumState(NamedTuple):
  """What changes in training.

  Attributes:
    level: `[]` int32, the bound h.
    loss_sum: `[]` float32, of the updates since h was last judged.
  """

  level: Any
  loss_sum: Any


@dataclasses.dataclass(frozen=True)
class Exponential:
  """Doubles the bound of the level when the loss is low.

  Attributes:
    start: the first bound.
    threshold: the mean loss below which the bound is doubled.
    patience: updates that the mean is over, a multiple of `STRETCH`; the bound
      is judged after every so many.
    max_level: the bound grows no further.
  """

  start: int
  threshold: float
  patience: int
  max_level: int

  def initial_state(self) -> CurriculumState:
    """The state before the first update, on the host."""
    return CurriculumState(np.int32(self.start), np.float32(0))

  def next_state(self, state: CurriculumState, step: jax.Array,
                 loss: jax.Array) -> CurriculumState:
    """The state after an update.

    Args:
      state: before it.
      step: `[]` int32, updates done before it.
      loss: `[]` float32, its mean loss.
    """
    loss_sum = state.loss_sum + loss
    is_judged = (step + 1) % self.patience == 0
    has_learnt = is_judged & (loss_sum < self.threshold * self.patience)
    doubled = jnp.minimum(2 * state.level, self.max_level)
    return CurriculumState(jnp.where(has_learnt, doubled, state.level),
                           jnp.where(is_judged, 0, loss_sum))

  def draw_levels(self, seed: int, step: int, level: int) -> Levels:
    """The levels of the stretch that `step` is in.

    Args:
      seed: of the run.
      step: updates done.
      level: the bound h.
    """
    random = np.random.default_rng((seed % 2**32, step // STRETCH))
    drawn = random.integers(1, level, endpoint=True)
    below, room = 0, self.start
    while room < drawn:
      below, room = room, min(2 * room, self.max_level)
    return Levels(below, room)


def draw_level(key: jax.Array, levels: Levels) -> jax.Array:
  """One of `levels`, uniform: `[]` int32."""
  return jax.random.randint(key, (), levels.below + 1, levels.room + 1)


def make_curriculum(config: ml_collections.ConfigDict) -> Exponential | None:
  """The curriculum of a run; None without one.

  Raises:
    ValueError: a value of `config` is not valid.
  """
  if config.curriculum not in CURRICULA:
    raise ValueError(f"unknown curriculum {config.curriculum!r}; valid: "
                     f"{', '.join(CURRICULA)}")
  if not 1 <= config.curriculum_start <= config.curriculum_max <= 2**30:
    raise ValueError(
        "need 1 <= curriculum_start <= curriculum_max <= 2**30, got "
        f"curriculum_start={config.curriculum_start} and "
        f"curriculum_max={config.curriculum_max}")
  if not config.curriculum_threshold > 0:
    raise ValueError("curriculum_threshold must be above 0, got "
                     f"{config.curriculum_threshold}")
  if config.curriculum_patience < 1 or config.curriculum_patience % STRETCH:
    raise ValueError(f"curriculum_patience must be a multiple of {STRETCH}, "
                     f"got {config.curriculum_patience}")
  if config.curriculum == "none":
    return None
  return Exponential(config.curriculum_start, config.curriculum_threshold,
                     config.curriculum_patience, config.curriculum_max)
