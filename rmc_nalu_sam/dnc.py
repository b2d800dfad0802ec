"""Differentiable Neural Computer.

"Hybrid computing using a neural network with dynamic external memory", Graves,
Wayne, Reynolds, Harley, Danihelka, Grabska-Barwińska, Gómez Colmenarejo,
Grefenstette, Ramalho, Agapiou, Badia, Hermann, Zwols, Ostrovski, Cain, King,
Summerfield, Blunsom, Kavukcuoglu, Hassabis, 2016, Nature 538.

Letters: B batch, N slots, W word size, R read heads, H write heads.
"""

import functools
import math
from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory.dnc_access import (
    DNCInterface,
    access_step,
    initial_access,
)
from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory_core import MemoryCore
from rmc_nalu_sam.recurrent import lstm


def _oneplus(x: jax.Array) -> jax.Array:
  return 1 + jax.nn.softplus(x)


# Of the fields of `DNCInterface`; the others are linear.
_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "read_strengths": jax.nn.softplus,
    "write_strengths": jax.nn.softplus,
    "erase_vectors": jax.nn.sigmoid,
    "free_gates": jax.nn.sigmoid,
    "allocation_gates": jax.nn.sigmoid,
    "write_gates": jax.nn.sigmoid,
    "read_modes": jax.nn.softmax,
    "read_masks": jax.nn.sigmoid,
    "write_masks": jax.nn.sigmoid,
    "link_strengths": _oneplus,
}


class DNC(MemoryCore):
  r"""A recurrent network with a memory that it allocates, frees and links.

  A controller sees the input and the words last read. Each write head mixes a
  lookup by content with the rows that are free, :math:`a_t`; the rows that a
  read head frees, :math:`f_t`, are free again:

  .. math::

    \psi_t &= \prod_r (1 - f^r_t w^r_{t-1}) \\
    u_t &= (u_{t-1} + w^w_{t-1} - u_{t-1} \odot w^w_{t-1}) \odot \psi_t \\
    w^w_t &= g^w_t (g^a_t a_t + (1 - g^a_t) c^w_t) \\
    M_t &= M_{t-1} \odot (1 - w^w_t e_t^T) + w^w_t v_t^T

  Each read head mixes a lookup by content with the rows written just after and
  just before those it last read, along the links :math:`L_t`:

  .. math::

    L_t[i, j] &= (1 - w^w_t[i] - w^w_t[j]) L_{t-1}[i, j]
                 + w^w_t[i] p_{t-1}[j] \\
    p_t &= (1 - \textstyle\sum_i w^w_t[i]) p_{t-1} + w^w_t \\
    w^r_t &= \pi^r_t[1] L_t^T w^r_{t-1} + \pi^r_t[2] L_t w^r_{t-1}
             + \pi^r_t[3] c^r_t

  The output is a linear function of the controller's output and the words read.

  See Graves et al. 2016, Nature 538, Methods. The three options, off by
  default, are those of Csordas and Schmidhuber 2019
  (https://arxiv.org/abs/1904.10278).

  Notes:
    Where the public implementation (github.com/google-deepmind/dnc) differs
    from the paper, this is the implementation, and equals it in float64:

    - there may be several write heads. They allocate one after the other, each
      has links of its own, and read heads have one backward and one forward
      mode for each, in this order, before that of content;
    - no gradient flows from usage to the weights of the last write;
    - key strengths are a softplus, not 1 + softplus;
    - usage is raised to at least 1e-6 before allocation; 1e-6 is added to
      squared norms and to their product;
    - the controller is an LSTM, of one layer unless `num_layers` says
      otherwise; its output and state, and the output of the core, are clipped.

    Where the options' paper leaves something open, here

    - the strengths of the lookup stay a softplus, and the epsilons those above;
    - masks are :math:`m_{min} + (1 - m_{min}) \sigma(.)`;
    - with several write heads, each pair of heads has two link strengths;
    - rows are emptied after the write head's lookup and before the write.
  """

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 64,
      word_size: int = 32,
      num_read_heads: int = 4,
      num_write_heads: int = 1,
      output_size: int | None = None,
      clip: float = 20.0,
      masked: bool = False,
      mask_min: float = 0.0,
      deallocate: bool = False,
      sharpen_links: bool = False,
      num_layers: int = 1,
      name: str | None = None,
  ):
    """Constructs a DNC.

    Args:
      hidden_size: units of a layer of the LSTM controller.
      num_slots: N, rows of the memory; the links take N * N a write head.
      word_size: W, numbers in a row.
      num_read_heads: R.
      num_write_heads: H.
      output_size: size of the output; `hidden_size` if None.
      clip: largest absolute value of the controller's output and state and of
        the output; 0 for no limit.
      masked: whether each head says which part of a word to compare.
      mask_min: the smallest value of a mask, if `masked`. Their authors found
        0.1 essential on associative recall.
      deallocate: whether rows that are freed are also emptied, so that a lookup
        does not find them any more.
      sharpen_links: whether read heads sharpen the backward and forward
        weights, which blur as the links are followed.
      num_layers: of the controller. Each sees what the controller sees and the
        layer below, and the outputs of all are joined.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, `clip` is negative, or `mask_min` is
        not in [0, 1).
    """
    super().__init__(name=name)
    self.output_size = hidden_size if output_size is None else output_size
    check_positive(hidden_size=hidden_size, num_slots=num_slots,
                   word_size=word_size, num_read_heads=num_read_heads,
                   num_write_heads=num_write_heads,
                   output_size=self.output_size)
    if not clip >= 0:
      raise ValueError(f"clip must be at least 0, got {clip}")
    if not 0 <= mask_min < 1:
      raise ValueError(f"mask_min must be in [0, 1), got {mask_min}")
    self.hidden_size = hidden_size
    self.num_slots = num_slots
    self.word_size = word_size
    self.num_read_heads = num_read_heads
    self.num_write_heads = num_write_heads
    self._clip_value = clip
    self._masked = masked
    self._mask_min = mask_min
    self._sharpen_links = sharpen_links
    self._step = functools.partial(access_step, deallocate=deallocate)
    self._controller = lstm(hidden_size, num_layers, name="controller")

  def _initial_access(self):
    return initial_access(self.num_slots, self.word_size,
                          self.num_read_heads, self.num_write_heads)

  @hk.transparent
  def _clip(self, x: jax.Array) -> jax.Array:
    if not self._clip_value:
      return x
    return jnp.clip(x, -self._clip_value, self._clip_value)

  def _shapes(self) -> dict[str, tuple[int, ...]]:
    """Of the fields of the interface that there are, in their order."""
    reads, writes = self.num_read_heads, self.num_write_heads
    shapes: dict[str, tuple[int, ...]] = dict(
        read_keys=(reads, self.word_size), read_strengths=(reads,),
        write_keys=(writes, self.word_size), write_strengths=(writes,),
        erase_vectors=(writes, self.word_size),
        write_vectors=(writes, self.word_size), free_gates=(reads,),
        allocation_gates=(writes,), write_gates=(writes,),
        read_modes=(reads, 2 * writes + 1))
    if self._masked:
      shapes |= dict(read_masks=(reads, self.word_size),
                     write_masks=(writes, self.word_size))
    if self._sharpen_links:
      shapes |= dict(link_strengths=(reads, 2 * writes))
    return shapes

  @hk.transparent
  def _tell(self, hidden: jax.Array) -> DNCInterface:
    shapes = self._shapes()
    sizes = [math.prod(shape) for shape in shapes.values()]
    flat = at_least_float32(self._interface(sum(sizes))(hidden))
    parts = jnp.split(flat, np.cumsum(sizes)[:-1], axis=-1)
    said = {}
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
      part = part.reshape(*hidden.shape[:-1], *shape)
      said[name] = _ACTIVATIONS[name](part) if name in _ACTIVATIONS else part
      if name in ("read_masks", "write_masks"):
        said[name] = self._mask_min + (1 - self._mask_min) * said[name]
    return DNCInterface(**said)
