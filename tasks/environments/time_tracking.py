"""Time tracking: arrive on the red square at the instructed time."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks

# Row and column that an action adds, in the order of `action_names`.
_MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)], np.int32)
_NEVER = 1e-12  # A chance that no score shows.
_GREY = 0.5
_RED = np.array([1, 0, 0], np.float32)


class State(NamedTuple):
  """Holds one episode.

  Attributes:
    agent: `[2]` int32, row and column.
    target: `[2]` int32, of the red square.
    time: `[]` int32, the instructed time.
    steps: `[]` int32, the number of steps so far.
  """

  agent: jax.Array
  target: jax.Array
  time: jax.Array
  steps: jax.Array


@dataclasses.dataclass(frozen=True)
class TimeTracking(base.Environment, base.Levelled):
  """Arrives on the red square of a grid at the instructed time.

  An agent (a grey square) and a red square stand on different cells of a grid,
  uniformly at random. The agent sees the whole grid, and the instruction T as a
  plain number, uniform in [min_time, max_time]. Its first step onto the red
  square, at step t, ends the episode with the reward :math:`1 - |T - t| / m`,
  where m is the margin. All other rewards are 0. At step `max_steps` the
  episode ends in any case.

  So the largest reward is 1, and rewards are negative further than `margin`
  steps from T. Walking to the red square and passing T - d steps, where d is
  their Manhattan distance, always gets 1 if T >= d. The largest d is 2
  (num_cells - 1), 8 by default.

  See "Neural Arithmetic Logic Units" (Trask, Hill, Reed, Rae, Dyer, Blunsom,
  2018, arXiv 1808.00508), section 4.5 and figure 5. The grid, the picture's
  size, the five actions and the training times are the paper's.

  Example:
    >>> task = tasks.TimeTracking(num_cells=3)
    >>> state = task.reset(jax.random.key(0))
    >>> print(task.text(state))
    step 0, instructed 7
    . . .
    . . .
    . R A
    >>> task.observe(state).image.shape
    (34, 34, 3)

  Notes:
    The paper's text leaves open, and these are choices made here:

    - The reward off the time is symmetric and linear. Figure 5 has negative
      rewards, and early arrivals lose 0.13 to 0.15 a step, which fits a margin
      of 7 = 12 - 5. No reward of a late arrival is published.
    - The limit is 30 steps, in training and in tests. No limit is published.
    - Running out of time is a rule of the task, with the reward 0: figure 5
      falls to 0, and not below, where an agent never arrives. So it terminates
      the episode and does not truncate it: never arriving is worth 0. An
      arrival at the last step counts as an arrival.
    - The red square is never where the agent starts.
    - The instruction is part of every observation, and is not scaled.
    - A step against the wall stays, and takes time.
    - A cell is 10 pixels wide, between black lines of one pixel, so 5 cells
      take 56 pixels. The agent fills its cell with 0.5 in each channel. The red
      square, (1, 0, 0), is narrower by a fifth of a cell at each side, and is
      drawn over the agent. The background is black.

  Attributes:
    min_time: shortest instructed time, at least 1.
    max_time: longest instructed time, at most max_steps; the highest level.
    margin: steps before or after the instructed time at which an arrival is
      rewarded with 0, at least 1.
    max_steps: steps after which an episode ends, at least max_time.
    num_cells: height and width of the grid in cells, at least 2.
    cell_pixels: height and width of a cell in pixels with a line, at least 4;
      the image has num_cells * cell_pixels + 1 rows.
  """

  min_time: int = 5
  max_time: int = 12
  margin: int = 7
  max_steps: int = 30
  num_cells: int = 5
  cell_pixels: int = 11

  action_names: ClassVar[tuple[str, ...]] = (
      "up", "down", "left", "right", "pass")
  level_name: ClassVar[str] = "time"

  def __post_init__(self):
    checks.check_range("min_time", self.min_time, "max_time", self.max_time)
    checks.check_positive(margin=self.margin)
    if self.max_steps < self.max_time:
      raise ValueError(f"need max_steps >= max_time, got max_steps="
                       f"{self.max_steps} and max_time={self.max_time}")
    for name, least in (("num_cells", 2), ("cell_pixels", 4)):
      if getattr(self, name) < least:
        raise ValueError(
            f"need {name} >= {least}, got {name}={getattr(self, name)}")

  @property
  def image_shape(self) -> tuple[int, int, int]:
    size = self.num_cells * self.cell_pixels + 1
    return size, size, 3

  @property
  def num_features(self) -> int:
    return 1

  @property
  def episode_limit(self) -> int:
    return self.max_steps

  @property
  def max_level(self) -> int:
    return self.max_time

  def at_level(self, level: int) -> Self:
    if not 1 <= level <= self.max_steps:
      raise ValueError(f"need 1 <= time <= max_steps = {self.max_steps}, got "
                       f"time={level}")
    return dataclasses.replace(self, min_time=level, max_time=level)

  def reset(self, key: jax.Array) -> State:
    cells = self.num_cells ** 2
    times = self.max_time - self.min_time + 1
    sizes = np.array([cells, cells - 1, times], np.float32)
    draws = jax.random.uniform(key, (3,), jnp.float32) * sizes
    agent, target, time = draws.astype(jnp.int32)
    target += (target >= agent).astype(jnp.int32)  # Skips the agent's cell.
    return State(self._place(agent), self._place(target), self.min_time + time,
                 jnp.int32(0))

  def _place(self, cell):
    return jnp.stack([cell // self.num_cells, cell % self.num_cells])

  def observe(self, state: State) -> base.Observation:
    height, width, channels = self.image_shape
    rows, red_rows = _cells(self.num_cells, self.cell_pixels)
    columns, red_columns = (np.repeat(x, channels) for x in (rows, red_rows))
    grey = jnp.where(columns == state.agent[1], jnp.float32(_GREY), 0)
    # Each row of pixels is one of four, so that it need not be computed.
    black_or_grey = jnp.stack([jnp.zeros_like(grey), grey])
    kinds = jnp.concatenate([black_or_grey, jnp.where(
        red_columns == state.target[1], np.tile(_RED, width), black_or_grey)])
    kind = jnp.where(rows == state.agent[0], 1, 0) + jnp.where(
        red_rows == state.target[0], 2, 0)
    image = kinds[kind].reshape(height, width, channels)
    return base.Observation(image, state.time.astype(jnp.float32)[None])

  def step(self, state: State, action: jax.Array, key: jax.Array
           ) -> tuple[State, base.TimeStep]:
    del key  # Nothing is left to chance.
    move = jnp.asarray(_MOVES)[self.check_action(action)]
    agent = jnp.clip(state.agent + move, 0, self.num_cells - 1)
    state = state._replace(agent=agent, steps=state.steps + 1)
    arrived = _has_arrived(state)
    reward = 1 - _error(state) / self.margin
    false = jnp.zeros((), bool)
    return state, base.TimeStep(
        self.observe(state), jnp.where(arrived, reward, 0),
        arrived | (state.steps >= self.max_steps), false, false)

  def outcome(self, state: State) -> Mapping[str, jax.Array]:
    """Returns how the episode ended.

    `arrived` and `on_time` are shares; `arrival` is the step of arrival, and
    `error` its distance from the instructed time. Both take the last step for
    an episode that ran out of time.
    """
    arrived, error = _has_arrived(state), _error(state)
    outcomes = dict(arrived=arrived, on_time=arrived & (error == 0),
                    arrival=state.steps, error=error)
    return {name: value.astype(jnp.float32)
            for name, value in outcomes.items()}

  @property
  def trivial_score(self) -> float:
    """The exact mean return of the uniform random policy."""
    chances = _random_arrivals(self.num_cells, self.max_steps)
    times = np.arange(self.min_time, self.max_time + 1)
    steps = np.arange(1, len(chances) + 1)
    rewards = 1 - np.abs(times[:, None] - steps) / self.margin
    return float((rewards @ chances).mean())

  def text(self, state: State) -> str:
    rows = np.full((self.num_cells, self.num_cells), ".")
    rows[tuple(state.target)] = "R"
    rows[tuple(state.agent)] = "*" if _has_arrived(state) else "A"
    return "\n".join([f"step {state.steps}, instructed {state.time}",
                      *map(" ".join, rows)])

  def picture(self, state: State) -> np.ndarray:
    image = self.observe(jax.tree.map(jnp.asarray, state)).image
    return np.rint(255 * np.asarray(image)).astype(np.uint8)


def _has_arrived(state):
  return (state.agent == state.target).all()


def _error(state):
  return jnp.abs(state.time - state.steps).astype(jnp.float32)


@functools.cache
def _cells(num_cells: int, cell_pixels: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns of which cell a row of pixels is, and of which red square.

  Args:
    num_cells: of the grid.
    cell_pixels: of a cell with its line.

  Returns:
    Two arrays `[H]`; -1 stands for none.
  """
  cell, pixel = np.divmod(np.arange(num_cells * cell_pixels + 1), cell_pixels)
  inset = max(1, cell_pixels // 5)
  inside = (pixel > inset) & (pixel < cell_pixels - inset)
  return np.where(pixel > 0, cell, -1), np.where(inside, cell, -1)


@functools.cache
def _random_arrivals(num_cells: int, max_steps: int) -> np.ndarray:
  """Returns the chance that a random walk arrives first at step 1, 2, ...

  Args:
    num_cells: of the grid.
    max_steps: the last step.

  Returns:
    The mean over all pairs of places, `[max_steps]`, or shorter: what is left
    out is below `_NEVER` together.
  """
  places = np.indices((num_cells, num_cells)).reshape(2, -1).T
  after = np.clip(places[:, None] + _MOVES, 0, num_cells - 1) @ (num_cells, 1)
  one_step = np.eye(num_cells ** 2)[after].mean(1)
  at = 1 - np.eye(num_cells ** 2)  # [target, agent]: both at their start.
  at, chances = at / at.sum(), []
  for _ in range(max_steps):
    at = at @ one_step
    chances.append(np.trace(at))
    np.fill_diagonal(at, 0)
    if at.sum() < _NEVER:
      break
  return np.array(chances)
