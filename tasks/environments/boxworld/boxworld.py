"""BoxWorld: open boxes in the right order to reach the gem."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks
from tasks.environments.boxworld import (
    drawing,
    floors,
    graph,
    layout,
    record,
    rules,
)

_SMALLEST_VIEW = 3


@dataclasses.dataclass(frozen=True)
class BoxWorld(base.Environment, base.Levelled):
  """Opens boxes with keys until one holds the gem.

  A box is two cells: a key on the left, and a lock on the right. A lock opens
  if the player, who holds a key of its colour, walks into it. That takes the
  key away, and the key of the box can be fetched. One key lies loose. Each box
  of the solution holds the key of the next one, and the last one holds the gem.
  Distractors open with a key of the solution too, but lead nowhere.

  Opening a box of the solution gives +1 and the gem +10, which ends the
  episode. Opening a distractor gives -1 and ends the episode. An episode of
  solution length S returns at most S + 10. Step number `max_steps` + 1 ends the
  episode, too; this is a truncation.

  The defaults are those of "Relational recurrent neural networks" (Santoro et
  al., 2018, arXiv 1806.01822), section 4.2 and its supplement: solutions of 1
  to 5 boxes, 0 to 5 distractors, 5 x 5 cells in view. For the defaults of the
  released game, take solution_length=4, num_forward=4, view=0. Boards, problems
  and rules are those of that game: pycolab, examples/research/box_world, after
  "Relational Deep Reinforcement Learning" (Zambaldi et al., 2018, arXiv
  1806.01830).

  Example:
    >>> task = tasks.BoxWorld(grid_size=5, solution_length=1, num_forward=0)
    >>> state = jax.jit(task.reset)(jax.random.key(0))
    >>> print(task.text(state))
    #######
    #     #
    # c   #
    #  .  #
    # *C  #
    #     #
    #######

  Notes:
    If the boxes of a level find no place, the released game draws its numbers
    of boxes again too, and so has fewer of the largest levels: 13 % of the
    layouts fail with solutions of 5 and 5 distractors. Here only the layout is
    drawn again. After 16 failures the boxes stand on a regular grid, in random
    order; no level is without its boxes, and each can be solved.

    The 20th colour of a level (its colours are in random order) is in no
    distractor, as in the released game, which seems an oversight.

    The released game calls a time-out an end, with discount 0, and says that it
    comes at step `max_steps`. Its code ends at the step after that.

    The paper shows the colour of the held key in "an extra frame". Here that is
    three more channels with this colour in all cells, 0 without a key. The
    whole board (view=0) shows the key in its top left cell, as the released
    game does, and has no such channels. Cells outside of the board are shown
    as border.

    A distractor further along a branch cannot be opened, since the first one
    ends the episode. So `branch_length` changes the board only. The same is
    true of backward distractors.

  Attributes:
    solution_length: largest number of boxes that must be opened, at least 1.
      Uniform from `min_solution_length` on.
    min_solution_length: smallest number of boxes that must be opened, at
      least 1.
    num_forward: largest number of branches that begin with a lock of the
      solution, 0 or more. Uniform from `min_forward` on.
    min_forward: smallest number of these branches, 0 or more.
    num_backward: largest number of boxes that hold a key of the solution, but
      cannot be opened, 0 or more. Uniform from `min_backward` on.
    min_backward: smallest number of these boxes, 0 or more.
    branch_length: number of boxes of a branch, at least 1.
    grid_size: width and height of the board within its border, at least 5.
    max_steps: largest number of steps after which an episode goes on, at least
      1.
    view: width and height of the part of the board that is seen, with the
      player in its centre: odd, from 3 to `grid_size` + 2; or 0 for the whole
      board.
  """

  solution_length: int = 5
  min_solution_length: int = 1
  num_forward: int = 5
  min_forward: int = 0
  num_backward: int = 0
  min_backward: int = 0
  branch_length: int = 1
  grid_size: int = 12
  max_steps: int = 120
  view: int = 5

  level_name: ClassVar[str] = "solution length"
  action_names: ClassVar[tuple[str, ...]] = ("north", "south", "west", "east")
  has_cheap_reset: ClassVar[bool] = False

  def __post_init__(self):
    checks.check_range("min_solution_length", self.min_solution_length,
                       "solution_length", self.solution_length)
    for kind in ("forward", "backward"):
      low, high = getattr(self, f"min_{kind}"), getattr(self, f"num_{kind}")
      if not 0 <= low <= high:
        raise ValueError(f"need 0 <= min_{kind} <= num_{kind}, got min_{kind}="
                         f"{low} and num_{kind}={high}")
    checks.check_positive(branch_length=self.branch_length,
                          max_steps=self.max_steps)
    self._check_view()
    self._check_boxes()

  def _check_view(self) -> None:
    if self.grid_size < 5:
      raise ValueError(f"need grid_size >= 5, got grid_size={self.grid_size}")
    size = self.grid_size + 2
    if self.view and not (_SMALLEST_VIEW <= self.view <= size
                          and self.view % 2):
      raise ValueError(
          f"need view=0 or an odd view from {_SMALLEST_VIEW} to {size}, the "
          f"size of the board, got view={self.view}")

  def _check_boxes(self) -> None:
    longest = self._graph.longest_solution
    if self.solution_length > longest:
      raise ValueError(
          f"need solution_length <= {longest}, since there are "
          f"{rules.NUM_COLOURS} colours, got solution_length="
          f"{self.solution_length}")
    capacity = layout.capacity(self.grid_size)
    if self._graph.num_boxes > capacity:
      raise ValueError(
          f"need solution_length + 1 + num_forward * branch_length + "
          f"num_backward <= {capacity}, which fit on grid_size="
          f"{self.grid_size}, got {self._graph.num_boxes}")

  @property
  def _graph(self) -> graph.Graph:
    return graph.Graph(
        graph.Range(self.min_solution_length, self.solution_length),
        graph.Range(self.min_forward, self.num_forward),
        graph.Range(self.min_backward, self.num_backward), self.branch_length)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    if self.view:
      return self.view, self.view, 6
    return self.grid_size + 2, self.grid_size + 2, 3

  @property
  def episode_limit(self) -> int:
    return self.max_steps + 1

  @property
  def max_level(self) -> int:
    return self.solution_length

  @property
  def trivial_score(self) -> float:
    """The mean return of random actions, as measured; see `floors`."""
    return floors.mean_return(self._graph)

  def at_level(self, level: int) -> Self:
    return dataclasses.replace(
        self, min_solution_length=level, solution_length=level)

  def reset(self, key: jax.Array) -> rules.State:
    graph_key, layout_key = jax.random.split(key)
    return layout.draw(layout_key, self._graph.draw(graph_key), self.grid_size)

  def from_record(self, board: np.ndarray, distractor_locks: np.ndarray
                  ) -> rules.State:
    """Returns the state at the beginning of a game that pycolab recorded.

    Args:
      board: `[n, n]`, codes of pycolab's characters.
      distractor_locks: `[M, 2]`, row and column of the locks that are dead
        ends. Rows with negative numbers are padding.

    Raises:
      ValueError: the board is not valid, or not of this size.
    """
    if len(board) != self.grid_size + 2:
      raise ValueError(
          f"need a board of {self.grid_size + 2} rows for grid_size="
          f"{self.grid_size}, got {len(board)}")
    return record.from_record(board, distractor_locks)

  def observe(self, state: rules.State) -> base.Observation:
    return base.Observation(drawing.image(state, self.view), jnp.zeros((0,)))

  def step(self, state: rules.State, action: Any, key: jax.Array
           ) -> tuple[rules.State, base.TimeStep]:
    del key
    state, reward = rules.act(state, self.check_action(action))
    terminated = state.ending != rules.GOES_ON
    truncated = (state.steps > self.max_steps) & ~terminated
    return state, base.TimeStep(self.observe(state), reward, terminated,
                                truncated, jnp.zeros((), bool))

  def outcome(self, state: rules.State) -> Mapping[str, jax.Array]:
    """Returns what became of an episode.

    Returns:
      `gem`: whether it was reached. `dead_end`: whether a distractor was
      opened. `boxes`: how many boxes of the solution were opened.
    """
    values = {"gem": state.ending == rules.GEM_REACHED,
              "dead_end": state.ending == rules.DEAD_END,
              "boxes": state.opened}
    return {name: value.astype(jnp.float32) for name, value in values.items()}

  def text(self, state: rules.State) -> str:
    return drawing.text(state)

  def picture(self, state: rules.State) -> np.ndarray:
    return drawing.picture(state)
