"""Arithmetic units: layers that learn to compute, and extrapolate."""

import functools

from rmc_nalu_sam.registry import Registry
from rmc_nalu_sam.units.base import Unit, find_units
from rmc_nalu_sam.units.formula import Formula, extract
from rmc_nalu_sam.units.gated import GatedNAUNMU
from rmc_nalu_sam.units.inalu import INALU
from rmc_nalu_sam.units.linear import Linear
from rmc_nalu_sam.units.mcfc import MCFC, MulMCFC
from rmc_nalu_sam.units.mlp import MLP
from rmc_nalu_sam.units.nac import NAC, MultiplicativeNAC
from rmc_nalu_sam.units.nalu import NALU, GoldenNALU
from rmc_nalu_sam.units.nau import NAU, NMU
from rmc_nalu_sam.units.nmru import NMRU
from rmc_nalu_sam.units.npu import NPU, NaiveNPU, RealNPU

UNITS = Registry("unit", {
    "g_nalu": GoldenNALU,
    "gated_nau_nmu": GatedNAUNMU,
    "inalu": INALU,
    "inalu_shared": functools.partial(INALU, shared=True),
    "linear": Linear,
    "mcfc": MCFC,
    "mlp": MLP,
    "mul_mcfc": MulMCFC,
    "nac": NAC,
    "nac_mul": MultiplicativeNAC,
    "nac_mul_nmu": functools.partial(MultiplicativeNAC, kind="nmu"),
    "nac_mul_sigmoid": functools.partial(MultiplicativeNAC, kind="sigmoid"),
    "nalu": NALU,
    "nalu_separate": functools.partial(NALU, shared=False),
    "naive_npu": NaiveNPU,
    "nau": NAU,
    "nmru": NMRU,
    "nmu": NMU,
    "npu": NPU,
    "real_npu": RealNPU,
    "relu": functools.partial(Linear, activation="relu", w_init="he"),
    "relu6": functools.partial(Linear, activation="relu6", w_init="he"),
    "sigmoid": functools.partial(
        Linear, activation="sigmoid", w_init="glorot"),
    "tanh": functools.partial(Linear, activation="tanh", w_init="glorot"),
}, given=("name", "output_size"))

__all__ = ("INALU", "MCFC", "MLP", "NAC", "NALU", "NAU", "NMRU", "NMU", "NPU",
           "UNITS", "Formula", "GatedNAUNMU", "GoldenNALU", "Linear", "MulMCFC",
           "MultiplicativeNAC", "NaiveNPU", "RealNPU", "Unit", "extract",
           "find_units")
