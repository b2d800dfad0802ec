"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.sam import SAM, SAMState
from rmc_nalu_sam.sdnc import SDNC
from rmc_nalu_sam.zoo import CORES, Model, make_model

__version__ = "0.1.0"

__all__ = ("CORES", "SAM", "SDNC", "Model", "SAMState", "make_model")
