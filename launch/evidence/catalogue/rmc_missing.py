"""Tables and figures of Santoro et al. 2018 that nobody has run here yet."""

from launch.evidence.catalogue.rmc import PAPER
from launch.evidence.experiment import Cell, Experiment

_ENVIRONMENTS = "needs environments and agents"

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

EXPERIMENTS: tuple[Experiment, ...] = (_PACMAN, _BOXWORLD)
