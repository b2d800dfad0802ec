"""Holds the experiments by name, in the order of RESULTS.md."""

from collections.abc import Mapping

from launch.evidence.catalogue import nalu, rmc, sam, successors
from launch.evidence.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for module in (sam, nalu, rmc, successors)
    for experiment in module.EXPERIMENTS}
