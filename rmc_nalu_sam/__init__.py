"""Memory, relational and arithmetic networks for JAX and Haiku.

A core is a Haiku module that you can use in a network of your own:

>>> import haiku as hk
>>> import jax
>>> import rmc_nalu_sam
>>> def network(inputs):
...   core = rmc_nalu_sam.SAM(hidden_size=7, num_slots=17, output_size=3)
...   state = core.initial_state(inputs.shape[1])
...   return hk.dynamic_unroll(core, inputs, state)[0]
>>> inputs = jax.numpy.zeros([11, 2, 5])  # 11 steps, 2 sequences, 5 numbers.
>>> network = hk.transform(network)
>>> params = jax.jit(network.init)(jax.random.key(0), inputs)
>>> network.apply(params, None, inputs).shape
(11, 2, 3)

`make_model` builds a core with an encoder and a read-out as pure functions:

>>> model = rmc_nalu_sam.make_model("sam", 3, num_slots=17, hidden_size=7)
>>> params = model.init(jax.random.key(0), inputs)
>>> state = model.initial_state(params, 2)
>>> model.unroll(params, None, inputs, state).outputs.shape
(11, 2, 3)

`pretrained` loads a network that is trained already:

>>> model, params, card = rmc_nalu_sam.pretrained("sam_copy")
>>> card["task"]["name"]
'copy'
"""

from rmc_nalu_sam.cores import (
    AWDLSTM,
    DAM,
    DNC,
    NACLSTM,
    NTM,
    RMC,
    RNN,
    SAM,
    SDNC,
    UGRNN,
    ControlledNALU,
    ControlledNALUState,
    ConvLSTM,
    MemoryState,
    MogrifierLSTM,
    NACLSTMState,
    RMCState,
    Stack,
    UnitRNN,
    UnitRNNState,
    UnitSum,
    UnitSumState,
)
from rmc_nalu_sam.heads import AdaptiveSoftmax, Softmax
from rmc_nalu_sam.memory.access.dam_access import DAMAccess
from rmc_nalu_sam.memory.access.dnc_access import DNCAccess
from rmc_nalu_sam.memory.access.ntm_access import NTMAccess
from rmc_nalu_sam.memory.access.sam_access import SAMAccess
from rmc_nalu_sam.registry import Argument, Registry
from rmc_nalu_sam.trained import Pretrained, pretrained
from rmc_nalu_sam.units import (
    INALU,
    MCFC,
    MLP,
    NAC,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
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
    ENCODERS,
    HEADS,
    INDICES,
    UNITS,
    Model,
    Unrolled,
    make_model,
    uses_unit,
)

__version__ = "0.1.0"

__all__ = ("AWDLSTM", "CORES", "DAM", "DNC", "ENCODERS", "HEADS", "INALU",
           "INDICES", "MCFC", "MLP", "NAC", "NACLSTM", "NALU", "NAU", "NMRU",
           "NMU", "NPU", "NTM", "RMC", "RNN", "SAM", "SDNC", "UGRNN", "UNITS",
           "AdaptiveSoftmax", "Argument", "ControlledNALU",
           "ControlledNALUState", "ConvLSTM", "DAMAccess", "DNCAccess",
           "GatedNAUNMU", "GoldenNALU", "Linear", "MemoryState", "Model",
           "MogrifierLSTM", "MulMCFC", "MultiplicativeNAC", "NACLSTMState",
           "NTMAccess", "NaiveNPU", "Pretrained", "RMCState", "RealNPU",
           "Registry", "SAMAccess", "Softmax", "Stack", "Unit", "UnitRNN",
           "UnitRNNState", "UnitSum", "UnitSumState", "Unrolled", "find_units",
           "make_model", "pretrained", "uses_unit")
