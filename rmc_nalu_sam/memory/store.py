"""The protocol of a store: it holds words, and carries gradients to them.

JAX's own derivative of a gather builds a dense zero array `[N, W]` at every
step. The stores avoid it with custom derivatives, so that forward and backward
passes cost O(slots touched) per step instead of O(N), as in "Scaling
Memory-Augmented Neural Networks with Sparse Reads and Writes" (Rae et al.,
2016, arXiv 1610.09027), section 3.4. There are two:

- `cotangent_store.CotangentStore` carries a cotangent of the whole memory.
- `tape_store.TapeStore` carries cotangents of the latest writes only.

Letters: N slots, W word size, J writes per step, L steps of gradients.
"""

from typing import Any, Protocol, Self

import jax
from jax.ad_checkpoint import checkpoint_name

# The checkpoint name of what is read from the memory. Under `jax.checkpoint`
# these values must be kept; recomputing them would keep the whole memory.
KEPT = "from_memory"


def kept(values: Any) -> Any:
  """Names all arrays of a tree `KEPT`."""
  # JAX 0.7 names single arrays only.
  return jax.tree.map(lambda x: checkpoint_name(x, KEPT), values)


def residuals(rows: Any) -> Any:
  """Returns rows as new arrays, for a custom derivative to keep.

  JAX finds a residual that is an argument itself by its position among the
  arguments. Under a second derivative of a scan, the position is wrong: the
  scan passes constants of the function as further arguments, in front.

  Args:
    rows: a tree of arrays of integers.
  """
  return jax.tree.map(lambda x: x + 0, rows)


class Store(Protocol):
  """Holds the words of one memory; a tree of arrays.

  `read` and `write` return a new store. Go on with that one: differentiating
  through the old one is correct, but slow, as XLA then adds two dense
  cotangents.
  """

  @property
  def memory(self) -> jax.Array:
    """The words, `[N, W]`; those of empty slots have no meaning."""

  def read(self, rows: jax.Array) -> tuple[jax.Array, Self]:
    """Reads words, differentiably.

    Args:
      rows: int32 of any shape `[...]`, in [0, N); may repeat.

    Returns:
      The words `[..., W]`, zeros for empty slots, and the new store.
    """

  def write(self, erased: jax.Array, rows: jax.Array,
            words: jax.Array) -> tuple[Self, jax.Array]:
    """Sets some slots to zero, then adds to some slots (equation 8).

    Args:
      erased: `[E]` int32, the slots to set to zero; all different, all among
        `rows`.
      rows: `[J]` int32, the slots to add to; may repeat.
      words: `[J, W]`, what to add, of the memory's type.

    Returns:
      The new store, and the rows among `rows` that were empty because of
      `forget`: `[J]` int32, with N in place of the others; `[0]` from a store
      that cannot forget.
    """

  def is_written(self, rows: jax.Array | slice) -> jax.Array:
    """Returns whether slots were written since the last `forget`.

    Args:
      rows: int32 of any shape, or a slice of all slots.

    Returns:
      Bool, broadcastable to the shape of `rows`; True from a store that cannot
      forget.
    """

  def forget(self, gradient_steps: int, num_writes: int) -> Self:
    """Marks all slots as empty, at a cost that does not depend on N.

    Args:
      gradient_steps: L from now on.
      num_writes: J, as before.

    Raises:
      ValueError: the store cannot forget.
    """

  def steps_left(self, num_writes: int) -> int:
    """Returns the number of steps until version numbers run out.

    Runs on the host, on a store of any batch shape. `forget` does not restart
    the count, since that would clear all slots.

    Args:
      num_writes: J.

    Raises:
      ValueError: the store numbers no versions.
    """
