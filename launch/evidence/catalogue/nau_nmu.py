"""Sums and products of 100 numbers: Madsen and Johansen 2020 (2001.05016)."""

from launch.evidence.catalogue.nalu_functions import OPERATIONS, TINY
from launch.evidence.experiment import Cell, Experiment, Figure, Piece
from launch.evidence.grid import table

PAPER = "Madsen and Johansen 2020 (arXiv 2001.05016)"
# The paper's name of a layer -> unit. Units that multiply have a layer that
# adds below.
LAYERS = {
    "NAC_mul,NMU": "nac_mul_nmu", "NAC_mul,sigma": "nac_mul_sigmoid",
    "NAC_mul": "nac_mul", "NAC_add": "nac", "Gated NAU/NMU": "gated_nau_nmu",
    "Linear": "linear", "NALU": "nalu", "NAU": "nau", "NMU": "nmu",
    "ReLU": "relu", "ReLU6": "relu6"}
SUCCESS, SOLVED_AT, SPARSITY = (
    "success", "solved at", "sparsity error")
METRICS = {SUCCESS: "extrapolation/solved",
           SOLVED_AT: "extrapolation/solved_at",
           SPARSITY: "sparsity_error"}
_EPISODES = 5_000_000 * 128


def folder(unit, values):
  """Returns the name of a run with two numbers or one, such as "-2,2"."""
  return f"{unit}_{str(values).replace(',', '_to_')}"


_RATES = table(tuple(LAYERS), ("mul", "div", "add", "sub", "sqrt", "square"),
               """\
    93 0 0 0 3 100
    100 0 0 0 0 100
    31 0 0 0 7 77
    0 0 100 100 0 0
    0 0 0 0 0 0
    0 0 100 7 0 0
    0 0 14 14 2 0
    0 0 100 100 0 0
    98 0 0 56 0 100
    0 0 62 0 0 0
    0 0 0 0 0 0""", unit=" %")
# Operation -> layer -> what Table 1 of the paper has beside the rate.
_MORE = {
    "mul": {"NAC_mul": ("2,800,000 [mean 3,000,000]", 5.8e-4),
            "NMU": ("1,400,000 [mean 1,500,000]", 4.2e-7)},
    "add": {"NAC_add": ("250,000 [mean 490,000]", 0.23),
            "Linear": ("61,000 [mean 63,000]", 0.25),
            "NALU": ("1,500,000 [mean 1,600,000]", 0.17),
            "NAU": ("18,000 [mean 390,000]", 3.2e-5)},
    "sub": {"NAC_add": ("9,000 [mean 370,000]", 0.23),
            "Linear": ("3,300,000 [mean 1,400,000]", 0.18),
            "NALU": ("1,900,000 [mean 1,900,000]", 0.21),
            "NAU": ("5,000 [mean 160,000]", 6.6e-2)},
}
# What takes more than an hour; these have the size 'paper' only.
_LONG = {("mul", "NMU"), ("square", "NMU"), ("add", "NAC_add")}
_STEPS = {("add", "Linear"): 150_000, ("sub", "Linear"): 70_000,
          ("add", "NAU"): 60_000, ("sub", "NAU"): 60_000}


def _published(operation):
  rates = {Cell(layer, SUCCESS): _RATES[Cell(layer, operation)]
           for layer in LAYERS}
  return rates | {
      Cell(layer, column): value
      for layer, values in _MORE.get(operation, {}).items()
      for column, value in zip((SOLVED_AT, SPARSITY), values, strict=True)}


def _small(operation, layer):
  # The gated unit takes products of 100 inputs, at ten times the cost.
  gated = 6_000 if operation in ("add", "sub") else 2_000
  steps = (gated if layer == "Gated NAU/NMU"
           else _STEPS.get((operation, layer), 20_000))
  every = min(steps // 2, 1_000)
  return (f"--preset=arithmetic --num_seeds=100 --steps={steps} "
          f"--log_every={every} --eval_every={every}")


def _cells(operation, layer):
  """Returns what the paper reports of a layer, and the rest of NMU's squares.
  """
  more = layer in _MORE.get(operation, {}) or (
      (operation, layer) == ("square", "NMU"))
  # NMU's sparsity was measured, that of the others was not noted.
  columns = [SUCCESS] + more * [SOLVED_AT] + (more and layer == "NMU") * [
      SPARSITY]
  return {Cell(layer, column): METRICS[column] for column in columns}


def _pieces(operation):
  for layer, unit in LAYERS.items():
    scales = {"paper": "--preset=arithmetic_paper"}
    if (operation, layer) not in _LONG:
      scales["small"] = _small(operation, layer)
    if (operation, layer) == ("add", "NAU"):
      scales["tiny"] = f"--preset=arithmetic {TINY}"
    yield Piece(unit, f"--unit={unit} --operation={operation}",
                _cells(operation, layer), scales)


def _success(operation, what, headline, note, figures=()):
  """Returns the success rates of all layers for one operation."""
  return Experiment(
      name=f"nau_nmu_{operation}", title=f"Success rates: {what}",
      source=f"{PAPER}, Table 1 and the table of all models; 5,000,000 updates",
      measures="Share of 100 seeds that solve it beyond the training's range, "
               "with its 95 % interval, and updates until then (inf: never)",
      published=_published(operation), pieces=list(_pieces(operation)),
      headline=[Cell(layer, SUCCESS) for layer in headline],
      paper_episodes=_EPISODES, note=note, figures=figures)


_NOTES = {
    "mul": ("products", ("NMU",), """\
With the paper's settings, NMU's products are solved only once the penalty has
set in, at 1,000,000 updates. The paper's interval of NMU is 93 to 99 %. The
gated unit takes products of 100 inputs, and more than ten times as long an
update.
"""),
    "div": ("quotients", (), "No seed divides, here and in the paper.\n"),
    "add": ("sums", ("NAU", "Linear"), """\
100 inputs, sums of a quarter of them. At a constant learning rate the linear
layers' error goes up and down about the threshold: after 70,000 updates 6 % of
the seeds succeed (3 to 12 %), by `--preset=arithmetic --unit=linear
--operation=add --num_seeds=100 --steps=70000`. NAC succeeds with no seed after
20,000 updates. What the paper has solved later cannot be there yet in the other
rows.
"""),
    "sub": ("differences", ("NAU",), """\
What the paper has solved later than after the updates of these runs cannot be
there yet: NMU, and the linear layers.
"""),
    "sqrt": ("roots", (), "Few seeds take roots in the paper, none here.\n"),
    "square": ("squares", ("NMU",), """\
The squares are products of a sum with itself, and are solved as those are, once
the penalty has set in.
"""),
}
_PICTURES = {
    "mul": [Figure("nmu_mul_success.png", "NMU's success by the range of the "
                   "test", picture="success.png", pieces=("nmu",))],
    "square": [Figure("nmu_square_weights.png", "NMU: the weights of the two "
                      "layers of the best seed", picture="weights.png",
                      pieces=("nmu",))],
}
_FULL = [_success(operation, *_NOTES[operation], _PICTURES.get(operation, ()))
         for operation in OPERATIONS.values()]

# The units that were tried at four numbers -> operations.
_FOUR = {
    "NMU": ("mul", "square"), "NAC_mul": ("mul", "div", "square", "sqrt"),
    "NAC_mul,NMU": ("mul", "square"), "NAC_mul,sigma": ("mul", "square"),
    "Gated NAU/NMU": ("mul",), "NALU": tuple(OPERATIONS.values()),
    "NAU": ("add", "sub"), "NAC_add": ("add", "sub"), "Linear": ("add", "sub")}
_UNSOLVED = ("NALU", "NAC_mul", "NAC_mul,sigma")
_PENALISED = ("NMU", "NAU", "NAC_mul,NMU", "Gated NAU/NMU")


def _four_numbers(layer, operation):
  penalty = ("--penalty.start=20000 --penalty.end=30000"
             if layer in _PENALISED else "")
  formula = next(key for key, value in OPERATIONS.items() if value == operation)
  row = f"{formula}, {layer}"
  return Piece(
      f"{LAYERS[layer]}_{operation}",
      f"--preset=arithmetic --unit={LAYERS[layer]} --operation={operation} "
      "--num_seeds=100 --task.input_size=4 --task.subset_ratio=0.5 "
      "--task.overlap_ratio=0.5 --schedule=cosine --learning_rate=3e-3 "
      f"--steps=50000 --log_every=1000 --eval_every=1000 {penalty}",
      {Cell(row, column): METRICS[column] for column in (SUCCESS, SOLVED_AT)
       if column == SUCCESS or layer not in _UNSOLVED}, {"small": ""})


_SMALL_SIZE = Experiment(
    name="nau_nmu_four_numbers",
    title="Success rates at a size that trains in minutes",
    source="no paper: the same layers on sums of two of four numbers, with a "
           "falling learning rate",
    measures="Share of 100 seeds that solve it beyond the training's range, "
             "with its 95 % interval, and updates until then (inf: never)",
    pieces=[_four_numbers(layer, operation)
            for layer, operations in _FOUR.items() for operation in operations],
    headline=[Cell("a * b, NMU", SUCCESS), Cell("a^2, NMU", SUCCESS)],
    note="""\
With `--schedule=constant --learning_rate=1e-3 --steps=60000
--penalty.start=10000 --penalty.end=30000` instead, NMU's mul was solved by 0 of
100. NMU and the multiplicative NACs have a layer that adds below; the other
layers are used twice.
""")

_MULTIPLY = ("NAC_mul,NMU", "NAC_mul,sigma", "NAC_mul", "NALU", "NMU")


def _study(name, title, source, rows, layers, flags, text, seeds=100):
  """Returns a study of the layers by one setting, at the paper's size only.

  Args:
    name: of the experiment.
    title: of the experiment.
    source: of the numbers.
    rows: value of the setting -> name of the row.
    layers: name of the column -> unit.
    flags: with `{value}` for the value of the setting.
    text: published success rates in per cent.
    seeds: number of seeds.
  """
  return Experiment(
      name=name, title=title, source=f"{PAPER}, {source}",
      measures="Share of seeds that solve it beyond the training's range",
      published=table(tuple(rows.values()), tuple(layers), text, unit=" %"),
      pieces=[Piece(
          folder(unit, value),
          f"--preset=arithmetic_paper --unit={unit} --num_seeds={seeds} "
          f"{flags.format(value=value)}",
          {Cell(row, layer): METRICS[SUCCESS]}, {"paper": ""})
          for value, row in rows.items() for layer, unit in layers.items()],
      headline=[Cell(next(iter(rows.values())), list(layers)[-1])],
      paper_episodes=_EPISODES,
      note="Not run yet: a run takes 5,000,000 updates.\n")


_MULTIPLYING = {layer: LAYERS[layer] for layer in _MULTIPLY}
_BY_RANGE = _study(
    "nau_nmu_ranges", "Products by the training's range",
    "figure, decoded from its file; 50 seeds",
    {values: f"U[{values}]" for values in (
        "-2,-1", "-2,2", "0,1", "0.1,0.2", "1,2", "1.1,1.2", "10,20")},
    _MULTIPLYING, "--operation=mul --task.train_range={value}", """\
    92 100 26 0 100
    0 0 0 0 78
    100 100 64 2 100
    58 100 8 0 84
    90 100 24 0 100
    0 0 0 0 0
    54 100 42 2 100""", seeds=50)
_BY_SIZE = _study(
    "nau_nmu_hidden_sizes", "Products by the hidden size",
    "figure, decoded from its file",
    {size: f"hidden size {size}" for size in range(2, 11)}, _MULTIPLYING,
    "--operation=mul --core.hidden_size={value}", """\
    90 100 23 0 100
    55 0 22 0 88
    31 0 10 0 92
    6 0 0 0 97
    0 0 0 0 72
    0 0 0 0 77
    0 0 0 0 74
    0 0 0 0 59
    0 0 0 0 63""")
_GATES = _study(
    "nau_nmu_gates", "A gated layer on a layer that adds", "the study of gates",
    {"mul": "a * b", "add": "a + b"},
    {"NALU, shared": "nalu", "NALU, separate": "nalu_separate",
     "Gated NAU/NMU": "gated_nau_nmu"},
    "--operation={value} --core.hidden_unit=nac", """\
    24 22 62
    34 51 37""")
_TOY_LAYERS = ("NAC_mul", "NALU", "NMU")
_TOY = Experiment(
    name="nau_nmu_toy", title="(x1 + x2)(x1 + x2 + x3 + x4)",
    source=f"{PAPER}, the example with four inputs",
    measures="Share of 100 seeds that solve it beyond the training's range, "
             "with its 95 % interval, and updates until then (inf: never)",
    published=table(_TOY_LAYERS, (SUCCESS,), "13\n26\n94", unit=" %") | {
        Cell("NMU", SOLVED_AT): "14,000 [mean 14,000]"},
    pieces=[Piece(
        LAYERS[layer],
        f"--preset=arithmetic_paper --unit={LAYERS[layer]} --operation=mul "
        "--task.input_size=4 --task.subset_ratio=0.5 --task.second_ratio=1 "
        "--task.overlap_ratio=1 --steps=200000 --log_every=1000",
        {Cell(layer, column): METRICS[column]
         for column in (SUCCESS, SOLVED_AT)
         if column == SUCCESS or layer not in _UNSOLVED}, {"small": ""})
        for layer in _TOY_LAYERS],
    headline=[Cell(layer, SUCCESS) for layer in _TOY_LAYERS],
    paper_episodes=200_000 * 128,
    note="These are the updates, the seeds and the batches of the authors' "
         "program. Its penalty sets in after 1,000,000 updates, so there is "
         "none here. The paper's intervals are 8 to 21 % for NAC_mul, 18 to "
         "35 % for NALU and 88 to 97 % for NMU, and overlap with these. Of "
         "the seeds that solve it, the medians of the updates are 57,000, "
         "66,000 and 14,000 (the table at the end of each run); in the paper "
         "55,000, 70,000 and 14,000.\n")

EXPERIMENTS = (*_FULL, _SMALL_SIZE, _BY_RANGE, _BY_SIZE, _GATES, _TOY)
