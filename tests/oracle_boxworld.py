"""A perfect player of BoxWorld, in NumPy.

It sees what a human sees: pycolab's characters. It knows no code of the rules.
"""

from collections import deque

import numpy as np

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # North, south, west, east.


def boxes(board: np.ndarray) -> list[tuple[int, int, str, str]]:
  """Returns row, column, key and lock ('' if loose) of each box."""
  found = []
  for row, column in np.argwhere(board >= ord("*")):
    key, right = chr(board[row, column]), chr(board[row, column + 1])
    if (key == "*" or key.islower()) and (row, column) != (0, 0):
      found.append((int(row), int(column), key,
                    right if right.isupper() else ""))
  return found


def solution(board: np.ndarray) -> list[tuple[int, int, str, str]]:
  """Returns the boxes to open, in order, from the gem back to the loose key.

  No two boxes hold the same key of the solution, so there is one way back.
  """
  there = boxes(board)
  chain = [next(box for box in there if box[2] == "*")]
  while chain[-1][3]:
    chain.append(next(
        box for box in there if box[2] == chain[-1][3].lower()))
  return chain[::-1]


def actions(board: np.ndarray) -> list[int]:
  """Returns the shortest way to fetch the loose key, and so on, to the gem."""
  board = board.copy()
  place = tuple(np.argwhere(board == ord("."))[0])
  board[place] = ord(" ")
  route: list[int] = []
  for row, column, _, lock in solution(board):
    for target in ([(row, column + 1)] if lock else []) + [(row, column)]:
      route += walk(board, place, target)
      board[target], place = ord(" "), target
  return route


def walk(board: np.ndarray, start: tuple[int, int], target: tuple[int, int]
         ) -> list[int]:
  """Returns the shortest way over the background, by breadth-first search."""
  came: dict = {start: None}
  queue = deque([start])
  while target not in came:
    cell = queue.popleft()  # Raises IndexError if there is no way.
    for action, (down, right) in enumerate(MOVES):
      new = (cell[0] + down, cell[1] + right)
      if new not in came and (new == target or board[new] == ord(" ")):
        came[new] = (cell, action)
        queue.append(new)
  route, cell = [], target
  while came[cell] is not None:
    cell, action = came[cell]
    route.append(action)
  return route[::-1]
