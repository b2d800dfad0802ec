"""Mean returns of random actions in BoxWorld, as measured."""

import numpy as np

from tasks.environments.boxworld.graph import Graph

# A row for each solution length from 1 on, a column for each number of forward
# branches from 0 on. Each is the mean return of 50,000 episodes of uniformly
# random actions with the default grid_size, branch_length and max_steps, and
# levels from `BoxWorld(solution_length=6, num_forward=6).reset` of 256 x 8,192
# keys. The standard error is .009 in the first row, .003 in the second, and
# .0017 in the others.
_MEAN_RETURNS = np.array([
    [.360, .278, .202, .135, .093, .070, .032],
    [.067, .042, .015, -.007, -.034, -.057, -.074],
    [.061, .040, .021, .005, -.018, -.031, -.046],
    [.060, .044, .030, .012, .002, -.010, -.023],
    [.060, .047, .036, .026, .016, .004, -.008],
    [.060, .050, .040, .030, .020, .012, .004]])


def mean_return(graph: Graph) -> float:
  """Returns the mean over the sizes of levels, which are equally likely.

  Sizes that were not measured count as the nearest one that was.
  """
  last_row, last_column = np.array(_MEAN_RETURNS.shape) - 1
  lengths = np.arange(graph.solution.low, graph.solution.high + 1)
  branches = np.arange(graph.forward.low, graph.forward.high + 1)
  return float(_MEAN_RETURNS[np.ix_(
      np.minimum(lengths - 1, last_row),
      np.minimum(branches, last_column))].mean())
