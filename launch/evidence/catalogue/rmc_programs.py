"""Learning to execute: section 4.2 of Santoro et al. 2018."""

from launch.evidence.catalogue.rmc import PAPER, TINY, TINY_CORES
from launch.evidence.experiment import Cell, Experiment, Figure, Piece

CORES = {"lstm": "LSTM", "dnc": "DNC", "sam": "SAM", "rmc": "RMC"}
PROGRAMS = ("addition", "control", "program")
MEMORISE = ("copy", "reverse", "double")
_SMALL = "--preset=learning_to_execute"
_PAPER = "--preset=learning_to_execute_paper"
_METRIC = "hardest/character_accuracy"
# 200,000 updates of batch 128.
_EPISODES = 128 * 200_000
_CHARACTERS = ("share of right characters of the answers to the longest "
               "programs; the best evaluation")
_PUBLISHED = {
    "LSTM": (.998, .974, .661, .998, .997, .997),
    "EntNet": (.984, .980, .734, .918, 1., .623),
    "DNC": (.994, .838, .695, 1., 1., 1.),
    "RMC": (.999, .996, .790, 1., 1., .998),
}


def _tiny(core: str) -> str:
  """Returns the flags of a rehearsal; to copy compiles soonest."""
  return f"{_SMALL} --operation=copy {TINY} {TINY_CORES[core]}"


def _cells(row: str, column: str) -> dict[Cell, str]:
  """Returns the best evaluation, as in the paper, and the last."""
  return {Cell(row, column): f"best/{_METRIC}",
          Cell(f"{row}, at the end", column): _METRIC}


def _piece(core: str, operation: str) -> Piece:
  """Returns a run of Table 1."""
  scales, paper = {}, _PAPER
  if operation in MEMORISE:
    scales["small"] = (f"{_SMALL} --task.max_length=5 --steps=2000 "
                       "--eval_every=500")
    if core == "dnc":  # As in the paper.
      paper += " --core.controller=feedforward"
  if core != "sam":  # Not in the paper.
    scales["paper"] = paper
    scales["tiny"] = _tiny(core)
  return Piece(f"{core}_{operation}", f"--core={core} --operation={operation}",
               _cells(CORES[core], operation), scales)


_TABLE = Experiment(
    name="rmc_table1",
    title="Learning to execute",
    source=f"{PAPER}, Table 1, in per cent there. Addition, control and "
    "program of RMC were found on a page about the paper; the other cells are "
    "from memory",
    measures=f"{_CHARACTERS}; numbers of 5 digits, nested twice",
    published={Cell(row, column): number
               for row, numbers in _PUBLISHED.items()
               for column, number in zip(
                   PROGRAMS + MEMORISE, numbers, strict=True)},
    pieces=[_piece(core, operation) for core in CORES
            for operation in PROGRAMS + MEMORISE
            if (core, operation) not in {("sam", name) for name in PROGRAMS}],
    headline=[Cell("RMC", operation) for operation in PROGRAMS + MEMORISE],
    paper_episodes=_EPISODES,
    note="""\
The best evaluation counts, as in the paper; the rows "at the end" hold the
last. The small scale has numbers as long as the paper's, narrower cores, and
2,000 updates of batch 64. DNC and SAM, which is not in the paper, copy and
reverse without a fault, the others nearly. Nobody doubles to the end yet. One
seed says little of the order.

The programs (addition, control, program) have been tried with short numbers
only: see the next sections. EntNet is not among the cores here.
""")

_FIGURE_8 = Experiment(
    name="rmc_figure8",
    title="Learning to execute: numbers of 6 digits, nested thrice",
    source=f"{PAPER}, Figure 8: curves only",
    measures=f"{_CHARACTERS}; numbers of 6 digits, nested 3 times",
    pieces=[
        Piece(f"{core}_{operation}", f"--core={core} --operation={operation} "
              "--task.max_length=6 --task.max_nesting=3",
              _cells(CORES[core], operation), {"paper": _PAPER})
        for core in ("lstm", "dnc", "rmc") for operation in PROGRAMS],
    paper_episodes=_EPISODES)


# As far as DNC came.
_STEPS = {("dnc", "control"): 3000, ("dnc", "program"): 1000}


def _short(operation: str, title: str, note: str, **kwargs) -> Experiment:
  """Returns an experiment with programs that two CPU cores learn."""
  pieces = []
  for core, row in CORES.items():
    scales = {"small": f"{_SMALL} --steps={_STEPS.get((core, operation), 6000)}"
              " --eval_every=500"}
    if core != "sam":
      scales["tiny"] = _tiny(core)
    pieces.append(Piece(
        core, f"--core={core} --operation={operation}",
        {Cell(row, "best"): f"best/{_METRIC}",
         Cell(row, "at the end"): _METRIC}, scales))
  return Experiment(
      name=f"rmc_short_{operation}", title=f"Short programs: {title}",
      source=f"{PAPER}, section 4.2, at a size of ours: no published numbers",
      measures="share of right characters of the answers to the longest "
      "programs; numbers of 1 or 2 digits, not nested",
      pieces=pieces, note=note,
      headline=[Cell(row, "best") for row in CORES.values()], **kwargs)


_ADDITION = _short(
    "addition", "addition", """\
6,000 updates of batch 64, then 2,048 of the longest programs. All cores learn
to add, RMC best of them.
""", figures=[Figure(
    "learning_to_execute.png", "Addition of numbers of one or two digits.",
    flags=f"--metric={_METRIC}")])

_CONTROL = _short("control", "conditions and loops", """\
6,000 updates of batch 64; DNC has 3,000. None has learnt it, and all were still
rising. RMC is level with the LSTM. One seed says little of the order.
""")

_PROGRAM = _short("program", "all operations", """\
6,000 updates of batch 64; DNC has 1,000. None has learnt it, and all were still
rising. RMC is behind the LSTM and SAM. One seed says little of the order.
""")

_WIDTHS = Experiment(
    name="rmc_slot_width",
    title="Learning to execute: the width of a slot",
    source="An ablation of ours: no published numbers",
    measures="share of right characters of the answers to the longest "
    "additions, after 3,000 updates; numbers of 1 or 2 digits",
    pieces=[
        Piece(f"rmc_{slots}_{size}_{gates}",
              f"--core.num_slots={slots} --core.head_size={size} "
              f"--core.gate_style={gates}",
              {Cell(f"{slots} x 4 x {size}", f"gates: {gates}"): _METRIC},
              {"small": f"{_SMALL} --steps=3000"})
        for slots, size, gates in (
            (4, 16, "memory"), (4, 16, "unit"), (2, 32, "memory"),
            (2, 64, "memory"))],
    note="""\
Rows are slots x heads x head size. The gates are one a slot (`memory`, as in
the paper) or one a number (`unit`). The width of a slot decides when RMC
learns, and so does the gate.
""")

EXPERIMENTS: tuple[Experiment, ...] = (
    _TABLE, _FIGURE_8, _ADDITION, _CONTROL, _PROGRAM, _WIDTHS)
