"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.dam import DAM
from rmc_nalu_sam.dnc import DNC
from rmc_nalu_sam.memory_core import MemoryState
from rmc_nalu_sam.ntm import NTM
from rmc_nalu_sam.rmc import RMC
from rmc_nalu_sam.sam import SAM
from rmc_nalu_sam.sdnc import SDNC
from rmc_nalu_sam.zoo import CORES, Model, core_arguments, make_model

__version__ = "0.1.0"

__all__ = ("CORES", "DAM", "DNC", "NTM", "RMC", "SAM", "SDNC", "MemoryState",
           "Model", "core_arguments", "make_model")
