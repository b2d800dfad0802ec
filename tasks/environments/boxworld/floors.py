"""What random actions reach in BoxWorld, as measured."""

import numpy as np

from tasks.environments.boxworld.graph import Graph, Range

_MEAN_RETURN = np.zeros((8, 7))


def mean_return(graph: Graph) -> float:
  """Returns the mean return of uniformly random actions."""
  return float(_share(_MEAN_RETURN, graph.solution, graph.forward))


def _share(table: np.ndarray, solution: Range, forward: Range) -> np.floating:
  rows = np.clip(np.arange(solution.low, solution.high + 1), 1, len(table)) - 1
  columns = np.clip(np.arange(forward.low, forward.high + 1), 0,
                    table.shape[1] - 1)
  return table[rows][:, columns].mean()
