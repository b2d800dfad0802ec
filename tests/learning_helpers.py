"""Builds small trainers from objects, without a configuration."""

from typing import Any

import haiku as hk
import jax
import optax

import tasks
from launch.learning import layout, sources
from launch.learning.learner import Learner
from launch.learning.optimizers import clipped
from launch.learning.trainer import Trainer
from rmc_nalu_sam import make_model

COPY = tasks.Copy(num_bits=3, min_length=2, max_length=2)
# Episodes differ in length, so that the devices' shares differ in loss.
COPY_OF_LENGTHS = tasks.Copy(num_bits=3, max_length=3)
LSTM = dict(hidden_size=7)
SAM = dict(hidden_size=7, num_slots=11, word_size=5, num_heads=2, top_k=3)


def make_trainer(core: Any = "lstm", core_args: Any = None, *,
                 task: tasks.Episodes = COPY, devices: int | None = None,
                 num_seeds: int = 1, seed: int = 0, batch_size: int = 8,
                 optimizer: optax.GradientTransformation | None = None,
                 max_grad_norm: float = 1., unit: str = "linear",
                 unit_args: Any = None, reuse_memory: bool = False,
                 generator: str = "threefry", **learner_args: Any) -> Trainer:
  """Returns a trainer of a small network.

  Args:
    core: as for `make_model`.
    core_args: arguments of the core; `LSTM` if None.
    task: task to train on.
    devices: number of devices to use; all if None.
    num_seeds: number of networks.
    seed: the first seed.
    batch_size: number of episodes of an update.
    optimizer: Adam if None.
    max_grad_norm: as in `clipped`.
    unit: as for `make_model`.
    unit_args: arguments of the unit.
    reuse_memory: whether batches start with a used memory.
    generator: generator of random numbers.
    **learner_args: other arguments of the learner: penalty, curriculum.
  """
  model = make_model(core, task.output_size, unit=unit, unit_args=unit_args,
                     encoder=task.encoder, input_size=task.input_size,
                     **(LSTM if core_args is None else core_args))
  learner = Learner(
      model, task, clipped(optimizer or optax.adam(1e-3), max_grad_norm),
      batch_size=batch_size,
      source=sources.ReusedMemory(model) if reuse_memory else None,
      **learner_args)
  chosen = jax.local_devices()[:devices]
  chosen_layout = (layout.SplitSeeds(chosen, num_seeds=num_seeds)
                   if num_seeds > 1 else layout.SplitBatch(chosen))
  return Trainer(learner, chosen_layout, seed=seed, generator=generator)


def start(*args: Any, **kwargs: Any) -> tuple[Trainer, Any]:
  """Returns a trainer, and its initial state on the devices."""
  trainer = make_trainer(*args, **kwargs)
  return trainer, trainer.put(trainer.initial_state())


class Dropped(hk.RNNCore):
  """Applies dropout to the outputs of an LSTM if there is a random key."""

  def __init__(self, rate: float = 0.5, name: str | None = None):
    super().__init__(name=name)
    self._rate = rate
    self._lstm = hk.LSTM(7)

  def __call__(self, inputs, prev_state):
    outputs, state = self._lstm(inputs, prev_state)
    key = hk.maybe_next_rng_key()
    if key is None or not self._rate:
      return outputs, state
    return hk.dropout(key, self._rate, outputs), state

  def initial_state(self, batch_size):
    return self._lstm.initial_state(batch_size)
