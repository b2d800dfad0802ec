"""What all cores with a controller and a memory share."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp


class MemoryState(NamedTuple):
  """State of a memory core. Every leaf has a leading B axis with a batch.

  Attributes:
    controller: state of the controller.
    access: the memory and its bookkeeping; see the core's own.
  """

  controller: Any
  access: Any


class MemoryCore(hk.RNNCore):
  """A controller that says what to do with a memory.

  The controller sees the input and the words last read; a linear layer makes of
  its output what the memory is told, and another one of its output and the
  words read the core's output.

  A mixed-precision policy casts what a method gives out that is not
  transparent. So `_tell` and `_clip` are, in every core: a step computes with
  what they give out.
  """

  MAPS_TO_OUTPUT = True
  PICTURE = "memory"

  # To be set by the constructor of a core.
  output_size: int
  _controller: hk.RNNCore
  _step: Callable[[Any, Any], Any]  # (interface, access) -> access; no batch.

  @abc.abstractmethod
  @hk.transparent
  def _tell(self, hidden: jax.Array) -> Any:
    """What the controller's output `[..., F]` says to the memory."""

  def _interface(self, size: int) -> hk.Linear:
    """The layer for `_tell`; its parameters are named after this method."""
    return hk.Linear(size, name="interface")

  @abc.abstractmethod
  def _initial_access(self) -> Any:
    """Of one memory, before the first step."""

  @hk.transparent
  def _clip(self, x: jax.Array) -> jax.Array:
    """Bounds what the controller and the core give out."""
    return x

  def __call__(self, inputs: jax.Array,
               prev_state: MemoryState) -> tuple[jax.Array, MemoryState]:
    """One step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before it.

    Returns:
      The output `[B, output_size]` and the next state.
    """
    if inputs.ndim not in (1, 2):
      raise ValueError(f"{type(self).__name__} takes inputs [B, F] or [F], "
                       f"got {inputs.shape}")
    seen = jnp.concatenate(
        [inputs, merge_heads(prev_state.access.read_words)], axis=-1)
    hidden, controller = jax.tree.map(
        self._clip, self._controller(seen, prev_state.controller))
    step = self._step if inputs.ndim == 1 else jax.vmap(self._step)
    access = step(self._tell(hidden), prev_state.access)
    features = jnp.concatenate(
        [hidden, merge_heads(access.read_words)], axis=-1)
    output = hk.Linear(self.output_size, name="output")(features)
    return self._clip(output), MemoryState(controller, access)

  def initial_state(self, batch_size: int | None) -> MemoryState:
    """Nothing written, nothing read; leading axis B unless it is None."""
    access = self._initial_access()
    if batch_size is not None:
      access = jax.tree.map(
          lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), access)
    return MemoryState(self._controller.initial_state(batch_size), access)


def merge_heads(words: jax.Array) -> jax.Array:
  """`[..., H, W]` as `[..., H * W]`."""
  return words.reshape(*words.shape[:-2], -1)
