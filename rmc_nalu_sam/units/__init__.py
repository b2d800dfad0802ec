"""Arithmetic units: layers that learn to compute, and extrapolate."""

import functools
from collections.abc import Callable, Mapping

from rmc_nalu_sam.units.base import Unit, find_units
from rmc_nalu_sam.units.linear import Linear
from rmc_nalu_sam.units.nac import NAC, MultiplicativeNAC
from rmc_nalu_sam.units.nalu import NALU, GoldenNALU
from rmc_nalu_sam.units.nau import NAU, NMU

UNITS: Mapping[str, Callable[..., Unit]] = {
    "g_nalu": GoldenNALU,
    "linear": Linear,
    "nac": NAC,
    "nac_mul": MultiplicativeNAC,
    "nac_mul_nmu": functools.partial(MultiplicativeNAC, kind="nmu"),
    "nac_mul_sigmoid": functools.partial(MultiplicativeNAC, kind="sigmoid"),
    "nalu": NALU,
    "nalu_separate": functools.partial(NALU, shared=False),
    "nau": NAU,
    "nmu": NMU,
    "relu": functools.partial(Linear, activation="relu", w_init="he"),
    "relu6": functools.partial(Linear, activation="relu6", w_init="he"),
    "sigmoid": functools.partial(
        Linear, activation="sigmoid", w_init="glorot"),
    "tanh": functools.partial(Linear, activation="tanh", w_init="glorot"),
}

__all__ = ("NAC", "NALU", "NAU", "NMU", "UNITS", "GoldenNALU", "Linear",
           "MultiplicativeNAC", "Unit", "find_units")
