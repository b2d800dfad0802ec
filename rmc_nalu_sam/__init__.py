"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.dam import DAM, DAMState
from rmc_nalu_sam.ntm import NTM, NTMState
from rmc_nalu_sam.sam import SAM, SAMState
from rmc_nalu_sam.zoo import CORES, Model, make_model

__version__ = "0.1.0"

__all__ = (
    "CORES", "DAM", "NTM", "SAM", "DAMState", "Model", "NTMState", "SAMState",
    "make_model")
