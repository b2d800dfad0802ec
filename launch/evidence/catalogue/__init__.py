"""Holds the experiments by name, in the order of RESULTS.md."""

from collections.abc import Mapping

from launch.evidence.catalogue import (
    nalu,
    rmc,
    rmc_missing,
    rmc_programs,
    rmc_speed,
    sam,
    successors,
)
from launch.evidence.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for module in (sam, nalu, rmc_speed, rmc, rmc_programs, rmc_missing,
                   successors)
    for experiment in module.EXPERIMENTS}
