"""Priority sort, 16 of 20 keys (Rae et al. 2016, 1610.09027, Figure 2).

See sam_copy for what the paper leaves open.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "priority_sort"
  config.core = "sam"
  config.core_args = {
      "sam": dict(hidden_size=100, num_slots=128, num_heads=2, top_k=4),
      "lstm": dict(hidden_size=100),
  }
  config.steps = 10_000
  config.eval_every = 625
  config.batch_size = 16
  config.learning_rate = 2e-3
  config.lr_schedule = "cosine"
  return config
