"""Cores made of arithmetic units: stacked, recurrent, summed, or in an LSTM."""

from rmc_nalu_sam.cores.of_units.nac_lstm import NACLSTM, NACLSTMState
from rmc_nalu_sam.cores.of_units.stack import Stack
from rmc_nalu_sam.cores.of_units.unit_rnn import UnitRNN, UnitRNNState
from rmc_nalu_sam.cores.of_units.unit_sum import UnitSum, UnitSumState

__all__ = ("NACLSTM", "NACLSTMState", "Stack", "UnitRNN", "UnitRNNState",
           "UnitSum", "UnitSumState")
