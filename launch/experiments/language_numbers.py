"""Language to number (Trask et al. 2018, arXiv 1808.00508, section 4.3).

An embedding of 256, an LSTM of 10 and a unit as the read-out: the authors' own
recollection, as told by Madsen and Johansen (2019, arXiv 1910.01888). Compare
--unit=linear, --unit=nac and --unit=nalu; nothing is published on the training
but the errors. An evaluation sees every string of a split once. Gradients are
clipped to norm 1.

A NAC's weights and an LSTM's outputs are below 1, so that a NAC behind 10 of
them stays below 10 (the paper's cannot have been of this size): give it
--core.hidden_size=1024.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "language_numbers"
  config.core = "lstm"
  config.core_args = {"lstm": dict(hidden_size=10)}
  config.unit = "nalu"
  config.encoder_args = {"embed": dict(output_size=256)}
  config.steps = 20_000
  config.batch_size = 64
  config.learning_rate = 1e-2
  config.lr_schedule = "cosine"
  config.eval_every = 1_000
  return config
