"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.controlled_nalu import ControlledNALU, ControlledNALUState
from rmc_nalu_sam.dam import DAM
from rmc_nalu_sam.dnc import DNC
from rmc_nalu_sam.encoders import ENCODERS
from rmc_nalu_sam.memory_core import MemoryState
from rmc_nalu_sam.ntm import NTM
from rmc_nalu_sam.recurrent import RNN, UGRNN
from rmc_nalu_sam.rmc import RMC
from rmc_nalu_sam.sam import SAM
from rmc_nalu_sam.sdnc import SDNC
from rmc_nalu_sam.stack import Stack
from rmc_nalu_sam.unit_rnn import UnitRNN, UnitRNNState
from rmc_nalu_sam.units import (
    INALU,
    MCFC,
    NAC,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    UNITS,
    GatedNAUNMU,
    GoldenNALU,
    Linear,
    MulMCFC,
    MultiplicativeNAC,
    NaiveNPU,
    RealNPU,
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

__all__ = ("CORES", "DAM", "DNC", "ENCODERS", "INALU", "MCFC", "NAC", "NALU",
           "NAU", "NMRU", "NMU", "NPU", "NTM", "RMC", "RNN", "SAM", "SDNC",
           "UGRNN", "UNITS", "ControlledNALU", "ControlledNALUState",
           "GatedNAUNMU", "GoldenNALU", "Linear", "MemoryState", "Model",
           "MulMCFC", "MultiplicativeNAC", "NaiveNPU", "RealNPU", "Stack",
           "Unit", "UnitRNN", "UnitRNNState", "core_arguments",
           "encoder_arguments", "find_units", "make_model", "unit_arguments")
