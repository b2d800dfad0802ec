"""Omniglot: section 4.5 of Rae et al. 2016 (arXiv 1610.09027)."""

from launch.evidence.experiment import Cell, Experiment, Figure, Piece

_COLUMNS = {"1st": "error_1st", "2nd": "error_2nd", "5th": "error_5th",
            "10th": "error_10th", "all": "error"}
# Of MANN and the LSTM in Santoro et al. 2016, as errors.
_MANN = {"MANN": (.636, .172, .051, .019), "LSTM": (.756, .505, .364, .375)}

_FIVE = Experiment(
    name="omniglot_five",
    title="Omniglot, five characters",
    source="Santoro et al. 2016, arXiv 1605.06065, Table 1, as errors: MANN at "
           "the 2nd and 5th presentation as quoted by Le et al. 2020 "
           "(NUTM, Table 2), the other numbers from memory. "
           "Rae et al. 2016 report no errors of five characters.",
    measures="error by the number of times that a character was shown, on five "
             "of the 659 characters that training never saw (always the same "
             "label: 0.8)",
    published={Cell(row, column): error for row, errors in _MANN.items()
               for column, error in zip(_COLUMNS, errors, strict=False)},
    paper_episodes=100_000,
    pieces=tuple(
        Piece(core, f"--data_dir={{data}} --core={core} --num_seeds=3",
              scales={"small": "--preset=sam_omniglot",
                      "paper": "--preset=sam_omniglot_paper"},
              evaluate="--levels=5 --episodes=2048",
              cells={Cell(row, column): f"level 5/{metric}"
                     for column, metric in _COLUMNS.items()})
        for core, row in (("sam", "SAM"), ("lstm", "LSTM"))),
    headline=(Cell("SAM", "2nd"), Cell("LSTM", "2nd"), Cell("MANN", "2nd")),
    note="Training has two to five characters an episode, images of 14 x 14 "
         "pixels and 12,000 updates of batch 16. A first presentation can only "
         "be guessed.",
    figures=(Figure("omniglot.png", "Omniglot, two to five characters. The "
                    "bands reach from the lowest to the highest seed."),))

_LEVELS = (5, 100, 500)
_CURRICULUM = ("--task.num_classes=2 --task.min_classes=2 "
               "--task.num_labels=500 --curriculum=exponential "
               "--curriculum.start=2 --curriculum.max_level=128 "
               "--schedule=constant --steps=1000000 --log_every=10 "
               "--eval_every=10000 --eval_episodes=64 --checkpoint_every=500")
_DENSE = ("--core.hidden_size=100 --core.num_slots=128 --core.num_heads=2")
_SPARSE = "--core.index={} --core.num_slots=16384 --reuse_memory"


def _piece(name: str, row: str, flags: str) -> Piece:
  return Piece(
      name, f"--data_dir={{data}} {flags} {_CURRICULUM}",
      scales={"small": "--preset=sam_omniglot --max_minutes=8",
              "paper": "--preset=sam_omniglot_paper --max_minutes=1440"},
      evaluate=f"--levels={','.join(map(str, _LEVELS))} --episodes=32",
      cells={Cell(row, "level"): "level"} | {
          Cell(row, f"error at {n} characters"): f"level {n}/error"
          for n in _LEVELS})


_FIGURE4 = Experiment(
    name="sam_figure4",
    title="Omniglot, up to 500 characters",
    source="Rae et al. 2016, arXiv 1610.09027, Figure 4: curves, and two "
           "numbers in the text. Training went up to about 130 characters.",
    measures="the level (characters) that an exponential curriculum reached, "
             "and the error on characters that training never saw",
    published={
        Cell("SAM, hashing", "error at 100 characters"): "< 0.2",
        Cell("SAM, exact search", "error at 100 characters"): "< 0.2",
        Cell("NTM", "error at 100 characters"): "about 0.4",
        Cell("DAM", "error at 100 characters"): "about 0.4"},
    pieces=(
        _piece("lstm", "LSTM", "--core=lstm"),
        _piece("ntm", "NTM", f"--core=ntm {_DENSE}"),
        _piece("dam", "DAM", f"--core=dam {_DENSE}"),
        _piece("sam_exact", "SAM, exact search",
               f"--core=sam {_SPARSE.format('exact')}"),
        _piece("sam_lsh", "SAM, hashing",
               f"--core=sam {_SPARSE.format('lsh')}")),
    headline=(Cell("SAM, hashing", "error at 100 characters"),
              Cell("DAM", "error at 100 characters")),
    note="The paper says of the dense models that they have an error of about "
         "0.4, without naming them. Sizes of the memories, the time of "
         "training and what ends it are our choices: the paper gives none.")

EXPERIMENTS: tuple[Experiment, ...] = (_FIVE, _FIGURE4)
