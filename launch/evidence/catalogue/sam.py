"""Sparse Access Memory: Rae et al. 2016 (arXiv 1610.09027), what it learns."""

from launch.evidence.experiment import Cell, Experiment, Figure, Piece

_PAPER = "Rae et al. 2016, arXiv 1610.09027"
_TINY = ("--steps=2 --log_every=1 --eval_every=2 --eval_episodes=8 "
         "--batch_size=2 --num_seeds=2")
# The sizes of a small run with a core that the preset does not name.
_DENSE = {"copy": "--core.hidden_size=100 --core.num_slots=64 "
                  "--core.num_heads=1",
          "priority_sort": "--core.hidden_size=100 --core.num_slots=128 "
                           "--core.num_heads=2"}
_DENSE["associative_recall"] = _DENSE["copy"]
_LSH = "--core.index=lsh --core.num_slots=4096"
_RATES = "--learning_rate=1e-3,3e-3,1e-2"


def _figure2(task: str, title: str, measures: str, note: str,
             more_pieces: tuple[Piece, ...] = (),
             more_figures: tuple[Figure, ...] = ()) -> Experiment:
  """Returns one panel of Figure 2: five models on a task."""
  def piece(name, row, core, small, evaluate="", **cells):
    scales = {"small": f"--preset=sam_{task} --num_seeds=3 {_RATES} {small}",
              "paper": f"--preset=sam_{task}_paper --num_seeds=30"}
    if task == "copy" and name in ("lstm", "sam"):
      sizes = "" if core == "lstm" else "--core.num_slots=16"
      scales["tiny"] = (f"--preset=sam_{task} {_TINY} --task.max_length=3 "
                        f"--core.hidden_size=7 {sizes}")
    return Piece(
        name, f"--core={core}", scales=scales, evaluate=evaluate,
        cells={Cell(row, "bits wrong"): "bits_wrong"} | {
            Cell(row, column): metric for column, metric in cells.items()})

  lsh = piece("sam_lsh", "SAM, hashing", "sam", _LSH,
              "--episodes=512 --recall", recall="as trained/index_recall")
  lsh.scales["paper"] += " --core.index=lsh"
  return Experiment(
      name=f"sam_figure2_{task}",
      title=title,
      source=f"{_PAPER}, Figure 2: curves only, over 30 seeds. The paper gives "
             "neither the memory's size nor the episodes.",
      measures=measures,
      pieces=(piece("lstm", "LSTM", "lstm", ""),
              piece("ntm", "NTM", "ntm", _DENSE[task]),
              piece("dam", "DAM", "dam", _DENSE[task]),
              piece("sam", "SAM, exact search", "sam", ""), lsh,
              *more_pieces),
      headline=(Cell("SAM, exact search", "bits wrong"),
                Cell("LSTM", "bits wrong")),
      note=note,
      figures=(Figure(f"{task}.png", f"{title}. The bands reach from the "
                      "lowest to the highest seed.", "--best",
                      pieces=("lstm", "ntm", "dam", "sam", "sam_lsh")),
               *more_figures))


_COPY = _figure2(
    "copy", "Copy", "bits wrong in an episode of 1 to 20 vectors, over 512 "
    "episodes at the end of training (guessing: 42); recall is the share of "
    "the 4 nearest words that the index finds",
    "Each core has the best of three learning rates. All memories copy with "
    "hardly an error after 4,000 updates, NTM first, and the LSTM still makes "
    "a third of the errors of guessing. SAM with hashing has 4,096 slots, the "
    "other memories 64. A seed of SAM that copies may fail for a while, at the "
    "rate that is the best at the end.",
    (Piece("readme", "--preset=sam_copy --cpu_devices=2",
           {Cell("README's first command", "bits wrong"): "bits_wrong"},
           {"small": ""}),),
    (Figure("copy_memory.png", "What the memory of README's first command "
            "wrote and read on one episode: each vector goes to a row of its "
            "own, and the rows are read in that order once the answers are "
            "asked for.",
            picture="memory.png", pieces=("readme",)),))

_RECALL = _figure2(
    "associative_recall", "Associative recall", "bits wrong of the 18 of a "
    "value, among 3 to 6 pairs (guessing: 9); recall is the share of the 4 "
    "nearest words that the index finds",
    "Each core has the best of three learning rates, but for SAM with hashing, "
    "which has that of the preset. SAM and DAM learn the task in 8,000 updates "
    "with each seed, and SAM with hashing as well as with exact search. NTM "
    "has no bit wrong with two of three seeds, and does not learn it with the "
    "third. The LSTM makes two thirds of the errors of guessing.")

_SORT = _figure2(
    "priority_sort", "Priority sort", "bits wrong of the 128 of the first 16 "
    "of 20 vectors (guessing: 64)",
    "After 10,000 updates SAM has a few bits wrong and is still learning; the "
    "LSTM is far behind.")

_LENGTHS = (20, 25, 30, 40)
_LONGER = Experiment(
    name="sam_copy_longer",
    title="Copy beyond the trained lengths",
    source="Not in a paper.",
    measures="share of bits right, of networks that were trained with 1 to 20 "
             "vectors: 2,048 episodes a column, in a memory of 256 slots",
    pieces=tuple(Piece(
        name, f"--preset=sam_copy {flags}", scales={"small": ""},
        evaluate=f"--levels={','.join(map(str, _LENGTHS))} "
                 "--core.num_slots=256 --episodes=2048",
        cells={Cell(row, f"length {n}"): f"level {n}/bit_accuracy"
               for n in _LENGTHS})
        for name, row, flags in (
            ("sam", "SAM", "--core=sam --num_seeds=3"),
            ("sam_reads", "SAM, output of reads alone",
             "--core=sam --core.output_from=reads --num_seeds=3"),
            ("sam_dropout", "SAM, bypass dropout 0.5",
             "--core=sam --core.bypass_dropout=0.5 --num_seeds=3"),
            ("dam", "DAM", f"{_DENSE['copy']} --core=dam --num_seeds=3"),
            ("dam_reads", "DAM, output of reads alone",
             f"{_DENSE['copy']} --core=dam --core.output_from=reads "
             "--num_seeds=3"))),
    headline=(Cell("SAM", "length 40"),
              Cell("SAM, output of reads alone", "length 40")),
    note="The evaluation has more room than the training, since SAM erases a "
         "slot at every step. All networks copy what they were trained with, "
         "and lose more with each vector beyond it. At twice the length DAM "
         "keeps most, in all its seeds more than any SAM. An output of the "
         "reads alone can be better at 25 vectors, and is worse at 40 for DAM "
         "and for two of three seeds of SAM. Dropping half of the "
         "controller's part changes less than the seed does.")

EXPERIMENTS: tuple[Experiment, ...] = (_COPY, _RECALL, _SORT, _LONGER)
