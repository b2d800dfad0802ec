"""Mini-Pacman: five games in one maze."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import checks, environment
from tasks.capabilities import Levelled
from tasks.environments.minipacman import maze, records, rules, views

# Mean return of the random policy by the level that episodes begin with, 1 to
# 12, in episodes of at most 3,000 steps. Their number is 2,048, at levels 1 and
# in regular 2 4,096. Standard errors are below 0.2. Measured by
#   play(MiniPacman(mode=mode, level=level), random_policy,
#        jax.random.key(level), number).total.mean()
# of tests/oracle_minipacman.py; rush 3 with keys 100 and 101, 16,384 each.
RANDOM_RETURNS = {
    "regular": (9.85, 8.74, 6.26, 5.76, 5.03, 4.71, 4.40, 4.40, 4.24, 4.23,
        4.19, 4.24),
    "avoid": (-16.84, -17.45, -19.48, -19.56, -20.87, -21.46, -21.88, -21.85,
        -22.42, -22.29, -22.61, -22.46),
    "hunt": (-20.08, -20.17, -20.77, -20.79, -21.64, -22.11, -22.49, -22.43,
        -22.94, -22.86, -23.06, -22.81),
    "ambush": (-21.08, -21.08, -21.47, -21.42, -22.19, -22.62, -22.97, -22.91,
        -23.40, -23.32, -23.52, -23.28),
    "rush": (0.35, 0.34, 0.24, 0.17, 0.24, 0.15, 0.14, 0.11, 0.10, 0.12, 0.21,
        0.20),
}


@dataclasses.dataclass(frozen=True)
class MiniPacman(environment.Environment, Levelled):
  r"""Eats food and pills in a maze, and is hunted by ghosts or hunts them.

  Level k has food in all 138 free cells, 2 pills, and 1 + floor((k - 1) / 2)
  ghosts, which move with probability 0.5 + 0.1 (k - 1) in a step. A pill gives
  power for 20 steps: ghosts flee at half the speed and can be eaten. They come
  back at the next level only. Without power, a collision with a ghost ends the
  episode.

  The modes differ in rewards (of a step, food, a pill, a ghost, death) and in
  when a level ends:

  =======  ====  ====  ====  =====  =====  ========================
  mode     step  food  pill  ghost  death  level ends without
  =======  ====  ====  ====  =====  =====  ========================
  regular  0     1     2     5      0      food
  avoid    0.1   -0.1  -5    -10    -20    food, or after 128 steps
  hunt     0     0     1     10     -20    ghosts
  ambush   0     -0.1  0     10     -20    ghosts
  rush     0     -0.1  10    0      0      pills
  =======  ====  ====  ====  =====  =====  ========================

  See "Imagination-Augmented Agents for Deep Reinforcement Learning" (Weber et
  al., 2017, arXiv 1707.06203), appendix D, and "Relational recurrent neural
  networks" (Santoro et al., 2018, arXiv 1806.01822), section 4.2, which sees
  5 x 5 cells around the pacman (`view` 5) instead of the whole maze. The rules
  are those of the code that an author of the first paper released (PillEater
  by @sracaniere, in higgsfield/Imagination-Augmented-Agents, file
  common/deepmind.py at 58a4702).

  Example:
    >>> task = tasks.MiniPacman("hunt", view=5)
    >>> state = jax.jit(task.reset)(jax.random.key(0))
    >>> print("\n".join(task.text(state).split("\n")[:4]))
    level 1, step 0, power 0
    ###################
    #...#.........#...#
    #.#.#.#######.#.#.#
    >>> task.observe(state).image.shape, task.action_names
    ((5, 5, 3), ('stay', 'right', 'up', 'left', 'down'))

  Notes:
    These things of the released code are kept. At a level's end in the middle
    of a step, the pacman is moved to its new place at once: it may find a pill
    there, and the new ghosts move in the same step. One pill is eaten in a step
    even if two lie in one cell. A ghost may catch the pacman twice in a step,
    and then both deaths are paid. The ghosts' starting places keep away from
    the pacman by 5 rows or columns above and to the left of it, and 4 below and
    to the right.

    These things differ. The limit of steps is a truncation, not an end. A new
    ghost has one of the directions of moves; the released code draws another
    number, which matters for at most one move. In `avoid`, the picture after
    128 steps of a level shows the new level; there it shows the old one for one
    more step. Levels above 2 `max_ghosts` have `max_ghosts` ghosts, whose speed
    goes on to grow. The papers do not state the mode of their scores;
    'regular' fits them.

  Attributes:
    mode: which game, 'regular', 'avoid', 'hunt', 'ambush' or 'rush'.
    view: size of the view around the pacman in cells, an odd number up to 15;
      what is outside of the maze looks like walls. 0 shows the whole maze.
    pixels: 'rgb' for the colours of the paper, which show one thing in a cell,
      or 'planes' for one channel each of walls, food, the pacman, ghosts,
      edible ghosts and pills.
    max_steps: number of steps after which an episode is cut off, from 1 on.
    level: level that an episode begins with, from 1 to 2 `max_ghosts`.
    max_ghosts: largest number of ghosts in the maze, from 1 on.
  """

  mode: str = "regular"
  view: int = 0
  pixels: str = "rgb"
  max_steps: int = 3000
  level: int = 1
  max_ghosts: int = 6

  action_names: ClassVar[tuple[str, ...]] = (
      "stay", "right", "up", "left", "down")

  def __post_init__(self):
    checks.check_member("mode", self.mode, rules.MODES)
    checks.check_member("pixels", self.pixels, views.PIXELS)
    checks.check_positive(max_steps=self.max_steps, max_ghosts=self.max_ghosts)
    if self.view and (self.view % 2 == 0 or
                      not 1 <= self.view <= maze.HEIGHT):
      raise ValueError(f"need view=0 (the whole maze) or an odd view from 1 to "
                       f"{maze.HEIGHT}, got view={self.view}")
    if not 1 <= self.level <= self.max_level:
      raise ValueError(
          f"need 1 <= level <= {self.max_level} (twice max_ghosts), got "
          f"level={self.level}")

  @property
  def image_shape(self) -> tuple[int, int, int]:
    size = (self.view, self.view) if self.view else (maze.HEIGHT, maze.WIDTH)
    return (*size, views.PIXELS[self.pixels])

  @property
  def episode_limit(self) -> int:
    return self.max_steps

  @property
  def max_level(self) -> int:
    return 2 * self.max_ghosts

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(self, level=level)

  @property
  def trivial_score(self) -> float:
    """The mean return of the random policy in up to 3,000 steps.

    Levels above 12 have the value of level 12, and other `max_steps` that of
    3,000: few of its games last longer than 300 steps.
    """
    returns = RANDOM_RETURNS[self.mode]
    return returns[min(self.level, len(returns)) - 1]

  def reset(self, key: jax.Array) -> rules.State:
    return rules.new_level(
        jnp.asarray(self.level, jnp.int32), jnp.zeros((), jnp.int32),
        rules.draw(key, self.max_ghosts))

  def observe(self, state: rules.State) -> environment.Observation:
    seen = views.places(self.view, state.pacman)
    return environment.Observation(
        views.image(self.pixels, state, seen), jnp.zeros((0,)))

  def step(self, state: rules.State, action: jax.Array, key: jax.Array
           ) -> tuple[rules.State, environment.TimeStep]:
    state, reward, caught = rules.step(
        rules.MODES[self.mode], state, self.check_action(action),
        rules.draw(key, self.max_ghosts))
    truncated = (state.frame >= self.max_steps) & ~caught
    return state, environment.TimeStep(
        self.observe(state), reward, caught, truncated, jnp.zeros((), bool))

  def outcome(self, state: rules.State) -> Mapping[str, jax.Array]:
    return {"last_level": state.level.astype(jnp.float32)}

  def from_record(self, record: Mapping[str, Any]) -> rules.State:
    """Makes a state from positions (y, x), on the host.

    Args:
      record: 'level', 'frame', 'timer' (steps of the level), 'power' (steps
        left), 'pillman' `[2]`, 'food' `[15, 19]`, 'pills' `[number, 2]`,
        'ghosts' `[number, 3]`: y, x and direction (2 right, 3 up, 4 left, 5
        down), in the order in which they move. Rows of -1 are left out.

    Raises:
      ValueError: a position is not free, a direction is not valid, or there are
        too many ghosts.
    """
    return records.from_record(record, self.max_ghosts)

  def text(self, state: rules.State) -> str:
    return views.text(state)

  def picture(self, state: rules.State) -> np.ndarray:
    return views.picture(state)
