"""Encoders: map the inputs of each step to the vectors that a core takes.

An encoder is constructed inside `hk.transform` and called with `[..., F]`, the
inputs of one step or of all of them; it returns `[..., F']`. It may draw random
keys with `hk.next_rng_key`.
"""

from rmc_nalu_sam.encoders.cnn import CNN
from rmc_nalu_sam.encoders.embed import Embed
from rmc_nalu_sam.encoders.identity import Identity
from rmc_nalu_sam.registry import Registry

ENCODERS = Registry("encoder", {
    "cnn": CNN,
    "embed": Embed,
    "none": Identity,
})

__all__ = ("CNN", "ENCODERS", "Embed", "Identity")
