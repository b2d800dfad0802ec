"""Cores: recurrent networks, each an `hk.RNNCore`, one family per file."""

from rmc_nalu_sam.cores.awd_lstm import AWDLSTM
from rmc_nalu_sam.cores.controlled_nalu import (
    ControlledNALU,
    ControlledNALUState,
)
from rmc_nalu_sam.cores.controllers import (
    CONTROLLERS,
    FeedForward,
    feed_forward,
)
from rmc_nalu_sam.cores.conv_lstm import ConvLSTM
from rmc_nalu_sam.cores.dam import DAM
from rmc_nalu_sam.cores.dnc import DNC
from rmc_nalu_sam.cores.memory_core import MemoryCore, MemoryState
from rmc_nalu_sam.cores.mogrifier import MogrifierLSTM, mogrifier
from rmc_nalu_sam.cores.ntm import NTM
from rmc_nalu_sam.cores.of_units import (
    NACLSTM,
    NACLSTMState,
    Stack,
    UnitRNN,
    UnitRNNState,
    UnitSum,
    UnitSumState,
)
from rmc_nalu_sam.cores.recurrent import RNN, UGRNN, gru, lstm
from rmc_nalu_sam.cores.rmc import RMC, RMCState
from rmc_nalu_sam.cores.sam import SAM, SDNC

__all__ = ("AWDLSTM", "CONTROLLERS", "DAM", "DNC", "NACLSTM", "NTM", "RMC",
           "RNN", "SAM", "SDNC", "UGRNN", "ControlledNALU",
           "ControlledNALUState", "ConvLSTM", "FeedForward", "MemoryCore",
           "MemoryState", "MogrifierLSTM", "NACLSTMState", "RMCState", "Stack",
           "UnitRNN", "UnitRNNState", "UnitSum", "UnitSumState", "feed_forward",
           "gru", "lstm", "mogrifier")
