"""Encoders: map the inputs of each step to the vectors that a core takes.

An encoder is constructed inside `hk.transform` and called with `[..., F]`, the
inputs of one step or of all of them; it returns `[..., F']`. It may draw random
keys with `hk.next_rng_key`.

Class attributes say what an encoder is. Three are False by default:

- `ENCODES_ALL_STEPS`: it is called once for all steps, outside of the scan over
  time, with `[T, B, ...]`;
- `OF_TOKENS`: its inputs are integers `[T, B]`. Its constructor also takes
  `vocabulary_size`. A method `embedding() -> [V, E]` gives the table to a tied
  head. A method `as_rows(inputs)` may return `rmc_nalu_sam.arrays.Rows` of a
  small table to a core with `UNROLLS_ROWS`, or the vectors;
- `OF_IMAGES`: its inputs begin with an image and with features. Its constructor
  also takes `image_shape` and `num_features`.

`DROPS_OUT` names the arguments that are rates of dropout; none by default.
"""

from rmc_nalu_sam.encoders.cnn import CNN
from rmc_nalu_sam.encoders.embed import Embed
from rmc_nalu_sam.encoders.identity import Identity
from rmc_nalu_sam.encoders.tokens import Tokens
from rmc_nalu_sam.encoders.torso import Torso
from rmc_nalu_sam.registry import Registry

ENCODERS = Registry("encoder", {
    "cnn": CNN,
    "embed": Embed,
    "none": Identity,
    "tokens": Tokens,
    "torso": Torso,
}, given=("name", "vocabulary_size", "image_shape", "num_features"))

__all__ = ("CNN", "ENCODERS", "Embed", "Identity", "Tokens", "Torso")
