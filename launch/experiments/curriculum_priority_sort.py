"""Priority sort with a curriculum (Rae et al. 2016, 1610.09027, Figure 3).

See curriculum_copy for what the paper leaves open.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "priority_sort"
  config.core = "sam"
  config.core_args = {
      "sam": dict(hidden_size=100, num_slots=4096, num_heads=4, top_k=4),
      "ntm": dict(hidden_size=100, num_slots=64, num_heads=4),
      "dam": dict(hidden_size=100, num_slots=64, num_heads=4),
      "lstm": dict(hidden_size=100),
  }
  config.curriculum = "exponential"
  config.curriculum_max = 2**16
  config.steps = 1_000_000
  config.batch_size = 8
  config.learning_rate = 1e-3
  config.log_every = 10
  config.eval_every = 500
  config.eval_episodes = 64
  config.checkpoint_every = 500
  return config
