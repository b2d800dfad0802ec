"""Relational memory: Santoro et al. 2018 (arXiv 1806.01822)."""

from launch.evidence.experiment import Experiment

EXPERIMENTS: tuple[Experiment, ...] = ()
