"""Holds the experiments by name, in the order of RESULTS.md."""

from collections.abc import Mapping

from launch.evidence.catalogue import (
    nalu,
    nalu_functions,
    nalu_mnist,
    nau_nmu,
    rmc,
    sam,
    successors,
)
from launch.evidence.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for module in (sam, nalu_functions, nalu_mnist, nalu, rmc, nau_nmu,
                   successors)
    for experiment in module.EXPERIMENTS}
