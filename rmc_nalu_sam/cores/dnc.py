"""Differentiable Neural Computer.

"Hybrid computing using a neural network with dynamic external memory", Graves,
Wayne, Reynolds, Harley, Danihelka, Grabska-Barwińska, Gómez Colmenarejo,
Grefenstette, Ramalho, Agapiou, Badia, Hermann, Zwols, Ostrovski, Cain, King,
Summerfield, Blunsom, Kavukcuoglu, Hassabis, 2016, Nature 538.

Letters: B batch, N slots, W word size, R read heads, H write heads.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from rmc_nalu_sam.checks import check_count, check_positive
from rmc_nalu_sam.cores.controllers import Controller
from rmc_nalu_sam.cores.memory_core import MemoryCore
from rmc_nalu_sam.memory.access.dnc_access import (
    DNCInterface,
    access_step,
    initial_access,
)
from rmc_nalu_sam.memory.precision import at_least_float32


def _oneplus(x: jax.Array) -> jax.Array:
  return 1 + jax.nn.softplus(x)


# The activations of the fields of `DNCInterface`; other fields are linear.
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
  r"""Allocates, frees and links slots: the Differentiable Neural Computer.

  A controller takes the input and the words last read. Each write head mixes a
  lookup by content with the allocation of free slots, :math:`a_t`. A read head
  frees the slots it last read, by its free gate :math:`f_t`:

  .. math::

    \psi_t &= \prod_r (1 - f^r_t w^r_{t-1}) \\
    u_t &= (u_{t-1} + w^w_{t-1} - u_{t-1} \odot w^w_{t-1}) \odot \psi_t \\
    w^w_t &= g^w_t (g^a_t a_t + (1 - g^a_t) c^w_t) \\
    M_t &= M_{t-1} \odot (1 - w^w_t e_t^T) + w^w_t v_t^T

  Each read head mixes a lookup by content with the slots written just after and
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

  Example:
    >>> model = rmc_nalu_sam.make_model(
    ...     rmc_nalu_sam.DNC, 3, num_slots=7, num_read_heads=2)
    >>> x = jnp.ones([5, 1, 4])
    >>> params = jax.eval_shape(model.init, jax.random.key(0), x)
    >>> result = jax.eval_shape(
    ...     model.unroll, params, None, x, model.initial_state({}, 1))
    >>> result.outputs.shape, result.state.access.link.shape
    ((5, 1, 3), (1, 1, 7, 7))

  Notes:
    Where the public implementation (github.com/google-deepmind/dnc) differs
    from the paper, this core follows the implementation, and equals it in
    float64:

    - there may be several write heads. They allocate one after the other. Each
      has its own links. For each of them, read heads have one backward and one
      forward mode, in this order, before the mode of content;
    - no gradient flows from usage to the weights of the last write;
    - key strengths are a softplus, not 1 + softplus;
    - usage is raised to at least 1e-6 before allocation; 1e-6 is added to
      squared norms and to their product;
    - the controller is an LSTM of `num_layers` layers; its output and state,
      and the output of the core, are clipped.

    Slots are allocated in the order of rising usage :math:`u_t`, as the paper's
    free list :math:`\phi_t`. The public implementation sorts by falling
    :math:`1 - u_t`. Both take slots that tie in the order of their rows. In
    float32, however, usages that differ by less than 6e-8 tie in
    :math:`1 - u_t`, but not here. Which of these slots is allocated first can
    then differ.

    Where the options' paper leaves something open, here

    - the strengths of the lookup stay a softplus, and the epsilons those above;
    - masks are :math:`m_{min} + (1 - m_{min}) \sigma(.)`;
    - with several write heads, each pair of heads has two link strengths;
    - slots are emptied after the write head's lookup and before the write.
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
      controller: Controller = "lstm",
      name: str | None = None,
      **of_memory_core: Any,
  ):
    """Constructs a core.

    Args:
      hidden_size: units per layer of the controller.
      num_slots: N, slots of the memory; the links take N * N numbers per write
        head.
      word_size: W, numbers per word.
      num_read_heads: R, heads that read.
      num_write_heads: H, heads that write.
      output_size: size of the output; `hidden_size` if None.
      clip: largest absolute value of the controller's output and state and of
        the output; 0 for no limit.
      masked: whether each head has a mask for the part of a word to compare.
      mask_min: the smallest value of a mask, if `masked`. Csordas and
        Schmidhuber found 0.1 essential on associative recall.
      deallocate: whether slots that are freed are also emptied, so that a
        lookup does not find them any more.
      sharpen_links: whether read heads sharpen the backward and forward
        weights, which blur as the links are followed.
      num_layers: layers of the controller. Each takes the controller's input
        and the output of the layer below; the outputs of all are joined.
      controller: 'lstm' or 'feedforward'. Also takes
        "package.module:attribute" or a constructor, with `hidden_size` as an
        argument, or a core that is made already and ignores `hidden_size`.
      name: name of the module.
      **of_memory_core: further arguments of `MemoryCore`.

    Raises:
      ValueError: a size is not positive, `clip` is negative, or `mask_min` is
        not in [0, 1).
    """
    super().__init__(
        hidden_size, output_size, controller, num_layers, name=name,
        **of_memory_core)
    check_positive(num_slots=num_slots, word_size=word_size)
    check_count(num_read_heads=num_read_heads,
                num_write_heads=num_write_heads)
    if not clip >= 0:
      raise ValueError(f"clip must be at least 0, got {clip}")
    if not 0 <= mask_min < 1:
      raise ValueError(f"mask_min must be in [0, 1), got {mask_min}")
    shapes = _shapes(num_read_heads, num_write_heads, word_size, masked,
                     sharpen_links)
    self._interface = hk.Linear(
        sum(map(math.prod, shapes.values())), name="interface")
    self._make_interface = functools.partial(
        _make_interface, shapes=shapes, mask_min=mask_min)
    if clip:
      self._clip = functools.partial(_clip, limit=clip)
    self._step = functools.partial(access_step, deallocate=deallocate)
    self._initial_access = functools.partial(
        initial_access, num_slots, word_size, num_read_heads, num_write_heads)


def _clip(x: jax.Array, limit: float) -> jax.Array:
  """Clips numbers. A controller's state may also hold integers, such as keys.
  """
  if not jnp.issubdtype(x.dtype, jnp.floating):
    return x
  return jnp.clip(x, min=-limit, max=limit)


def _shapes(reads: int, writes: int, word_size: int, masked: bool,
            sharpen_links: bool) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of the interface's fields, in their order."""
  shapes: dict[str, tuple[int, ...]] = dict(
      read_keys=(reads, word_size), read_strengths=(reads,),
      write_keys=(writes, word_size), write_strengths=(writes,),
      erase_vectors=(writes, word_size), write_vectors=(writes, word_size),
      free_gates=(reads,), allocation_gates=(writes,), write_gates=(writes,),
      read_modes=(reads, 2 * writes + 1))
  if masked:
    shapes |= dict(read_masks=(reads, word_size),
                   write_masks=(writes, word_size))
  if sharpen_links:
    shapes |= dict(link_strengths=(reads, 2 * writes))
  return shapes


def _make_interface(flat: jax.Array, shapes: Mapping[str, tuple[int, ...]],
                    mask_min: float) -> DNCInterface:
  """Splits `[..., interface size]` into an interface, and bounds its parts."""
  ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
  parts = jnp.split(at_least_float32(flat), ends[:-1], axis=-1)
  fields = {}
  for (name, shape), part in zip(shapes.items(), parts, strict=True):
    part = part.reshape(*flat.shape[:-1], *shape)
    fields[name] = _ACTIVATIONS[name](part) if name in _ACTIVATIONS else part
    if name in ("read_masks", "write_masks"):
      fields[name] = mask_min + (1 - mask_min) * fields[name]
  return DNCInterface(**fields)
