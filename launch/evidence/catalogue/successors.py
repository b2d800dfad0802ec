"""Arithmetic units after the NALU paper."""

from launch.evidence.experiment import Experiment

EXPERIMENTS: tuple[Experiment, ...] = ()
