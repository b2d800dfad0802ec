"""Scores of texts: perplexity per word, bits per character and per byte."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tasks import scores
from tasks.batch import Batch

PERPLEXITY = "perplexity"
BITS_PER_CHARACTER = "bits_per_character"
BITS_PER_BYTE = "bits_per_byte"
UNITS = {PERPLEXITY: "words", BITS_PER_CHARACTER: "characters",
         BITS_PER_BYTE: "bytes"}

# Words are grouped by how often they are in the training text, as in the RMC
# paper's Table 3: more often than 10,000 times, 1,000 to 10,000, less often.
OFTEN, SELDOM = 10_000, 1_000
GROUPS = ("over_10000", "1000_to_10000", "under_1000")


@dataclasses.dataclass(frozen=True)
class TextScore(scores.Tokens):
  """Scores the tokens of a text.

  A metric per word, character or byte is the sum over all targets, divided by
  how many of them the text has, whatever the tokens are. So it can be compared
  between tokenizers.

  Attributes:
    frequent: the first token that is not in the group 'over_10000', and the
      first in 'under_1000'; tokens are sorted by frequency. None if they are
      not words.
  """

  frequent: tuple[int, int] | None = None

  def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns sums and counts, also of the groups of words."""
    found = super().metrics(outputs, batch)
    if self.frequent is None:
      return found
    group = sum((batch.targets >= edge).astype(jnp.int32)
                for edge in self.frequent)
    for i, name in enumerate(GROUPS):
      chosen = batch._replace(mask=jnp.where(group == i, batch.mask, 0))
      found |= {f"{metric}_{name}": value for metric, value in super().metrics(
          outputs, chosen).items()}
    return found

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the loss (nats) of a target and the main metric, as if each token
    were one of the main metric's units. `of_text` knows how many there are.
    """
    return self.of_text(means, {UNITS[self.main_metric]: 1.})

  def of_text(self, means: Mapping[str, Any], per_target: Mapping[str, Any]
              ) -> dict[str, Any]:
    """Returns the metrics to report of a text.

    Args:
      means: of metrics over windows; may hold others too.
      per_target: unit -> how many there are for each target.
    """
    groups = {f"{metric}_{name}" for metric in ("nats", "targets")
              for name in GROUPS}
    found = super().with_ratios(
        {name: mean for name, mean in means.items() if name not in groups})
    del found[PERPLEXITY]  # Of a token.
    for metric, unit in UNITS.items():
      if unit in per_target:
        nats = found["loss"] / per_target[unit]
        found[metric] = (jnp.exp(nats) if metric == PERPLEXITY
                         else nats / math.log(2))
    return found

  def by_frequency(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the perplexity of each group of words; NaN for one of none."""
    if self.frequent is None:
      return {}
    return {f"{PERPLEXITY}_{name}": jnp.exp(
        means[f"nats_{name}"] / means[f"targets_{name}"]) for name in GROUPS}
