"""Heads: map the outputs of a core to the answers of a model.

A head is constructed inside `hk.transform`, after encoder and core, as
`Head(output_size, **head_args)`. It is called once for all steps (or for the
selected ones), outside of the scan over time, with a core's outputs `[..., F]`.
It returns the answers, `[..., output_size]`, or a pytree of arrays with the
same leading axes. It may draw random keys with `hk.next_rng_key`.

A head may have a method `log_prob_of(outputs [..., F], targets [...]) -> [...]`
that gives the log-probabilities of one class each, at less cost than from all
answers.

Class attributes say what a head is. Three are False by default:

- `OF_UNITS`: the head is made of units. Its constructor also takes `unit` and
  `unit_args`.
- `CORE_MAY_REPLACE`: a core that maps to the output itself replaces the head.
  See `rmc_nalu_sam.network.Parts` for the rule.
- `CAN_BE_TIED`: it has an argument `tied`, and takes `tied_to` if that is true:
  the method `embedding` of the encoder, or None if that has none.

`DROPS_OUT` names the arguments that are rates of dropout; none by default.

A new head (a policy and a value for actor-critic learning) is one file here and
one line in `HEADS`.
"""

from rmc_nalu_sam.heads.adaptive import AdaptiveSoftmax
from rmc_nalu_sam.heads.none import NoHead
from rmc_nalu_sam.heads.softmax import Softmax
from rmc_nalu_sam.heads.unit import UnitHead
from rmc_nalu_sam.registry import Registry

HEADS = Registry("head", {
    "adaptive_softmax": AdaptiveSoftmax,
    "none": NoHead,
    "softmax": Softmax,
    "unit": UnitHead,
}, given=("name", "output_size", "unit", "unit_args", "tied_to"))

__all__ = ("HEADS", "AdaptiveSoftmax", "NoHead", "Softmax", "UnitHead")
