"""Neural Arithmetic Logic Units: Trask et al. 2018 (arXiv 1808.00508)."""

from launch.evidence.experiment import Experiment

EXPERIMENTS: tuple[Experiment, ...] = ()
