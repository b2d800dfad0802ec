"""A small text, and trainers of it."""

import dataclasses
from typing import Any, ClassVar

import jax
import numpy as np
import optax

import tasks
from launch.learning import layout
from launch.learning.learner import Learner
from launch.learning.text import streams
from launch.learning.trainer import Trainer
from rmc_nalu_sam import make_model

V = 5
LSTM = dict(hidden_size=6)


@dataclasses.dataclass(frozen=True)
class Digits(tasks.Stream):
  """Reads a text of random digits, whose data are its tokens."""

  num_steps: int = 3

  score: ClassVar[tasks.Score] = tasks.Tokens()
  output_size: ClassVar[int] = V
  trivial_score: ClassVar[float] = float(V)

  def corpus(self, data: Any) -> tasks.Corpus:
    return tasks.Corpus(data)


def text(length: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, V, length).astype(np.uint8)


def make_trainer(core: str = "lstm", core_args: Any = None, *,
                 task: tasks.Stream | None = None, devices: int = 1,
                 num_seeds: int = 1, batch_size: int = 4, vocabulary: int = 0,
                 encoder_args: Any = None, head_args: Any = None,
                 learning_rate: float = .01) -> Trainer:
  """Returns a trainer of a small language model."""
  task = task or Digits(drop_state=0.)
  model = make_model(
      core, task.output_size, encoder="tokens", head="softmax",
      input_size=None, encoder_args=dict(output_size=6) | (encoder_args or {}),
      head_args=head_args, **(LSTM if core_args is None else core_args))
  learner = Learner(model, task, optax.adam(learning_rate),
                    batch_size=batch_size,
                    source=streams.StreamSource(model, vocabulary))
  chosen = jax.local_devices()[:devices]
  return Trainer(learner, layout.SplitSeeds(chosen, num_seeds=num_seeds)
                 if num_seeds > 1 else layout.SplitBatch(chosen))


def start(*args: Any, **kwargs: Any) -> tuple[Trainer, Any]:
  """Returns a trainer, and its initial state on the devices."""
  trainer = make_trainer(*args, **kwargs)
  return trainer, trainer.put(trainer.initial_state())
