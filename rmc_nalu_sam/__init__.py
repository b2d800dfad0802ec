"""Memory, relational and arithmetic networks for JAX and Haiku."""

from rmc_nalu_sam.dnc import DNC, DNCState
from rmc_nalu_sam.sam import SAM, SAMState
from rmc_nalu_sam.zoo import CORES, Model, make_model

__version__ = "0.1.0"

__all__ = ("CORES", "DNC", "SAM", "DNCState", "Model", "SAMState", "make_model")
