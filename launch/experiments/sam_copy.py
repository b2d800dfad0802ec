"""Copy, lengths 1 to 20 (Rae et al. 2016, arXiv 1610.09027, Figure 2).

One head is enough, since one word a step is to be remembered. The paper gives
neither the memory's size nor the word's; it used four heads, and RMSProp at
1e-5 with eight asynchronous workers.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "copy"
  config.core = "sam"
  config.core_args = {
      "sam": dict(hidden_size=100, num_slots=64, num_heads=1, top_k=4),
      "lstm": dict(hidden_size=100),
  }
  config.steps = 4_000
  config.eval_every = 250
  config.batch_size = 16
  config.learning_rate = 2e-3
  config.lr_schedule = "cosine"
  return config
