"""What all cores with a controller and a memory share."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arrays import as_float, merge_last
from rmc_nalu_sam.checks import check_choice, check_positive, check_rate
from rmc_nalu_sam.core import Core
from rmc_nalu_sam.cores.controllers import Controller, make_controller
from rmc_nalu_sam.dropout import dropout

# Valid values of `output_from`.
OUTPUT_FROM = ("both", "reads")


Access = TypeVar("Access")


class MemoryState(NamedTuple, Generic[Access]):
  """State of a memory core. Every leaf has a leading B axis with a batch.

  Attributes:
    controller: state of the controller, of its own type.
    access: the memory and its bookkeeping: a `SAMAccess` of SAM and SDNC, a
      `DAMAccess` of DAM, and so on.

  Example:
    >>> model = rmc_nalu_sam.make_model("ntm", 3, hidden_size=7, num_slots=5)
    >>> state = model.initial_state({}, 2)
    >>> state.controller.hidden.shape, state.access.memory.shape
    ((2, 7), (2, 5, 32))
  """

  controller: Any
  access: Access


class MemoryCore(Core):
  """Connects a controller to a memory.

  The controller takes the input and the words last read. A linear layer maps
  its output to the interface, which drives the memory. Another linear layer
  maps the controller's output and the words just read to the core's output. A
  network whose controller alone solves the first tasks that it is given may
  never learn to address its memory. Two options are made against that: with
  `output_from="reads"`, all that the output depends on has been read;
  `bypass_dropout` is the form in between.

  The constructor of a core calls this one, which makes the controller, and then
  sets the other attributes below. The functions among them are no methods,
  because Haiku's mixed-precision policies cast the results of methods, and a
  step computes with the results of these.

  Attributes:
    output_size: size of the output.
    bypass_dropout: the rate of the dropout.

  Notes:
    `bypass_dropout` is that of "Robust and Scalable Differentiable Neural
    Computer for Question Answering" (Franke, Niehues, Waibel, 2018, arXiv
    1807.02658). As in their code (github.com/JoergFranke/ADNC), it drops single
    units, anew at each step, and scales the others up. The interface takes the
    controller's output whole.
  """

  MAPS_TO_OUTPUT = True
  DROPS_OUT = ("bypass_dropout",)
  PICTURE = "memory"

  output_size: int
  _interface: hk.Linear
  _make_interface: Callable[[jax.Array], Any]  # Of `_interface`'s output.
  _step: Callable[[Any, Any], Any]  # (interface, access) -> access; no batch.
  _initial_access: Callable[..., Any]  # Of one memory, before the first step.
  _clip: Callable[[jax.Array], jax.Array]  # Of what controller and core return.

  def __init__(self, hidden_size: int, output_size: int | None,
               controller: Controller, num_layers: int = 1,
               output_from: str = "both", bypass_dropout: float = 0.,
               layer_norm: bool = False, name: str | None = None):
    """Makes the controller.

    Args:
      hidden_size: units per layer of the controller, if it is a name.
      output_size: size of the output; `hidden_size` if None.
      controller: see `make_controller`.
      num_layers: layers of the controller, if it is a name.
      output_from: what the output is a linear function of. 'both' takes the
        controller's output and the words read, 'reads' the words read alone. A
        controller cannot solve a task without the memory then.
      bypass_dropout: the rate at which units of the controller's output are
        dropped on their way to the output, in training only. 0.1 in robust
        DNCs.
      layer_norm: whether the controller's layers are normalised, if it is a
        name.
      name: name of the module.

    Raises:
      ValueError: a size is not positive, `output_from` is unknown,
        `bypass_dropout` is not in [0, 1) or has nothing to drop, or as
        `make_controller`.
    """
    super().__init__(name=name)
    self.output_size = hidden_size if output_size is None else output_size
    check_positive(hidden_size=hidden_size, output_size=self.output_size)
    check_choice(OUTPUT_FROM, output_from=output_from)
    check_rate(bypass_dropout=bypass_dropout)
    if bypass_dropout and output_from == "reads":
      raise ValueError(
          f"bypass_dropout={bypass_dropout} has nothing to drop with "
          "output_from='reads'; set one of them only")
    self.bypass_dropout = bypass_dropout
    self._output_from = output_from
    self._controller = make_controller(
        controller, hidden_size, num_layers, layer_norm)
    self._clip = lambda x: x

  def __call__(self, inputs: jax.Array,
               prev_state: MemoryState) -> tuple[jax.Array, MemoryState]:
    """Runs one step.

    Args:
      inputs: `[B, F]`, or `[F]` without a batch.
      prev_state: the state before the step.

    Returns:
      The output `[B, output_size]` and the next state.

    Raises:
      ValueError: the inputs have another rank, or the state does not fit.
    """
    read_words = prev_state.access.read_words
    inputs = as_float(inputs, read_words.dtype)
    joined = jnp.concatenate(
        [inputs, merge_last(read_words)], axis=-1)
    hidden, controller = jax.tree.map(
        self._clip, self._controller(joined, prev_state.controller))
    step = self._step if inputs.ndim == 1 else jax.vmap(self._step)
    access = step(
        self._make_interface(self._interface(hidden)), prev_state.access)
    features = merge_last(access.read_words)
    if self._output_from == "both":
      features = jnp.concatenate(
          [dropout(hidden, self.bypass_dropout), features], axis=-1)
    output = hk.Linear(self.output_size, name="output")(features)
    return self._clip(output), MemoryState(controller, access)

  def initial_state(self, batch_size: int | None) -> MemoryState:
    """Returns the state before the first step; no B axis if it is None."""
    access = self._initial_access()
    if batch_size is not None:
      access = jax.tree.map(
          lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), access)
    return MemoryState(self._controller.initial_state(batch_size), access)
