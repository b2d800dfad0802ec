"""Holds the experiments by name, in the order of RESULTS.md."""

from collections.abc import Mapping

from launch.evidence.catalogue import (
    agents,
    language,
    nalu,
    nalu_functions,
    nalu_mnist,
    nau_nmu,
    rmc,
    rmc_programs,
    rmc_speed,
    sam,
    sam_babi,
    sam_curriculum,
    sam_omniglot,
    sam_speed,
    successors,
)
from launch.evidence.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for module in (sam_speed, sam, sam_curriculum, sam_omniglot, sam_babi, rmc,
                   rmc_programs, rmc_speed, agents, language, nalu_functions,
                   nalu_mnist, nalu, nau_nmu, successors)
    for experiment in module.EXPERIMENTS}
