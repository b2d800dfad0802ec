"""Speed of the relational memory, and of drawing its tasks' episodes."""

from collections.abc import Sequence

from launch.evidence.experiment import Cell, Experiment, Piece

SIZES = (
    "8 x 4 x 32, batch 32", "1 x 8 x 64, batch 32", "4 x 8 x 128, batch 64")
_COLUMNS = ("ms a pass", "tokens/s", "of matmul", "times PyTorch")
_NO_SHARE = ("LSTM",)  # Its products are not counted.
_PARALLEL = "RMC unroll on 2 devices"
_MODELS = ("RMC step by step", "RMC unroll", _PARALLEL, "PyTorch RMC", "LSTM")
_GPU_MODELS = ("matmul", "RMC unroll", "PyTorch RMC", "LSTM")


def _flag(models: Sequence[str]) -> str:
  return f'--models="{",".join(models)}"'


def _cells(sizes: Sequence[str], models: Sequence[str], row: str = "",
           column: str = "") -> dict[Cell, str]:
  """Returns the cells of a benchmark.

  Args:
    sizes: first column of the printed table.
    models: second column of the printed table.
    row: added to the names of rows.
    column: added to the names of columns.
  """
  return {Cell(f"{size}{row}: {model}", name + column):
          f"{size} {model}/{name}"
          for size in sizes for model in models for name in _COLUMNS
          if (model, name) not in {(each, "of matmul") for each in _NO_SHARE}}


_SPEED = Experiment(
    name="rmc_speed",
    title="Speed of the relational memory",
    source="The paper reports no speeds. A plain PyTorch module with the same "
    "maths (`launch/benchmarks/rmc_torch.py`) takes turns with ours",
    measures="forward and backward pass over 100 steps, by slots x heads x "
    "head size",
    pieces=[
        Piece("cpu", "--suite=rmc --cpu_devices=2",
              _cells(SIZES, _MODELS),
              {"tiny": f'--sizes=1 --repeats=1 --time_limit=0 '
               f'{_flag(["matmul", "RMC unroll"])}',
               "small": "--repeats=7 --time_limit=400"}, "benchmark"),
        Piece("cpu_largest", "--suite=rmc --cpu_devices=2 --sizes=4 "
              "--repeats=5 --time_limit=240 "
              + _flag(("matmul", "RMC unroll", _PARALLEL, "PyTorch RMC")),
              _cells(SIZES[2:], ("RMC unroll", _PARALLEL, "PyTorch RMC"),
                     row=", once more"), {"small": ""}, "benchmark"),
        Piece("gpu", "--suite=rmc",
              _cells(SIZES, _GPU_MODELS[1:], column=" (accelerator)"),
              {"tiny": f'--sizes=1 --repeats=1 --time_limit=0 '
               f'{_flag(["matmul", "RMC unroll"])}',
               "paper": "--repeats=5 --time_limit=60 "
               + _flag(_GPU_MODELS)}, "benchmark"),
    ],
    headline=[Cell(f"{size}: RMC unroll", "times PyTorch") for size in SIZES],
    note="""\
"of matmul" is the share of the speed of a product of 2048 x 2048 matrices (186
to 205 GFLOP/s in the first run, 264 in the second), by the products that a
model does: `RMC.unroll` does fewer than the others. "On 2 devices", these share
the batch, as in training with `--cpu_devices=2`; all else has both cores for
one device, PyTorch 2.13.0 too. The LSTM has as many parameters as the RMC.
Without PyTorch, the rest is measured.

The first run had seven turns of each program, but at the largest size two of
the RMC step by step and one of each other; so this size was measured once more,
in five turns.

The target was 1.2 times PyTorch at each size. The first two reach it, the first
on two devices only. The largest is as fast as PyTorch, which does a quarter
more products there at 0.66 to 0.83 of the speed of matrix products alone: 1.2
times that would take `RMC.unroll` to 0.6 to 0.8 of it.
""")

SAMPLED = (
    *(f"learning_to_execute operation={operation}" for operation in (
        "addition", "control", "program", "copy", "reverse", "double")),
    "learning_to_execute operation=program max_length=5 max_nesting=2",
    "nth_farthest", "sam_copy", "arithmetic operation=mul")

_SAMPLING = Experiment(
    name="sampling",
    title="Time of drawing episodes",
    source="A measurement of ours: no published numbers",
    measures="ms of an update, and of drawing its episodes",
    pieces=[Piece(
        "cpu", "--suite=sampling --repeats=3",
        {Cell(row, column): f"{row}/{column}" for row in SAMPLED
         for column in ("ms an update", "ms drawing", "share")},
        {"small": ""}, "benchmark")],
    headline=[Cell(SAMPLED[2], "share")],
    note="""\
Episodes are drawn in the program of the update, so that no device ever waits
for a host.
""")

EXPERIMENTS: tuple[Experiment, ...] = (_SPEED, _SAMPLING)
