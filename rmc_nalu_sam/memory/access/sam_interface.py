"""What a controller sends to the memory of SAM, SDNC and DAM in one step.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae et
al., 2016, arXiv 1610.09027, section 3.

Letters: W word size, H heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class SAMInterface(NamedTuple):
  """What the controller sends to the memory in one step.

  Attributes:
    queries: `[H, W]`, compared with the words to read.
    strengths: `[H]`, at least 1; sharpness of the read.
    additions: `[H, W]`, the words to write.
    write_gates: `[H]` alpha, in (0, 1); how much to write.
    interpolation_gates: `[H]` gamma, in (0, 1); writes to the slots last read
      (1) or to the least recently accessed slot (0).
    read_modes: `[H, 3]`, sums to 1; weights of reading back along the links, by
      content, and on along the links; None without links (SAM, DAM).
  """

  queries: jax.Array
  strengths: jax.Array
  additions: jax.Array
  write_gates: jax.Array
  interpolation_gates: jax.Array
  read_modes: jax.Array | None = None


def interface_size(num_heads: int, word_size: int,
                   has_links: bool = False) -> int:
  """Returns the number of values that `make_interface` takes."""
  return 2 * num_heads * word_size + (3 + 3 * has_links) * num_heads


def make_interface(flat: jax.Array, num_heads: int, word_size: int,
                   biases: tuple[float, float, float],
                   has_links: bool = False) -> SAMInterface:
  """Splits values into the parts of an interface, and bounds them.

  Args:
    flat: `[..., interface_size]`, linear in the controller's output.
    num_heads: H.
    word_size: W.
    biases: constants added to key strengths, write gates and interpolation
      gates before their nonlinearities, as the forget bias of an LSTM.
    has_links: whether there are read modes.

  Returns:
    The interface; each leaf has the leading axes of `flat`.
  """
  words = num_heads * word_size
  queries, additions, scalars, modes = jnp.split(
      flat, [words, 2 * words, 2 * words + 3 * num_heads], axis=-1)

  def split(x):
    return x.reshape(*x.shape[:-1], num_heads, x.shape[-1] // num_heads)

  strengths, alpha, gamma = (
      scalar + bias for scalar, bias in
      zip(jnp.split(scalars, 3, axis=-1), biases, strict=True))
  return SAMInterface(
      queries=split(queries),
      strengths=1 + jax.nn.softplus(strengths),
      additions=split(additions),
      write_gates=jax.nn.sigmoid(alpha),
      interpolation_gates=jax.nn.sigmoid(gamma),
      read_modes=jax.nn.softmax(split(modes)) if has_links else None)
