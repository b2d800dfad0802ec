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
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.memory import allocation, linkage, lookup
from rmc_nalu_sam.memory.precision import at_least_float32
from rmc_nalu_sam.memory_core import MemoryCore, check_positive


class DNCAccess(NamedTuple):
  """The memory of one batch element, and what was last done with it.

  Attributes:
    memory: `[N, W]`.
    usage: `[N]`, in [0, 1].
    read_weights: `[R, N]`, the rows last read.
    write_weights: `[H, N]`, the rows last written to.
    read_words: `[R, W]`, what was read.
    link: `[H, N, N]`; `link[h, i, j]` says that head h wrote i after j.
    precedence: `[H, N]`, the rows that were written last.
  """

  memory: jax.Array
  usage: jax.Array
  read_weights: jax.Array
  write_weights: jax.Array
  read_words: jax.Array
  link: jax.Array
  precedence: jax.Array


class DNCInterface(NamedTuple):
  """What the controller says to the memory in one step.

  Attributes:
    read_keys: `[R, W]`.
    read_strengths: `[R]`, at least 0: sharpness of the lookup.
    write_keys: `[H, W]`.
    write_strengths: `[H]`, likewise.
    erase_vectors: `[H, W]`, in (0, 1).
    write_vectors: `[H, W]`.
    free_gates: `[R]`, in (0, 1): whether the rows last read are free now.
    allocation_gates: `[H]`, in (0, 1): to free rows (1) or by content (0).
    write_gates: `[H]`, in (0, 1): how much to write.
    read_modes: `[R, 2 H + 1]`, summing to 1: backward along the links of each
      write head, forward along them, by content.
    read_masks: `[R, W]`, in [0, 1], or None: what of a word to compare.
    write_masks: `[H, W]`, likewise.
    link_strengths: `[R, 2 H]`, at least 1, or None: sharpness of the backward
      and the forward weights.
  """

  read_keys: jax.Array
  read_strengths: jax.Array
  write_keys: jax.Array
  write_strengths: jax.Array
  erase_vectors: jax.Array
  write_vectors: jax.Array
  free_gates: jax.Array
  allocation_gates: jax.Array
  write_gates: jax.Array
  read_modes: jax.Array
  read_masks: jax.Array | None = None
  write_masks: jax.Array | None = None
  link_strengths: jax.Array | None = None


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


def initial_access(num_slots: int, word_size: int, num_read_heads: int,
                   num_write_heads: int) -> DNCAccess:
  """An empty memory: nothing written, nothing read."""
  return DNCAccess(
      memory=jnp.zeros([num_slots, word_size]),
      usage=jnp.zeros([num_slots]),
      read_weights=jnp.zeros([num_read_heads, num_slots]),
      write_weights=jnp.zeros([num_write_heads, num_slots]),
      read_words=jnp.zeros([num_read_heads, word_size]),
      link=jnp.zeros([num_write_heads, num_slots, num_slots]),
      precedence=jnp.zeros([num_write_heads, num_slots]),
  )


def erase_and_write(memory: jax.Array, weights: jax.Array,
                    erase_vectors: jax.Array,
                    write_vectors: jax.Array) -> jax.Array:
  """Erases, by all heads, and then adds.

  Args:
    memory: `[N, W]`.
    weights: `[H, N]`, the rows to write to.
    erase_vectors: `[H, W]`, in [0, 1].
    write_vectors: `[H, W]`.

  Returns:
    `[N, W]`.
  """
  erased = weights[:, :, None] * erase_vectors[:, None, :]
  added = jnp.einsum("hn,hw->nw", weights, write_vectors)
  return memory * jnp.prod(1 - erased, axis=0) + added


def access_step(interface: DNCInterface, prev: DNCAccess, *,
                deallocate: bool = False) -> DNCAccess:
  """One step of one memory: free, write, link, then read.

  Args:
    interface: from the controller.
    prev: the access state before the step.
    deallocate: whether rows that are freed are also emptied.

  Returns:
    The access state after the step, of the same types.
  """
  retained = allocation.retention(interface.free_gates, prev.read_weights)
  usage = allocation.update_usage(prev.usage, prev.write_weights, retained)

  gates = interface.allocation_gates[:, None]
  free = allocation.allocation_weights(
      usage, interface.allocation_gates * interface.write_gates)
  similar = lookup.content_weights(
      prev.memory, interface.write_keys, interface.write_strengths,
      interface.write_masks)
  write_weights = interface.write_gates[:, None] * (
      gates * free + (1 - gates) * similar)
  memory = at_least_float32(prev.memory)
  if deallocate:
    memory *= retained[:, None]
  memory = erase_and_write(memory, write_weights, interface.erase_vectors,
                           interface.write_vectors)

  # The links already lead to the rows just written.
  link, backward, forward = linkage.link_and_follow(
      prev.link, prev.precedence, write_weights, prev.read_weights)
  precedence = linkage.update_precedence(prev.precedence, write_weights)

  directions = jnp.concatenate([backward, forward], axis=1)
  if interface.link_strengths is not None:
    directions = linkage.sharpen(directions, interface.link_strengths)
  similar = lookup.content_weights(
      memory, interface.read_keys, interface.read_strengths,
      interface.read_masks)
  read_weights = interface.read_modes[:, -1:] * similar + jnp.einsum(
      "rd,rdn->rn", interface.read_modes[:, :-1], directions)
  access = DNCAccess(
      memory=memory, usage=usage, read_weights=read_weights,
      write_weights=write_weights, read_words=read_weights @ memory, link=link,
      precedence=precedence)
  return jax.tree.map(lambda new, old: new.astype(old.dtype), access, prev)


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
    - one LSTM layer is the controller; its output and state, and the output of
      the core, are clipped.

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
      name: str | None = None,
  ):
    """Constructs a DNC.

    Args:
      hidden_size: units of the LSTM controller.
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
    self._controller = hk.LSTM(hidden_size, name="controller")

  def _initial_access(self):
    return initial_access(self.num_slots, self.word_size,
                          self.num_read_heads, self.num_write_heads)

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

  def _interface(self, hidden: jax.Array) -> DNCInterface:
    shapes = self._shapes()
    sizes = [math.prod(shape) for shape in shapes.values()]
    flat = at_least_float32(
        hk.Linear(sum(sizes), name="interface")(hidden))
    parts = jnp.split(flat, np.cumsum(sizes)[:-1], axis=-1)
    said = {}
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
      part = part.reshape(*hidden.shape[:-1], *shape)
      said[name] = _ACTIVATIONS[name](part) if name in _ACTIVATIONS else part
      if name in ("read_masks", "write_masks"):
        said[name] = self._mask_min + (1 - self._mask_min) * said[name]
    return DNCInterface(**said)
