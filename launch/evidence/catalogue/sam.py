"""Sparse Access Memory: Rae et al. 2016 (arXiv 1610.09027)."""

from launch.evidence.experiment import Experiment

EXPERIMENTS: tuple[Experiment, ...] = ()
