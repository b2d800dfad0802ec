"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.dam import DAM
from rmc_nalu_sam.dnc import DNC
from rmc_nalu_sam.encoders import ENCODERS
from rmc_nalu_sam.memory_core import MemoryState
from rmc_nalu_sam.ntm import NTM
from rmc_nalu_sam.recurrent import RNN, UGRNN
from rmc_nalu_sam.sam import SAM
from rmc_nalu_sam.sdnc import SDNC
from rmc_nalu_sam.stack import Stack
from rmc_nalu_sam.units import (
    NAC,
    NALU,
    NAU,
    NMU,
    UNITS,
    GoldenNALU,
    Linear,
    MultiplicativeNAC,
    Unit,
    find_units,
)
from rmc_nalu_sam.zoo import (
    CORES,
    Model,
    core_arguments,
    encoder_arguments,
    make_model,
    unit_arguments,
)

__version__ = "0.1.0"

__all__ = ("CORES", "DAM", "DNC", "ENCODERS", "NAC", "NALU", "NAU", "NMU",
           "NTM", "RNN", "SAM", "SDNC", "UGRNN", "UNITS", "GoldenNALU",
           "Linear", "MemoryState", "Model", "MultiplicativeNAC", "Stack",
           "Unit", "core_arguments", "encoder_arguments", "find_units",
           "make_model", "unit_arguments")
