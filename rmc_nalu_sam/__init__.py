"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.dam import DAM, DAMState
from rmc_nalu_sam.dnc import DNC, DNCState
from rmc_nalu_sam.ntm import NTM, NTMState
from rmc_nalu_sam.sam import SAM, SAMState
from rmc_nalu_sam.sdnc import SDNC
from rmc_nalu_sam.zoo import CORES, Model, core_arguments, make_model

__version__ = "0.1.0"

__all__ = ("CORES", "DAM", "DNC", "NTM", "SAM", "SDNC", "DAMState", "DNCState",
           "Model", "NTMState", "SAMState", "core_arguments", "make_model")
