"""Tables and figures of Santoro et al. 2018 that nobody has run here yet."""

from launch.evidence.catalogue.rmc import PAPER
from launch.evidence.experiment import Cell, Experiment

_ENVIRONMENTS = "needs environments and agents"
_LANGUAGE = "needs language modelling"

_PACMAN = Experiment(
    name="rmc_minipacman",
    title="Mini-Pacman",
    source=f"{PAPER}, Figure 10. The paper gives neither the agent's settings "
    "nor the mode of the game nor the number of steps",
    measures="score of an episode",
    published={Cell("RMC", "viewport"): 677, Cell("LSTM", "viewport"): 550,
               Cell("RMC", "full observation"): 1159,
               Cell("LSTM", "full observation"): 598},
    missing=_ENVIRONMENTS)

_BOXWORLD = Experiment(
    name="rmc_boxworld",
    title="BoxWorld through a viewport",
    source=f"{PAPER}: after 1e9 steps of the environment, IMPALA",
    measures="share of solved levels",
    published={Cell("RMC", "levels"): .98, Cell("ConvLSTM", "levels"): .73},
    missing=_ENVIRONMENTS)

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
_TABLE_2 = Experiment(
    name="rmc_table2",
    title="Language modelling",
    source=f"{PAPER}, Table 2",
    measures="perplexity",
    published={Cell(row, text): number
               for row, numbers in _PERPLEXITY.items()
               for text, number in zip(_TEXTS, numbers, strict=True)
               if number is not None},
    headline=[Cell("RMC", "WikiText-103 test"),
              Cell("RMC", "Gutenberg test"), Cell("RMC", "GigaWord test")],
    missing=_LANGUAGE)

_WORDS = ("words seen > 10,000 times", "1,000 to 10,000", "< 1,000", "all")
_BY_FREQUENCY = {
    "LSTM": (39.4, 6.5e3, 3.7e4, 53.5),
    "LSTM + Hebbian softmax": (33.2, 3.2e3, 1.6e4, 43.7),
    "RMC": (28.3, 3.1e3, 6.9e4, 38.3),
}
_TABLE_3 = Experiment(
    name="rmc_table3",
    title="Language modelling by frequency of words",
    source=f"{PAPER}, Table 3, from memory. The text says that RMC gains on "
    "frequent words",
    measures="perplexity on GigaWord's test",
    published={Cell(row, words): number
               for row, numbers in _BY_FREQUENCY.items()
               for words, number in zip(_WORDS, numbers, strict=True)},
    headline=[Cell("RMC", _WORDS[0])],
    missing=_LANGUAGE)

_FIGURE_12 = Experiment(
    name="rmc_figure12",
    title="Language modelling with short contexts",
    source=f"{PAPER}, Figure 12: curves; these numbers are of the text. "
    "Context beyond 500 words is little used",
    measures="perplexity lost by a context of 100 words",
    published={Cell("RMC", "100 words"): 1, Cell("LSTM", "100 words"): 5},
    missing=_LANGUAGE)

EXPERIMENTS: tuple[Experiment, ...] = (
    _PACMAN, _BOXWORLD, _TABLE_2, _TABLE_3, _FIGURE_12)
