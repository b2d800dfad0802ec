"""Measures updates per second of arithmetic units, for one and many seeds.

The network is that of "Neural Arithmetic Units" (Madsen, Johansen, 2020, arXiv
2001.05016) for multiplication: 100 numbers, a layer of two NAUs, an NMU; Adam,
batches of 128. It is compared with a plain PyTorch loop, one run at a time, as
tables of success rates are usually made.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from launch.benchmarks import measure
from launch.benchmarks.scaling import Options
from launch.configs import build, checks
from launch.configs import config as config_lib
from launch.runs.progress import counting

BATCH_SIZE, INPUT_SIZE = 128, 100
MANY = 100  # Seeds.


def arithmetic(options: Options) -> dict[str, Any]:
  """Measures runs of one seed, of 100 seeds and a PyTorch loop, in turns."""
  programs = {
      f"here, {MANY} seeds at once": (MANY, _jax_program(MANY)),
      "here, one seed": (1, _jax_program(1)),
  }
  notes = {}
  try:
    programs["PyTorch, one seed"] = (1, _torch_program())
  except ImportError:
    notes["PyTorch, one seed"] = measure.ABSENT
  rates: dict[str, list[float]] = {label: [] for label in programs}
  for label in counting.counted([*programs] * options.repeats):
    num_seeds, run = programs[label]
    start = time.perf_counter()
    num_updates = run()
    rates[label].append(
        num_seeds * num_updates / (time.perf_counter() - start))
    if all(rates.values()):
      options.report(_result(rates, notes))
  return _result(rates, notes)


def _result(rates, notes):
  plain = statistics.median(rates.get("PyTorch, one seed", [math.nan]))
  rows: list[dict[str, Any]] = [
      dict(model=label, updates_per_second=statistics.median(values),
           low=min(values), high=max(values), turns=len(values))
      for label, values in rates.items()]
  if not math.isnan(plain):
    for row in rows:
      row["times_pytorch"] = row["updates_per_second"] / plain
  rows += [dict(model=label, note=note) for label, note in notes.items()]
  return dict(rows=rows, table=_table(rows),
              title="updates a second, over all seeds")


def _table(rows):
  lines = [["model", "updates a second", "spread", "times PyTorch"]]
  for row in rows:
    if "note" in row:
      lines.append([row["model"], row["note"], "", ""])
      continue
    lines.append([row["model"], f"{row['updates_per_second']:,.0f}",
                  f"{row['low']:,.0f} to {row['high']:,.0f}",
                  f"{row['times_pytorch']:.3g}" if "times_pytorch" in row
                  else ""])
  return lines


def _jax_program(num_seeds: int) -> Callable[[], int]:
  """Returns a function that trains for a second or so.

  The function returns the number of updates that it did.
  """
  config = config_lib.resolve(
      config_lib.NO_PRESET,
      dict(task="arithmetic", core="stack", unit="nmu", penalty="discrete",
           num_seeds=num_seeds, batch_size=BATCH_SIZE, max_grad_norm=0.),
      dict(task=dict(operation="mul", input_size=INPUT_SIZE),
           core=dict(hidden_size=2, hidden_unit="nau"),
           optimizer=dict(learning_rate=1e-3), penalty=dict(weight=10.)))
  checks.check(config, jax.local_device_count())
  task: Any = build.make_task(config)
  trainer = build.make_trainer(config, task)
  state = trainer.put(trainer.initial_state())
  num_updates = 200 if num_seeds > 1 else 2_000

  def run():
    nonlocal state
    state, _ = trainer.train(state, None, num_updates)
    jax.block_until_ready(state.train.params)
    return num_updates

  run()  # Compiles it.
  return run


def _torch_program() -> Callable[[], int]:
  """Returns the same in plain PyTorch.

  Raises:
    ImportError: there is no PyTorch.
  """
  import torch  # An optional dependency.

  generator = torch.Generator().manual_seed(0)
  first = torch.empty(INPUT_SIZE, 2).uniform_(-.24, .24, generator=generator)
  second = torch.empty(2, 1).uniform_(.25, .75, generator=generator)
  params = [first.requires_grad_(), second.requires_grad_()]
  optimizer = torch.optim.Adam(params, lr=1e-3)

  def penalty(w):
    return torch.minimum(w.abs(), 1 - w.abs()).mean()

  def update():
    x = torch.rand(BATCH_SIZE, INPUT_SIZE, generator=generator) + 1
    target = x[:, :25].sum(1, keepdim=True) * x[:, 13:38].sum(1, keepdim=True)
    hidden = x @ first.clamp(-1, 1)
    w = second.clamp(0, 1)
    output = (hidden[:, :, None] * w + 1 - w).prod(1)
    loss = (output - target).square().mean()
    loss = loss + 10 * (penalty(first) + penalty(second))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
      first.clamp_(-1, 1)
      second.clamp_(0, 1)

  def run(num_updates=500):
    for _ in range(num_updates):
      update()
    return num_updates

  run(10)
  return run
