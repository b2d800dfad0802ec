"""Draws the boxes of a level of BoxWorld: which key is in which box."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.environments.boxworld import rules

# Distractors have no key of the 20th colour of a level. This is an off-by-one
# in the released generator.
_LAST = rules.NUM_COLOURS - 1


class Boxes(NamedTuple):
  """Holds the boxes of a level: the solution's, then the distractors.

  Attributes:
    keys: `[N]` uint8, codes of the keys; the gem is the solution's last.
    locks: `[N]` uint8, codes of the locks; the first box has no lock (0).
    present: `[N]` bool, whether the level has this box.
  """

  keys: jax.Array
  locks: jax.Array
  present: jax.Array


class Range(NamedTuple):
  """Holds the bounds of a number that each level draws uniformly."""

  low: int
  high: int

  def draw(self, uniform: jax.Array) -> jax.Array:
    """Returns an integer from `low` to `high`; see `integer`."""
    return self.low + integer(uniform, self.high - self.low + 1)


class Graph(NamedTuple):
  """Draws problems.

  Attributes:
    solution: number of boxes with a lock that must be opened.
    forward: number of branches that begin with a lock of the solution.
    backward: number of boxes with a key of the solution and another lock.
    branch_length: boxes of a branch.
  """

  solution: Range
  forward: Range
  backward: Range
  branch_length: int

  @property
  def num_boxes(self) -> int:
    """N, the largest number of boxes, with the loose key."""
    return self.solution.high + 1 + self.backward.high + (
        self.forward.high * self.branch_length)

  @property
  def longest_solution(self) -> int:
    """The longest solution that the colours suffice for."""
    if not self.forward.high + self.backward.high:
      return rules.NUM_COLOURS
    # A key further along a branch differs in colour from the lock beside it.
    return _LAST - min(self.branch_length, 2 if self.forward.high else 1)

  def draw(self, key: jax.Array) -> Boxes:
    """Draws the boxes of one level; consumes `key`."""
    sizes, colours, forward, backward = _split(
        key, (3,), (rules.NUM_COLOURS,),
        (self.branch_length + 1, self.forward.high), (2, self.backward.high))
    length = self.solution.draw(sizes[0])
    colours = 1 + ranks(colours)
    parts = [
        self._path(length),
        self._forward(length, self.forward.draw(sizes[1]), forward),
        self._backward(length, self.backward.draw(sizes[2]), backward)]
    keys, locks, present = (jnp.concatenate(part)
                            for part in zip(*parts, strict=True))
    is_path = jnp.arange(self.num_boxes) <= self.solution.high
    kinds = jnp.where(is_path, rules.LOCK, rules.DISTRACTOR)
    return Boxes(
        jnp.where(keys == 0, rules.GEM, colours[keys - 1]).astype(jnp.uint8),
        jnp.where(locks == 0, 0, kinds + colours[locks - 1]).astype(jnp.uint8),
        present)

  # Below, keys and locks are numbers of colours, 1 to 20, in the order of the
  # solution. 0 is the gem, or no lock.

  def _path(self, length):
    index = jnp.arange(self.solution.high + 1)
    return jnp.where(index < length, index + 1, 0), index, index <= length

  def _forward(self, length, number, uniforms):
    lock = 1 + integer(uniforms[0], length)
    keys, locks = [], []
    for depth, uniform in enumerate(uniforms[1:]):
      if depth == 0:
        drawn = length + 1 + integer(uniform, _LAST - length)
      else:  # Any but the lock's colour.
        drawn = length + 1 + integer(uniform, _LAST - 1 - length)
        drawn += (drawn >= lock).astype(jnp.int32)
      keys.append(drawn)
      locks.append(lock)
      lock = drawn
    present = jnp.arange(self.forward.high) < number
    # Branch by branch, as the released generator places them.
    return (jnp.stack(keys, 1).ravel(), jnp.stack(locks, 1).ravel(),
            jnp.repeat(present, self.branch_length))

  def _backward(self, length, number, uniforms):
    return (1 + integer(uniforms[0], length),
            length + 1 + integer(uniforms[1], _LAST - length),
            jnp.arange(self.backward.high) < number)


def integer(uniform: jax.Array, number: jax.Array | int) -> jax.Array:
  """Turns numbers in [0, 1) into integers from 0 to `number` - 1, int32."""
  product = uniform * jnp.asarray(number, jnp.float32)
  return jnp.floor(product).astype(jnp.int32)


def ranks(uniforms: jax.Array) -> jax.Array:
  """Returns how many of `uniforms [N]` are smaller than each, `[N]` int32.

  These numbers are in random order. For a few numbers, this is faster than a
  sort. Equal ones count in order.
  """
  this, other = uniforms[:, None], uniforms[None]
  earlier = np.tri(len(uniforms), k=-1, dtype=bool)
  smaller = (other < this) | ((other == this) & earlier)
  return smaller.sum(1, dtype=jnp.int32)


def _split(key, *shapes: tuple[int, ...]) -> list[jax.Array]:
  """Draws uniform numbers of some shapes at once, which compiles faster."""
  sizes = [math.prod(shape) for shape in shapes]
  parts = jnp.split(jax.random.uniform(key, (sum(sizes),)),
                    np.cumsum(sizes)[:-1])
  return [part.reshape(shape)
          for part, shape in zip(parts, shapes, strict=True)]
