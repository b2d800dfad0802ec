"""Compares the training of a language model with a plain one in PyTorch.

Measures whole updates, in turns, on a random text whose words are as frequent
as those of WikiText-2: the draw of a window, forward and backward pass,
clipping, Adam. On all devices, as in `launch.train`. The text lies on the
devices, and windows are cut within the program of the update, so nothing waits
for data; what cutting them costs is measured alone. Without PyTorch its rows
say so.
"""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tasks
from launch.benchmarks import measure, scaling
from launch.benchmarks.scaling import Options
from launch.learning import keys as keys_lib
from launch.learning import optimizers
from launch.learning.layout import SplitBatch
from launch.learning.learner import Learner
from launch.learning.text.streams import StreamSource
from launch.learning.trainer import Trainer
from rmc_nalu_sam import make_model
from tasks import scores

# Those of pytorch/examples/word_language_model.
MAX_GRAD_NORM = .25
LEARNING_RATE = 1e-3
NUM_TOKENS = 200_000
UPDATES = 5  # In one call.
OURS, TORCH = "awd_lstm", "PyTorch LSTM"
DRAW = "windows"
ADAPTIVE = ", adaptive"


@dataclasses.dataclass(frozen=True)
class Size:
  """Holds the sizes of a language model and its batch.

  Attributes:
    name: of the size.
    vocabulary: V.
    num_units: of the embedding, and of each layer.
    num_layers: of LSTMs.
    num_steps: T, of a window.
    batch_size: B, rows of the text.
    cutoffs: of the adaptive softmax; empty without one.
  """

  name: str
  vocabulary: int
  num_units: int
  num_layers: int
  num_steps: int
  batch_size: int
  cutoffs: tuple[int, ...] = ()

  def __str__(self) -> str:
    return (f"{self.name}, {self.num_layers} x {self.num_units}, "
            f"T {self.num_steps}, B {self.batch_size}")


SIZES = (Size("words", 33_278, 200, 2, 35, 20, (2_000, 10_000)),
         Size("words", 33_278, 650, 2, 35, 20, (2_000, 10_000)),
         Size("characters", 65, 512, 1, 100, 32))


@dataclasses.dataclass(frozen=True)
class Text(tasks.Stream):
  """Represents a text of random words, as frequent as those of a language."""

  vocabulary: int = 2
  num_steps: int = 1

  score: ClassVar[scores.Score] = scores.Tokens()

  @property
  def output_size(self) -> int:
    return self.vocabulary

  @property
  def trivial_score(self) -> float:
    return float(self.vocabulary)

  def corpus(self, data: Any) -> tasks.Corpus:
    return data


def language(options: Options) -> dict[str, Any]:
  """Measures tokens per second of training at all sizes.

  Raises:
    ValueError: `options.sizes` names a number of units that the suite does not
      have, or `options.models` an unknown model.
  """
  return scaling.over_sizes(SIZES, "num_units", options, _rows, _result)


def _result(rows):
  return dict(rows=rows, table=_table(rows), title=(
      "training; data: share of an update's time that cutting its windows "
      "takes"))


def _rows(size, options, deadline):
  programs = {label: make() for label, make in scaling.chosen(
      _makers(size), options).items()}
  timed = [program for of_model in programs.values() if of_model
           for program in of_model]
  times = measure.interleaved(timed, options.repeats, deadline)
  return [_row(size, label, times) for label in programs]


def _row(size, label, times):
  """Returns the row of a model."""
  row = dict(num_slots=size.num_units, size=str(size), model=label)
  if label not in times:
    return row | dict(time=measure.ABSENT)
  seconds = times[label]["median"]
  row |= dict(
      time=times[label],
      tokens_per_second=size.num_steps * size.batch_size / seconds,
      share_of_data=times[_draw_of(label)]["median"] / seconds)
  reference = TORCH + (ADAPTIVE if label.endswith(ADAPTIVE) else "")
  for name, other in (("times_faster", reference),
                      ("times_full", label.removesuffix(ADAPTIVE))):
    if other in times and other != label:
      row[name] = times[other]["median"] / seconds
  return row


def _makers(size: Size) -> Mapping[str, Callable[[], Any]]:
  """Returns what makes the programs of each model: updates, and their data."""
  makers = {}
  for label, make in ((OURS, _programs), (TORCH, _torch_programs)):
    makers[label] = functools.partial(make, size, (), label)
    if size.cutoffs:
      name = label + ADAPTIVE
      makers[name] = functools.partial(make, size, size.cutoffs, name)
  return makers


def _draw_of(label):
  return f"{label}: {DRAW}"


def make_text(size: Size) -> np.ndarray:
  """Returns random tokens `[N]` int32, the most frequent ones first.

  The weights are fitted to WikiText-2, of whose words 0.74, 0.87, 0.94 and 0.98
  are among the first 1,000, 4,000, 10,000 and 20,000.
  """
  weights = (np.arange(size.vocabulary) + 3.7)**-1.13
  return np.random.default_rng(0).choice(
      size.vocabulary, NUM_TOKENS, p=weights / weights.sum()).astype(np.int32)


def make_trainer(size: Size, cutoffs: tuple[int, ...] = ()) -> Trainer:
  """Returns a trainer of a model, tied unless its softmax is adaptive."""
  task = Text(vocabulary=size.vocabulary, num_steps=size.num_steps)
  head, head_args = "softmax", dict[str, Any](tied=True)
  if cutoffs:
    head, head_args = "adaptive_softmax", dict(cutoffs=cutoffs)
  model = make_model(
      OURS, task.output_size, encoder="tokens",
      encoder_args=dict(output_size=size.num_units), head=head,
      head_args=head_args, input_size=None, hidden_size=size.num_units,
      num_layers=size.num_layers)
  source: Any = StreamSource(model)
  learner = Learner(
      model, task, optimizers.clipped(
          optax.adam(LEARNING_RATE), MAX_GRAD_NORM),
      batch_size=size.batch_size, source=source)
  return Trainer(learner, SplitBatch())


def _programs(size, cutoffs, label):
  trainer = make_trainer(size, cutoffs)
  data = trainer.put_data(tasks.Corpus(make_text(size)))
  return [measure.training(label, trainer, data, UPDATES),
          _draw(trainer, data, label)]


def _draw(trainer, data, label):
  """Cuts the windows of as many updates on all devices, and uses them all."""
  learner, layout = trainer.learner, trainer.layout

  def draw(share, key_data, source, data):
    key = keys_lib.wrap(key_data, "threefry").train

    def step(source, _):
      batch, source = learner.source.next(
          source, None, key, learner.task, None, data, learner.batch_size,
          share)
      return source, sum(x.sum() for x in jax.tree.leaves(batch))

    source, sums = jax.lax.scan(step, source, length=UPDATES)
    return jnp.sum(sums)

  source = trainer.put(trainer.initial_state()).source
  key_data = layout.put_keys([keys_lib.unwrap(trainer.keys())])
  call = layout.compile(draw)
  return measure.Calls(
      _draw_of(label), lambda: call(key_data, source, data), UPDATES)


def _torch_programs(size, cutoffs, label):
  """Returns programs of PyTorch; None without it, or if it lacks JAX's GPU."""
  if importlib.util.find_spec("torch") is None:
    return None
  from launch.benchmarks import language_torch
  device = "cuda" if jax.default_backend() == "gpu" else "cpu"
  if not language_torch.is_available(device):
    return None
  update, draw = language_torch.make_calls(
      device, make_text(size), UPDATES, size.num_steps, size.batch_size,
      max_grad_norm=MAX_GRAD_NORM, learning_rate=LEARNING_RATE,
      vocabulary=size.vocabulary, num_units=size.num_units,
      num_layers=size.num_layers, cutoffs=cutoffs)
  return [measure.Calls(label, update, UPDATES),
          measure.Calls(_draw_of(label), draw, UPDATES)]


def _table(rows):
  lines = [["size", "model", "ms an update", "spread", "turns", "tokens/s",
            "data", "times PyTorch", "times full softmax"]]
  for row in rows:
    cells, times = [row["size"], row["model"]], row["time"]
    if isinstance(times, str):
      lines.append([*cells, times, *[""] * 6])
      continue
    median, low, high = (times[name] * 1e3 for name in (
        "median", "low", "high"))
    lines.append([
        *cells, f"{median:.4g}", f"{low:.4g} to {high:.4g}",
        str(times["turns"]), f"{row['tokens_per_second']:,.0f}",
        f"{row['share_of_data']:.2%}",
        *(f"{row[name]:.2f}" if name in row else ""
          for name in ("times_faster", "times_full"))])
  return lines
