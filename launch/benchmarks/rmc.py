"""Compares RMC with PyTorch, an LSTM of its size, and matrix products.

Measures forward and backward passes, with gradients of parameters and inputs,
in turns: on one device and, if there are more, on all of them, each with its
share of the batch, as in `launch.train`. Without PyTorch its rows say so.
"""

import dataclasses
import importlib.util
import math
import time
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

import rmc_nalu_sam
from launch.benchmarks import measure, scaling
from launch.benchmarks.scaling import Options
from launch.learning.layout import SplitBatch

INPUT_SIZE, NUM_STEPS = 64, 100
PRODUCT = 2048  # Rows and columns of the matrices of the reference product.


@dataclasses.dataclass(frozen=True)
class Size:
  """Holds the sizes of a core and a batch; others are RMC's defaults."""

  num_slots: int
  num_heads: int
  head_size: int
  batch_size: int

  @property
  def core_args(self) -> dict[str, int]:
    """Returns the arguments of the core."""
    return dict(num_slots=self.num_slots, num_heads=self.num_heads,
                head_size=self.head_size)

  def __str__(self) -> str:
    return (f"{self.num_slots} x {self.num_heads} x {self.head_size}, "
            f"batch {self.batch_size}")


SIZES = (Size(8, 4, 32, 32), Size(1, 8, 64, 32), Size(4, 8, 128, 64))


@dataclasses.dataclass(frozen=True)
class Pass:
  """Holds a function that runs a pass; a `measure.Timed`."""

  case: measure.Case
  run: Callable[[], float]


def rmc(options: Options) -> dict[str, Any]:
  """Measures tokens per second at three sizes.

  Raises:
    ValueError: `options.sizes` names a number of slots that the suite does not
      have, or `options.models` an unknown model.
  """
  return scaling.over_sizes(SIZES, "num_slots", options, _rows, _result)


def _result(rows):
  return dict(rows=rows, table=_table(rows), title="forward and backward pass")


def _rows(size, options, deadline):
  makers = scaling.chosen({
      "matmul": _product,
      "RMC step by step": lambda: _jax_pass(
          size, _core(size), hk.dynamic_unroll),
      "RMC unroll": lambda: _jax_pass(size, _core(size), _unroll),
      **_parallel(size),
      "PyTorch RMC": lambda: _torch_pass(size),
      "LSTM": lambda: _jax_pass(size, _lstm(size), hk.dynamic_unroll),
  }, options)
  programs = {label: make() for label, make in makers.items()}
  timed = [Pass(measure.Case(label, "", (), size.batch_size,
                             1 if label == "matmul" else NUM_STEPS), run)
           for label, run in programs.items() if run is not None]
  for program in timed:
    program.run()  # Compiles, and warms up.
  times = measure.interleaved(timed, options.repeats, deadline)
  rows = []
  for label in programs:
    row = dict(num_slots=size.num_slots, size=str(size), model=label)
    rows.append(row)
    if label not in times:
      row["time"] = measure.ABSENT
      continue
    seconds = times[label]["median"]
    row["time"] = times[label]
    if label == "matmul":
      row["flops"] = 2 * PRODUCT**3 / seconds
      continue
    row["tokens_per_second"] = size.batch_size / seconds
    if label != "LSTM" and "matmul" in times:
      row["share_of_ceiling"] = products(size, label) * times["matmul"][
          "median"] / (seconds * 2 * PRODUCT**3)
    if "PyTorch RMC" in times:
      row["times_faster"] = times["PyTorch RMC"]["median"] / seconds
  return rows


def products(size: Size, model: str) -> int:
  """Returns operations per step in the matrix products of layers.

  It counts forward and backward passes, without the products of attention,
  which are small. PyTorch takes the row of the input through all layers. A step
  of `RMC` leaves out its MLP, since the result is not used. `RMC.unroll`
  computes queries, keys, values and gates from the input, which is narrower.

  Args:
    size: of core and batch.
    model: as in the table.
  """
  width, slots = size.num_heads * size.head_size, size.num_slots
  qkv, gates, layers = 3, 2, 2  # Of the MLP.
  weights = slots * (qkv + gates + layers) * width**2
  if model.startswith("RMC unroll"):
    weights += INPUT_SIZE * (qkv + gates) * width
  else:
    weights += INPUT_SIZE * width + (qkv + gates) * width**2
    if model.startswith("PyTorch"):
      weights += layers * width**2
  return 3 * 2 * size.batch_size * weights


def _core(size):
  return lambda: rmc_nalu_sam.RMC(**size.core_args)


def _lstm(size):
  """Returns the constructor of an LSTM with as many parameters."""
  def step(inputs):
    core = _core(size)()
    return core(inputs, core.initial_state(1))

  params = jax.eval_shape(hk.transform(step).init, jax.random.key(0),
                          jnp.zeros([1, INPUT_SIZE]))
  number = sum(math.prod(p.shape) for p in jax.tree.leaves(params))
  # 4 H (F + H + 1) of them.
  half = (INPUT_SIZE + 1) / 2
  return lambda: hk.LSTM(round(math.sqrt(half**2 + number / 4) - half))


def _jax_pass(size, make_core, unroll):
  call = jax.jit(_gradients(make_core, unroll))
  params, inputs = _arguments(size, make_core)
  return _timed(lambda: call(params, inputs))


def _parallel(size):
  """Returns the constructor of `RMC.unroll` on all devices, if several."""
  layout = make_layout()
  if layout.num_parts == 1:
    return {}

  def make():
    call, arguments = _shares(size, layout)
    return _timed(lambda: call(*arguments))

  return {f"RMC unroll on {layout.num_parts} devices": make}


def make_layout() -> SplitBatch:
  """Returns the layout of passes on all devices."""
  return SplitBatch()


def _shares(size, layout):
  """Returns a pass over all devices, and its arguments."""
  gradients = _gradients(_core(size), _unroll)

  def on_device(share, params, inputs, data):
    del data
    loss, (of_params, of_inputs) = gradients(params, inputs)
    return share.mean((loss, of_params)), of_inputs

  params, inputs = _arguments(size, _core(size))
  # Each device has one share of the batch: `[D, T, B / D, F]`.
  inputs = np.concatenate(np.split(inputs, layout.num_parts, 1))
  return (layout.compile(on_device),
          (layout.put(params), layout.shard(inputs), None))


def _gradients(make_core, unroll):
  def loss(inputs):
    core = make_core()
    outputs, _ = unroll(core, inputs, core.initial_state(inputs.shape[1]))
    return jnp.square(outputs).mean()

  net: hk.Transformed = hk.without_apply_rng(hk.transform(loss))
  return jax.value_and_grad(net.apply, (0, 1))


def _arguments(size, make_core):
  inputs = jax.random.normal(
      jax.random.key(0), [NUM_STEPS, size.batch_size, INPUT_SIZE])
  return jax.jit(_init(size, make_core))(jax.random.key(1)), inputs


def _unroll(core, *args):
  return core.unroll(*args)


def _init(size, make_core):
  def step():
    core = make_core()
    core(jnp.zeros([1, INPUT_SIZE]), core.initial_state(1))

  return hk.transform(step).init


def _product():
  matrix = jnp.ones([PRODUCT, PRODUCT])
  call = jax.jit(jnp.matmul)
  return _timed(lambda: call(matrix, matrix))


def _timed(call):
  def run() -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start

  return run


def _torch_pass(size):
  """Returns a pass of PyTorch; None without it, or if it lacks JAX's GPU."""
  if importlib.util.find_spec("torch") is None:
    return None
  from launch.benchmarks import rmc_torch
  device = "cuda" if jax.default_backend() == "gpu" else "cpu"
  if not rmc_torch.is_available(device):
    return None
  return rmc_torch.make_pass(
      device, NUM_STEPS, size.batch_size, INPUT_SIZE, **size.core_args)


def _table(rows):
  lines = [["slots x heads x head size", "model", "ms a pass", "spread",
            "turns", "tokens/s", "of matmul", "times PyTorch"]]
  for row in rows:
    cells, times = [row["size"], row["model"]], row["time"]
    if isinstance(times, str):
      lines.append([*cells, times, *[""] * 5])
      continue
    steps = 1 if row["model"] == "matmul" else NUM_STEPS
    median, low, high = (times[name] * steps * 1e3
                         for name in ("median", "low", "high"))
    tokens = (f"{row['flops'] / 1e9:.0f} GFLOP/s" if "flops" in row
              else f"{row['tokens_per_second']:,.0f}")
    lines.append([
        *cells, f"{median:.4g}", f"{low:.4g} to {high:.4g}",
        str(times["turns"]), tokens,
        *(f"{row[name]:.2f}" if name in row else ""
          for name in ("share_of_ceiling", "times_faster"))])
  return lines
