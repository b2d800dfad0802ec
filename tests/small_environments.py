"""Small environments for tests of agents."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import tasks


class CueState(NamedTuple):
  """Holds the cue to remember, and the time."""

  cue: jax.Array
  time: jax.Array


@dataclasses.dataclass(frozen=True)
class Cue(tasks.Environment):
  """Shows a cue in the first step; the last action must repeat it.

  Attributes:
    delay: steps between the cue and the answer.
    limit: the episode is cut off after so many steps, if that comes first.
    is_dear: whether levels are made beforehand.
  """

  delay: int = 3
  limit: int = 100
  is_dear: bool = False

  action_names: ClassVar[tuple[str, ...]] = ("left", "right")
  encoder: ClassVar[str] = "none"

  @property
  def has_cheap_reset(self):  # type: ignore[override]
    return not self.is_dear

  @property
  def image_shape(self):
    return (0, 0, 0)

  @property
  def num_features(self):
    return 2

  @property
  def episode_limit(self):
    return min(self.limit, self.delay + 1)

  @property
  def trivial_score(self):
    return .5

  def reset(self, key):
    return CueState(jax.random.bernoulli(key).astype(jnp.int32),
                    jnp.zeros((), jnp.int32))

  def observe(self, state):
    shown = jax.nn.one_hot(state.cue, 2) * (state.time == 0)
    return tasks.Observation(jnp.zeros(self.image_shape), shown)

  def step(self, state, action, key):
    del key
    action = self.check_action(action)
    new = CueState(state.cue, state.time + 1)
    terminated = new.time > self.delay
    reward = jnp.where(terminated & (action == state.cue), 1., 0.)
    return new, tasks.TimeStep(
        self.observe(new), reward, terminated,
        (new.time >= self.limit) & ~terminated, jnp.zeros((), bool))

  def outcome(self, state):
    return {"cue": state.cue.astype(jnp.float32)}

  def picture(self, state):
    return np.full((2, 3, 3), 100 * state.cue + 10 * state.time, np.uint8)


@dataclasses.dataclass(frozen=True)
class Unseen(Cue):
  """Draws no pictures."""

  picture = tasks.Environment.picture


@dataclasses.dataclass(frozen=True)
class NoKind(tasks.Task):
  """Represents a task that is neither episodes, nor a text, nor a world."""

  input_size: ClassVar[int] = 3
  output_size: ClassVar[int] = 2
  score: ClassVar[tasks.Measure] = tasks.Returns()
  trivial_score: ClassVar[float] = 0.
