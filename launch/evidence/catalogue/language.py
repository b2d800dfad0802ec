"""Language models: section 4.4 of Santoro et al. 2018, and small ones."""

from collections.abc import Mapping

from launch.evidence.catalogue.rmc import PAPER
from launch.evidence.experiment import Cell, Experiment, Figure, Piece

# Column -> preset, and metrics of the validation and test text.
_PAPER_TEXTS = {"WikiText-103": "wikitext103_rmc", "Gutenberg": "gutenberg_rmc",
                "GigaWord": "gigaword_rmc"}
_TEXTS = ("WikiText-103 valid", "WikiText-103 test", "Gutenberg valid",
          "Gutenberg test", "GigaWord test")
_PERPLEXITY = {
    "LSTM (Grave 2016)": (None, 48.7, None, None, None),
    "Temporal CNN (Bai 2018)": (None, 45.2, None, None, None),
    "Gated CNN (Dauphin 2016)": (None, 37.2, None, None, None),
    "LSTM + Hebbian softmax (Rae 2018)": (34.1, 34.3, 41.8, 45.5, 43.7),
    "Quasi-RNN (Merity 2018)": (32., 33., None, None, None),
    "RMC": (30.8, 31.6, 39.2, 42.0, 38.3),
}
_WORDS = ("words seen > 10,000 times", "1,000 to 10,000", "< 1,000", "all")
_BUCKETS = ("over_10000", "1000_to_10000", "under_1000")
_BY_FREQUENCY = {
    "LSTM": (39.4, 6.5e3, 3.7e4, 53.5),
    "LSTM + Hebbian softmax": (33.2, 3.2e3, 1.6e4, 43.7),
    "RMC": (28.3, 3.1e3, 6.9e4, 38.3),
}
_ROWS = {"rmc": "RMC", "awd_lstm": "LSTM"}


def _of_paper(text: str, core: str, cells: Mapping[Cell, str],
              evaluate: str = "") -> Piece:
  """Returns a run of the paper's size; it has no small one."""
  return Piece(
      f"{text.lower()}_{core}",
      f"--preset={_PAPER_TEXTS[text]} --core={core} --data_dir={{data}}/text",
      cells=cells, scales={"paper": ""}, evaluate=evaluate)


_TABLE_2 = Experiment(
    name="rmc_table2",
    title="Language modelling",
    source=f"{PAPER}, Table 2",
    measures="perplexity",
    published={Cell(row, text): number
               for row, numbers in _PERPLEXITY.items()
               for text, number in zip(_TEXTS, numbers, strict=True)
               if number is not None},
    pieces=tuple(_of_paper(text, core, {
        Cell(row, f"{text} valid"): "perplexity",
        Cell(row, f"{text} test"): "test/perplexity"})
                 for core, row in _ROWS.items() for text in _PAPER_TEXTS),
    headline=[Cell("RMC", "WikiText-103 test"),
              Cell("RMC", "Gutenberg test"), Cell("RMC", "GigaWord test")],
    note="These runs need accelerators, and texts that are not at hand. The "
         "tests build the presets, but do no update of them. WikiText-2 is the "
         "small sister of this table.")

_TABLE_3 = Experiment(
    name="rmc_table3",
    title="Language modelling by frequency of words",
    source=f"{PAPER}, Table 3, from memory. The text says that RMC gains on "
    "frequent words",
    measures="perplexity on GigaWord's test",
    published={Cell(row, words): number
               for row, numbers in _BY_FREQUENCY.items()
               for words, number in zip(_WORDS, numbers, strict=True)},
    pieces=tuple(_of_paper("GigaWord", core, {
        Cell(row, words): f"test/perplexity_{bucket}"
        for words, bucket in zip(_WORDS, _BUCKETS, strict=False)} | {
            Cell(row, _WORDS[-1]): "test/perplexity"})
                 for core, row in _ROWS.items()),
    headline=[Cell("RMC", _WORDS[0])],
    note="See Language modelling. Each evaluation of words counts them in "
         "these three groups.")

_CONTEXTS = (25, 100, 500)
_FIGURE_12 = Experiment(
    name="rmc_figure12",
    title="Language modelling with short contexts",
    source=f"{PAPER}, Figure 12: curves; the text tells that a context of 100 "
    "words costs RMC 1 perplexity and LSTM 5, and that context beyond 500 "
    "words is little used",
    measures="perplexity on WikiText-103's test, of a network that starts anew "
             "after so many words",
    pieces=tuple(_of_paper("WikiText-103", core, {
        Cell(row, f"{n} words"): f"test, context {n}/perplexity"
        for n in _CONTEXTS} | {
            Cell(row, "all"): "test/perplexity"},
        evaluate=f"--contexts={','.join(map(str, _CONTEXTS))}")
                 for core, row in _ROWS.items()),
    note="See Language modelling.")

_SMALL = {
    "lstm": ("LSTM", "--core=awd_lstm"),
    "mogrifier": ("Mogrifier LSTM", "--core=awd_lstm --core.hidden_size=144 "
                  "--core.last_size=200 --core.num_rounds=6 --core.rank=40"),
    "rmc": ("RMC", "--core=rmc"),
}
_ADAPTIVE = "--head=adaptive_softmax --head.tied --head.cutoffs=2000,10000"
_WIKITEXT2 = Experiment(
    name="wikitext2",
    title="WikiText-2, words",
    source="pytorch/examples, word_language_model, README: an LSTM of 2 x 200, "
           "tied, after 6 and after 40 epochs; full softmax",
    measures="perplexity per word of the test text, `<eos>` and `<unk>` "
             "included, 245,568 targets, none left out",
    published={Cell("LSTM", "6 epochs"): 110.44,
               Cell("LSTM", "40 epochs"): 87.17},
    pieces=tuple(Piece(
        f"{name}_1", f"--preset=wikitext2 --data_dir={{data}}/text {flags} "
        f"{_ADAPTIVE} --steps=2984 --num_seeds=3",
        cells={Cell(row, "1 epoch, adaptive softmax"): "test/perplexity",
               Cell(row, "validation"): "perplexity"},
        scales={"small": ""})
                 for name, (row, flags) in _SMALL.items()) + tuple(Piece(
        f"{name}_6", f"--preset=wikitext2 --data_dir={{data}}/text {flags}",
        cells={Cell(row, "6 epochs"): "test/perplexity"},
        scales={"small": "", "paper": "--num_seeds=3"})
                 for name, (row, flags) in _SMALL.items()) + (Piece(
        "lstm_40_adaptive", "--preset=wikitext2 --data_dir={data}/text "
        f"--core=awd_lstm {_ADAPTIVE} --head.dropout=.2 --steps=119360",
        cells={Cell("LSTM", "40 epochs, adaptive softmax"): "test/perplexity"},
        scales={"paper": ""}), Piece(
        "lstm_40", "--preset=wikitext2 --data_dir={data}/text --steps=119360",
        cells={Cell("LSTM", "40 epochs"): "test/perplexity"},
        scales={"paper": ""}),),
    headline=(Cell("LSTM", "6 epochs"), Cell("Mogrifier LSTM", "6 epochs"),
              Cell("RMC", "6 epochs"),
              Cell("LSTM", "1 epoch, adaptive softmax"),
              Cell("Mogrifier LSTM", "1 epoch, adaptive softmax"),
              Cell("RMC", "1 epoch, adaptive softmax")),
    note="""\
All networks have about 7.3 million parameters, most of them in the embedding.
After six epochs, of one seed each, the Mogrifier LSTM is a little ahead of the
LSTM, and both are ahead of RMC. After a run of one epoch, RMC is ahead of the
Mogrifier LSTM, and that of the LSTM, with each of three seeds. The rate falls
to 0 within the epochs of a run, so one epoch is no part of six.

The LSTMs learn by SGD at 20, as in the example; no other rate of it was tried.
RMC learns by Adam at 2e-3. By rate, the perplexity of one seed in validation
was 527, 455 and 479 after

```sh
python -m launch.train --preset=wikitext2 --data_dir=$data/text --core=rmc \
--head=adaptive_softmax --head.tied --head.cutoffs=2000,10000 \
--learning_rate=1e-3,2e-3,4e-3 --steps=400 --log_every=50 --eval_every=100000 \
--cpu_devices=1 --workdir=runs/rmc_rates
```

(2026-12-01, an AMD processor, the code of commit c1049ae before it was
committed). By Adam at 2e-3, one epoch of one seed took the LSTM to 252.7 on the
test text, and the Mogrifier LSTM to 207.3 (2026-11-29, commits f89222c and
441a828). With the full softmax, `--optimizer=adam` took the LSTM to 157 in four
of six epochs, and SGD to 155 in two.

L0SG/relational-rnn-pytorch found RMC and LSTM alike after many epochs (107.2
and 105.6, 11 million parameters). The adaptive softmax has no dropout before it
in the rows of one epoch; the full one has a rate of 0.2. Six epochs with the
full softmax took a core 82 minutes beside other work, and one epoch of three
seeds with the adaptive softmax took 33 to 42 minutes on a slower one. The text
is read in 20 rows here.
""",
    figures=(Figure("wikitext2.png", "WikiText-2, one epoch: the batches of "
                    "training. The bands reach from the lowest to the highest "
                    "seed.",
                    "--metric=perplexity --split=train",
                    pieces=("lstm_1", "mogrifier_1", "rmc_1")),))

_SAMPLE = """\
KING RICHARD:
Why, but a critter, they not know them on her,
I know he is cread ere the king.

AEdile:
Reep the wife: and thou dost were the means to word,
That's the with the duke the bahes yet to fight.

BRUTUS:
And that thou duck the dead country's sight
The greated for mine fear; down.

PAULINA:
I shall robe
"""
_SHAKESPEARE = Experiment(
    name="shakespeare",
    title="Tiny Shakespeare, characters",
    source="not in a paper: the text is that of A. Karpathy's char-rnn",
    measures="bits per character; the test text is read in one row, plainly "
             "and with dynamic evaluation (segments of 5, its rate 5e-5), the "
             "validation text in 32 rows",
    pieces=tuple(Piece(
        name, f"--preset=shakespeare --data_dir={{data}}/text {flags}",
        cells={Cell(row, "validation"): "bits_per_character",
               Cell(row, "test"): "test/bits_per_character"} | ({
                   Cell(row, "dynamic"): "test, dynamic/bits_per_character"}
                   if dynamic else {}),
        evaluate=f"--batch_size=1 {dynamic}".rstrip())
                 for name, row, flags, dynamic in (
                     ("lstm", "LSTM", "--core=awd_lstm",
                      "--dynamic --dynamic_windows=100"),
                     ("rmc", "RMC", "--core=rmc", ""))),
    headline=(Cell("LSTM", "test"), Cell("LSTM", "dynamic"),
              Cell("RMC", "test")),
    note="The trained LSTM goes on after `KING RICHARD:` like this:\n\n"
         "```sh\n"
         "python -m launch.sample --workdir=runs/shakespeare-small/lstm "
         "--prompt=\"KING RICHARD:\" --num_tokens=300 --temperature=0.7 "
         "--seed=1\n"
         "```\n\n"
         "```text\n" + _SAMPLE + "```")

_SIZES = ("words, 2 x 200, T 35, B 20", "words, 2 x 650, T 35, B 20",
          "characters, 1 x 512, T 100, B 32")


def _speed_cells(column: str = "") -> dict[Cell, str]:
  """Returns the cells of the benchmark; `column` ends the columns' names."""
  return {
      Cell(f"{size}: {model}", name + column): f"{size} {model}/{name}"
      for size in _SIZES
      for model in ("awd_lstm", "PyTorch LSTM", *(
          ("awd_lstm, adaptive", "PyTorch LSTM, adaptive")
          if "words" in size else ()))
      for name in ("tokens/s", "ms an update", "data", *(
          ("times PyTorch",) if "awd" in model else ()), *(
              ("times full softmax",) if "adaptive" in model else ()))}


_SPEED = Experiment(
    name="language_speed",
    title="Speed of training a language model",
    source="not in a paper. A plain LSTM in PyTorch of the same size "
           "(`launch/benchmarks/language_torch.py`) takes turns with ours",
    measures="tokens per second of whole updates on two cores, and on an "
             "accelerator where a column names it; data: the share of an "
             "update's time that cutting its windows takes",
    pieces=(
        Piece("cpu", "--suite=language --cpu_devices=1", _speed_cells(),
              {"small": "--repeats=5 --time_limit=500"}, "benchmark"),
        Piece("gpu", "--suite=language", _speed_cells(" (accelerator)"),
              {"tiny": "--sizes=512 --repeats=1 --time_limit=0 "
                       "--models=awd_lstm",
               "paper": "--repeats=5 --time_limit=60"}, "benchmark")),
    headline=tuple(Cell(f"{size}: awd_lstm", "times PyTorch")
                   for size in _SIZES),
    note="""\
The aim, 1.5 times PyTorch's speed, is reached by words with the full softmax.
It is not reached here with the adaptive softmax, nor by characters. On another
processor of the same name, every program took about half the time, and the
ratios of the full softmax were 2.28 and 2.04, and by characters 1.51
(2026-11-30, commit 3eec3b2). By words, XLA's matrix products are up to twice as
fast as PyTorch's (MKL's). By characters, PyTorch's oneDNN probably keeps the
weights of its LSTM packed over the steps, and XLA packs them at each step. Ours
multiplies the embedding's 65 rows in place of the 3,200 vectors of a window,
and keeps the gates for the way back; before the latter it had 1.30 (2026-11-30,
commit 98bd1e5). On two cores of an Intel Xeon, before both, the same command
had 1.28 and 1.16 by words and 0.75 by characters (2026-11-29, commit f89222c).
""")

EXPERIMENTS: tuple[Experiment, ...] = (
    _TABLE_2, _TABLE_3, _FIGURE_12, _WIKITEXT2, _SHAKESPEARE,
    _SPEED)
