"""The arrays of a batch of episodes."""

from typing import NamedTuple

import jax


class Batch(NamedTuple):
  """Holds episodes, time-major. A single episode has no B axis.

  Letters: T time steps, B batch, F input size, O output size.

  Attributes:
    inputs: `[T, B, F]` float32, the network's inputs.
    targets: `[T, B, O]` float32, the right outputs: bits or one-hot labels, or
      any numbers in a regression task.
    mask: `[T, B]` float32, 1 at steps that are scored, else 0.

  Example:
    >>> task = tasks.Copy(num_bits=3).at_level(2)
    >>> batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), 5)
    >>> batch.inputs.shape, batch.targets.shape
    ((6, 5, 5), (6, 5, 3))
    >>> batch.mask[:, 0].tolist()  # Answers come after the end marker.
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
  """

  inputs: jax.Array
  targets: jax.Array
  mask: jax.Array
